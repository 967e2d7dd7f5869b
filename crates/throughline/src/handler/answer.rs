//! What functions may return.

use bytes::Bytes;
use schemars::JsonSchema;
use serde::Serialize;
use throughline_proto::jsonrpc::{Raw, Str};
use throughline_proto::model::{
    Answer, CallToolResult, Content, GetPromptResult, PromptMessage, ReadResourceResult, ResourceContents,
    Role,
};

use super::{Outcome, arguments};
use crate::error::{Error, McpError};

/// What a tool may return.
///
/// Text, numbers and booleans are sent as text; [`Json`] as structured content with a text copy; [`Content`] and lists
/// of it as they are. An `Err` is a tool error that the model sees, an [`McpError`] a protocol error, and an
/// [`InputRequired`](super::InputRequired) asks the client first.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is nothing a tool can return",
    note = "return text, a number, `Content`, `Vec<Content>`, `Json<T>`, `CallToolResult`, or a `Result` of these"
)]
pub trait IntoToolResult {
    /// The result as it goes to the client.
    ///
    /// # Errors
    ///
    /// A protocol error that is sent instead.
    fn into_tool_result(self) -> Result<CallToolResult, McpError>;

    /// The answer of the call: the result, or what has to be asked before there is one
    /// ([`InputRequired`](super::InputRequired)).
    ///
    /// # Errors
    ///
    /// A protocol error that is sent instead.
    fn into_tool_answer(self) -> Outcome
    where
        Self: Sized,
    {
        self.into_tool_result().map(Answer::CallTool)
    }

    /// The schema of the structured content, where there is one.
    fn output_schema() -> Option<Raw>
    where
        Self: Sized,
    {
        None
    }
}

/// Structured content: JSON with a schema, and a copy of it as text for clients that read no JSON.
///
/// Structured content is an object in the revisions that have sessions; another value is sent as text alone.
///
/// ```
/// use schemars::JsonSchema;
/// use serde::Serialize;
/// use throughline::{Json, tool};
///
/// #[derive(Serialize, JsonSchema)]
/// struct Weather { celsius: f64 }
///
/// let weather = tool("weather", || async { Json(Weather { celsius: 21.5 }) });
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Json<T>(pub T);

impl<T: Serialize + JsonSchema> IntoToolResult for Json<T> {
    fn into_tool_result(self) -> Result<CallToolResult, McpError> {
        let raw = Raw::new(&self.0)
            .map_err(|error| McpError::internal(format!("the result cannot be JSON: {error}")))?;
        let mut result = CallToolResult::text(raw.as_str().to_owned());
        result.structured_content = raw.is_object().then_some(raw);
        Ok(result)
    }

    fn output_schema() -> Option<Raw> {
        arguments::is_object::<T>().then(|| arguments::object_schema::<T>("the output"))
    }
}

impl IntoToolResult for CallToolResult {
    fn into_tool_result(self) -> Result<CallToolResult, McpError> {
        Ok(self)
    }
}

impl IntoToolResult for Content {
    fn into_tool_result(self) -> Result<CallToolResult, McpError> {
        Ok(CallToolResult::new(vec![self]))
    }
}

impl IntoToolResult for Vec<Content> {
    fn into_tool_result(self) -> Result<CallToolResult, McpError> {
        Ok(CallToolResult::new(self))
    }
}

impl IntoToolResult for () {
    fn into_tool_result(self) -> Result<CallToolResult, McpError> {
        Ok(CallToolResult::new(Vec::new()))
    }
}

impl IntoToolResult for String {
    fn into_tool_result(self) -> Result<CallToolResult, McpError> {
        Ok(CallToolResult::text(self))
    }
}

macro_rules! as_text {
    ($($type:ty),*) => {$(
        impl IntoToolResult for $type {
            fn into_tool_result(self) -> Result<CallToolResult, McpError> {
                Ok(CallToolResult::text(self.to_string()))
            }
        }
    )*};
}

as_text!(
    &'static str,
    Str,
    bool,
    char,
    f32,
    f64,
    i8,
    i16,
    i32,
    i64,
    i128,
    isize,
    u8,
    u16,
    u32,
    u64,
    u128,
    usize
);

impl<T: IntoToolResult, E: Into<Error>> IntoToolResult for Result<T, E> {
    fn into_tool_result(self) -> Result<CallToolResult, McpError> {
        match self {
            Ok(value) => value.into_tool_result(),
            Err(error) => match error.into().into_answer() {
                Ok(Ok(asks)) => Err(asks_in_vain(&asks)),
                Ok(Err(error)) => Err(error),
                Err(error) => Ok(CallToolResult::error(error.to_string())),
            },
        }
    }

    fn into_tool_answer(self) -> Outcome {
        match self {
            Ok(value) => value.into_tool_answer(),
            Err(error) => match error.into().into_answer() {
                Ok(answer) => answer,
                Err(error) => Ok(Answer::CallTool(CallToolResult::error(error.to_string()))),
            },
        }
    }

    fn output_schema() -> Option<Raw> {
        T::output_schema()
    }
}

/// What a prompt may return: text (one message of the user), messages, or the whole result.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is nothing a prompt can return",
    note = "return text, `Vec<PromptMessage>`, `GetPromptResult`, or a `Result` of these"
)]
pub trait IntoPromptResult {
    /// The result as it goes to the client.
    ///
    /// # Errors
    ///
    /// A protocol error that is sent instead.
    fn into_prompt_result(self) -> Result<GetPromptResult, McpError>;

    /// The answer of the call: the result, or what has to be asked before there is one
    /// ([`InputRequired`](super::InputRequired)).
    ///
    /// # Errors
    ///
    /// A protocol error that is sent instead.
    fn into_prompt_answer(self) -> Outcome
    where
        Self: Sized,
    {
        self.into_prompt_result().map(Answer::GetPrompt)
    }
}

impl IntoPromptResult for GetPromptResult {
    fn into_prompt_result(self) -> Result<GetPromptResult, McpError> {
        Ok(self)
    }
}

impl IntoPromptResult for Vec<PromptMessage> {
    fn into_prompt_result(self) -> Result<GetPromptResult, McpError> {
        Ok(GetPromptResult::new(self))
    }
}

impl IntoPromptResult for String {
    fn into_prompt_result(self) -> Result<GetPromptResult, McpError> {
        Ok(GetPromptResult::new(vec![PromptMessage::new(Role::User, Content::text(self))]))
    }
}

impl IntoPromptResult for &'static str {
    fn into_prompt_result(self) -> Result<GetPromptResult, McpError> {
        self.to_owned().into_prompt_result()
    }
}

impl<T: IntoPromptResult, E: Into<Error>> IntoPromptResult for Result<T, E> {
    fn into_prompt_result(self) -> Result<GetPromptResult, McpError> {
        self.map_err(protocol_error)?.into_prompt_result()
    }

    fn into_prompt_answer(self) -> Outcome {
        match self {
            Ok(value) => value.into_prompt_answer(),
            Err(error) => answer_of(error),
        }
    }
}

/// What a resource may return: text, bytes, contents, or the whole result.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is nothing a resource can return",
    note = "return text, bytes (`Vec<u8>` or `Bytes`), `ResourceContents`, `ReadResourceResult`, or a `Result` of these"
)]
pub trait IntoResourceResult {
    /// The result as it goes to the client, for the resource at `uri` of this media type.
    ///
    /// # Errors
    ///
    /// A protocol error that is sent instead.
    fn into_resource_result(self, uri: &str, mime_type: Option<&Str>)
    -> Result<ReadResourceResult, McpError>;

    /// The answer of the call: the result, or what has to be asked before there is one
    /// ([`InputRequired`](super::InputRequired)).
    ///
    /// # Errors
    ///
    /// A protocol error that is sent instead.
    fn into_resource_answer(self, uri: &str, mime_type: Option<&Str>) -> Outcome
    where
        Self: Sized,
    {
        self.into_resource_result(uri, mime_type).map(Answer::ReadResource)
    }
}

impl IntoResourceResult for ReadResourceResult {
    fn into_resource_result(self, _: &str, _: Option<&Str>) -> Result<ReadResourceResult, McpError> {
        Ok(self)
    }
}

impl IntoResourceResult for ResourceContents {
    fn into_resource_result(self, _: &str, _: Option<&Str>) -> Result<ReadResourceResult, McpError> {
        Ok(ReadResourceResult::new(vec![self]))
    }
}

impl IntoResourceResult for Vec<ResourceContents> {
    fn into_resource_result(self, _: &str, _: Option<&Str>) -> Result<ReadResourceResult, McpError> {
        Ok(ReadResourceResult::new(self))
    }
}

impl IntoResourceResult for String {
    fn into_resource_result(
        self,
        uri: &str,
        mime_type: Option<&Str>,
    ) -> Result<ReadResourceResult, McpError> {
        let contents = ResourceContents::text(uri.to_owned(), self);
        Ok(ReadResourceResult::new(vec![typed(contents, mime_type)]))
    }
}

impl IntoResourceResult for &'static str {
    fn into_resource_result(
        self,
        uri: &str,
        mime_type: Option<&Str>,
    ) -> Result<ReadResourceResult, McpError> {
        self.to_owned().into_resource_result(uri, mime_type)
    }
}

impl IntoResourceResult for Vec<u8> {
    fn into_resource_result(
        self,
        uri: &str,
        mime_type: Option<&Str>,
    ) -> Result<ReadResourceResult, McpError> {
        let contents = ResourceContents::blob(uri.to_owned(), &self);
        Ok(ReadResourceResult::new(vec![typed(contents, mime_type)]))
    }
}

impl IntoResourceResult for Bytes {
    fn into_resource_result(
        self,
        uri: &str,
        mime_type: Option<&Str>,
    ) -> Result<ReadResourceResult, McpError> {
        self.to_vec().into_resource_result(uri, mime_type)
    }
}

impl<T: IntoResourceResult, E: Into<Error>> IntoResourceResult for Result<T, E> {
    fn into_resource_result(
        self,
        uri: &str,
        mime_type: Option<&Str>,
    ) -> Result<ReadResourceResult, McpError> {
        self.map_err(protocol_error)?.into_resource_result(uri, mime_type)
    }

    fn into_resource_answer(self, uri: &str, mime_type: Option<&Str>) -> Outcome {
        match self {
            Ok(value) => value.into_resource_answer(uri, mime_type),
            Err(error) => answer_of(error),
        }
    }
}

fn typed(contents: ResourceContents, mime_type: Option<&Str>) -> ResourceContents {
    match mime_type {
        Some(mime_type) => contents.with_mime_type(mime_type.clone()),
        None => contents,
    }
}

/// Prompts and resources have no error results, so any error is a protocol error, unless it asks.
fn answer_of(error: impl Into<Error>) -> Outcome {
    error.into().into_answer().unwrap_or_else(|error| Err(untold(&error)))
}

/// The same where nothing can be asked.
pub(super) fn protocol_error(error: impl Into<Error>) -> McpError {
    match error.into().into_answer() {
        Ok(Ok(asks)) => asks_in_vain(&asks),
        Ok(Err(error)) => error,
        Err(error) => untold(&error),
    }
}

/// What the author returned is sent as the message; the causes behind it are not.
fn untold(error: &Error) -> McpError {
    McpError::internal(error.to_string())
}

fn asks_in_vain(_: &Answer) -> McpError {
    McpError::internal(
        "this cannot ask the client anything: only `tools/call`, `prompts/get` and `resources/read` can",
    )
}
