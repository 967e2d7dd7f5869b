//! What a server shares with its handlers.

use std::any::{Any, TypeId};
use std::sync::Arc;

/// Values by their type. A server has a handful at most, so a list is searched.
#[derive(Clone, Default)]
pub(crate) struct States(Vec<(TypeId, Arc<dyn Any + Send + Sync>)>);

impl States {
    /// A second value of a type takes the place of the first.
    pub(crate) fn insert<S: Clone + Send + Sync + 'static>(&mut self, state: S) {
        self.0.retain(|(id, _)| *id != TypeId::of::<S>());
        self.0.push((TypeId::of::<S>(), Arc::new(state)));
    }

    pub(crate) fn get<S: Clone + Send + Sync + 'static>(&self) -> Option<S> {
        let (_, state) = self.0.iter().find(|(id, _)| *id == TypeId::of::<S>())?;
        state.downcast_ref::<S>().cloned()
    }

    pub(crate) fn has(&self, id: TypeId) -> bool {
        self.0.iter().any(|(other, _)| *other == id)
    }
}

impl std::fmt::Debug for States {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("States").field("count", &self.0.len()).finish()
    }
}
