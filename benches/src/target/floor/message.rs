//! As much of a request as the floor has to understand.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
pub(super) struct Message<'a> {
    #[serde(borrow)]
    pub(super) method: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) params: Option<&'a RawValue>,
}

/// A call of any tool. What a call says about itself is skipped: only progress needs it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Call<'a> {
    #[serde(borrow)]
    pub(super) name: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) arguments: Text<'a>,
    #[serde(borrow, default)]
    pub(super) request_state: Option<Cow<'a, str>>,
}

#[derive(Deserialize, Default)]
pub(super) struct Text<'a> {
    #[serde(borrow, default)]
    pub(super) text: Cow<'a, str>,
}

/// A call that reports progress.
#[derive(Deserialize)]
pub(super) struct ProgressCall<'a> {
    #[serde(borrow, rename = "_meta")]
    pub(super) meta: Meta<'a>,
    pub(super) arguments: Count,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Meta<'a> {
    #[serde(borrow)]
    pub(super) progress_token: &'a RawValue,
}

#[derive(Deserialize)]
pub(super) struct Count {
    pub(super) count: u32,
}
