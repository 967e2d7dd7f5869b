//! One session, or in a revision that has sessions, the lack of one.

use std::borrow::Cow;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::{Method, Response, StatusCode};
use serde::Deserialize;

use super::FIRST_REQUEST;
use super::wire::{Endpoint, Wire, read};
use crate::Result;
use crate::echo::{self, REVISION, SESSION_HEADER, VERSION_HEADER};
use crate::scenario::Way;

/// A connection and the MCP session opened over it.
pub(super) struct Session {
    pub(super) wire: Wire,
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

impl Session {
    /// A session over a connection of its own.
    pub(super) async fn open(endpoint: &Endpoint, way: Way) -> Result<Self> {
        Self::open_over(Wire::connect(endpoint).await?, way).await
    }

    /// A session over a connection that may have served another before.
    pub(super) async fn open_over(mut wire: Wire, way: Way) -> Result<Self> {
        wire.drop_header(SESSION_HEADER);
        wire.drop_header(VERSION_HEADER);
        let response = wire.post(echo::initialize(0)).await?;
        let id = response.headers().get(SESSION_HEADER).cloned();
        let has_id = id.is_some();
        if has_id != (way == Way::Session) {
            let what = if has_id {
                "a session was opened where there should be none"
            } else {
                "no session was opened"
            };
            return Err(what.into());
        }
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

        wire.keep_header(VERSION_HEADER, HeaderValue::from_static(REVISION));
        let response = wire.post(echo::initialized()).await?;
        if response.status() != StatusCode::ACCEPTED {
            return Err(format!("a notification must be answered with 202, not {}", response.status()).into());
        }
        response.into_body().collect().await?;
        Ok(Self { wire, has_id, next_request: FIRST_REQUEST })
    }

    /// An id for a request; all have as many digits.
    pub(super) fn next_id(&mut self) -> u64 {
        self.next_request += 1;
        self.next_request - 1
    }

    /// The standalone stream, open.
    pub(super) async fn get(&mut self) -> Result<Response<Incoming>> {
        self.wire.send(Method::GET, Bytes::new()).await
    }

    /// Ends the session, where there is one; its connection is left.
    pub(super) async fn delete(mut self) -> Result<Wire> {
        if self.has_id {
            let response = self.wire.send(Method::DELETE, Bytes::new()).await?;
            if !response.status().is_success() {
                return Err(format!("ending the session was answered with {}", response.status()).into());
            }
            response.into_body().collect().await?;
        }
        Ok(self.wire)
    }
}
