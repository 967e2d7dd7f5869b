//! `throughline call`.

use serde::Deserialize;
use serde_json::json;
use throughline::jsonrpc::{ErrorCode, Raw};
use throughline::model::{CallToolResult, Tool};
use throughline::{Client, ClientError};

use super::near::hint;
use super::progress::Shown;
use super::{arguments, failed, show};
use crate::Stop;
use crate::flags::{Arguments, Output};
use crate::terminal;

pub(super) async fn run(
    client: &Client,
    tool: &str,
    arguments: &Arguments,
    output: Output,
) -> Result<(), Stop> {
    let arguments = match arguments {
        Ok(whole) => whole.clone(),
        Err(given) => {
            let tools = client.list_tools().await.map_err(|error| failed(&error))?;
            let Some(known) = tools.iter().find(|known| known.name == tool) else {
                return Err(unknown(tool, &tools));
            };
            let typed = arguments::typed(&known.input_schema, given).map_err(|why| {
                let why = terminal::plain(&why);
                Stop::usage(format!("error: the tool `{tool}` cannot be called like that: {why}"))
            })?;
            Raw::new(&typed)
                .map_err(|error| Stop::usage(format!("error: the arguments are no JSON: {error}")))?
        }
    };
    let (shown, tell) = Shown::teller();
    let result = client
        .request::<Raw>("tools/call", &json!({ "name": tool, "arguments": arguments }))
        .on_progress(tell)
        .await;
    drop(shown);
    match result {
        Ok(result) => print(&result, output),
        Err(error) => Err(explained(client, tool, &error).await),
    }
}

fn print(result: &Raw, output: Output) -> Result<(), Stop> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Failed {
        #[serde(default)]
        is_error: Option<bool>,
    }

    let is_error = match output {
        Output::Json => {
            terminal::print_foreign(&show::one_line(result.as_str()));
            result.parse::<Failed>().is_ok_and(|result| result.is_error == Some(true))
        }
        Output::Text => {
            let result: CallToolResult = result.parse().map_err(|error| {
                Stop::failure(format!(
                    "error: the server broke the protocol: its result is none: {error}; see it with --output json"
                ))
            })?;
            let text = show::tool_result(&result);
            if !text.is_empty() {
                terminal::print_foreign(&text);
            }
            result.is_error
        }
    };
    if is_error {
        return Err(Stop { sentence: "error: the tool says that its work failed.".into(), code: 3 });
    }
    Ok(())
}

/// Why the call has no result; a tool that is not there is named with those that are like it.
async fn explained(client: &Client, tool: &str, error: &ClientError) -> Stop {
    let may_be_unknown = error
        .error()
        .is_some_and(|error| matches!(error.code, ErrorCode::INVALID_PARAMS | ErrorCode::METHOD_NOT_FOUND));
    if may_be_unknown
        && let Ok(tools) = client.list_tools().await
        && !tools.iter().any(|known| known.name == tool)
    {
        return unknown(tool, &tools);
    }
    failed(error)
}

fn unknown(tool: &str, tools: &[Tool]) -> Stop {
    let hint = hint(tool, tools.iter().map(|tool| tool.name.as_str()));
    Stop::usage(format!("error: the server has no tool `{tool}`{}", terminal::plain(&hint)))
}
