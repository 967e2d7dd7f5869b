//! Suggestions for the arguments of prompts and the variables of templates.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// A suggester for one argument.
pub(crate) type Completer =
    Arc<dyn Fn(Completing) -> Pin<Box<dyn Future<Output = Vec<String>> + Send>> + Send + Sync>;

/// What a client is completing: the text so far, and the arguments it has already.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Completing {
    /// What the user typed so far.
    pub value: String,
    /// The other arguments, where the client sends them (from revision 2025-06-18 on).
    pub others: BTreeMap<String, String>,
}

pub(crate) fn completer<F, Fut>(suggest: F) -> Completer
where
    F: Fn(Completing) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Vec<String>> + Send + 'static,
{
    Arc::new(move |completing| Box::pin(suggest(completing)))
}
