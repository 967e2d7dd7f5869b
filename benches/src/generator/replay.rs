//! A reader that lost its connection at the beginning of a call with a thousand events, and comes back when it is over.

use std::time::Instant;

use bytes::Bytes;
use hyper::Method;
use hyper::header::HeaderValue;

use super::loops::{Caller, Took};
use super::progress::read_all;
use super::session::Session;
use super::sse::Events;
use super::wire::Endpoint;
use crate::Result;
use crate::echo::{self, CURSOR_HEADER};
use crate::scenario::{EVENTS, Way};

/// Resumes the same stream behind its priming event, again and again.
pub(super) struct Replay {
    session: Session,
    call: u64,
}

impl Replay {
    pub(super) async fn open(endpoint: Endpoint) -> Result<Self> {
        let mut session = Session::open(&endpoint, Way::Session).await?;
        let call = session.next_id();
        let mut events = Events::of(session.wire.post(echo::progress(call, EVENTS)).await?)?;
        let cursor = read_all(&mut events, Way::Session, call, EVENTS).await?;
        let cursor = cursor.ok_or("the events of the stream have no ids, so it cannot be resumed")?;
        session.wire.keep_header(CURSOR_HEADER, HeaderValue::from_bytes(&cursor)?);
        Ok(Self { session, call })
    }
}

impl Caller for Replay {
    async fn call(&mut self) -> Result<Took> {
        self.session.wire.ready().await?;
        let started = Instant::now();
        let mut events = Events::of(self.session.wire.send(Method::GET, Bytes::new()).await?)?;
        read_all(&mut events, Way::Session, self.call, EVENTS).await?;
        Ok(Took { started, ended: Instant::now() })
    }

    async fn close(mut self) -> Result<()> {
        self.session.wire.drop_header(CURSOR_HEADER);
        self.session.delete().await.map(drop)
    }
}
