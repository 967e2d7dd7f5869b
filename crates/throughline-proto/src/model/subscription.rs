//! Listening for changes: `subscriptions/listen`.

use serde::{Deserialize, Serialize};

use super::{Meta, wire};
use crate::jsonrpc::{RequestId, Str};

/// Which changes a client wants to hear of, or a server agreed to tell; see
/// [the filter](https://modelcontextprotocol.io/specification/2026-07-28/basic/patterns/subscriptions#notification-filter).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct SubscriptionFilter {
    /// The list of tools.
    #[serde(default, deserialize_with = "wire::nullable", skip_serializing_if = "wire::is_false")]
    pub tools_list_changed: bool,
    /// The list of prompts.
    #[serde(default, deserialize_with = "wire::nullable", skip_serializing_if = "wire::is_false")]
    pub prompts_list_changed: bool,
    /// The list of resources.
    #[serde(default, deserialize_with = "wire::nullable", skip_serializing_if = "wire::is_false")]
    pub resources_list_changed: bool,
    /// The resources of these URIs.
    #[serde(default, deserialize_with = "wire::nullable", skip_serializing_if = "Vec::is_empty")]
    pub resource_subscriptions: Vec<Str>,
}

/// The parameters of `subscriptions/listen`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ListenParams {
    /// What to hear of.
    pub notifications: SubscriptionFilter,
    /// What the request carries beside.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl ListenParams {
    /// Asks to hear of this.
    #[must_use]
    pub fn new(notifications: SubscriptionFilter) -> ListenParams {
        ListenParams { notifications, meta: None }
    }

    setters! {
        /// What the request carries beside.
        with_meta(meta: Meta) = Some(meta);
    }
}

/// The parameters of `notifications/subscriptions/acknowledged`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SubscriptionsAcknowledgedParams {
    /// What the server agreed to tell.
    pub notifications: SubscriptionFilter,
    /// The subscription's id, and what the notification carries beside.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl SubscriptionsAcknowledgedParams {
    /// The server agreed to tell this to the `subscriptions/listen` of this id.
    #[must_use]
    pub fn new(id: &RequestId, notifications: SubscriptionFilter) -> SubscriptionsAcknowledgedParams {
        let meta = Meta::new().with_subscription_id(id);
        SubscriptionsAcknowledgedParams { notifications, meta: Some(meta) }
    }
}

/// The answer to `subscriptions/listen`: nothing more will come.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ListenResult {
    /// The subscription's id, and what the result carries beside.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl ListenResult {
    /// The `subscriptions/listen` of this id is over.
    #[must_use]
    pub fn new(id: &RequestId) -> ListenResult {
        ListenResult { meta: Some(Meta::new().with_subscription_id(id)) }
    }
}
