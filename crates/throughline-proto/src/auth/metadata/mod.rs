//! The two documents that say where to log in.

mod addresses;
mod authorization_server;
mod protected_resource;

use std::error::Error;
use std::fmt;

pub use addresses::{
    InvalidIssuer, authorization_server_addresses, legacy_authorization_server_address,
    protected_resource_addresses, protected_resource_paths,
};
pub use authorization_server::AuthorizationServer;
pub use protected_resource::ProtectedResource;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use crate::auth::object;

/// The longest document that is read: the largest of the well-known providers have some 10 KiB, with a list of scopes of
/// several KiB.
pub const MAX_METADATA: usize = 128 * 1024;

/// Entries of one list that are kept: more than there are algorithms, grants or methods, or authorization servers of one
/// resource.
const MAX_LIST: usize = 64;

fn parse<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, InvalidMetadata> {
    if bytes.len() > MAX_METADATA {
        return Err(InvalidMetadata { what, why: format!("it is longer than {MAX_METADATA} bytes") });
    }
    object::parse(bytes).map_err(|error| InvalidMetadata {
        what,
        // Where and of which kind: the text of an error may repeat what a peer wrote.
        why: match error.classify() {
            serde_json::error::Category::Data => {
                format!(
                    "a member is missing or of the wrong type (line {}, column {})",
                    error.line(),
                    error.column()
                )
            }
            _ => format!("it is no JSON (line {}, column {})", error.line(), error.column()),
        },
    })
}

/// A list of texts: at most as many as are kept, and `null` is none.
fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    let texts = Option::<Vec<String>>::deserialize(deserializer)?;
    Ok(texts.map(|mut texts| {
        texts.truncate(MAX_LIST);
        texts
    }))
}

/// A list of texts that is empty when it is missing.
fn texts_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    texts(deserializer).map(Option::unwrap_or_default)
}

/// `null` is what the member's absence is.
fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Why a document is not used. Its text repeats nothing of the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidMetadata {
    what: &'static str,
    why: String,
}

impl fmt::Display for InvalidMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} cannot be used: {}", self.what, self.why)
    }
}

impl Error for InvalidMetadata {}

#[cfg(test)]
mod tests;
