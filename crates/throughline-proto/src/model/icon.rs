//! Icons of servers, tools, prompts and resources.

use serde::{Deserialize, Serialize};

use super::wire;
use crate::jsonrpc::Str;

/// A picture that a client may show; see
/// [icons](https://modelcontextprotocol.io/specification/2025-11-25/basic/index#icons).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Icon {
    /// Where the picture is: an `https:` or `data:` URI.
    pub src: Str,
    /// Its media type, where the source's own is missing or too general.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<Str>,
    /// The sizes it is made for, such as `48x48`, or `any` for one that scales.
    #[serde(default, deserialize_with = "wire::nullable", skip_serializing_if = "Vec::is_empty")]
    pub sizes: Vec<Str>,
    /// The background it is drawn for; absent means any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub theme: Option<IconTheme>,
}

/// The background that an icon is drawn for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IconTheme {
    /// For a light background.
    Light,
    /// For a dark background.
    Dark,
}

impl Icon {
    /// An icon at this address.
    pub fn new(src: impl Into<Str>) -> Icon {
        Icon { src: src.into(), mime_type: None, sizes: Vec::new(), theme: None }
    }

    setters! {
        /// Its media type.
        with_mime_type(mime_type: impl Into<Str>) = Some(mime_type.into());
        /// The sizes it is made for.
        with_sizes(sizes: impl Into<Vec<Str>>) = sizes.into();
        /// The background it is drawn for.
        with_theme(theme: IconTheme) = Some(theme);
    }
}
