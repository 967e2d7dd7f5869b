//! Whether an answer is what was asked for.

use std::borrow::Cow;

use serde::Deserialize;

use super::wire::Answer;
use crate::Result;
use crate::scenario::{Way, Work};

#[derive(Deserialize)]
struct Echoed<'a> {
    id: u64,
    #[serde(borrow)]
    result: CallResult<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CallResult<'a> {
    #[serde(borrow)]
    content: Vec<Content<'a>>,
    #[serde(default)]
    is_error: bool,
    #[serde(borrow, default)]
    result_type: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow)]
    text: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Listed<'a> {
    id: u64,
    #[serde(borrow)]
    result: List<'a>,
}

#[derive(Deserialize)]
struct List<'a> {
    #[serde(borrow)]
    tools: Vec<Named<'a>>,
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
}

/// Whether request `id` got back this text, in the form that the work asks for.
pub(super) fn echo(answer: &Answer, work: Work, id: u64, text: &str) -> Result<()> {
    if answer.is_stream != work.is_stream() {
        return Err(format!("the answer is not {} as the work asks", work.media_type()).into());
    }
    let message = answer.message()?;
    if text_of(&message, work.way, id)? == text {
        Ok(())
    } else {
        Err(format!("request {id} was not answered with {text:?} but with {message}").into())
    }
}

/// The text with which request `id` was answered.
pub(super) fn text_of(message: &str, way: Way, id: u64) -> Result<Cow<'_, str>> {
    let echoed: Echoed<'_> = serde_json::from_str(message)
        .map_err(|error| format!("request {id} was answered with {message}: {error}"))?;
    let is_complete = match way {
        Way::Session | Way::Stateless => echoed.result.result_type.is_none(),
        Way::Modern => echoed.result.result_type.as_deref() == Some("complete"),
    };
    match <[Content<'_>; 1]>::try_from(echoed.result.content) {
        Ok([content]) if echoed.id == id && is_complete && !echoed.result.is_error => Ok(content.text),
        _ => Err(format!("request {id} was answered with {message}").into()),
    }
}

/// Whether request `id` got a list of so many tools, `echo` among them.
pub(super) fn list(answer: &Answer, id: u64, tools: usize) -> Result<()> {
    let message = answer.message()?;
    let listed: Listed<'_> = serde_json::from_str(&message)
        .map_err(|error| format!("request {id} was answered with {message}: {error}"))?;
    let names = &listed.result.tools;
    if listed.id == id && names.len() == tools && names.iter().any(|tool| tool.name == "echo") {
        Ok(())
    } else {
        Err(format!("request {id} asked for {tools} tools and got {}", names.len()).into())
    }
}
