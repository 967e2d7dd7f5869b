//! What can be registered by name, whichever kind it is.

use std::sync::Arc;

use throughline_proto::auth::ScopeSet;
use throughline_proto::jsonrpc::Str;

use super::router::Tables;
use super::state::States;
use super::{Needs, PromptDef, ResourceDef, TemplateDef, ToolDef};

/// Something to register.
#[derive(Clone)]
pub(super) enum Entry {
    Tool(ToolDef),
    Prompt(PromptDef),
    Resource(ResourceDef),
    Template(TemplateDef),
}

/// What kind of thing it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Tool,
    Prompt,
    Resource,
    Template,
}

impl Kind {
    /// For error messages.
    pub(super) fn what(self) -> &'static str {
        match self {
            Kind::Tool => "tool",
            Kind::Prompt => "prompt",
            Kind::Resource => "resource",
            Kind::Template => "resource template",
        }
    }

    /// The notification that the list of these changed.
    pub(super) fn list_changed(self) -> &'static str {
        match self {
            Kind::Tool => "notifications/tools/list_changed",
            Kind::Prompt => "notifications/prompts/list_changed",
            Kind::Resource | Kind::Template => "notifications/resources/list_changed",
        }
    }

    /// Whether it is known by a name; others are known by a URI.
    pub(super) fn has_name(self) -> bool {
        matches!(self, Kind::Tool | Kind::Prompt)
    }

    /// The name under which a server shows it that has it mounted under `prefix`.
    pub(super) fn mounted_name(self, prefix: &str, name: &str) -> Str {
        if self.has_name() { format!("{prefix}.{name}").into() } else { name.to_owned().into() }
    }

    pub(super) fn remove(self, tables: &mut Tables, name: &str) -> bool {
        match self {
            Kind::Tool => tables.tools.remove(name),
            Kind::Prompt => tables.prompts.remove(name),
            Kind::Resource => tables.resources.remove(name),
            Kind::Template => tables.templates.remove(name),
        }
    }
}

impl Entry {
    /// All that is registered, in the order in which it was.
    pub(super) fn all(tables: &Tables) -> Vec<Entry> {
        let tools = tables.tools.iter().map(|tool| Entry::Tool(ToolDef::clone(tool)));
        let prompts = tables.prompts.iter().map(|prompt| Entry::Prompt(PromptDef::clone(prompt)));
        let resources = tables.resources.iter().map(|resource| Entry::Resource(ResourceDef::clone(resource)));
        let templates = tables.templates.iter().map(|template| Entry::Template(TemplateDef::clone(template)));
        tools.chain(prompts).chain(resources).chain(templates).collect()
    }

    pub(super) fn kind(&self) -> Kind {
        match self {
            Entry::Tool(_) => Kind::Tool,
            Entry::Prompt(_) => Kind::Prompt,
            Entry::Resource(_) => Kind::Resource,
            Entry::Template(_) => Kind::Template,
        }
    }

    /// Its name or URI.
    pub(super) fn name(&self) -> &Str {
        match self {
            Entry::Tool(tool) => &tool.tool.name,
            Entry::Prompt(prompt) => &prompt.prompt.name,
            Entry::Resource(resource) => &resource.resource.uri,
            Entry::Template(template) => &template.template.uri_template,
        }
    }

    pub(super) fn needs(&self) -> &Needs {
        match self {
            Entry::Tool(tool) => &tool.needs,
            Entry::Prompt(prompt) => &prompt.needs,
            Entry::Resource(resource) => &resource.needs,
            Entry::Template(template) => &template.needs,
        }
    }

    pub(super) fn scopes(&self) -> &ScopeSet {
        match self {
            Entry::Tool(tool) => &tool.scopes,
            Entry::Prompt(prompt) => &prompt.scopes,
            Entry::Resource(resource) => &resource.scopes,
            Entry::Template(template) => &template.scopes,
        }
    }

    /// Whether a call of it may be refused before it runs.
    pub(super) fn can_refuse(&self) -> bool {
        self.needs().has_abilities() || matches!(self, Entry::Tool(tool) if tool.param_headers.is_some())
    }

    /// The same as a server shows it that has it mounted under `prefix`. It goes on using the states of its own server.
    pub(super) fn mounted(mut self, prefix: &str, states: &Arc<States>) -> Entry {
        let name = self.kind().mounted_name(prefix, self.name());
        let needs = match &mut self {
            Entry::Tool(tool) => {
                tool.tool.name = name;
                &mut tool.needs
            }
            Entry::Prompt(prompt) => {
                prompt.prompt.name = name;
                &mut prompt.needs
            }
            Entry::Resource(resource) => &mut resource.needs,
            Entry::Template(template) => &mut template.needs,
        };
        needs.take_states(states);
        self
    }

    /// False, and nothing is changed, when the name is taken.
    pub(super) fn insert(self, tables: &mut Tables) -> bool {
        let name = self.name().clone();
        match self {
            Entry::Tool(tool) => tables.tools.insert(name, tool),
            Entry::Prompt(prompt) => tables.prompts.insert(name, prompt),
            Entry::Resource(resource) => tables.resources.insert(name, resource),
            Entry::Template(template) => tables.templates.insert(name, template),
        }
    }
}
