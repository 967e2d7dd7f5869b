//! From a request to the tool, prompt or resource that answers it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use throughline_proto::jsonrpc::{Raw, Str, reason};
use throughline_proto::model::{
    Answer, CallToolResult, CompleteParams, CompleteResult, Completion, ListPromptsResult,
    ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, PromptsCapability, Reference,
    ResourcesCapability, ServerCapabilities, ToolsCapability,
};

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

    pub(crate) fn call(&self, call: Call, cx: Context, page_size: usize) -> Reply {
        let tables = self.tables();
        match &*call.method {
            "tools/call" => call_tool(&tables, call, cx),
            "prompts/get" => get_prompt(&tables, &call, cx),
            "resources/read" => read_resource(&tables, &call, cx),
            "completion/complete" => complete(&tables, &call, cx.caller()),
            "tools/list" => Reply::Ready(
                page(&tables.tools, &call, &cx, page_size, |tool| (&tool.visibility, &tool.tool)).map(
                    |(tools, next)| {
                        let mut result = ListToolsResult::new(tools);
                        result.next_cursor = next;
                        Answer::ListTools(result)
                    },
                ),
            ),
            "prompts/list" => Reply::Ready(
                page(&tables.prompts, &call, &cx, page_size, |prompt| (&prompt.visibility, &prompt.prompt))
                    .map(|(prompts, next)| {
                        let mut result = ListPromptsResult::new(prompts);
                        result.next_cursor = next;
                        Answer::ListPrompts(result)
                    }),
            ),
            "resources/list" => Reply::Ready(
                page(&tables.resources, &call, &cx, page_size, |resource| {
                    (&resource.visibility, &resource.resource)
                })
                .map(|(resources, next)| {
                    let mut result = ListResourcesResult::new(resources);
                    result.next_cursor = next;
                    Answer::ListResources(result)
                }),
            ),
            "resources/templates/list" => Reply::Ready(
                page(&tables.templates, &call, &cx, page_size, |template| {
                    (&template.visibility, &template.template)
                })
                .map(|(templates, next)| {
                    let mut result = ListResourceTemplatesResult::new(templates);
                    result.next_cursor = next;
                    Answer::ListResourceTemplates(result)
                }),
            ),
            method => match tables.methods.get(method) {
                Some(custom) => custom.run(&call, cx, &tables.states),
                None => Reply::Ready(Err(McpError::method_not_found(method))),
            },
        }
    }
}

fn call_tool(tables: &Tables, call: Call, cx: Context) -> Reply {
    let name = match target(&call, "name") {
        Ok(name) => name,
        Err(error) => return Reply::Ready(Err(error)),
    };
    let Some(tool) = tables.tools.get(name).filter(|tool| tool.visibility.admits(cx.caller())) else {
        return Reply::Ready(Err(McpError::invalid_params(format!(
            "there is no tool `{name}`; `tools/list` names those there are"
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
    let (name, values) = match target(call, "name").and_then(|name| Ok((name, prompt_arguments(call)?))) {
        Ok(found) => found,
        Err(error) => return Reply::Ready(Err(error)),
    };
    match tables.prompts.get(name).filter(|prompt| prompt.visibility.admits(cx.caller())) {
        Some(prompt) => match prompt.needs.prepare(&cx, &tables.states, call) {
            Ok(()) => (prompt.run)(values, cx),
            Err(error) => Reply::Ready(Err(error)),
        },
        None => Reply::Ready(Err(McpError::invalid_params(format!(
            "there is no prompt `{name}`; `prompts/list` names those there are"
        )))),
    }
}

fn read_resource(tables: &Tables, call: &Call, cx: Context) -> Reply {
    let uri = match target(call, "uri") {
        Ok(uri) => uri,
        Err(error) => return Reply::Ready(Err(error)),
    };
    if let Some(resource) =
        tables.resources.get(uri).filter(|resource| resource.visibility.admits(cx.caller()))
    {
        return match resource.needs.prepare(&cx, &tables.states, call) {
            Ok(()) => (resource.run)(&resource.resource, cx),
            Err(error) => Reply::Ready(Err(error)),
        };
    }
    for template in tables.templates.iter().filter(|template| template.visibility.admits(cx.caller())) {
        if let Some(values) = template.pattern.matches(uri) {
            let mime_type = template.template.mime_type.clone();
            return match template.needs.prepare(&cx, &tables.states, call) {
                Ok(()) => (template.run)(Match { uri, mime_type, values }, cx),
                Err(error) => Reply::Ready(Err(error)),
            };
        }
    }
    let code = cx.caller().revision().resource_not_found();
    let error =
        McpError::new(code.0, "there is no resource with this URI; `resources/list` names those there are");
    Reply::Ready(Err(error.with_data(&serde_json::json!({ "uri": uri }))))
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
                McpError::invalid_params(format!("there is no prompt `{}` to complete for", prompt.name))
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
                        resource.uri
                    ))
                })?;
            (&template.completers, template.pattern.has(argument))
        }
        _ => return Err(McpError::invalid_params("`ref` must be of type `ref/prompt` or `ref/resource`")),
    };
    if !known {
        return Err(McpError::invalid_params(format!("there is no argument `{argument}` to complete")));
    }
    Ok(completers.get(argument).cloned())
}

/// A page of what a list has for this caller, and the cursor of the next.
fn page<T, U: Clone>(
    list: &Catalog<T>,
    call: &Call,
    cx: &Context,
    size: usize,
    parts: impl Fn(&T) -> (&Visibility, &U),
) -> Result<(Vec<U>, Option<Str>), McpError> {
    let (entries, next) = list
        .page(call.cursor.as_deref(), size, |entry| parts(entry).0.admits(cx.caller()))
        .ok_or_else(|| McpError::invalid_params("this `cursor` is none of ours; start again without one"))?;
    Ok((entries.into_iter().map(|entry| parts(entry).1.clone()).collect(), next))
}

fn target<'a>(call: &'a Call, member: &str) -> Result<&'a Str, McpError> {
    call.target.as_ref().ok_or_else(|| {
        McpError::invalid_params(format!("the params of `{}` need a text `{member}`", call.method))
    })
}

/// A prompt's arguments: texts by name.
fn prompt_arguments(call: &Call) -> Result<Vec<(String, String)>, McpError> {
    let Some(arguments) = &call.arguments else { return Ok(Vec::new()) };
    let arguments: BTreeMap<String, String> = arguments.parse().map_err(|error| {
        McpError::invalid_params(format!(
            "the arguments of a prompt are an object of texts: {}",
            reason(&error)
        ))
    })?;
    Ok(arguments.into_iter().collect())
}
