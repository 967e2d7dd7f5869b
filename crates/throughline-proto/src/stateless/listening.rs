//! One `subscriptions/listen`: what its client is told, and in which order.

use std::collections::VecDeque;

use bytes::{BufMut, BytesMut};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Change;
use crate::jsonrpc::{ErrorCode, ErrorObject, Raw, RequestId, Str, reason};
use crate::model::{ServerCapabilities, SubscriptionFilter};

/// A subscription, from the request that opens it to its end; see
/// [subscriptions](https://modelcontextprotocol.io/specification/2026-07-28/basic/patterns/subscriptions).
///
/// It knows what its client asked to hear of and what of that is not written yet, and it writes each message with the
/// subscription's id in it. A change that waits already is not put down again, so what waits is bounded by the filter,
/// however slow the reader and however many the changes.
///
/// ```text
///            acknowledgment          end_gracefully: what waits, then the result
///   opened ----------------> open ------------------------------------------------> over
///                             | ^                                                    ^
///               handle_change | | write_next                                         |
///                             v |     end_forced: notifications/cancelled            |
///                            waiting ------------------------------------------------+
/// ```
///
/// The acknowledgment is the first message in any case, also when changes or the end come before it is written. A client that
/// takes its request back ([`cancel`](Self::cancel)) gets no more messages at all.
///
/// ```
/// use bytes::BytesMut;
/// use throughline_proto::jsonrpc::{Raw, RequestId};
/// use throughline_proto::model::{ServerCapabilities, ToolsCapability};
/// use throughline_proto::stateless::{Change, Heard, ListenLimits, Listening};
///
/// let offered = ServerCapabilities::new().with_tools(ToolsCapability { list_changed: true });
/// let params = Raw::from_json(r#"{"notifications":{"toolsListChanged":true,"promptsListChanged":true}}"#)?;
/// let id = RequestId::Number(1);
/// let mut listening = Listening::open(&id, Some(&params), &offered, &ListenLimits::default())?;
/// assert_eq!(listening.handle_change(Change::Tools), Heard::New);
///
/// let mut out = BytesMut::new();
/// assert!(listening.write_next(&mut out));
/// // Prompts are left out: this server has none.
/// assert_eq!(
///     out,
///     r#"{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"notifications":{"toolsListChanged":true},"_meta":{"io.modelcontextprotocol/subscriptionId":1}}}"#
/// );
/// out.clear();
/// assert!(listening.write_next(&mut out));
/// assert_eq!(
///     out,
///     r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":1}}}"#
/// );
/// assert!(!listening.write_next(&mut out), "nothing waits");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Listening {
    /// The subscription's id, which is its request's, as JSON.
    id: Box<str>,
    tools: bool,
    prompts: bool,
    resources: bool,
    /// The resources to hear of, in order, each once.
    uris: Box<[Str]>,
    /// What the acknowledgment says, until it is written.
    acknowledgment: Option<Raw>,
    /// What is to be told, in the order in which it came, each thing once.
    waiting: VecDeque<Topic>,
    end: Option<End>,
}

/// What becomes of a change.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Heard {
    /// The client did not ask for it, or will not be told any more.
    Not,
    /// It waits already since an earlier change.
    Again,
    /// It waits from now on: whoever writes has something to write.
    New,
}

/// Bounds of one subscription.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ListenLimits {
    /// Resources in the filter. Default 1,024, as many as a session may subscribe to.
    pub resources: usize,
    /// The longest URI in bytes. Default 2,048, what browsers and proxies agree on.
    pub uri_bytes: usize,
    /// All URIs together, in bytes. Default 64 KiB: 64 for each of the most there may be, and a thousand subscriptions
    /// stay below 100 MB whatever their clients ask for.
    pub filter_bytes: usize,
    /// The longest id of the request in bytes, which every message repeats. Default 256: a UUID several times over.
    pub id_bytes: usize,
}

impl Default for ListenLimits {
    fn default() -> ListenLimits {
        ListenLimits { resources: 1024, uri_bytes: 2048, filter_bytes: 64 * 1024, id_bytes: 256 }
    }
}

/// One thing that changed.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Topic {
    Tools,
    Prompts,
    Resources,
    /// By its place among the URIs.
    Resource(usize),
}

enum End {
    /// The result is still to be written, with the name of the server.
    Gracefully(Option<Raw>),
    /// That it is cancelled is still to be written, with the reason.
    Forced(Str),
    /// Nothing is written any more.
    Written,
}

impl Listening {
    /// Opens the subscription that a `subscriptions/listen` with this id and these parameters asks for, as far as the server
    /// offers it: what it does not offer is left out of the acknowledgment and never told.
    ///
    /// # Errors
    ///
    /// Invalid params when they hold no filter or one beyond the limits, and invalid request when the id is too long.
    pub fn open(
        id: &RequestId,
        params: Option<&Raw>,
        offered: &ServerCapabilities,
        limits: &ListenLimits,
    ) -> Result<Listening, ErrorObject> {
        let id = id_json(id, limits)?;
        let filter = offered_part(read_filter(params, limits)?, offered);
        let acknowledgment = Raw::new(&filter).expect("flags and text are JSON");
        let mut uris = filter.resource_subscriptions;
        uris.sort_unstable();
        uris.dedup();
        Ok(Listening {
            id,
            tools: filter.tools_list_changed,
            prompts: filter.prompts_list_changed,
            resources: filter.resources_list_changed,
            uris: uris.into_boxed_slice(),
            acknowledgment: Some(acknowledgment),
            waiting: VecDeque::new(),
            end: None,
        })
    }

    /// Whether its client asked to hear of this and still can.
    #[must_use]
    pub fn wants(&self, change: Change<'_>) -> bool {
        self.topic(change).is_some()
    }

    /// Something changed. It is told once, however often it changes before it is written.
    pub fn handle_change(&mut self, change: Change<'_>) -> Heard {
        let Some(topic) = self.topic(change) else { return Heard::Not };
        if self.waiting.contains(&topic) {
            return Heard::Again;
        }
        self.waiting.push_back(topic);
        Heard::New
    }

    /// Ends it on the server's own accord, as when it shuts down: what waits is still told, and then the request is
    /// answered, with `server_info` (the JSON of an [`Implementation`](crate::model::Implementation)) in it; see
    /// [graceful closure](https://modelcontextprotocol.io/specification/2026-07-28/basic/patterns/subscriptions#graceful-closure).
    /// No effect when its end has come already.
    pub fn end_gracefully(&mut self, server_info: Option<Raw>) {
        self.end.get_or_insert(End::Gracefully(server_info));
    }

    /// Takes it back: nothing is told any more but that it is cancelled, and why, in one sentence; see
    /// [cancellation](https://modelcontextprotocol.io/specification/2026-07-28/basic/patterns/cancellation). No effect when
    /// its end has come already.
    pub fn end_forced(&mut self, reason: impl Into<Str>) {
        if !self.is_ending() {
            self.waiting = VecDeque::new();
            self.end = Some(End::Forced(reason.into()));
        }
    }

    /// Its client took it back: nothing is written any more, not even that it is over.
    pub fn cancel(&mut self) {
        self.acknowledgment = None;
        self.waiting = VecDeque::new();
        self.end = Some(End::Written);
    }

    /// Whether there is something to write.
    #[must_use]
    pub fn has_next(&self) -> bool {
        let ends = self.end.as_ref().is_some_and(|end| !matches!(end, End::Written));
        ends || self.acknowledgment.is_some() || !self.waiting.is_empty()
    }

    /// Whether its end has come, written or not.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.end.is_some()
    }

    /// Whether its last message was written, or none will be.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.end, Some(End::Written))
    }

    /// Writes the next message: one line of JSON. False when there is none, for now or, when
    /// [it is over](Self::is_over), for good.
    pub fn write_next(&mut self, out: &mut BytesMut) -> bool {
        if let Some(filter) = self.acknowledgment.take() {
            start(out, "notifications/subscriptions/acknowledged");
            out.put_slice(br#""notifications":"#);
            out.put_slice(filter.as_bytes());
            out.put_slice(b",");
            self.finish(out);
        } else if let Some(topic) = self.waiting.pop_front() {
            self.write_change(out, topic);
        } else {
            match self.end.replace(End::Written) {
                Some(End::Gracefully(server_info)) => self.write_result(out, server_info.as_ref()),
                Some(End::Forced(reason)) => {
                    start(out, "notifications/cancelled");
                    out.put_slice(br#""requestId":"#);
                    out.put_slice(self.id.as_bytes());
                    out.put_slice(br#","reason":"#);
                    json(out, reason.as_str());
                    out.put_slice(b",");
                    self.finish(out);
                }
                end => {
                    self.end = end;
                    return false;
                }
            }
        }
        true
    }

    fn topic(&self, change: Change<'_>) -> Option<Topic> {
        if self.is_ending() {
            return None;
        }
        match change {
            Change::Tools => self.tools.then_some(Topic::Tools),
            Change::Prompts => self.prompts.then_some(Topic::Prompts),
            Change::Resources => self.resources.then_some(Topic::Resources),
            Change::Resource(uri) => {
                self.uris.binary_search_by(|known| known.as_str().cmp(uri)).ok().map(Topic::Resource)
            }
        }
    }

    fn write_change(&self, out: &mut BytesMut, topic: Topic) {
        match topic {
            Topic::Tools => start(out, "notifications/tools/list_changed"),
            Topic::Prompts => start(out, "notifications/prompts/list_changed"),
            Topic::Resources => start(out, "notifications/resources/list_changed"),
            Topic::Resource(at) => {
                start(out, "notifications/resources/updated");
                out.put_slice(br#""uri":"#);
                json(out, self.uris[at].as_str());
                out.put_slice(b",");
            }
        }
        self.finish(out);
    }

    fn write_result(&self, out: &mut BytesMut, server_info: Option<&Raw>) {
        out.put_slice(br#"{"jsonrpc":"2.0","id":"#);
        out.put_slice(self.id.as_bytes());
        out.put_slice(br#","result":{"resultType":"complete","#);
        out.put_slice(META);
        if let Some(info) = server_info {
            out.put_slice(br#""io.modelcontextprotocol/serverInfo":"#);
            out.put_slice(info.as_bytes());
            out.put_slice(b",");
        }
        self.write_subscription(out);
    }

    /// The end of a message: in `_meta`, the subscription it belongs to.
    fn finish(&self, out: &mut BytesMut) {
        out.put_slice(META);
        self.write_subscription(out);
    }

    fn write_subscription(&self, out: &mut BytesMut) {
        out.put_slice(br#""io.modelcontextprotocol/subscriptionId":"#);
        out.put_slice(self.id.as_bytes());
        out.put_slice(b"}}}");
    }
}

/// What it says may be the client's secret, so only how much there is.
impl std::fmt::Debug for Listening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listening")
            .field("tools", &self.tools)
            .field("prompts", &self.prompts)
            .field("resources", &self.resources)
            .field("uris", &self.uris.len())
            .field("waiting", &self.waiting.len())
            .field("over", &self.is_over())
            .finish_non_exhaustive()
    }
}

const META: &[u8] = br#""_meta":{"#;

/// The beginning of a notification, up to its parameters.
fn start(out: &mut BytesMut, method: &'static str) {
    // Without an address in it, a message grows the buffer at most once.
    out.reserve(192);
    out.put_slice(br#"{"jsonrpc":"2.0","method":""#);
    out.put_slice(method.as_bytes());
    out.put_slice(br#"","params":{"#);
}

fn json(out: &mut BytesMut, value: &(impl Serialize + ?Sized)) {
    serde_json::to_writer(out.writer(), value).expect("text is JSON, and memory takes every write");
}

fn id_json(id: &RequestId, limits: &ListenLimits) -> Result<Box<str>, ErrorObject> {
    if matches!(id, RequestId::String(text) if text.len() > limits.id_bytes) {
        return Err(ErrorObject::new(
            ErrorCode::INVALID_REQUEST,
            format!("The id is longer than {} bytes. Send a shorter one.", limits.id_bytes),
        ));
    }
    let json = serde_json::to_string(id).expect("a number or text is JSON");
    Ok(json.into_boxed_str())
}

fn read_filter(params: Option<&Raw>, limits: &ListenLimits) -> Result<SubscriptionFilter, ErrorObject> {
    let refuse = |message: String| Err(ErrorObject::new(ErrorCode::INVALID_PARAMS, message));
    let filter = match parse_filter(params.unwrap_or(&Raw::empty_object())) {
        Ok(filter) => filter,
        Err(why) => return refuse(format!("The params of subscriptions/listen do not fit it: {why}")),
    };
    let uris = &filter.resource_subscriptions;
    if uris.len() > limits.resources {
        return refuse(format!(
            "`resourceSubscriptions` has more than {} URIs. Listen to fewer, or in several requests.",
            limits.resources
        ));
    }
    if uris.iter().any(|uri| uri.len() > limits.uri_bytes) {
        return refuse(format!(
            "`resourceSubscriptions` has a URI longer than {} bytes. Listen to shorter ones.",
            limits.uri_bytes
        ));
    }
    if uris.iter().map(|uri| uri.len()).sum::<usize>() > limits.filter_bytes {
        return refuse(format!(
            "`resourceSubscriptions` is longer than {} bytes. Listen to fewer resources, or in several requests.",
            limits.filter_bytes
        ));
    }
    Ok(filter)
}

/// The filter in the parameters. Both are objects: serde alone would take an array for either.
fn parse_filter(params: &Raw) -> Result<SubscriptionFilter, String> {
    #[derive(Deserialize)]
    struct Params<'a> {
        #[serde(borrow)]
        notifications: &'a RawValue,
    }
    if !params.is_object() {
        return Err("they must be an object".to_owned());
    }
    let filter = params.parse::<Params<'_>>().map_err(|error| reason(&error))?.notifications.get();
    if !filter.starts_with('{') {
        return Err("`notifications` must be an object".to_owned());
    }
    serde_json::from_str(filter).map_err(|error| reason(&error))
}

/// The part of the filter that the server offers.
fn offered_part(mut filter: SubscriptionFilter, offered: &ServerCapabilities) -> SubscriptionFilter {
    filter.tools_list_changed &= offered.tools.is_some_and(|tools| tools.list_changed);
    filter.prompts_list_changed &= offered.prompts.is_some_and(|prompts| prompts.list_changed);
    filter.resources_list_changed &= offered.resources.is_some_and(|resources| resources.list_changed);
    if !offered.resources.is_some_and(|resources| resources.subscribe) {
        filter.resource_subscriptions = Vec::new();
    }
    filter
}

#[cfg(test)]
mod tests;
