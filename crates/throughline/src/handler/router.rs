//! From a request to the tool, prompt or resource that answers it.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use http::HeaderMap;
use throughline_proto::auth::ScopeSet;
use throughline_proto::jsonrpc::{Raw, Str, excerpt, reason};
use throughline_proto::model::{
    Answer, CacheHints, CallToolResult, CompleteParams, CompleteResult, Completion, ListPromptsResult,
    ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, PromptsCapability, Reference,
    ResourcesCapability, ServerCapabilities, ToolsCapability,
};

use super::cache::ListCache;
use super::catalog::Catalog;
use super::completion::{Completer, Completing};
use super::custom::CustomMethod;
use super::state::States;
use super::template::Match;
use super::visibility::Visibility;
use super::{Call, Caller, Context, Needs, PromptDef, Reply, ResourceDef, TemplateDef, ToolDef};
use crate::error::McpError;

/// What is registered. Read on every call, written seldom: a call takes a reference and lets go of the lock.
#[derive(Default)]
pub(crate) struct Router {
    tables: RwLock<Arc<Tables>>,
}

#[derive(Clone, Default)]
pub(crate) struct Tables {
    pub(crate) tools: Catalog<ToolDef>,
    pub(crate) prompts: Catalog<PromptDef>,
    pub(crate) resources: Catalog<ResourceDef>,
    pub(crate) templates: Catalog<TemplateDef>,
    pub(crate) states: Arc<States>,
    pub(crate) list_cache: ListCache,
    /// What each request of a method needs.
    pub(super) method_scopes: HashMap<Str, ScopeSet>,
    /// Lists leave out what the caller lacks the scopes for.
    pub(super) lists_permitted: bool,
    pub(crate) methods: HashMap<Str, CustomMethod>,
    pub(crate) notifications: HashMap<Str, CustomMethod>,
}

impl Tables {
    /// Whether this caller may know of the resource: it is visible, or nothing here.
    pub(crate) fn shows_resource(&self, uri: &str, caller: &Caller) -> bool {
        if let Some(resource) = self.resources.get(uri) {
            return resource.visibility.admits(caller);
        }
        let mut fitting =
            self.templates.iter().filter(|template| template.pattern.matches(uri).is_some()).peekable();
        fitting.peek().is_none() || fitting.any(|template| template.visibility.admits(caller))
    }

    /// The tool of this name, where this caller may see it.
    pub(super) fn tool(&self, name: &str, caller: &Caller) -> Option<&Arc<ToolDef>> {
        self.tools.get(name).filter(|tool| tool.visibility.admits(caller))
    }

    /// The prompt of this name, where this caller may see it.
    pub(super) fn prompt(&self, name: &str, caller: &Caller) -> Option<&Arc<PromptDef>> {
        self.prompts.get(name).filter(|prompt| prompt.visibility.admits(caller))
    }

    /// What reads this URI for this caller: a resource, or else the first template that it fits.
    pub(super) fn readable(&self, uri: &str, caller: &Caller) -> Option<Readable<'_>> {
        if let Some(resource) = self.resources.get(uri).filter(|resource| resource.visibility.admits(caller))
        {
            return Some(Readable::Resource(resource));
        }
        let mut templates = self.templates.iter().filter(|template| template.visibility.admits(caller));
        templates.find_map(|template| Some(Readable::Template(template, template.pattern.matches(uri)?)))
    }

    /// A page of what a list has for this caller, the cursor of the next, and how each page may be kept.
    fn page<T, U: Clone>(
        &self,
        list: &Catalog<T>,
        call: &Call,
        cx: &Context,
        size: usize,
        parts: impl Fn(&T) -> (&Visibility, &ScopeSet, &U),
    ) -> Result<(Vec<U>, Option<Str>, CacheHints), McpError> {
        let shows = |entry: &T| {
            let (visibility, scopes, _) = parts(entry);
            visibility.admits(cx.caller()) && !(self.lists_permitted && cx.caller().lacks(scopes))
        };
        let (entries, next) = list.page(call.cursor.as_deref(), size, shows).ok_or_else(|| {
            McpError::invalid_params("this `cursor` is none of ours; start again without one")
        })?;
        let is_limited = |entry: &T| {
            let (visibility, scopes, _) = parts(entry);
            visibility.is_limited() || (self.lists_permitted && !scopes.is_empty())
        };
        let cache = self.list_cache.hints(cx.caller(), || list.iter().any(|entry| is_limited(entry)));
        Ok((entries.into_iter().map(|entry| parts(entry).2.clone()).collect(), next, cache))
    }
}

impl Router {
    pub(crate) fn tables(&self) -> Arc<Tables> {
        Arc::clone(&self.tables.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes what is registered; calls that run keep what they have.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut Tables) -> R) -> R {
        change(Arc::make_mut(&mut self.tables.write().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Something registered that needs a state which is not there: its kind and name, and the type of the state.
    pub(crate) fn missing_state(&self) -> Option<(&'static str, Str, &'static str)> {
        let tables = self.tables();
        let lacks = |kind, name: &Str, needs: &Needs| {
            needs.missing_state(&tables.states).map(|state| (kind, name.clone(), state))
        };
        let tools = tables.tools.iter().map(|tool| lacks("tool", &tool.tool.name, &tool.needs));
        let prompts = tables.prompts.iter().map(|prompt| lacks("prompt", &prompt.prompt.name, &prompt.needs));
        let resources = tables
            .resources
            .iter()
            .map(|resource| lacks("resource", &resource.resource.uri, &resource.needs));
        let templates = tables
            .templates
            .iter()
            .map(|template| lacks("resource template", &template.template.uri_template, &template.needs));
        tools.chain(prompts).chain(resources).chain(templates).flatten().next()
    }

    /// The capabilities that what is registered amounts to.
    pub(crate) fn capabilities(&self) -> ServerCapabilities {
        let tables = self.tables();
        let mut capabilities = ServerCapabilities::new().with_logging(true);
        if !tables.tools.is_empty() {
            capabilities = capabilities.with_tools(ToolsCapability { list_changed: true });
        }
        if !tables.prompts.is_empty() {
            capabilities = capabilities.with_prompts(PromptsCapability { list_changed: true });
        }
        if !(tables.resources.is_empty() && tables.templates.is_empty()) {
            capabilities =
                capabilities.with_resources(ResourcesCapability { subscribe: true, list_changed: true });
        }
        let completes = tables.prompts.iter().any(|prompt| !prompt.completers.is_empty())
            || tables.templates.iter().any(|template| !template.completers.is_empty());
        capabilities.with_completions(completes)
    }

    /// Whether a call may run: what it is refused for here is known without running anything.
    pub(crate) fn admit(
        &self,
        call: &Call,
        caller: &Caller,
        headers: Option<&HeaderMap>,
    ) -> Result<(), McpError> {
        let Some(target) = &call.target else { return Ok(()) };
        let tables = self.tables();
        let needs = match &*call.method {
            "tools/call" => tables.tool(target, caller).map(|tool| {
                tool.check_headers(headers, call.arguments.as_ref())?;
                tool.needs.check_abilities(caller)
            }),
            "prompts/get" => tables.prompt(target, caller).map(|prompt| prompt.needs.check_abilities(caller)),
            "resources/read" => {
                tables.readable(target, caller).map(|found| found.needs().check_abilities(caller))
            }
            _ => None,
        };
        // What is not there is told when it is called.
        needs.unwrap_or(Ok(()))
    }

    pub(crate) fn call(&self, call: Call, cx: Context, page_size: usize) -> Reply {
        let tables = self.tables();
        match &*call.method {
            "tools/call" => call_tool(&tables, call, cx),
            "prompts/get" => get_prompt(&tables, &call, cx),
            "resources/read" => read_resource(&tables, &call, cx),
            "completion/complete" => complete(&tables, &call, cx.caller()),
            "tools/list" => {
                let page = tables.page(&tables.tools, &call, &cx, page_size, |def| {
                    (&def.visibility, &def.scopes, &def.tool)
                });
                Reply::Ready(page.map(|(tools, next, cache)| {
                    let mut result = ListToolsResult::new(tools).with_cache(cache);
                    result.next_cursor = next;
                    Answer::ListTools(result)
                }))
            }
            "prompts/list" => {
                let page = tables.page(&tables.prompts, &call, &cx, page_size, |def| {
                    (&def.visibility, &def.scopes, &def.prompt)
                });
                Reply::Ready(page.map(|(prompts, next, cache)| {
                    let mut result = ListPromptsResult::new(prompts).with_cache(cache);
                    result.next_cursor = next;
                    Answer::ListPrompts(result)
                }))
            }
            "resources/list" => {
                let page = tables.page(&tables.resources, &call, &cx, page_size, |def| {
                    (&def.visibility, &def.scopes, &def.resource)
                });
                Reply::Ready(page.map(|(resources, next, cache)| {
                    let mut result = ListResourcesResult::new(resources).with_cache(cache);
                    result.next_cursor = next;
                    Answer::ListResources(result)
                }))
            }
            "resources/templates/list" => {
                let page = tables.page(&tables.templates, &call, &cx, page_size, |def| {
                    (&def.visibility, &def.scopes, &def.template)
                });
                Reply::Ready(page.map(|(templates, next, cache)| {
                    let mut result = ListResourceTemplatesResult::new(templates).with_cache(cache);
                    result.next_cursor = next;
                    Answer::ListResourceTemplates(result)
                }))
            }
            method => match tables.methods.get(method) {
                Some(custom) => custom.run(&call, cx, &tables.states),
                None => Reply::Ready(Err(McpError::method_not_found(method))),
            },
        }
    }
}

/// What reads a URI.
pub(super) enum Readable<'a> {
    Resource(&'a Arc<ResourceDef>),
    /// With the values of its variables.
    Template(&'a Arc<TemplateDef>, Vec<(String, String)>),
}

impl Readable<'_> {
    fn needs(&self) -> &Needs {
        match self {
            Readable::Resource(resource) => &resource.needs,
            Readable::Template(template, _) => &template.needs,
        }
    }

    pub(super) fn scopes(&self) -> &ScopeSet {
        match self {
            Readable::Resource(resource) => &resource.scopes,
            Readable::Template(template, _) => &template.scopes,
        }
    }

    fn read(self, uri: &str, cx: Context) -> Reply {
        match self {
            Readable::Resource(resource) => (resource.run)(resource, cx),
            Readable::Template(template, values) => {
                let mime_type = template.template.mime_type.clone();
                (template.run)(Match { uri, mime_type, values, keeping: template.keeping() }, cx)
            }
        }
    }
}

fn call_tool(tables: &Tables, call: Call, cx: Context) -> Reply {
    let name = match target(&call, "name") {
        Ok(name) => name,
        Err(error) => return Reply::Ready(Err(error)),
    };
    let Some(tool) = tables.tool(name, cx.caller()) else {
        return Reply::Ready(Err(McpError::invalid_params(format!(
            "there is no tool `{}`; `tools/list` names those there are",
            excerpt(name)
        ))));
    };
    if let Err(error) = tool.needs.prepare(&cx, &tables.states, &call) {
        return Reply::Ready(Err(error));
    }
    let arguments = call.arguments.unwrap_or_else(Raw::empty_object);
    let Some(timeout) = tool.timeout else { return (tool.run)(arguments, cx) };
    match (tool.run)(arguments, cx) {
        Reply::Later(running) => Reply::later(async move {
            tokio::time::timeout(timeout, running).await.unwrap_or_else(|_| {
                Ok(Answer::CallTool(CallToolResult::error(format!(
                    "the tool did not finish within {timeout:?}"
                ))))
            })
        }),
        ready @ Reply::Ready(_) => ready,
    }
}

fn get_prompt(tables: &Tables, call: &Call, cx: Context) -> Reply {
    let name = match target(call, "name") {
        Ok(name) => name,
        Err(error) => return Reply::Ready(Err(error)),
    };
    match tables.prompt(name, cx.caller()) {
        Some(prompt) => match prompt.needs.prepare(&cx, &tables.states, call) {
            Ok(()) => (prompt.run)(call.arguments.clone(), cx),
            Err(error) => Reply::Ready(Err(error)),
        },
        None => Reply::Ready(Err(McpError::invalid_params(format!(
            "there is no prompt `{}`; `prompts/list` names those there are",
            excerpt(name)
        )))),
    }
}

fn read_resource(tables: &Tables, call: &Call, cx: Context) -> Reply {
    let uri = match target(call, "uri") {
        Ok(uri) => uri,
        Err(error) => return Reply::Ready(Err(error)),
    };
    if let Some(found) = tables.readable(uri, cx.caller()) {
        return match found.needs().prepare(&cx, &tables.states, call) {
            Ok(()) => found.read(uri, cx),
            Err(error) => Reply::Ready(Err(error)),
        };
    }
    let code = cx.caller().revision().resource_not_found();
    let error =
        McpError::new(code.0, "there is no resource with this URI; `resources/list` names those there are");
    // One that is too long for any resource to have is not repeated.
    let is_repeated = uri.len() <= LONGEST_URI;
    let data = is_repeated.then(|| serde_json::json!({ "uri": uri }));
    Reply::Ready(Err(match data {
        Some(data) => error.with_data(&data),
        None => error,
    }))
}

fn complete(tables: &Tables, call: &Call, caller: &Caller) -> Reply {
    let params: CompleteParams = match call.params.parse() {
        Ok(params) => params,
        Err(error) => {
            return Reply::Ready(Err(McpError::invalid_params(format!(
                "the params of `completion/complete` do not fit: {}",
                reason(&error)
            ))));
        }
    };
    let argument = params.argument.name.to_string();
    let completer = match completer(tables, &params.reference, &argument, caller) {
        Ok(completer) => completer,
        Err(error) => return Reply::Ready(Err(error)),
    };
    let Some(completer) = completer else {
        return Reply::Ready(Ok(Answer::Complete(CompleteResult::new(Completion::new(Vec::<Str>::new())))));
    };
    let others = params.context.map(|context| context.arguments).unwrap_or_default();
    let completing = Completing {
        value: params.argument.value.to_string(),
        others: others.into_iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
    };
    Reply::later(async move {
        Ok(Answer::Complete(CompleteResult::new(Completion::new(completer(completing).await))))
    })
}

/// The suggester for an argument; `Ok(None)` when the argument exists and nobody suggests anything.
fn completer(
    tables: &Tables,
    reference: &Reference,
    argument: &str,
    caller: &Caller,
) -> Result<Option<Completer>, McpError> {
    let (completers, known) = match reference {
        Reference::Prompt(prompt) => {
            let prompt = tables
                .prompts
                .get(&prompt.name)
                .filter(|prompt| prompt.visibility.admits(caller))
                .ok_or_else(|| {
                McpError::invalid_params(format!(
                    "there is no prompt `{}` to complete for",
                    excerpt(&prompt.name)
                ))
            })?;
            (&prompt.completers, prompt.prompt.arguments.iter().any(|known| *known.name == *argument))
        }
        Reference::ResourceTemplate(resource) => {
            let template = tables
                .templates
                .get(&resource.uri)
                .filter(|template| template.visibility.admits(caller))
                .ok_or_else(|| {
                    McpError::invalid_params(format!(
                        "there is no resource template `{}` to complete for",
                        excerpt(&resource.uri)
                    ))
                })?;
            (&template.completers, template.pattern.has(argument))
        }
        _ => return Err(McpError::invalid_params("`ref` must be of type `ref/prompt` or `ref/resource`")),
    };
    if !known {
        return Err(McpError::invalid_params(format!(
            "there is no argument `{}` to complete",
            excerpt(argument)
        )));
    }
    Ok(completers.get(argument).cloned())
}

fn target<'a>(call: &'a Call, member: &str) -> Result<&'a Str, McpError> {
    call.target.as_ref().ok_or_else(|| {
        McpError::invalid_params(format!("the params of `{}` need a text `{member}`", excerpt(&call.method)))
    })
}

/// What browsers and proxies agree on, in bytes.
const LONGEST_URI: usize = 2_048;
