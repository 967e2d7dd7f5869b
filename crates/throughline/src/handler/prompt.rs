//! Prompts: templates that the client's user picks.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use throughline_proto::auth::ScopeSet;
use throughline_proto::jsonrpc::{Raw, Str, reason};
use throughline_proto::model::{self, Icon, PromptArgument};

use super::completion::{Completer, Completing, completer};
use super::function::{Arguments, Function};
use super::visibility::Visibility;
use super::{Ability, Caller, Context, IntoPromptResult, Needs, Reply, input};
use crate::error::McpError;

/// A prompt, ready to be registered: made by [`prompt`].
#[derive(Clone)]
pub struct PromptDef {
    pub(crate) prompt: model::Prompt,
    pub(crate) run: Run,
    pub(crate) completers: BTreeMap<String, Completer>,
    pub(crate) needs: Needs,
    pub(crate) visibility: Visibility,
    /// What its callers need.
    pub(crate) scopes: ScopeSet,
}

/// Of the arguments as they came.
type Run = Arc<dyn Fn(Option<Raw>, Context) -> Reply + Send + Sync>;

/// Makes a prompt of a [`Function`]. The fields of its argument type are the prompt's arguments: text on the wire, read
/// into numbers, booleans or enums where the fields are such.
///
/// ```
/// use schemars::JsonSchema;
/// use serde::Deserialize;
/// use throughline::prompt;
///
/// #[derive(Deserialize, JsonSchema)]
/// struct Review {
///     /// The language the code is in.
///     language: String,
/// }
///
/// let review = prompt("review", |args: Review| async move { format!("Review this {} code.", args.language) })
///     .description("Asks for a code review.");
/// ```
///
/// # Panics
///
/// When the arguments are not described by an object schema.
pub fn prompt<Marker, F>(name: impl Into<Str>, function: F) -> PromptDef
where
    F: Function<Marker, Output: IntoPromptResult>,
{
    let name = name.into();
    let mut prompt = model::Prompt::new(name.clone());
    prompt.arguments = arguments_of(&F::Args::schema(&name));
    let function = Arc::new(function);
    let run = move |raw: Option<Raw>, cx: Context| match read::<F::Args>(raw.as_ref()) {
        Ok(args) => {
            let again = F::HAS_CONTEXT.then(|| (cx.clone(), raw, Arc::clone(&function)));
            let future = function.invoke(args, cx);
            Reply::later(async move {
                let outcome = future.await.into_prompt_answer();
                let Some((cx, raw, function)) = again else { return outcome };
                input::answer(cx, outcome, move |cx| {
                    let future = function.invoke(read::<F::Args>(raw.as_ref())?, cx);
                    Ok(async move { future.await.into_prompt_answer() })
                })
                .await
            })
        }
        Err(misfit) => Reply::Ready(Err(misfit)),
    };
    PromptDef {
        prompt,
        run: Arc::new(run),
        completers: BTreeMap::new(),
        needs: F::needs(),
        visibility: Visibility::default(),
        scopes: ScopeSet::new(),
    }
}

impl PromptDef {
    /// The client must have declared this ability; a call of one that did not is refused before the function runs.
    pub fn needs(mut self, ability: Ability) -> Self {
        self.needs.ability(ability);
        self
    }

    /// Hides the prompt from all callers but those that `admits` takes, as [`ToolDef::visible_to`](super::ToolDef::visible_to)
    /// does. Its arguments are not completed for others either.
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

    /// What the prompt is for.
    pub fn description(mut self, text: impl Into<Str>) -> Self {
        self.prompt.description = Some(text.into());
        self
    }

    /// A name for people.
    pub fn title(mut self, text: impl Into<Str>) -> Self {
        self.prompt.title = Some(text.into());
        self
    }

    /// Icons to show.
    pub fn icons(mut self, icons: Vec<Icon>) -> Self {
        self.prompt.icons = icons;
        self
    }

    /// Lists the arguments in this order; a schema has none.
    #[doc(hidden)]
    pub fn __in_order(mut self, names: &[&str]) -> Self {
        let place = |argument: &PromptArgument| names.iter().position(|name| *name == &*argument.name);
        self.prompt.arguments.sort_by_key(place);
        self
    }

    /// Suggests values for an argument.
    pub fn complete<F, Fut>(mut self, argument: impl Into<String>, suggest: F) -> Self
    where
        F: Fn(Completing) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Vec<String>> + Send + 'static,
    {
        self.completers.insert(argument.into(), completer(suggest));
        self
    }
}

impl std::fmt::Debug for PromptDef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PromptDef").field("prompt", &self.prompt).finish_non_exhaustive()
    }
}

/// A prompt's arguments: an object of texts.
fn read<A: Arguments>(arguments: Option<&Raw>) -> Result<A, McpError> {
    let values: BTreeMap<String, String> = match arguments {
        Some(arguments) => arguments.parse().map_err(|error| {
            McpError::invalid_params(format!(
                "the arguments of a prompt are an object of texts: {}",
                reason(&error)
            ))
        })?,
        None => BTreeMap::new(),
    };
    A::from_strings(values.into_iter().collect()).map_err(McpError::invalid_params)
}

/// The fields of an object schema as prompt arguments, in the order in which the schema lists them.
fn arguments_of(schema: &Raw) -> Vec<PromptArgument> {
    let schema: serde_json::Value = schema.parse().expect("a schema is JSON");
    let required = |name: &str| {
        schema["required"].as_array().is_some_and(|names| names.iter().any(|required| required == name))
    };
    let fields = schema["properties"].as_object().into_iter().flatten();
    fields
        .map(|(name, field)| {
            let mut argument = PromptArgument::new(name.clone());
            argument.description = field["description"].as_str().map(|text| text.to_owned().into());
            argument.required = required(name);
            argument
        })
        .collect()
}
