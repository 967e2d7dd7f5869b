//! `throughline prompt`.

use std::collections::BTreeMap;

use serde_json::json;
use throughline::Client;
use throughline::jsonrpc::Raw;

use super::near::hint;
use super::progress::Shown;
use super::{failed, read, show};
use crate::Stop;
use crate::flags::{Given, Output};
use crate::terminal;

pub(super) async fn run(client: &Client, name: &str, given: &[Given], output: Output) -> Result<(), Stop> {
    let prompts = client.list_prompts().await.map_err(|error| failed(&error))?;
    let Some(prompt) = prompts.iter().find(|prompt| prompt.name == name) else {
        let hint = hint(name, prompts.iter().map(|prompt| prompt.name.as_str()));
        return Err(Stop::usage(format!(
            "error: the server has no prompt `{name}`{}",
            terminal::plain(&hint)
        )));
    };
    let wrong = |why: String| {
        Stop::usage(format!("error: the prompt `{name}` cannot be got like that: {}", terminal::plain(&why)))
    };
    let mut arguments = BTreeMap::new();
    for Given { key, value, .. } in given {
        if !prompt.arguments.iter().any(|argument| argument.name == key.as_str()) {
            let hint = hint(key, prompt.arguments.iter().map(|argument| argument.name.as_str()));
            return Err(wrong(format!("it has no argument `{key}`{hint}")));
        }
        if arguments.insert(key, value).is_some() {
            return Err(wrong(format!("`{key}` is given twice; it takes one value")));
        }
    }
    let missing: Vec<String> = prompt
        .arguments
        .iter()
        .filter(|argument| argument.required && !arguments.contains_key(&argument.name.to_string()))
        .map(|argument| format!("{}=VALUE", argument.name))
        .collect();
    if !missing.is_empty() {
        return Err(wrong(format!("it needs {}", missing.join(", "))));
    }
    let (_shown, tell) = Shown::teller();
    let result: Raw = client
        .request("prompts/get", &json!({ "name": name, "arguments": arguments }))
        .on_progress(tell)
        .await
        .map_err(|error| failed(&error))?;
    read::print(&result, output, show::prompt)
}
