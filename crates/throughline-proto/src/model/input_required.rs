//! Asking by answer: a result that says what its client has to send along when it asks again.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Meta, Method, ServerRequest};
use crate::jsonrpc::{Raw, Str};

/// The result that asks the client something before it answers; see
/// [multi round-trip requests](https://modelcontextprotocol.io/specification/2026-07-28/basic/patterns/mrtr). The client sends
/// its request again, with the answers by their names and the state as it came. One of the two must be there.
///
/// ```
/// use throughline_proto::model::{CreateMessageParams, InputRequiredResult, SamplingMessage, ServerRequest};
///
/// let ask = CreateMessageParams::new([SamplingMessage::user("Why?")], 10);
/// let result = InputRequiredResult::new().with_request("why", ServerRequest::from(ask)).with_request_state("s1");
/// assert_eq!(
///     serde_json::to_string(&result)?,
///     r#"{"inputRequests":{"why":{"method":"sampling/createMessage","params":{"messages":[{"role":"user","content":{"type":"text","text":"Why?"}}],"maxTokens":10}}},"requestState":"s1"}"#
/// );
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct InputRequiredResult {
    /// The questions, each with a name of its own.
    #[serde(
        default,
        serialize_with = "by_name",
        deserialize_with = "named",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub input_requests: Vec<(Str, InputRequest)>,
    /// What the server wants back as it is. The client must not look into it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_state: Option<Str>,
    /// What the result carries beside.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl InputRequiredResult {
    /// A result that asks nothing yet.
    #[must_use]
    pub fn new() -> InputRequiredResult {
        InputRequiredResult::default()
    }

    /// Asks one thing, under a name that no other question of this result has.
    #[must_use]
    pub fn with_request(
        mut self,
        name: impl Into<Str>,
        request: impl Into<InputRequest>,
    ) -> InputRequiredResult {
        self.input_requests.push((name.into(), request.into()));
        self
    }

    setters! {
        /// What the server wants back as it is.
        with_request_state(request_state: impl Into<Str>) = Some(request_state.into());
        /// What the result carries beside.
        with_meta(meta: Meta) = Some(meta);
    }
}

/// One question of an [`InputRequiredResult`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum InputRequest {
    /// A request; `ping` is none that can be asked so. Boxed, because it is much larger than the other.
    Request(Box<ServerRequest>),
    /// `{"method": .., "params": ..}`, as [`write_input_request`](crate::revision::Revision::write_input_request) wrote it.
    Written(Raw),
}

/// A request as it is written where it is a question.
#[derive(Serialize)]
pub(crate) struct Question<'a> {
    method: &'static str,
    params: &'a ServerRequest,
}

impl<'a> From<&'a ServerRequest> for Question<'a> {
    fn from(params: &'a ServerRequest) -> Question<'a> {
        Question { method: params.method().as_str(), params }
    }
}

impl<T: Into<ServerRequest>> From<T> for InputRequest {
    fn from(request: T) -> InputRequest {
        InputRequest::Request(Box::new(request.into()))
    }
}

impl From<Raw> for InputRequest {
    fn from(written: Raw) -> InputRequest {
        InputRequest::Written(written)
    }
}

impl Serialize for InputRequest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            InputRequest::Written(raw) => raw.serialize(serializer),
            InputRequest::Request(request) if request.method() == Method::Ping => {
                Err(S::Error::custom("a `ping` is no question: leave it out"))
            }
            InputRequest::Request(request) => Question::from(&**request).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for InputRequest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<InputRequest, D::Error> {
        #[derive(Deserialize)]
        struct Question {
            method: Str,
            params: Option<Raw>,
        }

        let Question { method, params } = Question::deserialize(deserializer)?;
        let known = Method::parse(&method).filter(|method| *method != Method::Ping);
        let request = match known {
            Some(method) => ServerRequest::parse(method, params.as_ref()).map_err(D::Error::custom)?,
            None => None,
        };
        request.map(InputRequest::from).ok_or_else(|| {
            D::Error::custom(format_args!(
                "`{method}` is no input request: ask by elicitation/create, sampling/createMessage or roots/list"
            ))
        })
    }
}

fn by_name<S: Serializer>(requests: &[(Str, InputRequest)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(requests.iter().map(|(name, request)| (name, request)))
}

fn named<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(Str, InputRequest)>, D::Error> {
    let requests = Option::<BTreeMap<Str, InputRequest>>::deserialize(deserializer)?;
    Ok(requests.into_iter().flatten().collect())
}
