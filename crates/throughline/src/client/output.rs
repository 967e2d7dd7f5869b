//! The structured content of a tool's result: checked against the tool's output schema, and read.

#[cfg(feature = "client")]
use std::sync::Arc;

use serde::de::DeserializeOwned;
use throughline_proto::jsonrpc::{self, Raw, Str, excerpt, reason};
use throughline_proto::model::{CallToolResult, Content};

use super::call::Spec;
#[cfg(feature = "client")]
use super::core::Core;
use super::{Calling, ClientError};

impl<'a> Calling<'a, CallToolResult> {
    /// Gives the result's [structured
    /// content](https://modelcontextprotocol.io/specification/2025-11-25/server/tools#structured-content), read as a `T`.
    ///
    /// With the feature `client` it is checked against the tool's output schema first. Where the tool is not known yet, or
    /// the server said that its tools changed, they are listed before the call is made. A `$ref` to another document is
    /// never followed. Without the feature nothing is checked but that it is a `T`.
    ///
    /// ```
    /// use schemars::JsonSchema;
    /// use serde::{Deserialize, Serialize};
    /// use serde_json::json;
    /// use throughline::{Client, Json, Server, StreamableHttp, tool};
    ///
    /// #[derive(Serialize, Deserialize, JsonSchema)]
    /// struct Weather { celsius: f64 }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), throughline::ClientError> {
    /// let server = Server::new("demo", "1.0.0").tool(tool("weather", || async { Json(Weather { celsius: 21.5 }) }));
    /// let client = Client::over(StreamableHttp::new(server)).await?;
    /// let weather: Weather = client.call_tool("weather", &json!({})).output().await?;
    /// assert_eq!(weather.celsius, 21.5);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of a call, and
    ///
    /// - the tool's own text when the tool failed ([`ClientError::is_tool_error`]),
    /// - the place that does not fit when the content is not what the output schema says, or there is none where there
    ///   must be ([`ClientError::is_protocol_violation`]), or the schema cannot be used,
    /// - the place that does not fit when it is no `T`.
    pub fn output<T: DeserializeOwned>(self) -> Calling<'a, T> {
        self.checked(read::<T>)
    }
}

/// Lists the tools when they have to be known for the check.
#[cfg(feature = "client")]
pub(crate) async fn prepare(core: &Arc<Core>, spec: &Spec) -> Result<(), ClientError> {
    match tool_name(&spec.params) {
        Some(tool) => core.tools.know(core, &tool).await,
        None => Ok(()),
    }
}

/// Checks a result against the output schema of its tool.
#[cfg(feature = "client")]
pub(crate) async fn check(core: &Core, spec: &Spec, result: &Raw) -> Result<(), ClientError> {
    let Some(tool) = tool_name(&spec.params) else { return Ok(()) };
    let Some(schema) = core.tools.get(&tool).and_then(|known| known.output_schema) else { return Ok(()) };
    // What is no result, or that of a tool that failed, is told when it is read.
    let Ok(result) = result.parse::<CallToolResult>() else { return Ok(()) };
    match result.structured_content {
        _ if result.is_error => Ok(()),
        Some(content) => core.schemas.check(&tool, &schema, &content).await,
        None => Err(ClientError::peer(format!(
            "the result of the tool `{}` has no structured content, though the tool has an output schema",
            excerpt(&tool)
        ))),
    }
}

pub(crate) fn read<T: DeserializeOwned>(spec: &Spec, result: Raw) -> Result<T, ClientError> {
    let tool = tool_name(&spec.params).unwrap_or_default();
    let shown = excerpt(&tool);
    let result: CallToolResult = result.parse().map_err(|error| {
        ClientError::peer(format!("the result of the tool `{shown}` is none: {}", reason(&error)))
    })?;
    if result.is_error {
        return Err(ClientError::tool(
            text_of(&result).unwrap_or_else(|| format!("the tool `{shown}` failed, and does not say why")),
        ));
    }
    let Some(content) = result.structured_content else {
        return Err(ClientError::misfit(format!(
            "the result of the tool `{shown}` has no structured content: read its `content` instead"
        )));
    };
    let mut reading = serde_json::Deserializer::from_str(content.as_str());
    serde_path_to_error::deserialize(&mut reading).map_err(|error| {
        let (place, why) = (error.path().to_string(), reason(error.inner()));
        let at = if place == "." { String::new() } else { format!(" at `{}`", excerpt(&place)) };
        ClientError::misfit(format!(
            "the result of the tool `{shown}` is not what is expected here{at}: {why}"
        ))
    })
}

/// Which tool is called with these params.
pub(crate) fn tool_name(params: &Raw) -> Option<Str> {
    let outline = jsonrpc::outline(Some(params)).ok()?;
    outline.name.and_then(|name| params.text_of(name))
}

/// What a tool that failed says.
fn text_of(result: &CallToolResult) -> Option<String> {
    let texts: Vec<&str> = result.content.iter().filter_map(Content::as_text).collect();
    Some(texts.join("\n")).filter(|text| !text.trim().is_empty())
}
