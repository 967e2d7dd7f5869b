//! What is known of the server's tools: which arguments their calls repeat in headers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use http::HeaderMap;
use throughline_proto::http::ParamHeaders;
use throughline_proto::jsonrpc::{self, Raw, Str};
use throughline_proto::model::Tool;

use super::core::Core;
use super::{ClientError, Listing};
use crate::lock::Lock;

/// The tools that were listed, by name.
#[derive(Debug, Default)]
#[cfg_attr(
    not(feature = "client"),
    allow(dead_code, reason = "for output schemas, which that feature brings")
)]
pub(crate) struct ToolBook {
    tools: Mutex<Tools>,
    /// Those that were left out, and why.
    excluded: Mutex<HashMap<Str, String>>,
    /// How often the tools may have changed.
    changes: AtomicU64,
    /// Held while they are listed for a call, with that number of changes when all of them were.
    listing: tokio::sync::Mutex<Option<u64>>,
}

#[derive(Debug, Default)]
struct Tools {
    by_name: HashMap<Str, Known>,
    /// What the output schemas take.
    schema_bytes: usize,
}

/// What is known of one tool.
#[derive(Clone, Debug)]
#[cfg_attr(
    not(feature = "client"),
    allow(dead_code, reason = "for output schemas, which that feature brings")
)]
pub(crate) struct Known {
    pub(crate) headers: Option<Arc<ParamHeaders>>,
    pub(crate) output_schema: Option<Raw>,
    /// The number of changes when it was listed.
    listed_at: u64,
}

impl ToolBook {
    /// Takes a page of tools in, and leaves out those whose annotations break the rules; see
    /// [schema extension](https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http#schema-extension).
    /// Without `reads_annotations` they mean nothing.
    pub(crate) fn learn(&self, tools: &mut Vec<Tool>, reads_annotations: bool) {
        let listed_at = self.changes.load(Ordering::Acquire);
        let mut known = self.tools.locked();
        let mut excluded = self.excluded.locked();
        tools.retain(|tool| {
            let headers = match ParamHeaders::compile(&tool.input_schema) {
                _ if !reads_annotations => None,
                Ok(headers) => headers.map(Arc::new),
                Err(why) => {
                    known.remove(&tool.name);
                    if excluded.get(&tool.name) != Some(&why) {
                        tracing::warn!(tool = %jsonrpc::excerpt(&tool.name), %why, "a tool is left out: its `x-mcp-header` annotations break the rules");
                        if excluded.len() < MOST_TOOLS {
                            excluded.insert(tool.name.detached(), why);
                        }
                    }
                    return false;
                }
            };
            excluded.remove(&tool.name);
            known.insert(tool, headers, listed_at);
            true
        });
    }

    pub(crate) fn get(&self, name: &str) -> Option<Known> {
        self.tools.locked().by_name.get(name).cloned()
    }

    /// # Errors
    ///
    /// When the tool was left out.
    pub(crate) fn add_headers(&self, headers: &mut HeaderMap, params: &Raw) -> Result<(), ClientError> {
        let Ok(outline) = jsonrpc::outline(Some(params)) else { return Ok(()) };
        let Some(name) = outline.name.and_then(|name| params.text_of(name)) else { return Ok(()) };
        if let Some(why) = self.excluded.locked().get(&name) {
            return Err(ClientError::unsendable(format_args!(
                "the tool `{}` is left out, as its `x-mcp-header` annotations break the rules: {why}",
                jsonrpc::excerpt(&name)
            )));
        }
        let Some(Known { headers: Some(wanted), .. }) = self.get(&name) else { return Ok(()) };
        let arguments = outline.arguments.map(|arguments| params.slice(arguments));
        for (name, value) in wanted.encode(arguments.as_ref()) {
            headers.insert(name, value);
        }
        Ok(())
    }

    /// Lists the tools anew, past the cache. False when that fails.
    pub(crate) async fn refresh(&self, core: &Arc<Core>) -> bool {
        list(core).await.is_ok()
    }

    /// Lists the tools unless this one is known, or all are, and nothing changed since.
    #[cfg(feature = "client")]
    pub(crate) async fn know(&self, core: &Arc<Core>, name: &str) -> Result<(), ClientError> {
        let is_known = || {
            let changes = self.changes.load(Ordering::Acquire);
            self.tools.locked().by_name.get(name).is_some_and(|tool| tool.listed_at == changes)
        };
        if is_known() {
            return Ok(());
        }
        let mut listed_at = self.listing.lock().await;
        // Before they are listed: what changes meanwhile is not known.
        let changes = self.changes.load(Ordering::Acquire);
        if *listed_at == Some(changes) || is_known() {
            return Ok(());
        }
        list(core).await?;
        *listed_at = Some(changes);
        Ok(())
    }

    /// The server's tools may have changed.
    pub(crate) fn set_changed(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }
}

async fn list(core: &Arc<Core>) -> Result<(), ClientError> {
    Box::pin(Listing::<Tool>::new(core).fresh().into_all()).await.map(drop)
}

impl Tools {
    fn remove(&mut self, name: &Str) {
        if let Some(old) = self.by_name.remove(name) {
            self.schema_bytes -= old.schema_bytes();
        }
    }

    fn insert(&mut self, tool: &Tool, headers: Option<Arc<ParamHeaders>>, listed_at: u64) {
        self.remove(&tool.name);
        if self.by_name.len() >= MOST_TOOLS {
            return;
        }
        // Not a slice of the page, which would stay as a whole.
        let own = |schema: &Raw| Raw::from_json(schema.as_str().to_owned()).ok();
        let mut known =
            Known { headers, output_schema: tool.output_schema.as_ref().and_then(own), listed_at };
        if self.schema_bytes + known.schema_bytes() > MOST_SCHEMA_BYTES {
            tracing::warn!(tool = %jsonrpc::excerpt(&tool.name), "the output schemas of the server's tools are too large to be kept: the results of this one are not checked");
            known.output_schema = None;
        }
        self.schema_bytes += known.schema_bytes();
        self.by_name.insert(tool.name.detached(), known);
    }
}

impl Known {
    fn schema_bytes(&self) -> usize {
        self.output_schema.as_ref().map_or(0, |schema| schema.as_str().len())
    }
}

/// As many as are listed at most.
const MOST_TOOLS: usize = 10_000;

/// Kilobytes for each of thousands of tools.
const MOST_SCHEMA_BYTES: usize = 16 * 1024 * 1024;
