//! Who calls.

use super::{ClientCapabilities, Implementation};

/// Who a client says it is, and what it can do: what `initialize` said in the legacy era, and the request's own `_meta` in
/// the modern one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Client {
    /// `clientInfo`. The modern era lets a client keep it to itself, so it is for display and logs only.
    pub info: Option<Implementation>,
    /// Its capabilities.
    pub capabilities: ClientCapabilities,
}
