//! Results of the modern era: with their type, their server's identity and their cache hints.
//!
//! What a result says beside its own members is written before them, into the same buffer: a result is serialized once.

use std::collections::BTreeSet;

use bytes::BytesMut;
use serde::ser::Error as _;

use super::Revision;
use crate::jsonrpc::{self, Raw, ResultOutline, Str};
use crate::model::{Answer, CacheHints, CacheScope, Implementation, InputRequest, Meta};

/// What every result of the modern era says beside, the same for many results.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResultExtras {
    /// Who the server is: an [`Implementation`] as JSON; `None` keeps it to itself. See
    /// [per-response fields](https://modelcontextprotocol.io/specification/2026-07-28/basic/index#_meta).
    pub server_info: Option<Raw>,
    /// How a result may be kept that says nothing of its own about it.
    pub cache: CacheHints,
}

impl ResultExtras {
    /// No identity, and nothing may be kept.
    pub const NONE: ResultExtras =
        ResultExtras { server_info: None, cache: CacheHints { ttl_ms: 0, scope: CacheScope::Private } };

    /// Results of this server, which may be kept so.
    ///
    /// # Errors
    ///
    /// When the implementation has no JSON form.
    pub fn new(server_info: &Implementation, cache: CacheHints) -> Result<ResultExtras, serde_json::Error> {
        Ok(ResultExtras { server_info: Some(Raw::new(server_info)?), cache })
    }
}

/// Writes the result of an answer that was brought down to the revision's form.
pub(super) fn write(
    revision: Revision,
    out: &mut BytesMut,
    answer: &mut Answer,
    extras: &ResultExtras,
) -> Result<(), serde_json::Error> {
    let kind = match answer {
        Answer::Custom(raw) => return write_custom(out, raw, extras),
        Answer::Initialize(_) => {
            return Err(serde_json::Error::custom(format_args!(
                "protocol revision {revision} has no `initialize`: refuse it"
            )));
        }
        Answer::InputRequired(result)
            if result.input_requests.is_empty() && result.request_state.is_none() =>
        {
            return Err(serde_json::Error::custom(
                "a result that requires input needs a question or a state: give it one of them",
            ));
        }
        Answer::InputRequired(result) => {
            if let Some(name) = repeated(&result.input_requests) {
                return Err(serde_json::Error::custom(format_args!(
                    "two questions of one result are named `{name}`: name each once"
                )));
            }
            INPUT_REQUIRED
        }
        _ => COMPLETE,
    };
    if let Some((ttl_ms, scope)) = answer.cache_mut() {
        ttl_ms.get_or_insert(extras.cache.ttl_ms);
        scope.get_or_insert(extras.cache.scope);
    }
    let meta = answer.meta_mut().and_then(Option::take);
    out.extend_from_slice(b"{");
    out.extend_from_slice(kind);
    let written = write_meta(out, meta.as_ref(), extras).and_then(|()| continue_object(out, answer));
    if let Some(place) = answer.meta_mut() {
        *place = meta;
    }
    written
}

/// A name that two questions have.
fn repeated(requests: &[(Str, InputRequest)]) -> Option<&Str> {
    let mut names = BTreeSet::new();
    requests.iter().map(|(name, _)| name).find(|name| !names.insert(name.as_str()))
}

/// Writes `_meta` with the server's identity, after other members.
fn write_meta(
    out: &mut BytesMut,
    meta: Option<&Meta>,
    extras: &ResultExtras,
) -> Result<(), serde_json::Error> {
    let own = |meta: &&Meta| meta.get(Meta::SERVER_INFO).is_some();
    let server_info = extras.server_info.as_ref().filter(|_| meta.as_ref().is_none_or(|meta| !own(meta)));
    if meta.is_none() && server_info.is_none() {
        return Ok(());
    }
    out.extend_from_slice(br#","_meta":{"#);
    let mut first = true;
    if let Some(server_info) = server_info {
        write_server_info(out, server_info);
        first = false;
    }
    for (name, value) in meta.into_iter().flat_map(Meta::iter) {
        if !std::mem::take(&mut first) {
            out.extend_from_slice(b",");
        }
        jsonrpc::write_value(out, name)?;
        out.extend_from_slice(b":");
        out.extend_from_slice(value.as_bytes());
    }
    out.extend_from_slice(b"}");
    Ok(())
}

/// Writes the members of the answer after others of the same object, and ends the object.
fn continue_object(out: &mut BytesMut, answer: &Answer) -> Result<(), serde_json::Error> {
    let start = out.len();
    jsonrpc::write_value(out, answer)?;
    if out[start..] == *b"{}" {
        out.truncate(start);
        out.extend_from_slice(b"}");
    } else {
        // What opened an object of its own parts two members now.
        debug_assert_eq!(out[start], b'{', "an answer is an object");
        out[start] = b',';
    }
    Ok(())
}

/// Writes a result that is already JSON: its own members stay as they are.
fn write_custom(out: &mut BytesMut, raw: &Raw, extras: &ResultExtras) -> Result<(), serde_json::Error> {
    let outline = ResultOutline::read(raw, Meta::SERVER_INFO)?;
    let text = raw.as_str();
    let mut parted = b"{".as_slice();
    if !outline.has_type {
        out.extend_from_slice(parted);
        out.extend_from_slice(COMPLETE);
        parted = b",";
    }
    let server_info = extras.server_info.as_ref();
    if let (None, Some(server_info)) = (&outline.meta, server_info) {
        out.extend_from_slice(parted);
        out.extend_from_slice(br#""_meta":{"#);
        write_server_info(out, server_info);
        out.extend_from_slice(b"}");
        parted = b",";
    }
    if outline.is_empty {
        // Its type was written, since it had none.
        out.extend_from_slice(b"}");
        return Ok(());
    }
    out.extend_from_slice(parted);
    let mut from = 1;
    if let (Some(meta), Some(server_info)) = (outline.meta, server_info)
        && !meta.has_name
    {
        out.extend_from_slice(&text.as_bytes()[from..meta.inside]);
        write_server_info(out, server_info);
        if !meta.is_empty {
            out.extend_from_slice(b",");
        }
        from = meta.inside;
    }
    out.extend_from_slice(&text.as_bytes()[from..]);
    Ok(())
}

fn write_server_info(out: &mut BytesMut, server_info: &Raw) {
    out.extend_from_slice(SERVER_INFO_KEY);
    out.extend_from_slice(server_info.as_bytes());
}

const COMPLETE: &[u8] = br#""resultType":"complete""#;
const INPUT_REQUIRED: &[u8] = br#""resultType":"input_required""#;
/// [`Meta::SERVER_INFO`] as a member's name.
const SERVER_INFO_KEY: &[u8] = br#""io.modelcontextprotocol/serverInfo":"#;
