//! Who may see what is registered.

use std::sync::Arc;

use super::Caller;

/// Whom an entry is there for: everybody, unless said otherwise.
#[derive(Clone, Default)]
pub(crate) struct Visibility(Option<Sees>);

type Sees = Arc<dyn Fn(&Caller) -> bool + Send + Sync>;

impl Visibility {
    /// Only for callers that `admits` takes, of those it was there for before.
    pub(crate) fn narrow(&mut self, admits: impl Fn(&Caller) -> bool + Send + Sync + 'static) {
        let before = self.clone();
        self.0 = Some(Arc::new(move |caller| before.admits(caller) && admits(caller)));
    }

    /// Whether there are callers that it might not be there for.
    pub(crate) fn is_limited(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn admits(&self, caller: &Caller) -> bool {
        self.0.as_ref().is_none_or(|admits| admits(caller))
    }
}
