//! Sessions of HTTP+SSE in the house that they share with the others.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use throughline_proto::http::{Refusal, RefusalKind};
use throughline_proto::jsonrpc::{ErrorCode, ErrorObject, Request};
use throughline_proto::model::Answer;
use throughline_proto::session::{ProgressRoute, Session};

use super::link::Link;
use crate::server::Closed;
use crate::server::exchange::{Answers, Exchange, Mode, SessionExchange};
use crate::server::live::{Ground, Live};
use crate::server::pipe::Pipe;
use crate::server::shares::Part;
use crate::server::streamable_http::{Endpoint, FAREWELL, SPREAD};
use crate::server::who::Who;

impl Endpoint {
    /// A place for a client that opens a stream.
    pub(super) fn open_link(&self, who: &Who) -> Result<Arc<Link>, Refusal> {
        let id = self.new_session_id()?;
        // A session and its stream are one.
        let held = [self.take(who, Part::Session)?, self.take(who, Part::Stream)?];
        self.make_room()?;
        let pipe = Pipe::of_events(Arc::clone(&self.tally), Arc::clone(&self.backlog));
        let link = Link::new(id, who, pipe, held.into_iter().flatten().collect());
        if !self.registry.insert_link(&link) {
            self.registry.withdraw();
            tracing::error!("the session id generator gave an id that is in use");
            return Err(Refusal::new(RefusalKind::Internal));
        }
        if self.is_draining() && self.registry.remove_link(&link) {
            // The shutdown may have looked at the sessions before this one came.
            return Err(Refusal::new(RefusalKind::Draining));
        }
        Ok(link)
    }

    /// Opens the session of a stream and answers `initialize` there.
    ///
    /// # Errors
    ///
    /// The answer, where no session was opened.
    pub(super) fn initialize_link(&self, link: &Arc<Link>, request: &Request) -> Result<(), ErrorObject> {
        let opening =
            link.begin_opening().ok_or_else(|| ErrorObject::new(ErrorCode::INVALID_REQUEST, INITIALIZED))?;
        let Ok(offer) = catch_unwind(AssertUnwindSafe(|| self.handler.offer())) else {
            self.tally.panics.add_one();
            tracing::error!("a handler panicked when it was asked what it offers");
            let why = "the handler failed unexpectedly; the server's log says more";
            return Err(ErrorObject::new(ErrorCode::INTERNAL_ERROR, why));
        };
        // There are no cursors that a tag would mark.
        let (mut session, result) = Session::open(request.params.as_ref(), &offer, 0, self.config.session)?;
        session.set_default_level(self.config.log_level);
        let stream = session.open_first_stream();
        let ground = Ground::Pipe(Arc::clone(link.pipe()));
        let tally = Arc::clone(&self.tally);
        let live = Live::new(link.id.clone(), session, link.standing(), ground, tally);
        let exchange = SessionExchange::new(
            Arc::clone(&live),
            stream,
            Mode::Pipe,
            ProgressRoute::Request,
            Answers::One,
            None,
        );
        let answer = Answer::Initialize(Box::new(result));
        self.tally.sessions_opened.add_one();
        if !opening.open(&live, || exchange.settle(0, Some(&request.id), Ok(answer))) {
            // Its client is gone, and no hook has heard of it.
            self.tally.sessions_closed.add_one();
            return Ok(());
        }
        let told = match (&self.config.opened, live.handle()) {
            (Some(hook), Some(handle)) => catch_unwind(AssertUnwindSafe(|| hook(&handle))),
            _ => Ok(()),
        };
        if let Some(why) = link.opened_told() {
            self.announce_closed(&live, why);
        }
        told.unwrap_or_else(|panic| resume_unwind(panic));
        Ok(())
    }

    /// Ends a session with its stream, whatever the client has read of it.
    pub(super) fn close_link(&self, link: &Arc<Link>, why: Closed) {
        if self.registry.remove_link(link) {
            self.link_closed(link, why);
        }
    }

    /// Ends a session that was taken out.
    pub(in crate::server) fn link_closed(&self, link: &Link, why: Closed) {
        let live = link.end();
        match why {
            // Nobody reads it.
            Closed::ByClient | Closed::Unread => link.pipe().break_off(),
            // Its calls are answered first.
            Closed::Shutdown => {}
            Closed::Idle | Closed::Evicted | Closed::Expired => link.pipe().end(),
        }
        if let Some(live) = live
            && live.end()
            && link.tells_closed(why)
        {
            self.announce_closed(&live, why);
        }
    }

    /// A second has passed.
    pub(in crate::server) fn tick_links(&self, now: Instant) {
        let config = &self.config;
        for link in self.registry.links() {
            if !link.pipe().handle_tick(now, config.keep_alive) {
                self.tally.readers_detached.add_one();
                self.close_link(&link, Closed::Unread);
                continue;
            }
            if link.is_expired(now) {
                self.close_link(&link, Closed::Expired);
                continue;
            }
            // One that is used is not idle as long as its stream is open, like any other.
            let is_late = match link.live() {
                None => now.saturating_duration_since(link.opened_at()) >= config.unused_timeout,
                Some(live) => live.handle_tick(now, config.keep_alive, Duration::MAX, config.unused_timeout),
            };
            if is_late {
                self.close_link(&link, Closed::Idle);
            }
        }
    }

    /// Ends all sessions in good order: what still runs is answered with an error, and what is left is written.
    pub(in crate::server) async fn drain_links(&self) {
        let links = self.registry.links();
        if links.is_empty() {
            return;
        }
        let links = EndOnDrop(links);
        for link in &links.0 {
            self.close_link(link, Closed::Shutdown);
        }
        // A call that does not let go is not waited for.
        let _ = tokio::time::timeout(FAREWELL, self.calls.finished()).await;
        let count = u32::try_from(links.0.len()).unwrap_or(u32::MAX).max(1);
        for (at, link) in (0u32..).zip(&links.0) {
            link.pipe().end_with_retry(self.config.retry + SPREAD * at / count);
        }
        let read = async {
            while links.0.iter().any(|link| !link.pipe().is_over()) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let _ = tokio::time::timeout(FAREWELL, read).await;
        links.0.iter().for_each(|link| link.pipe().break_off());
    }
}

/// Streams of sessions that are over: they end, also when nobody waits for the shutdown any more.
struct EndOnDrop(Vec<Arc<Link>>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.iter().for_each(|link| link.pipe().end());
    }
}

const INITIALIZED: &str = "This session is initialized already. Open another stream for another session.";
