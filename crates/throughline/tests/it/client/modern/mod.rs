//! The client in the modern era, against a server that says what the test says, and against our own.

mod caching;
mod eras;
mod headers;
mod listening;
mod pipes;
mod rounds;
mod scripted;
mod settings;

use std::sync::{Arc, Mutex};

/// What listeners heard, in order.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    fn hear(&self, what: &str) -> impl Fn() + Send + Sync + 'static {
        let (notes, what) = (self.clone(), what.to_owned());
        move || notes.0.lock().unwrap().push(what.clone())
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}
