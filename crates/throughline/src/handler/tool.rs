//! Tools: functions that the client's model may call.

use std::sync::Arc;
use std::time::Duration;

use throughline_proto::jsonrpc::{Raw, Str};
use throughline_proto::model;
use throughline_proto::model::{Answer, CallToolResult, Icon, ToolAnnotations};

use super::function::{Arguments, Function};
use super::visibility::Visibility;
use super::{Ability, Caller, Context, IntoToolResult, Needs, Reply};
use crate::error::McpError;

/// A tool, ready to be registered: made by [`tool`].
#[derive(Clone)]
pub struct ToolDef {
    pub(crate) tool: model::Tool,
    pub(crate) run: Run,
    pub(crate) timeout: Option<Duration>,
    pub(crate) needs: Needs,
    pub(crate) visibility: Visibility,
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
    let run = move |raw: Raw, cx: Context| match F::Args::from_json(&raw) {
        Ok(args) => {
            let future = function.invoke(args, cx);
            Reply::later(async move { future.await.into_tool_result().map(Answer::CallTool) })
        }
        Err(misfit) => refuse(misfit, &cx),
    };
    ToolDef { tool, run: Arc::new(run), timeout: None, needs: F::needs(), visibility: Visibility::default() }
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
        self.tool.input_schema = schema;
        self
    }

    /// A schema for the structured content.
    pub fn output_schema(mut self, schema: Raw) -> Self {
        self.tool.output_schema = Some(schema);
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
