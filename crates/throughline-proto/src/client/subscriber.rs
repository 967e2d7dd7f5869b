//! What a client hears of changes: one `subscriptions/listen` at a time.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::{Ending, Following, Next, RetryPolicy, Stop, StreamKind};
use crate::jsonrpc::{ErrorCode, ErrorObject, Notification, RequestId};
use crate::model::{CancelledParams, Meta, Method, SubscriptionFilter, SubscriptionsAcknowledgedParams};

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Listen {
    /// Send `subscriptions/listen` with this filter, then say so with [`Subscriber::handle_opened`].
    Open(SubscriptionFilter),
    /// Take this one back: close its response, or send `notifications/cancelled`.
    Close(i64),
    /// Nothing before this time, unless something happens.
    Wait(Instant),
    /// Nothing, unless something happens.
    Rest,
}

/// What a notification is.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// A change that somebody listens for.
    Change,
    /// The server took the subscription on.
    Acknowledged(Acknowledged),
    /// The server ended the subscription.
    Ended,
    /// It belongs to no subscription of this client, or comes where it may not: nobody is told.
    Foreign,
    /// It is nothing of a subscription.
    Other,
}

/// What was agreed.
#[derive(Clone, Debug, PartialEq)]
pub struct Acknowledged {
    /// What was asked for and is not told.
    pub missing: SubscriptionFilter,
    /// What is told from now on. `Some` when no subscription was open for a while: any of it may have changed meanwhile.
    pub missed: Option<SubscriptionFilter>,
}

/// How the stream of changes is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hearing {
    /// Nobody listens, or the first subscription is being opened.
    Not,
    /// It is open.
    Well,
    /// It was lost, and is being opened again.
    Again,
    /// The server offers none, or not to this client.
    Never,
}

/// What became of the wish to hear of one resource.
#[derive(Clone, Debug, PartialEq)]
pub enum Wish {
    /// Nothing yet.
    Open,
    /// The server tells of it.
    Granted,
    /// The server took a subscription on, without this resource.
    Denied,
    /// The server refused the subscription.
    Refused(Denial),
}

/// How a server refused a subscription.
#[derive(Clone, Debug, PartialEq)]
pub struct Denial {
    /// The status of the response; `None` for an answer.
    pub status: Option<::http::StatusCode>,
    /// The error.
    pub error: Option<ErrorObject>,
}

/// One subscription.
#[derive(Clone, Debug)]
struct Stream {
    id: i64,
    asked: SubscriptionFilter,
    /// Once it was acknowledged.
    granted: Option<SubscriptionFilter>,
}

/// Keeps a client told of what it wants to hear of, through lost connections and other wishes.
///
/// ```text
///   want --> Open --> opening --acknowledged--> current ..tells.. --ended--> Wait --> Open
///                                                  |
///                                    other wishes: Open another; when that is acknowledged,
///                                    the older one is closed a moment later
/// ```
///
/// Two may be open for a moment, so that no change falls between them: a change is told at least once.
///
/// Specification: [subscriptions](https://modelcontextprotocol.io/specification/2026-07-28/basic/patterns/subscriptions).
#[derive(Clone, Debug)]
pub struct Subscriber {
    wanted: SubscriptionFilter,
    opening: Option<Stream>,
    current: Option<Stream>,
    /// Replaced, and still read until then: what was sent on it before may still arrive.
    retiring: Option<(Stream, Instant)>,
    close: Vec<i64>,
    /// Whether one connection can overtake another, so that a replaced one has to be read on.
    separate: bool,
    acknowledged_by: Duration,
    deadline: Option<Instant>,
    following: Following,
    not_before: Option<Instant>,
    /// It was open, and lost.
    lost: bool,
    /// Something ended since the last acknowledgment.
    failed: bool,
    /// What was refused, and how: it is not asked for again.
    refused: Option<(SubscriptionFilter, Denial)>,
}

impl Subscriber {
    /// A subscriber that wants nothing yet. `separate`: each subscription has a connection of its own. A subscription that is
    /// not acknowledged within `patience` counts as lost.
    #[must_use]
    pub fn new(separate: bool, patience: Duration) -> Self {
        Self {
            wanted: SubscriptionFilter::default(),
            opening: None,
            current: None,
            retiring: None,
            close: Vec::new(),
            separate,
            acknowledged_by: patience,
            deadline: None,
            following: Following::new(StreamKind::Standalone, RetryPolicy::STANDALONE),
            not_before: None,
            lost: false,
            failed: false,
            refused: None,
        }
    }

    /// What is to be heard of from now on, all of it.
    pub fn want(&mut self, mut wanted: SubscriptionFilter) {
        tidy(&mut wanted);
        self.wanted = wanted;
    }

    /// What to do now.
    pub fn next(&mut self, now: Instant) -> Listen {
        self.expire(now);
        if let Some(id) = self.close.pop() {
            return Listen::Close(id);
        }
        if is_empty(&self.wanted) {
            let all =
                [self.opening.take(), self.current.take(), self.retiring.take().map(|(stream, _)| stream)];
            self.close.extend(all.into_iter().flatten().map(|stream| stream.id));
            (self.deadline, self.not_before, self.refused) = (None, None, None);
            (self.lost, self.failed) = (false, false);
            self.following = Following::new(StreamKind::Standalone, RetryPolicy::STANDALONE);
            return self.close.pop().map_or(Listen::Rest, Listen::Close);
        }
        let opening_serves = self.opening.as_ref().is_some_and(|stream| stream.asked == self.wanted);
        let current_serves = self.current.as_ref().is_some_and(|stream| {
            // All that is wanted was asked for, and nothing else is told.
            let granted = stream.granted.as_ref();
            is_empty(&difference(&self.wanted, &stream.asked))
                && granted.is_some_and(|granted| is_empty(&difference(granted, &self.wanted)))
        });
        if current_serves {
            // Wishes may change back before they were granted.
            self.drop_opening();
        } else if !opening_serves && !self.is_refused() {
            self.drop_opening();
            match self.not_before.filter(|at| *at > now) {
                None => return Listen::Open(self.wanted.clone()),
                Some(at) => return self.wait(Some(at)),
            }
        }
        match self.close.pop() {
            Some(id) => Listen::Close(id),
            None => self.wait(None),
        }
    }

    /// The request of this id was sent, with this filter.
    pub fn handle_opened(&mut self, now: Instant, id: i64, asked: SubscriptionFilter) {
        self.refused = None;
        self.not_before = None;
        self.deadline = now.checked_add(self.acknowledged_by);
        self.opening = Some(Stream { id, asked, granted: None });
    }

    /// Whether this is a subscription that was not closed.
    #[must_use]
    pub fn knows(&self, id: i64) -> bool {
        self.streams().any(|stream| stream.id == id)
    }

    /// A notification came. `on`: on the response of this subscription; `None` on a pipe.
    pub fn handle_notification(
        &mut self,
        now: Instant,
        on: Option<i64>,
        notification: &Notification,
    ) -> Told {
        let method = Method::parse(&notification.method);
        if method == Some(Method::Cancelled) {
            return self.handle_cancelled(now, on, notification);
        }
        let is_change = matches!(
            method,
            Some(
                Method::ToolListChanged
                    | Method::PromptListChanged
                    | Method::ResourceListChanged
                    | Method::ResourceUpdated
            )
        );
        let is_acknowledgment = method == Some(Method::SubscriptionsAcknowledged);
        let named = subscription_of(notification);
        if named.is_none() && !is_change && !is_acknowledgment {
            return Told::Other;
        }
        let Some(RequestId::Number(id)) = named else { return Told::Foreign };
        if on.is_some_and(|on| on != id) || !self.knows(id) {
            return Told::Foreign;
        }
        if is_acknowledgment {
            return self.handle_acknowledged(now, id, notification);
        }
        // Nothing may come before the acknowledgment.
        let granted =
            self.streams().find(|stream| stream.id == id).and_then(|stream| stream.granted.as_ref());
        match granted {
            Some(granted) if !is_change || allows(granted, notification) => Told::Change,
            _ => Told::Foreign,
        }
    }

    /// A subscription ended: its connection, or by an answer. `dice` is any random number.
    pub fn handle_end(&mut self, now: Instant, id: i64, ending: Ending<'_>, dice: u32) {
        if self.retiring.as_ref().is_some_and(|(stream, _)| stream.id == id) {
            self.retiring = None;
            return;
        }
        let asked = if let Some(stream) = self.current.take_if(|stream| stream.id == id) {
            self.lost = true;
            stream.asked
        } else if let Some(stream) = self.opening.take_if(|stream| stream.id == id) {
            self.deadline = None;
            stream.asked
        } else {
            return;
        };
        self.failed = true;
        let next = match ending {
            Ending::Refused { error: Some(error), .. } if is_final(error.code) => Next::Stop(Stop::Refused),
            // An error as an answer, and not for good: the server is busy, or broken for now.
            Ending::Refused { status, .. } if status.is_success() => {
                self.following.handle_end(now, Ending::Lost, dice)
            }
            ending => self.following.handle_end(now, ending, dice),
        };
        match (next, ending) {
            (Next::Reopen { at, .. }, _) => self.not_before = Some(at),
            (_, Ending::Refused { status, error, .. }) => {
                let how = Denial { status: Some(status), error: error.cloned() };
                self.refused = Some((asked, how));
            }
            _ => self.refused = Some((asked, Denial { status: None, error: None })),
        }
    }

    /// There are other credentials: what was refused for want of them is asked for again.
    pub fn handle_credentials(&mut self) {
        let wants_them = |status: ::http::StatusCode| matches!(status.as_u16(), 401 | 403);
        if self.refused.as_ref().is_some_and(|(_, how)| how.status.is_some_and(wants_them)) {
            self.refused = None;
        }
    }

    /// There is no way to the server any more.
    pub fn handle_closed(&mut self) {
        (self.opening, self.current, self.retiring) = (None, None, None);
        self.close.clear();
        self.deadline = None;
        self.refused = Some((self.wanted.clone(), Denial { status: None, error: None }));
    }

    /// How the stream of changes is.
    #[must_use]
    pub fn hearing(&self) -> Hearing {
        if self.current.is_some() {
            Hearing::Well
        } else if self.is_refused() {
            Hearing::Never
        } else if self.failed {
            Hearing::Again
        } else {
            Hearing::Not
        }
    }

    /// What became of the wish to hear of this resource.
    #[must_use]
    pub fn wish(&self, uri: &str) -> Wish {
        let has =
            |filter: &SubscriptionFilter| filter.resource_subscriptions.iter().any(|known| *known == uri);
        if let Some((_, how)) = self.refused.as_ref().filter(|_| self.is_refused()) {
            return Wish::Refused(how.clone());
        }
        match &self.current {
            Some(Stream { granted: Some(granted), .. }) if has(granted) => Wish::Granted,
            Some(Stream { asked, .. }) if has(asked) => Wish::Denied,
            _ => Wish::Open,
        }
    }

    fn handle_acknowledged(&mut self, now: Instant, id: i64, notification: &Notification) -> Told {
        let Some(mut stream) = self.opening.take_if(|stream| stream.id == id) else { return Told::Foreign };
        let params = notification.params.as_ref();
        let params = params.and_then(|params| params.parse::<SubscriptionsAcknowledgedParams>().ok());
        let mut granted = params.map(|params| params.notifications).unwrap_or_default();
        tidy(&mut granted);
        // A server may leave out what it does not tell, and add nothing.
        let missing = difference(&stream.asked, &granted);
        let granted = difference(&stream.asked, &missing);
        self.following.handle_event(None, None, true);
        self.deadline = None;
        self.failed = false;
        stream.granted = Some(granted.clone());
        if let Some(older) = self.current.replace(stream) {
            if let Some((oldest, _)) = self.retiring.take() {
                self.close.push(oldest.id);
            }
            if self.separate {
                self.retiring = Some((older, now + LINGER));
            } else {
                self.close.push(older.id);
            }
        }
        let missed = std::mem::take(&mut self.lost).then_some(granted);
        Told::Acknowledged(Acknowledged { missing, missed })
    }

    /// The server [tears down](https://modelcontextprotocol.io/specification/2026-07-28/basic/patterns/cancellation) a subscription.
    fn handle_cancelled(&mut self, now: Instant, on: Option<i64>, notification: &Notification) -> Told {
        let params = notification.params.as_ref().and_then(|params| params.parse::<CancelledParams>().ok());
        match params.map(|params| params.request_id) {
            Some(RequestId::Number(id)) if self.knows(id) && on.is_none_or(|on| on == id) => {
                self.handle_end(now, id, Ending::Closed, 0);
                Told::Ended
            }
            _ => Told::Other,
        }
    }

    /// What is over by now.
    fn expire(&mut self, now: Instant) {
        if let Some((stream, _)) = self.retiring.take_if(|(_, until)| *until <= now) {
            self.close.push(stream.id);
        }
        if self.deadline.is_some_and(|deadline| deadline <= now)
            && let Some(id) = self.opening.as_ref().map(|stream| stream.id)
        {
            self.handle_end(now, id, Ending::Lost, 0);
            self.close.push(id);
        }
    }

    fn drop_opening(&mut self) {
        if let Some(stream) = self.opening.take() {
            self.deadline = None;
            self.close.push(stream.id);
        }
    }

    fn is_refused(&self) -> bool {
        self.refused.as_ref().is_some_and(|(wanted, _)| *wanted == self.wanted)
    }

    fn wait(&mut self, at: Option<Instant>) -> Listen {
        if let Some(id) = self.close.pop() {
            return Listen::Close(id);
        }
        let retiring = self.retiring.as_ref().map(|(_, until)| *until);
        match [at, self.deadline, retiring].into_iter().flatten().min() {
            Some(at) => Listen::Wait(at),
            None => Listen::Rest,
        }
    }

    fn streams(&self) -> impl Iterator<Item = &Stream> {
        let retiring = self.retiring.as_ref().map(|(stream, _)| stream);
        self.opening.iter().chain(&self.current).chain(retiring)
    }
}

/// The subscription that a notification names.
fn subscription_of(notification: &Notification) -> Option<RequestId> {
    #[derive(serde::Deserialize)]
    struct WithMeta {
        #[serde(rename = "_meta", default)]
        meta: Option<Meta>,
    }
    let params = notification.params.as_ref()?;
    params.parse::<WithMeta>().ok()?.meta?.subscription_id()
}

/// Whether a change is one of those that were agreed on.
fn allows(granted: &SubscriptionFilter, notification: &Notification) -> bool {
    match Method::parse(&notification.method) {
        Some(Method::ToolListChanged) => granted.tools_list_changed,
        Some(Method::PromptListChanged) => granted.prompts_list_changed,
        Some(Method::ResourceListChanged) => granted.resources_list_changed,
        // It may be a part of one that was asked for.
        Some(Method::ResourceUpdated) => !granted.resource_subscriptions.is_empty(),
        _ => true,
    }
}

/// Whether it makes no sense to ask the same again.
fn is_final(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::METHOD_NOT_FOUND
            | ErrorCode::INVALID_PARAMS
            | ErrorCode::INVALID_REQUEST
            | ErrorCode::HEADER_MISMATCH
            | ErrorCode::MISSING_CLIENT_CAPABILITY
            | ErrorCode::UNSUPPORTED_PROTOCOL_VERSION
    )
}

fn tidy(filter: &mut SubscriptionFilter) {
    filter.resource_subscriptions.sort_unstable();
    filter.resource_subscriptions.dedup();
}

fn is_empty(filter: &SubscriptionFilter) -> bool {
    *filter == SubscriptionFilter::default()
}

/// What is in the first and not in the second.
fn difference(asked: &SubscriptionFilter, granted: &SubscriptionFilter) -> SubscriptionFilter {
    let uris: BTreeSet<&str> = granted.resource_subscriptions.iter().map(|uri| &**uri).collect();
    let missing = |uri: &&crate::jsonrpc::Str| !uris.contains(&***uri);
    SubscriptionFilter {
        tools_list_changed: asked.tools_list_changed && !granted.tools_list_changed,
        prompts_list_changed: asked.prompts_list_changed && !granted.prompts_list_changed,
        resources_list_changed: asked.resources_list_changed && !granted.resources_list_changed,
        resource_subscriptions: asked.resource_subscriptions.iter().filter(missing).cloned().collect(),
    }
}

/// What a server wrote on one connection before it acknowledged another may arrive after that: a second is longer than networks
/// hold things up, and short enough for what a server keeps meanwhile.
const LINGER: Duration = Duration::from_secs(1);
