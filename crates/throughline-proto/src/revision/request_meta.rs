//! What a request of the modern era says beside: its revision, and who its client is.

use super::Revision;
use crate::jsonrpc::{Raw, Str};
use crate::model::{Client, Meta};

impl Revision {
    /// The `_meta` that every request of this client carries in this revision; see
    /// [per-request fields](https://modelcontextprotocol.io/specification/2026-07-28/basic/index#_meta). A revision that begins
    /// with `initialize` has said it all by then: there it is empty.
    ///
    /// ```
    /// use throughline_proto::model::{Client, Implementation};
    /// use throughline_proto::revision::Revision;
    ///
    /// let client = Client { info: Some(Implementation::new("c", "1")), ..Client::default() };
    /// let meta = Revision::LATEST.request_meta(&client)?;
    /// assert_eq!(meta.get("io.modelcontextprotocol/clientCapabilities").unwrap().as_str(), "{}");
    /// assert!(Revision::LATEST_LEGACY.request_meta(&client)?.is_empty());
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When who the client is has no JSON form.
    pub fn request_meta(self, client: &Client) -> Result<Meta, serde_json::Error> {
        let mut meta = Meta::new();
        if !self.is_modern() {
            return Ok(meta);
        }
        let Client { info, mut capabilities } = client.clone();
        if let Some(removed) = self.table().removed {
            removed.client_capabilities(&mut capabilities);
        }
        meta.insert(Str::from_static(Meta::PROTOCOL_VERSION), Raw::new(&self)?);
        meta.insert(Str::from_static(Meta::CLIENT_CAPABILITIES), Raw::new(&capabilities)?);
        if let Some(info) = info {
            meta.insert(Str::from_static(Meta::CLIENT_INFO), Raw::new(&info)?);
        }
        Ok(meta)
    }
}
