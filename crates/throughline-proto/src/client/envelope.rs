//! A request as a client writes it.

#[cfg(test)]
mod tests;

use bytes::{BufMut, BytesMut};

use crate::jsonrpc::{self, ErrorObject, Part, Raw, RequestId};
use crate::model::{LoggingLevel, Meta};
use crate::revision::Revision;

/// What goes into the `_meta` of every request of a connection.
#[derive(Clone, Debug, Default)]
pub struct Envelope {
    /// What the revision wants there: version, identity and capabilities in the modern era, nothing before it.
    base: Meta,
}

impl Envelope {
    /// The envelope of requests of this revision, by this client.
    ///
    /// # Errors
    ///
    /// When who the client is has no JSON form.
    pub fn new(revision: Revision, client: &crate::model::Client) -> Result<Self, serde_json::Error> {
        Ok(Self { base: revision.request_meta(client)? })
    }

    /// The same with the level of the log messages that are wanted; see
    /// [log level](https://modelcontextprotocol.io/specification/2026-07-28/server/utilities/logging).
    #[must_use]
    pub fn with_log_level(mut self, level: Option<LoggingLevel>) -> Self {
        if let Some(level) = level.and_then(|level| Raw::new(&level).ok()) {
            self.base.insert(Meta::LOG_LEVEL, level);
        }
        self
    }
}

/// Appends a request whose params are `params` with `_meta` completed: every byte of them stays as it is, and at the end of
/// `_meta` come `own` (a progress token, for instance) and what the envelope wants, as far as it is not there.
///
/// ```
/// use bytes::BytesMut;
/// use throughline_proto::client::{Envelope, write_call};
/// use throughline_proto::jsonrpc::{Raw, RequestId};
/// use throughline_proto::model::Meta;
///
/// let mut out = BytesMut::new();
/// let params = Raw::from_json(r#"{"name":"add"}"#)?;
/// let own = Meta::new().with("progressToken", &7)?;
/// write_call(&mut out, &RequestId::Number(7), "tools/call", &params, &own, &Envelope::default())?;
/// assert_eq!(
///     &out[..],
///     br#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"_meta":{"progressToken":7},"name":"add"}}"#
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// When `params` is no object, or has two `_meta` or one that is no object.
pub fn write_call(
    out: &mut BytesMut,
    id: &RequestId,
    method: &str,
    params: &Raw,
    own: &Meta,
    envelope: &Envelope,
) -> Result<(), ErrorObject> {
    let outline = jsonrpc::outline(Some(params))?;
    let theirs: Meta = match outline.meta {
        Some(meta) => params.slice(meta).parse().map_err(|_| {
            ErrorObject::new(jsonrpc::ErrorCode::INVALID_PARAMS, "The member \"_meta\" must be an object.")
        })?,
        None => Meta::new(),
    };
    out.put_slice(br#"{"jsonrpc":"2.0","id":"#);
    write_json(out, id);
    out.put_slice(br#","method":"#);
    write_json(out, method);
    out.put_slice(br#","params":"#);
    put_params(
        out,
        params.as_str(),
        outline.meta.map(Part::get),
        |name| theirs.get(name).is_some(),
        own,
        envelope,
    );
    out.put_u8(b'}');
    Ok(())
}

/// The text of the params as it is, with what `_meta` lacks at its end.
fn put_params(
    out: &mut BytesMut,
    text: &str,
    meta: Option<&str>,
    has: impl Fn(&str) -> bool,
    own: &Meta,
    envelope: &Envelope,
) {
    let mut added = BytesMut::new();
    let mut parted = meta.is_some_and(|meta| !is_empty(meta));
    let own_lacking = own.iter().filter(|(name, _)| !has(name));
    let base_lacking = envelope.base.iter().filter(|(name, _)| !has(name) && own.get(name).is_none());
    for (name, value) in own_lacking.chain(base_lacking) {
        write_member(&mut added, &mut parted, name, value.as_str());
    }
    let Some(meta) = meta else {
        if added.is_empty() {
            return out.put_slice(text.as_bytes());
        }
        out.put_slice(br#"{"_meta":{"#);
        out.put_slice(&added);
        out.put_slice(if is_empty(text) { b"}" } else { b"}," });
        return out.put_slice(&text.as_bytes()[1..]);
    };
    // Both are slices of the same text.
    let end = meta.as_ptr() as usize - text.as_ptr() as usize + meta.len() - 1;
    out.put_slice(&text.as_bytes()[..end]);
    out.put_slice(&added);
    out.put_slice(&text.as_bytes()[end..]);
}

/// Whether a JSON object has no members.
fn is_empty(object: &str) -> bool {
    object[1..object.len() - 1].trim_ascii().is_empty()
}

/// The members of an object in their order.
struct Members(Vec<(jsonrpc::Str, Raw)>);

impl<'de> serde::Deserialize<'de> for Members {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Members;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

fn write_json<T: serde::Serialize + ?Sized>(out: &mut BytesMut, value: &T) {
    serde_json::to_writer(out.writer(), value).expect("texts and ids have a JSON form");
}

/// Whether a result says that input is required before it is complete (`resultType`); see
/// [result types](https://modelcontextprotocol.io/specification/2026-07-28/basic/index#resulttype).
#[must_use]
pub fn is_input_required(result: &Raw) -> bool {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Typed<'a> {
        #[serde(borrow, default)]
        result_type: Option<std::borrow::Cow<'a, str>>,
    }
    // Most results do not have the word in them at all, nor escapes that could spell it.
    (result.as_str().contains("input_required") || result.as_str().contains("\\u"))
        && result
            .parse::<Typed<'_>>()
            .is_ok_and(|typed| typed.result_type.as_deref() == Some("input_required"))
}

/// The params of a request with the answers to the questions of its last round, and with its state; see
/// [MRTR](https://modelcontextprotocol.io/specification/2026-07-28/basic/patterns/mrtr#client-requirements-basic-workflow).
///
/// # Errors
///
/// When `params` is no object.
pub fn with_input(
    params: &Raw,
    answers: &[(jsonrpc::Str, Raw)],
    state: Option<&jsonrpc::Str>,
) -> Result<Raw, serde_json::Error> {
    let members: Members = params.parse()?;
    let mut out = BytesMut::new();
    out.put_u8(b'{');
    let kept = members.0.iter().filter(|(name, _)| *name != "inputResponses" && *name != "requestState");
    let mut parted = false;
    for (name, value) in kept {
        write_member(&mut out, &mut parted, name, value.as_str());
    }
    if !answers.is_empty() {
        let mut all = BytesMut::new();
        let mut first = false;
        all.put_u8(b'{');
        for (name, value) in answers {
            write_member(&mut all, &mut first, name, value.as_str());
        }
        all.put_u8(b'}');
        let all = std::str::from_utf8(&all).expect("JSON is text");
        write_member(&mut out, &mut parted, "inputResponses", all);
    }
    if let Some(state) = state {
        write_member(&mut out, &mut parted, "requestState", Raw::new(state)?.as_str());
    }
    out.put_u8(b'}');
    Raw::from_json(out.freeze())
}

fn write_member(out: &mut BytesMut, parted: &mut bool, name: &str, value: &str) {
    if std::mem::replace(parted, true) {
        out.put_u8(b',');
    }
    write_json(out, name);
    out.put_u8(b':');
    out.put_slice(value.as_bytes());
}
