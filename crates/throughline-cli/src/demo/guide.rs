//! `guide://tools/{name}`: more about a tool, as a resource template with suggestions.

use schemars::JsonSchema;
use serde::Deserialize;
use throughline::{Context, McpError, TemplateDef};

#[derive(Deserialize, JsonSchema)]
struct Guide {
    name: String,
}

pub(super) fn template() -> TemplateDef {
    throughline::template("guide://tools/{name}", "tool-guide", guide)
        .description("What to try with a tool of this demo.")
        .mime_type("text/plain")
        .complete("name", |so_far| async move {
            let names = PAGES.iter().map(|(name, _)| (*name).to_owned());
            names.filter(|name| name.starts_with(&so_far.value)).collect()
        })
}

async fn guide(guide: Guide, cx: Context) -> Result<&'static str, McpError> {
    PAGES.iter().find(|(name, _)| *name == guide.name).map(|(_, page)| *page).ok_or_else(|| {
        let names = PAGES.map(|(name, _)| name).join(", ");
        let code = cx.caller().revision().resource_not_found();
        McpError::new(code.0, format!("there is no guide to this tool; there are guides to {names}"))
            .with_data(&serde_json::json!({ "uri": format!("guide://tools/{}", guide.name) }))
    })
}

const PAGES: [(&str, &str); 7] = [
    ("ask_permission", "Answer its question with accept, decline or cancel: each gets an answer of its own."),
    ("echo", "The quickest call: one JSON body comes back, no stream."),
    ("list_project_roots", "It fails with a sentence when the client did not declare the roots capability."),
    (
        "plan_trip",
        "It asks three questions, one after another. The offer is made once: its number stays the same, also where each answer \
         goes to another process.",
    ),
    (
        "research",
        "Set the log level to info first: then a log message comes with each step, beside its progress.",
    ),
    (
        "slow",
        "Cut the connection in the middle, then GET the endpoint with the Last-Event-ID you saw last: the rest arrives, and \
         nothing twice.",
    ),
    (
        "summarize",
        "The text goes to the client's own model; it fails with a sentence when the client has none to offer.",
    ),
];

#[cfg(test)]
mod tests {
    #[test]
    fn suggestions_come_in_order() {
        assert!(super::PAGES.is_sorted_by_key(|(name, _)| *name));
    }
}
