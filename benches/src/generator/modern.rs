//! Calls without a session: each says all about itself.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Instant;

use bytes::Bytes;
use hyper::header::HeaderValue;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::loops::{Caller, Took};
use super::wire::{Endpoint, Wire, read};
use super::{FIRST_REQUEST, check};
use crate::Result;
use crate::echo::{self, METHOD_HEADER, MODERN_REVISION, NAME_HEADER, VERSION_HEADER};
use crate::scenario::{Task, Work};

/// A connection over which a tool is called.
pub(super) struct Modern {
    wire: Wire,
    work: Work,
    tool: &'static str,
    next_request: u64,
}

#[derive(Deserialize)]
struct Asked<'a> {
    id: u64,
    #[serde(borrow)]
    result: InputRequired<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InputRequired<'a> {
    #[serde(borrow)]
    result_type: Cow<'a, str>,
    #[serde(borrow)]
    input_requests: BTreeMap<String, &'a RawValue>,
    #[serde(borrow)]
    request_state: Cow<'a, str>,
}

/// A connection for calls of this tool.
pub(super) async fn connect(endpoint: &Endpoint, tool: &'static str) -> Result<Wire> {
    let mut wire = Wire::connect(endpoint).await?;
    for (name, value) in
        [(VERSION_HEADER, MODERN_REVISION), (METHOD_HEADER, "tools/call"), (NAME_HEADER, tool)]
    {
        wire.keep_header(name, HeaderValue::from_static(value));
    }
    Ok(wire)
}

impl Modern {
    pub(super) async fn open(endpoint: Endpoint, work: Work) -> Result<Self> {
        let tool = match work.task {
            Task::Rounds => "ask",
            Task::EchoLater => "echo_later",
            _ => "echo",
        };
        Ok(Self { wire: connect(&endpoint, tool).await?, work, tool, next_request: FIRST_REQUEST })
    }

    fn next_id(&mut self) -> u64 {
        self.next_request += 1;
        self.next_request - 1
    }

    async fn echo(&mut self) -> Result<Took> {
        let id = self.next_id();
        let said = echo::said(id);
        let body = Bytes::from(echo::modern_call(id, self.tool, &said, ""));
        self.wire.ready().await?;

        let started = Instant::now();
        let answer = read(self.wire.post(body).await?).await?;
        let took = Took { started, ended: Instant::now() };

        check::echo(&answer, self.work, id, &said)?;
        Ok(took)
    }

    /// A call whose tool asks one question, and the same call with the answer.
    async fn rounds(&mut self) -> Result<Took> {
        let first = self.next_id();
        let said = echo::said(first);
        let body = Bytes::from(echo::modern_call(first, "ask", &said, ""));
        self.wire.ready().await?;

        let started = Instant::now();
        let answer = read(self.wire.post(body).await?).await?;
        let message = answer.message()?;
        let asked: Asked<'_> = serde_json::from_str(&message)
            .map_err(|error| format!("request {first} was answered with {message}: {error}"))?;
        let [key] = &*asked.result.input_requests.keys().collect::<Vec<_>>() else {
            return Err(format!("one question was expected in {message}").into());
        };
        if asked.id != first || asked.result.result_type != "input_required" {
            return Err(format!("request {first} was not answered with a question but with {message}").into());
        }
        let state = serde_json::to_string(&asked.result.request_state)?;
        let key = serde_json::to_string(key)?;
        let with = format!(
            r#","requestState":{state},"inputResponses":{{{key}:{{"action":"accept","content":{{"approved":true}}}}}}"#
        );
        let second = self.next_id();
        let answer = read(self.wire.post(echo::modern_call(second, "ask", &said, &with)).await?).await?;
        let took = Took { started, ended: Instant::now() };

        check::echo(&answer, self.work, second, &said)?;
        Ok(took)
    }
}

impl Caller for Modern {
    async fn call(&mut self) -> Result<Took> {
        if self.work.task == Task::Rounds { self.rounds().await } else { self.echo().await }
    }

    async fn close(self) -> Result<()> {
        Ok(())
    }
}
