//! The messages, as far as these tools need them. A request is read in one pass and borrows from its body.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

#[derive(Deserialize)]
pub(crate) struct Message<'a> {
    #[serde(borrow)]
    pub(crate) id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) method: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) params: Params<'a>,
}

/// The parameters of every request there is.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(crate) struct Params<'a> {
    #[serde(borrow)]
    pub(crate) name: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) arguments: Arguments<'a>,
    #[serde(borrow, rename = "_meta")]
    pub(crate) meta: Meta<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(crate) struct Arguments<'a> {
    #[serde(borrow)]
    pub(crate) text: Option<Text<'a>>,
    pub(crate) count: Option<u32>,
}

/// A string that borrows where it has no escapes.
#[derive(Deserialize, Serialize)]
#[serde(transparent)]
pub(crate) struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize, Default)]
#[serde(default)]
pub(crate) struct Meta<'a> {
    #[serde(borrow, rename = "progressToken")]
    pub(crate) progress_token: Option<&'a RawValue>,
    #[serde(borrow, rename = "io.modelcontextprotocol/protocolVersion")]
    pub(crate) version: Cow<'a, str>,
}

#[derive(Serialize)]
pub(crate) struct Reply<'a, T> {
    jsonrpc: &'static str,
    id: &'a RawValue,
    result: T,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CallResult<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    result_type: Option<&'static str>,
    content: [Content<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct List<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    result_type: Option<&'static str>,
    tools: &'a RawValue,
}

#[derive(Serialize)]
struct Content<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    text: Text<'a>,
}

#[derive(Serialize)]
pub(crate) struct Refusal<'a> {
    jsonrpc: &'static str,
    id: &'a RawValue,
    error: Reason,
}

#[derive(Serialize)]
struct Reason {
    code: i32,
    message: &'static str,
}

#[derive(Serialize)]
pub(crate) struct Notification<'a> {
    jsonrpc: &'static str,
    method: &'static str,
    params: Progress<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Progress<'a> {
    pub(crate) progress_token: &'a RawValue,
    pub(crate) progress: u32,
}

impl Text<'static> {
    pub(crate) fn of(text: &'static str) -> Self {
        Self(text.into())
    }
}

impl<'a, T> Reply<'a, T> {
    pub(crate) fn new(id: &'a RawValue, result: T) -> Self {
        Self { jsonrpc: "2.0", id, result }
    }
}

impl<'a> CallResult<'a> {
    pub(crate) fn new(text: Text<'a>, is_modern: bool) -> Self {
        Self { result_type: result_type(is_modern), content: [Content { kind: "text", text }] }
    }
}

impl<'a> List<'a> {
    pub(crate) fn new(tools: &'a RawValue, is_modern: bool) -> Self {
        Self { result_type: result_type(is_modern), tools }
    }
}

fn result_type(is_modern: bool) -> Option<&'static str> {
    is_modern.then_some("complete")
}

impl<'a> Refusal<'a> {
    pub(crate) fn new(id: &'a RawValue, code: i32, message: &'static str) -> Self {
        Self { jsonrpc: "2.0", id, error: Reason { code, message } }
    }
}

impl<'a> Notification<'a> {
    pub(crate) fn progress(params: Progress<'a>) -> Self {
        Self { jsonrpc: "2.0", method: "notifications/progress", params }
    }
}
