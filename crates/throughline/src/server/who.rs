//! Who sends a request, and what of the endpoint it holds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::request::Parts;
use throughline_proto::auth::UnixTime;
use throughline_proto::http::Refusal;

use super::shares::{Held, Part, Share};
use super::streamable_http::Endpoint;
use crate::handler::{Authorized, Caller, Principal, Standing};
use crate::runtime;

/// Who sends a request: known from its head, once for all that it does.
#[derive(Default)]
pub(crate) struct Who {
    authorized: Option<Authorized>,
    share: Option<Arc<Share>>,
}

impl Endpoint {
    /// Who sends this request, by what vouches for it: what a layer in front put into its extensions, and the hook.
    ///
    /// # Errors
    ///
    /// It asks faster than it may.
    pub(in crate::server) fn who(&self, parts: &Parts) -> Result<Who, Refusal> {
        let authorized = self.authorized(parts);
        if authorized.is_none() {
            return Ok(Who::default());
        }
        self.known(authorized)
    }

    fn known(&self, authorized: Option<Authorized>) -> Result<Who, Refusal> {
        let share =
            authorized.as_ref().map(|authorized| self.shares.of(authorized.principal())).transpose()?;
        let who = Who { authorized, share };
        self.pace(&who, 1)?;
        Ok(who)
    }

    /// So many more requests of it come, as in a batch.
    pub(in crate::server) fn pace(&self, who: &Who, requests: usize) -> Result<(), Refusal> {
        let Some(share) = &who.share else { return Ok(()) };
        share.ask(requests).inspect_err(|_| self.tally.requests_throttled.add_one())
    }

    fn authorized(&self, parts: &Parts) -> Option<Authorized> {
        let authorized = parts.extensions.get::<Authorized>();
        let Some(hook) = &self.config.principal else { return authorized.cloned() };
        match (hook(parts), authorized) {
            (Some(principal), Some(authorized)) => Some(authorized.clone().of(principal)),
            (Some(principal), None) => Some(Authorized::new(principal)),
            // The hook does not know, and somebody else does.
            (None, authorized) => authorized.cloned(),
        }
    }
}

impl Who {
    pub(crate) fn authorized(&self) -> Option<&Authorized> {
        self.authorized.as_ref()
    }

    pub(crate) fn principal(&self) -> Option<&Principal> {
        self.authorized.as_ref().map(Authorized::principal)
    }

    pub(crate) fn standing(&self) -> Standing {
        self.authorized.clone().into()
    }

    /// The caller of a request in a session: the session's client, with the credentials of this request. `None` where those
    /// of the session are as good.
    pub(crate) fn caller(&self, session: &Caller) -> Option<Arc<Caller>> {
        let authorized = self.authorized.as_ref()?;
        let is_of_session = session.authorized().is_some_and(|opened| opened.is(authorized));
        (!is_of_session).then(|| Arc::new(session.with_authorized(authorized.clone())))
    }

    /// Takes a part of its share, where it has one.
    ///
    /// # Errors
    ///
    /// It has as many as it may.
    pub(crate) fn take(&self, part: Part) -> Result<Option<Held>, Refusal> {
        self.share.as_ref().map(|share| share.take(part)).transpose()
    }

    /// When its streams end, by the runtime's clock.
    pub(crate) fn expiry(&self) -> Option<Instant> {
        let at = self.authorized.as_ref()?.expires_at()?;
        Some(expiry_of(at))
    }
}

/// When that is by the runtime's clock. Who was let in a moment before its end has a second, so that nobody comes back
/// without a pause.
pub(crate) fn expiry_of(at: UnixTime) -> Instant {
    let left = UnixTime(runtime::unix_time()).until(at);
    runtime::now() + left.clamp(Duration::from_secs(1), LONGEST)
}

/// As good as for ever: clocks need not reckon with more.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);
