//! What a server offers in `initialize`.

use crate::jsonrpc::Str;
use crate::model::{CacheHints, Implementation, InitializeResult, ServerCapabilities};
use crate::revision::Revision;

/// What a server says about itself.
#[derive(Clone, Debug)]
pub struct Offer {
    /// Name and version.
    pub info: Implementation,
    /// What it can do.
    pub capabilities: ServerCapabilities,
    /// How to use it, for the client's model.
    pub instructions: Option<Str>,
    /// How it may be kept. Only the modern era says it (`server/discover`).
    pub cache: CacheHints,
}

impl Offer {
    /// A server of this name that can do this. It has no instructions, and what it says is kept by nobody.
    pub fn new(info: Implementation, capabilities: ServerCapabilities) -> Offer {
        Offer { info, capabilities, instructions: None, cache: CacheHints::default() }
    }

    /// The same without what needs a session: subscriptions, and word of changed lists.
    #[must_use]
    pub fn without_sessions(mut self) -> Offer {
        if let Some(tools) = &mut self.capabilities.tools {
            tools.list_changed = false;
        }
        if let Some(prompts) = &mut self.capabilities.prompts {
            prompts.list_changed = false;
        }
        if let Some(resources) = &mut self.capabilities.resources {
            resources.list_changed = false;
            resources.subscribe = false;
        }
        self
    }

    /// The answer to `initialize` in this revision.
    pub fn initialize_result(&self, revision: Revision) -> InitializeResult {
        let mut result = InitializeResult::new(revision.date(), self.capabilities.clone(), self.info.clone());
        result.instructions = self.instructions.clone();
        result
    }
}
