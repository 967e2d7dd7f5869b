//! Sessions that are opened, used once and deleted, one after another over the same connection.

use std::time::Instant;

use bytes::Bytes;

use super::check;
use super::loops::{Caller, Took};
use super::session::Session;
use super::wire::{Endpoint, Wire, read};
use crate::Result;
use crate::echo;
use crate::scenario::{Way, Work};

pub(super) struct Churn {
    /// Taken while a session uses it.
    wire: Option<Wire>,
    work: Work,
}

impl Churn {
    pub(super) async fn open(endpoint: Endpoint, work: Work) -> Result<Self> {
        Ok(Self { wire: Some(Wire::connect(&endpoint).await?), work })
    }
}

impl Caller for Churn {
    async fn call(&mut self) -> Result<Took> {
        let mut wire = self.wire.take().ok_or("the connection broke in the session before")?;
        wire.ready().await?;
        let started = Instant::now();
        let mut session = Session::open_over(wire, Way::Session).await?;
        let id = session.next_id();
        let said = echo::said(id);
        let answer = read(session.wire.post(Bytes::from(echo::call(id, "echo", &said))).await?).await?;
        check::echo(&answer, self.work, id, &said)?;
        self.wire = Some(session.delete().await?);
        Ok(Took { started, ended: Instant::now() })
    }

    async fn close(self) -> Result<()> {
        Ok(())
    }
}
