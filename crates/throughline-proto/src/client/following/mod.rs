//! One stream through all its connections.

use std::time::{Duration, Instant};

use ::http::StatusCode;
use serde::Deserialize;

use crate::jsonrpc::ErrorObject;

/// When to come back after a connection was lost, where the server does not say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryPolicy {
    /// The first wait.
    pub first: Duration,
    /// How much longer each further one is.
    pub factor: f64,
    /// The longest.
    pub most: Duration,
    /// How many connections in a row may bring no message before the stream is given up; `None`: it never is.
    pub tries: Option<u32>,
}

impl RetryPolicy {
    /// For the stream of a call: its caller waits, so five connections without a message are enough.
    pub const CALL: RetryPolicy = RetryPolicy {
        first: Duration::from_secs(1),
        factor: 1.5,
        most: Duration::from_secs(30),
        tries: Some(5),
    };
    /// For the standalone stream: a server that is away for a day may come back.
    pub const STANDALONE: RetryPolicy = RetryPolicy { tries: None, ..RetryPolicy::CALL };
}

/// What a stream is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamKind {
    /// It answers a request.
    Call,
    /// It carries what belongs to no request.
    Standalone,
}

/// How a connection of a stream ended.
#[derive(Clone, Copy, Debug)]
pub enum Ending<'a> {
    /// The response ended in good order, and what was waited for has not come.
    Closed,
    /// The connection was lost, or could not be made.
    Lost,
    /// The server answered with a status that is none of success.
    Refused {
        /// The status.
        status: StatusCode,
        /// The JSON-RPC error in the body.
        error: Option<&'a ErrorObject>,
        /// The `Retry-After` header.
        retry_after: Option<Duration>,
    },
}

/// What to do after a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Open it again at this time, after [`Following::cursor`].
    Reopen {
        /// Not before.
        at: Instant,
        /// How many events the server no longer has: they are lost.
        lost: u64,
    },
    /// The session is unknown to the server: open another, not before this time. Then [`Following::restart`].
    Reinitialize {
        /// Now, and later when a session that was just opened is unknown already.
        at: Instant,
    },
    /// The server wants to know who asks.
    Authorize,
    /// It is over.
    Stop(Stop),
}

/// Why a stream is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// There is no event id to go on after.
    NoCursor,
    /// Too many connections in a row brought nothing.
    GivenUp,
    /// The server does not offer such a stream, or will not go on with it.
    Refused,
}

/// Follows one stream: give it every event and how each connection ended; it says what to do next.
///
/// ```
/// use std::time::{Duration, Instant};
/// use throughline_proto::client::{Ending, Following, Next, RetryPolicy, Stop, StreamKind};
///
/// let now = Instant::now();
/// let mut call = Following::new(StreamKind::Call, RetryPolicy::CALL);
/// assert_eq!(call.handle_end(now, Ending::Lost, 0), Next::Stop(Stop::NoCursor));
/// call.handle_event(Some("7"), Some(Duration::from_millis(500)), true);
/// assert_eq!(
///     call.handle_end(now, Ending::Closed, 0),
///     Next::Reopen { at: now + Duration::from_millis(500), lost: 0 }
/// );
/// assert_eq!(call.cursor(), Some("7"));
/// ```
///
/// Specification:
/// [resumability](https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#resumability-and-redelivery).
#[derive(Clone, Debug)]
pub struct Following {
    kind: StreamKind,
    policy: RetryPolicy,
    cursor: Option<String>,
    retry: Option<Duration>,
    /// Connections in a row that brought no message.
    tries: u32,
    /// When the connection was opened that is read now.
    opened: Option<Instant>,
    /// Since the last message the server already said once what it no longer has ..
    told_gone: bool,
    /// .. or that it does not know the session.
    told_unknown: bool,
}

impl Following {
    /// A stream that begins.
    #[must_use]
    pub fn new(kind: StreamKind, policy: RetryPolicy) -> Self {
        Self {
            kind,
            policy,
            cursor: None,
            retry: None,
            tries: 0,
            opened: None,
            told_gone: false,
            told_unknown: false,
        }
    }

    /// A stream that goes on after this event.
    #[must_use]
    pub fn after(kind: StreamKind, policy: RetryPolicy, cursor: impl Into<String>) -> Self {
        Self { cursor: Some(cursor.into()), ..Self::new(kind, policy) }
    }

    /// A connection is open: the server answered with a stream.
    pub fn handle_open(&mut self, now: Instant) {
        self.opened = Some(now);
    }

    /// Another session was opened: what was known of the stream in the one before means nothing in it.
    pub fn restart(&mut self) {
        self.cursor = None;
        self.retry = None;
        self.opened = None;
    }

    /// An event came. `message`: it had one.
    pub fn handle_event(&mut self, id: Option<&str>, retry: Option<Duration>, message: bool) {
        match id {
            // An empty id takes the last one back, as the SSE specification says.
            Some("") => self.cursor = None,
            // It could not be sent back: no server reads a header of this length.
            Some(id) if id.len() > LONGEST_CURSOR => self.cursor = None,
            Some(id) => {
                let cursor = self.cursor.get_or_insert_default();
                cursor.clear();
                cursor.push_str(id);
            }
            None => {}
        }
        self.retry = retry.or(self.retry);
        if message {
            self.has_come_on();
        }
    }

    fn has_come_on(&mut self) {
        self.tries = 0;
        self.told_gone = false;
        self.told_unknown = false;
    }

    /// The id of the last event, which `Last-Event-ID` says.
    #[must_use]
    pub fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    /// A connection ended. `dice` is any random number.
    pub fn handle_end(&mut self, now: Instant, ending: Ending<'_>, dice: u32) -> Next {
        let stood = self.opened.take().map(|opened| now.saturating_duration_since(opened));
        if stood.is_some_and(|stood| stood >= self.policy.most) {
            // It stood for longer than any wait: that it was quiet is no reason to stay away.
            self.has_come_on();
        }
        match ending {
            Ending::Closed | Ending::Lost => self.again(now, None, 0, dice),
            Ending::Refused { status, error, retry_after } => match status.as_u16() {
                400 => self.handle_bad_request(now, error, retry_after, dice),
                401 | 403 => Next::Authorize,
                404 => self.handle_unknown_session(now, retry_after, dice),
                // Another connection holds the stream, or the server is busy: both pass.
                409 | 429 | 500 | 502..=504 => self.again(now, retry_after, 0, dice),
                _ => Next::Stop(Stop::Refused),
            },
        }
    }

    /// The server will not go on after the cursor.
    fn handle_bad_request(
        &mut self,
        now: Instant,
        error: Option<&ErrorObject>,
        retry_after: Option<Duration>,
        dice: u32,
    ) -> Next {
        if let Some(gone) = error.and_then(gone)
            && self.cursor.as_deref() != Some(&*gone.oldest)
        {
            self.cursor = Some(gone.oldest);
            if std::mem::replace(&mut self.told_gone, true) {
                // What is left is gone as well, before any of it came: no reason to hurry.
                return self.again(now, retry_after, gone.lost, dice);
            }
            return Next::Reopen { at: now, lost: gone.lost };
        }
        match self.kind {
            StreamKind::Standalone if self.cursor.take().is_some() => self.again(now, retry_after, 0, dice),
            _ => Next::Stop(Stop::Refused),
        }
    }

    fn handle_unknown_session(&mut self, now: Instant, retry_after: Option<Duration>, dice: u32) -> Next {
        if self.kind == StreamKind::Standalone && std::mem::replace(&mut self.told_unknown, true) {
            // Sessions that are unknown as soon as they are open must not be opened in a circle.
            let at = now + self.wait(retry_after, dice);
            return Next::Reinitialize { at };
        }
        Next::Reinitialize { at: now }
    }

    fn again(&mut self, now: Instant, retry_after: Option<Duration>, lost: u64, dice: u32) -> Next {
        if self.kind == StreamKind::Call && self.cursor.is_none() {
            return Next::Stop(Stop::NoCursor);
        }
        if self.policy.tries.is_some_and(|most| self.tries >= most) {
            return Next::Stop(Stop::GivenUp);
        }
        Next::Reopen { at: now + self.wait(retry_after, dice), lost }
    }

    /// How long to wait before the next try.
    fn wait(&mut self, retry_after: Option<Duration>, dice: u32) -> Duration {
        let own = backoff(&self.policy, self.tries);
        self.tries = self.tries.saturating_add(1);
        let asked = self.retry.max(retry_after).map(|asked| asked.min(LONGEST_WAIT));
        let wait = match (asked, self.tries) {
            // The server says when, for the first time that it is away.
            (Some(asked), 1) => asked,
            (Some(asked), _) => asked.max(own),
            (None, _) => own,
        };
        // Never earlier than asked for, and a little later, so that not all come back at once.
        let spread = wait.mul_f64(0.1 * f64::from(dice) / f64::from(u32::MAX));
        match asked {
            Some(asked) if asked == wait => wait + spread,
            // Our own wait has its bound.
            _ => (wait + spread).min(self.policy.most),
        }
    }
}

/// What a server says that no longer has the events after a cursor.
#[derive(Deserialize)]
struct Gone {
    oldest: String,
    #[serde(default)]
    lost: u64,
}

fn gone(error: &ErrorObject) -> Option<Gone> {
    error.data.as_ref()?.parse().ok()
}

fn backoff(policy: &RetryPolicy, tries: u32) -> Duration {
    let factor = policy.factor.powi(i32::try_from(tries).unwrap_or(i32::MAX).min(64));
    let wait = policy.first.as_secs_f64() * factor;
    Duration::from_secs_f64(wait.min(policy.most.as_secs_f64()))
}

/// As long as a server may ask to be left alone: one that says "come back in a year" has mistaken the unit, and the sum with
/// the present must be a time that there is.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3_600);

/// A number that tells sessions apart and does not give their ids away: 32 bits of FNV-1a.
///
/// ```
/// use throughline_proto::client::session_tag;
///
/// assert_eq!(session_tag("a"), 0xe40c_292c);
/// assert_ne!(session_tag("a"), session_tag("b"));
/// ```
#[must_use]
pub fn session_tag(id: &str) -> u32 {
    id.bytes().fold(0x811c_9dc5, |tag, byte| (tag ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// The longest event id, in bytes, that is sent back in `Last-Event-ID`: servers bound the headers of a request to some 8 KiB.
const LONGEST_CURSOR: usize = 4 * 1024;

#[cfg(test)]
mod tests;
