//! Extensions of the protocol: what each side says that it supports.

use std::collections::btree_map::Entry;

use serde::Serialize;
use throughline_proto::jsonrpc::{Raw, Str};
use throughline_proto::model::is_extension_identifier;

use super::{Caller, Misuse, Server};
use crate::lock::Lock;

impl Server {
    /// Declares an extension of the protocol that this server supports, in all revisions: the identifier, and its settings as
    /// an object, `json!({})` or a struct. What the client declared is at [`Caller::extension`]; one that declared nothing
    /// gets the core protocol, or an error where that makes no sense
    /// ([extension negotiation](https://modelcontextprotocol.io/specification/2026-07-28/basic/versioning#extension-negotiation)).
    ///
    /// ```
    /// use serde_json::json;
    /// use throughline::{Context, Server, tool};
    ///
    /// async fn chart(cx: Context) -> String {
    ///     match cx.caller().extension("com.example/charts") {
    ///         Some(settings) => format!("a chart made for {}", settings.as_str()),
    ///         None => "a table".into(),
    ///     }
    /// }
    /// let server = Server::new("demo", "1.0.0")
    ///     .extension("com.example/charts", json!({ "formats": ["svg"] }))
    ///     .tool(tool("chart", chart));
    /// ```
    ///
    /// # Panics
    ///
    /// When the identifier is none (a prefix such as `com.example`, a slash, a name) or is declared already, or when the
    /// settings are no JSON object.
    #[must_use]
    pub fn extension(self, identifier: impl Into<Str>, settings: impl Serialize) -> Self {
        self.declare(identifier.into(), &settings).unwrap_or_else(|misuse| panic!("{misuse}"));
        self
    }

    fn declare(&self, identifier: Str, settings: &impl Serialize) -> Result<(), Misuse> {
        if !is_extension_identifier(&identifier) {
            return Err(Misuse::new(format!(
                "`{identifier}` is no identifier of an extension; write a domain of yours, a slash and a name, such as `com.example/search`"
            )));
        }
        let settings = Raw::new(settings).ok().filter(Raw::is_object).ok_or_else(|| {
            Misuse::new(format!(
                "the settings of the extension `{identifier}` are no JSON object; write `json!({{}})` where it has none"
            ))
        })?;
        match self.0.extensions.locked().entry(identifier) {
            Entry::Vacant(free) => drop(free.insert(settings)),
            Entry::Occupied(taken) => {
                return Err(Misuse::new(format!(
                    "the extension `{}` is declared already; keep one",
                    taken.key()
                )));
            }
        }
        Ok(())
    }
}

impl Caller {
    /// The settings with which the client declared that it supports this extension; `None` where it did not, or not with an
    /// object.
    ///
    /// They are the client's own words: right for choosing a form of the answer, wrong for deciding what it may do.
    pub fn extension(&self, identifier: &str) -> Option<&Raw> {
        self.capabilities()?.extensions.get(identifier).filter(|settings| settings.is_object())
    }
}
