//! Calls in a session.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::header::HeaderValue;
use hyper::{Method, StatusCode};
use serde::Deserialize;

use super::wire::{Answer, Wire, read};
use super::{Caller, FIRST_REQUEST};
use crate::Result;
use crate::echo::{self, REVISION, SESSION_HEADER, VERSION_HEADER};
use crate::scenario::Work;

/// A connection and the MCP session opened over it.
pub(super) struct Session {
    wire: Wire,
    work: Work,
    has_id: bool,
    next_request: u64,
}

#[derive(Deserialize)]
struct Initialized<'a> {
    id: u64,
    #[serde(borrow)]
    result: InitializeResult<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InitializeResult<'a> {
    #[serde(borrow)]
    protocol_version: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Echoed<'a> {
    id: u64,
    #[serde(borrow)]
    result: CallResult<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CallResult<'a> {
    #[serde(borrow)]
    content: Vec<Content<'a>>,
    #[serde(default)]
    is_error: bool,
    #[serde(borrow, default)]
    result_type: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow)]
    text: Cow<'a, str>,
}

impl Session {
    pub(super) async fn open(address: SocketAddr, work: Work) -> Result<Self> {
        let mut wire = Wire::connect(address).await?;
        let response = wire.post(echo::initialize(0)).await?;
        let id = response.headers().get(SESSION_HEADER).cloned();
        let has_id = id.is_some();
        if let Some(id) = id {
            wire.keep_header(SESSION_HEADER, id);
        }
        let answer = read(response).await?;
        let message = answer.message()?;
        let initialized: Initialized<'_> = serde_json::from_str(&message)
            .map_err(|error| format!("initialize was answered with {message}: {error}"))?;
        if initialized.id != 0 || initialized.result.protocol_version != REVISION {
            return Err(format!("initialize asked for {REVISION} and was answered with {message}").into());
        }

        let response = wire.post(echo::initialized()).await?;
        if response.status() != StatusCode::ACCEPTED {
            return Err(format!("a notification must be answered with 202, not {}", response.status()).into());
        }
        response.into_body().collect().await?;
        wire.keep_header(VERSION_HEADER, HeaderValue::from_static(REVISION));
        Ok(Self { wire, work, has_id, next_request: FIRST_REQUEST })
    }
}

impl Caller for Session {
    /// One call of `echo`.
    async fn call(&mut self) -> Result<Duration> {
        let id = self.next_request;
        self.next_request += 1;
        let said = echo::said(id);
        let body = Bytes::from(echo::call(id, &said));
        self.wire.ready().await?;

        let started = Instant::now();
        let answer = read(self.wire.post(body).await?).await?;
        let took = started.elapsed();

        check_echo(&answer, self.work, id, &said)?;
        Ok(took)
    }

    /// Ends the session, where there is one.
    async fn close(&mut self) -> Result<()> {
        if !self.has_id {
            return Ok(());
        }
        let response = self.wire.send(Method::DELETE, Bytes::new()).await?;
        if !response.status().is_success() {
            return Err(format!("ending the session was answered with {}", response.status()).into());
        }
        Ok(())
    }
}

/// Whether request `id` got back what it said, in the form that the work asks for.
pub(super) fn check_echo(answer: &Answer, work: Work, id: u64, said: &str) -> Result<()> {
    if answer.is_stream != work.is_stream() {
        return Err(format!("the answer is not {} as the work asks", work.media_type()).into());
    }
    let message = answer.message()?;
    let echoed: Echoed<'_> = serde_json::from_str(&message)
        .map_err(|error| format!("request {id} was answered with {message}: {error}"))?;
    let is_complete = match work {
        Work::Json | Work::Sse => echoed.result.result_type.is_none(),
        _ => echoed.result.result_type.as_deref() == Some("complete"),
    };
    let is_ours = echoed.id == id
        && is_complete
        && !echoed.result.is_error
        && matches!(&*echoed.result.content, [content] if content.text == said);
    if is_ours {
        Ok(())
    } else {
        Err(format!("request {id} said {said:?} and was answered with {message}").into())
    }
}
