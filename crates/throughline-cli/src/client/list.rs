//! `throughline list`.

use std::fmt::Write;

use serde::Serialize;
use throughline::jsonrpc::ErrorCode;
use throughline::model::{Prompt, Resource, ResourceTemplate, ServerCapabilities, Tool};
use throughline::{Client, ClientError, Listed, Listing};

use super::failed;
use super::schema::Object;
use crate::Stop;
use crate::flags::{List, Output};
use crate::terminal;

/// What the server has. A list that was not asked for is not there.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Lists {
    #[serde(skip_serializing_if = "Option::is_none")]
    tools: Option<Vec<Tool>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resources: Option<Vec<Resource>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_templates: Option<Vec<ResourceTemplate>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompts: Option<Vec<Prompt>>,
}

pub(super) async fn run(client: &Client, wanted: &[List], output: Output) -> Result<(), Stop> {
    let peer = client.peer();
    let mut lists = Lists::default();
    for list in List::ALL {
        let is_wanted =
            if wanted.is_empty() { offers(&peer.capabilities, list) } else { wanted.contains(&list) };
        if !is_wanted {
            continue;
        }
        let asked = match list {
            List::Tools => all(client.list_tools()).await.map(|tools| lists.tools = Some(tools)),
            List::Resources => {
                all(client.list_resources()).await.map(|resources| lists.resources = Some(resources))
            }
            List::Templates => all(client.list_resource_templates())
                .await
                .map(|templates| lists.resource_templates = Some(templates)),
            List::Prompts => all(client.list_prompts()).await.map(|prompts| lists.prompts = Some(prompts)),
        };
        asked.map_err(|error| failed(&error))?;
    }
    match output {
        Output::Json => {
            let json = serde_json::to_string(&lists)
                .map_err(|error| Stop::failure(format!("error: the lists are no JSON: {error}")))?;
            terminal::print_foreign(&json);
        }
        Output::Text => terminal::print_foreign(&text(&lists)),
    }
    Ok(())
}

/// All entries. A server that does not know the list has none.
async fn all<T: Listed>(listing: Listing<'_, T>) -> Result<Vec<T>, ClientError> {
    match listing.await {
        Err(error) if error.error().is_some_and(|error| error.code == ErrorCode::METHOD_NOT_FOUND) => {
            Ok(Vec::new())
        }
        listed => listed,
    }
}

fn offers(capabilities: &ServerCapabilities, list: List) -> bool {
    match list {
        List::Tools => capabilities.tools.is_some(),
        List::Resources | List::Templates => capabilities.resources.is_some(),
        List::Prompts => capabilities.prompts.is_some(),
    }
}

fn text(lists: &Lists) -> String {
    let mut sections = Vec::new();
    if let Some(tools) = &lists.tools {
        sections.push(section(List::Tools, tools.iter().map(tool).collect()));
    }
    if let Some(resources) = &lists.resources {
        sections.push(section(List::Resources, resources.iter().map(resource).collect()));
    }
    if let Some(templates) = &lists.resource_templates {
        sections.push(section(List::Templates, templates.iter().map(template).collect()));
    }
    if let Some(prompts) = &lists.prompts {
        sections.push(section(List::Prompts, prompts.iter().map(prompt).collect()));
    }
    if sections.is_empty() {
        return "the server offers no tools, resources or prompts".into();
    }
    sections.join("\n")
}

/// One entry: its name, what it is, and its arguments as name, type and description.
struct Entry {
    name: String,
    about: String,
    arguments: Vec<[String; 3]>,
}

fn tool(tool: &Tool) -> Entry {
    let schema = Object::parse(&tool.input_schema);
    let arguments = schema.names().filter_map(|name| {
        let wanted = schema.property(name)?;
        let kind = match wanted.default() {
            Some(default) => format!("{wanted}, default {default}"),
            None if schema.is_required(name) => format!("{wanted}, required"),
            None => wanted.to_string(),
        };
        Some([name.to_owned(), kind, first_line(wanted.description())])
    });
    let about = tool.description.as_deref().or(tool.title.as_deref());
    Entry { name: tool.name.to_string(), about: first_line(about), arguments: arguments.collect() }
}

fn resource(resource: &Resource) -> Entry {
    let about = resource.description.as_deref().or(resource.title.as_deref()).unwrap_or(&resource.name);
    Entry {
        name: resource.uri.to_string(),
        about: with_kind(about, resource.mime_type.as_deref()),
        arguments: Vec::new(),
    }
}

fn template(template: &ResourceTemplate) -> Entry {
    let about = template.description.as_deref().or(template.title.as_deref()).unwrap_or(&template.name);
    Entry {
        name: template.uri_template.to_string(),
        about: with_kind(about, template.mime_type.as_deref()),
        arguments: Vec::new(),
    }
}

fn prompt(prompt: &Prompt) -> Entry {
    let arguments = prompt.arguments.iter().map(|argument| {
        let kind = if argument.required { "text, required" } else { "text" };
        [argument.name.to_string(), kind.to_owned(), first_line(argument.description.as_deref())]
    });
    let about = prompt.description.as_deref().or(prompt.title.as_deref());
    Entry { name: prompt.name.to_string(), about: first_line(about), arguments: arguments.collect() }
}

fn with_kind(about: &str, kind: Option<&str>) -> String {
    let about = first_line(Some(about));
    kind.map_or_else(|| about.clone(), |kind| format!("{about} ({kind})"))
}

fn first_line(text: Option<&str>) -> String {
    text.unwrap_or_default().trim().lines().next().unwrap_or_default().trim_end().to_owned()
}

fn section(list: List, entries: Vec<Entry>) -> String {
    let mut text = format!("{}:", list.name());
    if entries.is_empty() {
        return text + " none\n";
    }
    text.push('\n');
    let names = widest(entries.iter().map(|entry| &entry.name));
    for Entry { name, about, arguments } in &entries {
        push(&mut text, &format!("  {name:names$}  {about}"));
        let keys = widest(arguments.iter().map(|[name, ..]| name));
        let kinds = widest(arguments.iter().map(|[_, kind, _]| kind));
        for [name, kind, about] in arguments {
            push(&mut text, &format!("    {name:keys$}  {kind:kinds$}  {about}"));
        }
    }
    text
}

fn push(text: &mut String, line: &str) {
    let _ = writeln!(text, "{}", line.trim_end());
}

/// As wide as the widest, within reason: a single long one does not push all others to the side.
fn widest<'a>(texts: impl Iterator<Item = &'a String>) -> usize {
    texts.map(|text| text.chars().count()).filter(|width| *width <= 32).max().unwrap_or_default()
}
