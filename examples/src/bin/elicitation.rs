//! A tool that asks the person in front of the client while it runs.

use schemars::JsonSchema;
use serde::Deserialize;
use throughline::{Context, Server, tool};

/// The form: one field for each of these. Its doc comments are what the person reads.
#[derive(Deserialize, JsonSchema)]
struct Choice {
    /// Window or aisle?
    seat: Seat,
    /// Anything we should know?
    wish: Option<String>,
}

/// One of a few is a list to choose from.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Seat {
    Window,
    Aisle,
}

/// Books a seat on a train. Asks the passenger which.
#[tool(needs(elicitation))] // clients that cannot show forms are told so before anything runs
async fn book(train: String, cx: Context) -> throughline::Result<String> {
    let question = format!("Which seat would you like on the {train}?");
    match cx.elicit::<Choice>(question).await {
        Ok(Choice { seat, wish }) => {
            let wish = wish.map_or_else(String::new, |wish| format!(", noted: {wish}"));
            Ok(format!("booked: {seat:?}{wish}"))
        }
        // A person may say no; that is an answer, not a failure.
        Err(error) if error.is_declined() || error.is_cancelled() => Ok("not booked".into()),
        // Nobody answered, or the client went away: the model is told why.
        Err(error) => Err(error.into()),
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let server = Server::new("trains", "1.0.0").tool(book);
    // Another address may be given as the first argument.
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8808".into());
    server.serve(address).await
}
