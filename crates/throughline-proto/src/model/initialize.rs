//! The handshake: who speaks, what each side can do.

use serde::{Deserialize, Serialize};

use super::{ClientCapabilities, Icon, Meta, ServerCapabilities, wire};
use crate::jsonrpc::Str;

/// Who a client or a server is.
///
/// ```
/// use throughline_proto::model::Implementation;
///
/// let server = Implementation::new("projects", "1.0.0").with_title("Projects");
/// assert_eq!(serde_json::to_string(&server)?, r#"{"name":"projects","title":"Projects","version":"1.0.0"}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Implementation {
    /// Its name, for programs.
    pub name: Str,
    /// Its name, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Str>,
    /// Its version.
    pub version: Str,
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Str>,
    /// Its home on the web.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub website_url: Option<Str>,
    /// Pictures that may be shown for it.
    #[serde(default, deserialize_with = "wire::nullable", skip_serializing_if = "Vec::is_empty")]
    pub icons: Vec<Icon>,
}

impl Implementation {
    /// An implementation of this name and version.
    pub fn new(name: impl Into<Str>, version: impl Into<Str>) -> Implementation {
        Implementation {
            name: name.into(),
            title: None,
            version: version.into(),
            description: None,
            website_url: None,
            icons: Vec::new(),
        }
    }

    setters! {
        /// Its name, for people.
        with_title(title: impl Into<Str>) = Some(title.into());
        /// What it is.
        with_description(description: impl Into<Str>) = Some(description.into());
        /// Its home on the web.
        with_website_url(website_url: impl Into<Str>) = Some(website_url.into());
        /// Pictures that may be shown for it.
        with_icons(icons: impl Into<Vec<Icon>>) = icons.into();
    }
}

/// The parameters of `initialize`; see
/// [initialization](https://modelcontextprotocol.io/specification/2025-11-25/basic/lifecycle#initialization).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct InitializeParams {
    /// The date of the revision that the client would like to speak.
    pub protocol_version: Str,
    /// What the client can do.
    pub capabilities: ClientCapabilities,
    /// Who the client is.
    pub client_info: Implementation,
    /// What the request carries beside.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl InitializeParams {
    /// This client would like to speak the revision of this date.
    pub fn new(
        protocol_version: impl Into<Str>,
        capabilities: ClientCapabilities,
        client_info: Implementation,
    ) -> InitializeParams {
        InitializeParams { protocol_version: protocol_version.into(), capabilities, client_info, meta: None }
    }

    setters! {
        /// What the request carries beside.
        with_meta(meta: Meta) = Some(meta);
    }
}

/// The answer to `initialize`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct InitializeResult {
    /// The date of the revision that will be spoken, see [`Revision::negotiate`](crate::revision::Revision::negotiate).
    pub protocol_version: Str,
    /// What the server can do.
    pub capabilities: ServerCapabilities,
    /// Who the server is.
    pub server_info: Implementation,
    /// How to use the server, for a model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<Str>,
    /// What the result carries beside.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl InitializeResult {
    /// This server will speak the revision of this date.
    pub fn new(
        protocol_version: impl Into<Str>,
        capabilities: ServerCapabilities,
        server_info: Implementation,
    ) -> InitializeResult {
        InitializeResult {
            protocol_version: protocol_version.into(),
            capabilities,
            server_info,
            instructions: None,
            meta: None,
        }
    }

    setters! {
        /// How to use the server, for a model.
        with_instructions(instructions: impl Into<Str>) = Some(instructions.into());
        /// What the result carries beside.
        with_meta(meta: Meta) = Some(meta);
    }
}
