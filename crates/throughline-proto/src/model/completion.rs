//! Completion of arguments while a person types them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Meta, wire};
use crate::jsonrpc::Str;

/// The parameters of `completion/complete`; see
/// [completion](https://modelcontextprotocol.io/specification/2025-11-25/server/utilities/completion).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CompleteParams {
    /// Whose argument it is.
    #[serde(rename = "ref")]
    pub reference: Reference,
    /// The argument, and what was typed so far.
    pub argument: CompletionArgument,
    /// What else is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<CompletionContext>,
    /// What the request carries beside.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl CompleteParams {
    /// Completes this argument of that prompt or template.
    pub fn new(reference: Reference, name: impl Into<Str>, value: impl Into<Str>) -> CompleteParams {
        let argument = CompletionArgument { name: name.into(), value: value.into() };
        CompleteParams { reference, argument, context: None, meta: None }
    }

    setters! {
        /// What else is known.
        with_context(context: CompletionContext) = Some(context);
        /// What the request carries beside.
        with_meta(meta: Meta) = Some(meta);
    }
}

/// Whose argument is completed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
#[non_exhaustive]
pub enum Reference {
    /// A prompt's.
    #[serde(rename = "ref/prompt")]
    Prompt(PromptReference),
    /// A resource template's.
    #[serde(rename = "ref/resource")]
    ResourceTemplate(ResourceTemplateReference),
}

impl Reference {
    /// The prompt of this name.
    pub fn prompt(name: impl Into<Str>) -> Reference {
        Reference::Prompt(PromptReference { name: name.into(), title: None })
    }

    /// The resource or template of this URI.
    pub fn resource(uri: impl Into<Str>) -> Reference {
        Reference::ResourceTemplate(ResourceTemplateReference { uri: uri.into() })
    }
}

/// Names a prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PromptReference {
    /// Its name, for programs.
    pub name: Str,
    /// Its name, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Str>,
}

/// Names a resource or a resource template.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResourceTemplateReference {
    /// The URI, or the template of URIs.
    pub uri: Str,
}

/// The argument that is being typed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CompletionArgument {
    /// Its name.
    pub name: Str,
    /// What was typed so far.
    pub value: Str,
}

/// What else is known while an argument is completed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CompletionContext {
    /// The arguments that are settled already.
    #[serde(default, deserialize_with = "wire::nullable", skip_serializing_if = "BTreeMap::is_empty")]
    pub arguments: BTreeMap<Str, Str>,
}

impl CompletionContext {
    /// Nothing else is known.
    #[must_use]
    pub fn new() -> CompletionContext {
        CompletionContext::default()
    }

    /// This argument is settled.
    #[must_use]
    pub fn with_argument(mut self, name: impl Into<Str>, value: impl Into<Str>) -> CompletionContext {
        self.arguments.insert(name.into(), value.into());
        self
    }
}

/// What an argument could become.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Completion {
    /// The values, best first; at most [`Completion::MAX_VALUES`].
    #[serde(default, deserialize_with = "wire::nullable")]
    pub values: Vec<Str>,
    /// How many there are in all, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// Whether there are more than `values` holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub has_more: Option<bool>,
}

impl Completion {
    /// The most values in one answer: the specification's limit.
    pub const MAX_VALUES: usize = 100;

    /// These values. Those over the limit are left out, and `total` and `has_more` say so.
    ///
    /// ```
    /// use throughline_proto::{jsonrpc::Str, model::Completion};
    ///
    /// let completion = Completion::new((0..250).map(|n| Str::from(n.to_string())));
    /// assert_eq!(completion.values.len(), Completion::MAX_VALUES);
    /// assert_eq!((completion.total, completion.has_more), (Some(250), Some(true)));
    /// ```
    pub fn new(values: impl IntoIterator<Item = impl Into<Str>>) -> Completion {
        let mut values = values.into_iter();
        let held: Vec<Str> = values.by_ref().take(Completion::MAX_VALUES).map(Into::into).collect();
        let rest = values.count();
        let total = held.len() + rest;
        Completion {
            values: held,
            total: Some(u64::try_from(total).unwrap_or(u64::MAX)),
            has_more: Some(rest > 0),
        }
    }

    /// Leaves out values over the limit, for completions that were filled in by hand.
    pub(crate) fn bound(&mut self) {
        if self.values.len() > Completion::MAX_VALUES {
            let held = u64::try_from(self.values.len()).unwrap_or(u64::MAX);
            self.total = Some(self.total.unwrap_or_default().max(held));
            self.values.truncate(Completion::MAX_VALUES);
            self.has_more = Some(true);
        }
    }
}

/// The answer to `completion/complete`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CompleteResult {
    /// What the argument could become.
    pub completion: Completion,
    /// What the result carries beside.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl CompleteResult {
    /// This completion.
    #[must_use]
    pub fn new(completion: Completion) -> CompleteResult {
        CompleteResult { completion, meta: None }
    }

    setters! {
        /// What the result carries beside.
        with_meta(meta: Meta) = Some(meta);
    }
}
