use std::borrow::Cow;

use ::http::header::{HeaderMap, HeaderName};

use crate::http::is_token;
use crate::jsonrpc::{self, MetaOutline, Str};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const BAGGAGE: HeaderName = HeaderName::from_static("baggage");

/// Where a request stands in a trace that goes through several programs, as its sender says.
///
/// What does not follow the formats, or is longer than they make everybody carry, is left out as if it had not been sent: a
/// trace must never fail a call. There is no `tracestate` without a `traceparent`.
///
/// ```
/// use throughline_proto::jsonrpc::{Raw, meta_outline, outline};
/// use throughline_proto::stateless::TraceContext;
///
/// let params = Raw::from_json(
///     r#"{"_meta":{"traceparent":"00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01"}}"#,
/// )?;
/// let meta = meta_outline(outline(Some(&params))?.meta)?;
/// let trace = TraceContext::from_meta(&meta).expect("a parent in the right format");
/// assert_eq!(trace.trace_id(), Some("0af7651916cd43dd8448eb211c80319c"));
/// assert_eq!(trace.parent_id(), Some("00f067aa0ba902b7"));
/// assert!(trace.is_sampled());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Specification: <https://modelcontextprotocol.io/specification/2026-07-28/basic/index#meta>,
/// <https://www.w3.org/TR/trace-context/>, <https://www.w3.org/TR/baggage/>.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// Always of version 00, so that the parts have fixed places.
    traceparent: Option<Str>,
    tracestate: Option<Str>,
    baggage: Option<Str>,
}

impl TraceContext {
    /// That of a request: from its `_meta` if there is any in it, else from the headers it came with. The two are not mixed,
    /// because the headers may be those of a proxy.
    #[must_use]
    pub fn of(meta: &MetaOutline<'_>, headers: Option<&HeaderMap>) -> Option<TraceContext> {
        TraceContext::from_meta(meta).or_else(|| TraceContext::from_headers(headers?))
    }

    /// The members `traceparent`, `tracestate` and `baggage` of a `_meta`; `None` when there is nothing in them.
    #[must_use]
    pub fn from_meta(meta: &MetaOutline<'_>) -> Option<TraceContext> {
        let text = |part: Option<jsonrpc::Part<'_>>| part.and_then(jsonrpc::text).map(Cow::into_owned);
        if meta.traceparent.is_none() && meta.baggage.is_none() {
            return None;
        }
        TraceContext::new(text(meta.traceparent), text(meta.tracestate), text(meta.baggage))
    }

    /// The headers of the same names; `None` when there is nothing in them.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Option<TraceContext> {
        // One walk over all headers costs less than looking for each.
        static NAMES: [HeaderName; 2] = [TRACEPARENT, BAGGAGE];
        if !headers.keys().any(|name| NAMES.contains(name)) {
            return None;
        }
        // Several values of a header that is a list are one list. `traceparent` is none, and a comma makes it unreadable.
        let text = |name: &HeaderName| {
            let values: Option<Vec<&str>> =
                headers.get_all(name).iter().map(|value| value.to_str().ok()).collect();
            values.filter(|values| !values.is_empty()).map(|values| values.join(","))
        };
        TraceContext::new(text(&TRACEPARENT), text(&TRACESTATE), text(&BAGGAGE))
    }

    fn new(
        traceparent: Option<String>,
        tracestate: Option<String>,
        baggage: Option<String>,
    ) -> Option<TraceContext> {
        let traceparent = traceparent.and_then(|text| parent(&text));
        let tracestate = tracestate.filter(|text| traceparent.is_some() && is_tracestate(text));
        let baggage = baggage.filter(|text| is_baggage(text));
        (traceparent.is_some() || baggage.is_some()).then(|| TraceContext {
            traceparent: traceparent.map(Str::from),
            tracestate: tracestate.map(Str::from),
            baggage: baggage.map(Str::from),
        })
    }

    /// `traceparent`, in version 00 of its format: 55 characters.
    #[must_use]
    pub fn traceparent(&self) -> Option<&str> {
        self.traceparent.as_deref()
    }

    /// `tracestate`: at most 32 entries in 512 bytes.
    #[must_use]
    pub fn tracestate(&self) -> Option<&str> {
        self.tracestate.as_deref()
    }

    /// `baggage`: at most 64 entries in 8,192 bytes.
    #[must_use]
    pub fn baggage(&self) -> Option<&str> {
        self.baggage.as_deref()
    }

    /// The headers that pass it on, those there are: `traceparent`, `tracestate` and `baggage` with their values. The members
    /// of a `_meta` have the same names and values.
    ///
    /// The span of the sender stays the parent. A program that makes spans of its own puts them in its place.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let pairs = [
            ("traceparent", self.traceparent()),
            ("tracestate", self.tracestate()),
            ("baggage", self.baggage()),
        ];
        pairs.into_iter().filter_map(|(name, value)| Some((name, value?)))
    }

    /// The id of the trace: 32 hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> Option<&str> {
        self.traceparent.as_deref().map(|text| &text[3..35])
    }

    /// The id of the span that the sender made for this request: 16 hexadecimal digits.
    #[must_use]
    pub fn parent_id(&self) -> Option<&str> {
        self.traceparent.as_deref().map(|text| &text[36..52])
    }

    /// Whether the sender records the trace.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.traceparent
            .as_deref()
            .is_some_and(|text| u8::from_str_radix(&text[53..], 16).is_ok_and(|flags| flags & 1 == 1))
    }
}

/// A `traceparent` brought to version 00; `None` when it is none.
///
/// A later version begins with the same parts, and of its flags only the first is known to mean the same; see
/// <https://www.w3.org/TR/trace-context/#versioning-of-traceparent>.
fn parent(text: &str) -> Option<String> {
    let text = text.trim_matches([' ', '\t']);
    let parts = text.get(..55)?;
    let [version, trace, parent, flags] = parts.split('-').collect::<Vec<_>>().try_into().ok()?;
    let is_hex = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_id = |part: &str, length: usize| is_hex(part, length) && part.bytes().any(|byte| byte != b'0');
    let is_sound = is_hex(version, 2) && is_id(trace, 32) && is_id(parent, 16) && is_hex(flags, 2);
    match (version, &text[55..]) {
        _ if !is_sound => None,
        ("ff", _) => None,
        ("00", "") => Some(text.to_owned()),
        ("00", _) => None,
        (_, rest) if rest.is_empty() || rest.starts_with('-') => {
            let flags = u8::from_str_radix(flags, 16).ok()? & 1;
            Some(format!("00-{trace}-{parent}-{flags:02x}"))
        }
        _ => None,
    }
}

/// <https://www.w3.org/TR/trace-context/#tracestate-header-field-values>
fn is_tracestate(text: &str) -> bool {
    const MOST: usize = 32;
    const MAX_LENGTH: usize = 512;
    if text.len() > MAX_LENGTH {
        return false;
    }
    let mut keys = Vec::new();
    for entry in entries(text) {
        let Some((key, value)) = entry.split_once('=') else { return false };
        if keys.len() == MOST || keys.contains(&key) || !is_state_key(key) || !is_state_value(value) {
            return false;
        }
        keys.push(key);
    }
    !keys.is_empty()
}

fn is_state_key(key: &str) -> bool {
    let is_first = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    key.len() <= 256
        && key.as_bytes().first().is_some_and(is_first)
        && key.bytes().all(|byte| is_first(&byte) || b"_-*/@".contains(&byte))
        && key.bytes().filter(|byte| *byte == b'@').count() <= 1
}

fn is_state_value(value: &str) -> bool {
    (1..=256).contains(&value.len())
        && !value.ends_with(' ')
        && value.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'=')
}

/// <https://www.w3.org/TR/baggage/#baggage-http-header-format>
fn is_baggage(text: &str) -> bool {
    const MOST: usize = 64;
    const MAX_LENGTH: usize = 8192;
    if text.len() > MAX_LENGTH {
        return false;
    }
    let mut count = 0;
    for entry in entries(text) {
        count += 1;
        let mut parts = entry.split(';').map(|part| part.trim_matches([' ', '\t']));
        let is_entry = parts.next().is_some_and(|part| is_pair(part, true));
        if count > MOST || !is_entry || !parts.all(|property| is_pair(property, false)) {
            return false;
        }
    }
    count > 0
}

/// A key of baggage with its value, which a property may lack.
fn is_pair(text: &str, needs_value: bool) -> bool {
    let (key, value) = match text.split_once('=') {
        Some((key, value)) => {
            (key.trim_end_matches([' ', '\t']), Some(value.trim_start_matches([' ', '\t'])))
        }
        None => (text, None),
    };
    let is_octet = |byte: u8| matches!(byte, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e);
    is_token(key) && value.map_or(!needs_value, |value| value.bytes().all(is_octet))
}

/// The entries of a list that is separated by commas. Empty ones are allowed and say nothing.
fn entries(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(|entry| entry.trim_matches([' ', '\t'])).filter(|entry| !entry.is_empty())
}

#[cfg(test)]
mod tests;
