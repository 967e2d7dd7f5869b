//! Tools: functions that the client's model may call.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use throughline_proto::auth::ScopeSet;
use throughline_proto::http::ParamHeaders;
use throughline_proto::jsonrpc::{Raw, Str};
use throughline_proto::model;
use throughline_proto::model::{Answer, CallToolResult, Icon, ToolAnnotations};

use super::function::{Arguments, Function};
use super::visibility::Visibility;
use super::{Ability, Caller, Context, IntoToolResult, Misuse, Needs, Reply, headers, input};
use crate::error::McpError;

/// A tool, ready to be registered: made by [`tool`].
#[derive(Clone)]
pub struct ToolDef {
    pub(crate) tool: model::Tool,
    pub(crate) run: Run,
    pub(crate) timeout: Option<Duration>,
    pub(crate) needs: Needs,
    pub(crate) visibility: Visibility,
    /// What its callers need.
    pub(crate) scopes: ScopeSet,
    /// Arguments and the headers that carry them too, until the tool is registered: then its schema says it.
    headers: Vec<(Str, Str)>,
    /// What the headers of a call must say, known once the tool is registered.
    pub(super) param_headers: Option<Arc<ParamHeaders>>,
}

type Run = Arc<dyn Fn(Raw, Context) -> Reply + Send + Sync>;

/// Makes a tool of a [`Function`]. Its name is what the model calls it by.
///
/// ```
/// use schemars::JsonSchema;
/// use serde::Deserialize;
/// use throughline::tool;
///
/// #[derive(Deserialize, JsonSchema)]
/// struct Add { a: i64, b: i64 }
///
/// let add = tool("add", |args: Add| async move { args.a + args.b }).description("Adds two integers.");
/// ```
///
/// # Panics
///
/// When the arguments are not described by an object schema.
pub fn tool<Marker, F>(name: impl Into<Str>, function: F) -> ToolDef
where
    F: Function<Marker, Output: IntoToolResult>,
{
    let name = name.into();
    let mut tool = model::Tool::new(name.clone(), F::Args::schema(&name));
    tool.output_schema = <F::Output as IntoToolResult>::output_schema();
    let function = Arc::new(function);
    let run = move |raw: Raw, cx: Context| match F::Args::from_json(&raw) {
        Ok(args) => {
            let again = F::HAS_CONTEXT.then(|| (cx.clone(), raw, Arc::clone(&function)));
            let future = function.invoke(args, cx);
            Reply::later(async move {
                let outcome = future.await.into_tool_answer();
                let Some((cx, raw, function)) = again else { return outcome };
                input::answer(cx, outcome, move |cx| {
                    let args = F::Args::from_json(&raw).map_err(McpError::invalid_params)?;
                    let future = function.invoke(args, cx);
                    Ok(async move { future.await.into_tool_answer() })
                })
                .await
            })
        }
        Err(misfit) => refuse(misfit, &cx),
    };
    ToolDef {
        tool,
        run: Arc::new(run),
        timeout: None,
        needs: F::needs(),
        visibility: Visibility::default(),
        scopes: ScopeSet::new(),
        headers: Vec::new(),
        param_headers: None,
    }
}

impl ToolDef {
    /// The client must have declared this ability; a call of one that did not is refused before the function runs.
    pub fn needs(mut self, ability: Ability) -> Self {
        self.needs.ability(ability);
        self
    }

    /// Hides the tool from all callers but those that `admits` takes: for others it is neither listed nor callable, and a
    /// call of it is answered as if it did not exist. Said twice, both must take the caller.
    ///
    /// `admits` runs for each call and each entry of a list, so it must be quick.
    ///
    /// ```
    /// use throughline::{Server, tool};
    ///
    /// let restart = tool("restart", || async { "restarted" })
    ///     .visible_to(|caller| caller.principal().is_some_and(|who| &*who.subject == "operator"));
    /// let server = Server::new("demo", "1.0.0").tool(restart);
    /// ```
    pub fn visible_to(mut self, admits: impl Fn(&Caller) -> bool + Send + Sync + 'static) -> Self {
        self.visibility.narrow(admits);
        self
    }

    /// The needs of its extractors take the place of what was thought of its context.
    #[doc(hidden)]
    pub fn __extracting(mut self, extractors: &[fn(&mut Needs)]) -> Self {
        self.needs = Needs::default();
        extractors.iter().for_each(|declare| declare(&mut self.needs));
        self
    }

    /// What the tool does, for the model.
    pub fn description(mut self, text: impl Into<Str>) -> Self {
        self.tool.description = Some(text.into());
        self
    }

    /// A name for people.
    pub fn title(mut self, text: impl Into<Str>) -> Self {
        self.tool.title = Some(text.into());
        self
    }

    /// Hints about what the tool does to the world.
    pub fn annotations(mut self, annotations: ToolAnnotations) -> Self {
        self.tool.annotations = Some(annotations);
        self
    }

    /// Icons to show.
    pub fn icons(mut self, icons: Vec<Icon>) -> Self {
        self.tool.icons = icons;
        self
    }

    /// A schema of your own for the arguments instead of the derived one; it must describe an object.
    pub fn input_schema(mut self, schema: Raw) -> Self {
        self.tool.input_schema = in_one_line(schema);
        self
    }

    /// Has clients of the modern era send this argument in the header `Mcp-Param-{name}` too, so that proxies can route by
    /// it without reading the body. Over HTTP, a call whose header says something else than its body is refused before the
    /// function runs (400, -32020). What carries a secret does not belong in a header.
    ///
    /// The argument is a text, an integer or a boolean, or an `Option` of one; the name is letters, digits and `-`, and
    /// no two of a tool are the same, whatever their case. What breaks this is refused when the tool is registered
    /// ([`x-mcp-header`](https://modelcontextprotocol.io/specification/2026-07-28/server/tools#x-mcp-header)).
    ///
    /// ```
    /// use schemars::JsonSchema;
    /// use serde::Deserialize;
    /// use throughline::{Server, tool};
    ///
    /// #[derive(Deserialize, JsonSchema)]
    /// struct Query { region: String, sql: String }
    ///
    /// let query = tool("query", |query: Query| async move { format!("{}: {}", query.region, query.sql) })
    ///     .header("region", "Region");
    /// let server = Server::new("demo", "1.0.0").tool(query);
    /// ```
    pub fn header(mut self, argument: impl Into<Str>, name: impl Into<Str>) -> Self {
        self.headers.push((argument.into(), name.into()));
        self
    }

    /// What can only be told when nothing more is said about the tool: the headers of its arguments.
    pub(super) fn finish(&mut self) -> Result<(), Misuse> {
        let marks = std::mem::take(&mut self.headers);
        if !marks.is_empty() {
            self.tool.input_schema = headers::mark(&self.tool.name, &self.tool.input_schema, &marks)?;
        }
        let compiled = ParamHeaders::compile(&self.tool.input_schema).map_err(|why| {
            Misuse::new(format!("clients would leave the tool `{}` out: {why}", self.tool.name))
        })?;
        self.param_headers = compiled.map(Arc::new);
        Ok(())
    }

    /// Whether the headers of a call say what its arguments say, where it came with headers.
    pub(super) fn check_headers(
        &self,
        headers: Option<&HeaderMap>,
        arguments: Option<&Raw>,
    ) -> Result<(), McpError> {
        match (&self.param_headers, headers) {
            (Some(params), Some(headers)) => {
                params.check(headers, arguments).map_err(|refusal| refusal.error().into())
            }
            _ => Ok(()),
        }
    }

    /// A schema for the structured content.
    pub fn output_schema(mut self, schema: Raw) -> Self {
        self.tool.output_schema = Some(in_one_line(schema));
        self
    }

    /// Ends the call with an error after this time. Without it a call may take as long as it wants.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.tool.name
    }
}

impl std::fmt::Debug for ToolDef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ToolDef")
            .field("tool", &self.tool)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// Arguments that do not fit: the model sees a tool error and can try again, or, where the revision says so, the client
/// gets -32602 ([SEP-1303](https://modelcontextprotocol.io/specification/2025-11-25/server/tools#error-handling)).
#[cold]
fn refuse(misfit: String, cx: &Context) -> Reply {
    Reply::Ready(if cx.caller().revision().argument_errors_are_results() {
        Ok(Answer::CallTool(CallToolResult::error(misfit)))
    } else {
        Err(McpError::invalid_params(misfit))
    })
}

/// A schema without the line breaks and the indentation that it was written with: they can only be white space between
/// tokens. An event has a `data` line for each line of its message, and some clients read the first alone.
fn in_one_line(schema: Raw) -> Raw {
    if !schema.as_str().contains(['\n', '\r']) {
        return schema;
    }
    let line: String = schema.as_str().split(['\n', '\r']).map(str::trim).collect();
    Raw::from_json(line).expect("what is left of JSON without white space between its tokens is JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_by_hand_is_written_in_one_line() {
        let raw = |text: &str| Raw::from_json(text.to_owned()).expect("JSON");
        let spread =
            raw("{\r\n  \"type\": \"object\",\n\t\"enum\": [1,\n\n 2],\r  \"title\": \" a\\nb \"\n}");
        let line = in_one_line(spread.clone());
        assert_eq!(line.as_str(), r#"{"type": "object","enum": [1,2],"title": " a\nb "}"#);
        let parsed = |raw: &Raw| raw.parse::<serde_json::Value>().expect("JSON");
        assert_eq!(parsed(&line), parsed(&spread));
        assert_eq!(in_one_line(raw("{ }")).as_str(), "{ }");
    }
}
