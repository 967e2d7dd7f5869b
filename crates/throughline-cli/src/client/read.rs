//! `throughline read`.

use serde_json::json;
use throughline::Client;
use throughline::jsonrpc::Raw;

use super::progress::Shown;
use super::{failed, show};
use crate::Stop;
use crate::flags::Output;
use crate::terminal;

pub(super) async fn run(client: &Client, uri: &str, output: Output) -> Result<(), Stop> {
    let (_shown, tell) = Shown::teller();
    let result: Raw = client
        .request("resources/read", &json!({ "uri": uri }))
        .on_progress(tell)
        .await
        .map_err(|error| failed(&error))?;
    print(&result, output, show::resource)
}

/// Prints a result as one line, or as text.
pub(super) fn print<R: serde::de::DeserializeOwned>(
    result: &Raw,
    output: Output,
    show: fn(&R) -> String,
) -> Result<(), Stop> {
    match output {
        Output::Json => terminal::print_foreign(&show::one_line(result.as_str())),
        Output::Text => {
            let result: R = result.parse().map_err(|error| {
                Stop::failure(format!(
                    "error: the server broke the protocol: its result is none: {error}; see it with --output json"
                ))
            })?;
            let text = show(&result);
            if !text.is_empty() {
                terminal::print_foreign(&text);
            }
        }
    }
    Ok(())
}
