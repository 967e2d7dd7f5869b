//! What the client told the server of itself since it connected: a new session has to be told again.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use throughline_proto::jsonrpc::{ErrorCode, Raw};
use throughline_proto::model::{LoggingLevel, Method, ResourceParams, SetLevelParams};

use super::core::Core;
use super::{Calling, ClientError};
use crate::lock::Lock;

#[derive(Debug, Default)]
pub(crate) struct Settings {
    level: Mutex<Option<LoggingLevel>>,
    subscriptions: Mutex<BTreeSet<String>>,
}

impl Settings {
    pub(crate) fn level(&self) -> Option<LoggingLevel> {
        *self.level.locked()
    }

    pub(crate) fn set_level(&self, level: LoggingLevel) {
        *self.level.locked() = Some(level);
    }

    /// The resources whose changes are to be told.
    pub(crate) fn subscriptions(&self) -> Vec<String> {
        self.subscriptions.locked().iter().cloned().collect()
    }

    /// False when it was there, or there is no room for more.
    pub(crate) fn subscribe(&self, uri: &str) -> Result<bool, ClientError> {
        let mut subscriptions = self.subscriptions.locked();
        if subscriptions.len() >= MOST_SUBSCRIPTIONS && !subscriptions.contains(uri) {
            return Err(ClientError::unsendable(format_args!(
                "{MOST_SUBSCRIPTIONS} resources are subscribed to already; unsubscribe from some"
            )));
        }
        Ok(subscriptions.insert(uri.to_owned()))
    }

    pub(crate) fn unsubscribe(&self, uri: &str) -> bool {
        self.subscriptions.locked().remove(uri)
    }

    /// A session agreed to a request, in whichever way it was made: the next one has to be told, too.
    pub(crate) fn note(&self, method: &str, params: &Raw) {
        let resource = || params.parse::<ResourceParams>().ok();
        match Method::parse(method) {
            Some(Method::SetLevel) => {
                if let Ok(params) = params.parse::<SetLevelParams>() {
                    self.set_level(params.level);
                }
            }
            Some(Method::Subscribe) => {
                if let Some(Err(error)) = resource().map(|params| self.subscribe(&params.uri)) {
                    tracing::warn!(%error, "another session would not be told of a subscription");
                }
            }
            Some(Method::Unsubscribe) => {
                if let Some(params) = resource() {
                    self.unsubscribe(&params.uri);
                }
            }
            _ => {}
        }
    }

    /// Tells a new session all of it. What fails is logged: the session is good for the rest.
    pub(crate) async fn restore(&self, core: &Arc<Core>) {
        if let Some(level) = self.level().filter(|_| core.agreed().peer.capabilities.logging) {
            let params = SetLevelParams::new(level);
            let set = Calling::<Raw>::new(core, "logging/setLevel", &params).stays().await;
            log(set, "the level of log messages");
        }
        for uri in self.subscriptions() {
            let params = ResourceParams::new(uri);
            log(Calling::<Raw>::new(core, "resources/subscribe", &params).stays().await, "a subscription");
        }
    }
}

fn log(outcome: Result<Raw, ClientError>, what: &str) {
    match outcome {
        Ok(_) => {}
        // Servers that keep no sessions have nowhere to remember it.
        Err(error) if error.error().is_some_and(|error| error.code == ErrorCode::METHOD_NOT_FOUND) => {
            tracing::debug!(%error, "the new session could not be told {what}");
        }
        Err(error) => tracing::warn!(%error, "the new session could not be told {what}"),
    }
}

/// As many as a server keeps for a session by default.
const MOST_SUBSCRIPTIONS: usize = 1_024;
