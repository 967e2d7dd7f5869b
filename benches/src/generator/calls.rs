//! Calls of a tool that gives a text back, in a session or in the lack of one, and requests for the list of tools.

use std::time::Instant;

use bytes::Bytes;

use super::check;
use super::loops::{Caller, Took};
use super::session::Session;
use super::wire::{Endpoint, read};
use crate::Result;
use crate::echo;
use crate::scenario::{LARGE, TOOLS, Task, Work};

/// Sends the same kind of request again and again.
pub(super) struct Calls {
    session: Session,
    work: Work,
    /// Makes a text large.
    padding: String,
}

impl Calls {
    pub(super) async fn open(endpoint: Endpoint, work: Work) -> Result<Self> {
        let session = Session::open(&endpoint, work.way).await?;
        let padding =
            if work.task == Task::Large { "0123456789abcdef".repeat(LARGE / 16) } else { String::new() };
        Ok(Self { session, work, padding })
    }
}

impl Caller for Calls {
    async fn call(&mut self) -> Result<Took> {
        let id = self.session.next_id();
        let text = echo::said(id) + &self.padding;
        let body = Bytes::from(match self.work.task {
            Task::List => echo::list(id),
            Task::EchoLater => echo::call(id, "echo_later", &text),
            _ => echo::call(id, "echo", &text),
        });
        self.session.wire.ready().await?;

        let started = Instant::now();
        let answer = read(self.session.wire.post(body).await?).await?;
        let took = Took { started, ended: Instant::now() };

        match self.work.task {
            Task::List => check::list(&answer, id, TOOLS)?,
            _ => check::echo(&answer, self.work, id, &text)?,
        }
        Ok(took)
    }

    async fn close(self) -> Result<()> {
        self.session.delete().await.map(drop)
    }
}
