//! Servers that do everything but what they should, as scripts: each call ends in a clear error within its time, and the
//! client stays usable.

mod answers;
mod calls;
mod pipes;
mod questions;
mod script;
mod sessions;
mod streams;

use std::time::Duration;

use serde_json::{Value, json};
use throughline::jsonrpc::Raw;
use throughline::revision::Revision;
use throughline::{Client, ClientError};

/// How long calls of these tests wait.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a call should end with.
#[derive(Clone, Copy, Debug)]
enum Ends {
    /// This result.
    Result(&'static str),
    /// The server broke the protocol, with this in the sentence.
    Violation(&'static str),
    /// Nobody knows what became of it, with this in the sentence.
    Unknown(&'static str),
    /// This status.
    Status(u16),
    /// Its time was up.
    Timeout,
    /// This error.
    Error(i32),
}

impl Ends {
    fn check(self, what: &str, outcome: Result<Raw, ClientError>) {
        let said = match &outcome {
            Ok(result) => result.as_str().to_owned(),
            Err(error) => error.to_string(),
        };
        let holds = match (self, &outcome) {
            (Self::Result(result), Ok(_)) => said == result,
            (Self::Violation(why), Err(error)) => {
                error.is_protocol_violation() && !error.is_outcome_unknown() && said.contains(why)
            }
            (Self::Unknown(why), Err(error)) => error.is_outcome_unknown() && said.contains(why),
            (Self::Status(status), Err(error)) => {
                error.status().is_some_and(|is| is.as_u16() == status) && !error.is_outcome_unknown()
            }
            (Self::Timeout, Err(error)) => error.is_timeout(),
            (Self::Error(code), Err(error)) => error.error().is_some_and(|error| error.code.0 == code),
            _ => false,
        };
        assert!(holds, "{what}: should be {self:?}, is {outcome:?}: {said}");
    }
}

/// Both eras, of which these are the newest revisions.
const ERAS: [Revision; 2] = [Revision::LATEST_LEGACY, Revision::LATEST];

/// A call of the kind that the scripts answer badly.
async fn call(client: &Client) -> Result<Raw, ClientError> {
    client.request::<Raw>("tools/call", &json!({ "name": "t" })).timeout(PATIENCE).await
}

/// The client is usable still.
async fn check_usable(client: &Client, what: &str) {
    let listed = client.request::<Raw>("tools/list", &()).timeout(PATIENCE).await;
    let listed = listed.unwrap_or_else(|error| panic!("{what}: the client is not usable any more: {error}"));
    assert!(listed.as_str().contains("tools"), "{what}");
}

fn result(id: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "result": { "ok": true } })
}
