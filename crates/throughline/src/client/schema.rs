//! Output schemas of tools: compiled when they are needed, and results checked against them.
//!
//! Both come from the server, and there are schemas of a few lines that take for ever, or a deep stack, on content that was
//! made for them. So whatever is not plainly small is checked on a thread of its own, for which the call waits within its
//! time. Nothing that a schema names is fetched.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;
use throughline_proto::jsonrpc::{Raw, Str, excerpt};
use tokio::sync::Semaphore;

use super::ClientError;
use crate::lock::Lock;
use crate::runtime;

/// The schemas that were compiled, by their tools. Each stands beside the text that it was made of.
pub(crate) struct OutputSchemas {
    compiled: Mutex<HashMap<Str, (Raw, Arc<Validator>)>>,
    threads: Arc<Semaphore>,
}

impl OutputSchemas {
    /// Checks the structured content of a tool's result against the tool's output schema.
    pub(crate) async fn check(&self, tool: &Str, schema: &Raw, content: &Raw) -> Result<(), ClientError> {
        let known =
            self.compiled.locked().get(tool).filter(|(text, _)| text == schema).map(|(_, made)| made.clone());
        let is_known = known.is_some();
        let work = {
            let (schema, content) = (schema.clone(), content.clone());
            move || check(known, &schema, &content)
        };
        let size = schema.as_str().len().saturating_mul(content.as_str().len());
        let (made, outcome) = if is_plain(schema.as_str()) && size <= SMALL {
            work()
        } else {
            let permit = Arc::clone(&self.threads).acquire_owned().await;
            let permit = permit.map_err(|_| ClientError::closed())?;
            let checked = runtime::thread("output-schema", STACK, move || {
                let checked = work();
                drop(permit);
                checked
            });
            checked
                .await
                .map_err(|why| ClientError::misfit(format!("the result cannot be checked: {why}")))?
        };
        if let (Some(made), false) = (made, is_known) {
            let mut compiled = self.compiled.locked();
            if compiled.len() >= MOST_COMPILED {
                compiled.clear();
            }
            compiled.insert(tool.detached(), (schema.clone(), made));
        }
        outcome.map_err(|why| match why {
            Why::Schema(why) => ClientError::misfit(format!(
                "the output schema of the tool `{}` cannot be used: {why}; take the result without `output` to read it all the same",
                excerpt(tool)
            )),
            Why::Content(why) => ClientError::peer(format!(
                "the result of the tool `{}` does not fit its output schema: {why}",
                excerpt(tool)
            )),
        })
    }
}

/// What is wrong.
enum Why {
    Schema(String),
    Content(String),
}

type Checked = (Option<Arc<Validator>>, Result<(), Why>);

fn check(known: Option<Arc<Validator>>, schema: &Raw, content: &Raw) -> Checked {
    let validator = match known.map_or_else(|| compile(schema).map(Arc::new), Ok) {
        Ok(validator) => validator,
        Err(why) => return (None, Err(Why::Schema(why))),
    };
    let outcome = fits(&validator, content).map_err(Why::Content);
    (Some(validator), outcome)
}

/// Compiles a schema: of JSON Schema 2020-12 unless it names another dialect, as the
/// [specification](https://modelcontextprotocol.io/specification/2025-11-25/basic#json-schema-usage) has it. What it refers
/// to must be in it.
fn compile(text: &Raw) -> Result<Validator, String> {
    if text.as_str().len() > MAX_SCHEMA {
        return Err(format!("it is larger than {MAX_SCHEMA} bytes"));
    }
    if references(text.as_str()) > MOST_REFERENCES {
        return Err(format!("it has more than {MOST_REFERENCES} references"));
    }
    let schema: Value = text.parse().map_err(|error| format!("it cannot be read: {error}"))?;
    let patterns = PatternOptions::fancy_regex()
        .backtrack_limit(MOST_BACKTRACKS)
        .size_limit(MOST_PATTERN_BYTES)
        .dfa_size_limit(MOST_PATTERN_BYTES);
    let built = jsonschema::options().offline().with_pattern_options(patterns).build(&schema);
    built.map_err(|error| sentence(&error))
}

/// Whether content fits. The error says where not, and nothing of the content.
fn fits(validator: &Validator, content: &Raw) -> Result<(), String> {
    let content: Value = content.parse().map_err(|error| format!("it cannot be read: {error}"))?;
    validator.validate(&content).map_err(|error| {
        let place = error.instance_path().to_string();
        let at = if place.is_empty() { String::new() } else { format!("at `{}`: ", excerpt(&place)) };
        format!("{at}{}", sentence(&error))
    })
}

fn sentence(error: &jsonschema::ValidationError<'_>) -> String {
    excerpt(&error.masked_with("it").to_string()).into_owned()
}

/// Whether checking takes no more than each part of the schema at each place: nothing refers to anything, and there is no
/// pattern, which may take its [whole bound](MOST_BACKTRACKS) for every text of the content.
fn is_plain(schema: &str) -> bool {
    references(schema) == 0 && !schema.contains("pattern")
}

/// At least as many references as the schema has: a backslash may hide one.
fn references(schema: &str) -> usize {
    let hidden = schema.matches("\\u").count();
    schema.matches("Ref\"").count() + schema.matches("$ref\"").count() + hidden
}

impl Default for OutputSchemas {
    fn default() -> Self {
        Self { compiled: Mutex::default(), threads: Arc::new(Semaphore::new(MOST_THREADS)) }
    }
}

impl fmt::Debug for OutputSchemas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutputSchemas").finish_non_exhaustive()
    }
}

/// More tools than a program calls; what is dropped is compiled again.
const MOST_COMPILED: usize = 256;
/// A hundred times what tools have.
const MAX_SCHEMA: usize = 256 * 1024;
/// Each may be a step down the stack, at each level of the content (128 of them at most). Schemas made of types have some
/// dozens.
const MOST_REFERENCES: usize = 500;
/// Enough for the two above; it is address space, of which only what is used becomes memory.
const STACK: usize = 512 * 1024 * 1024;
/// Bytes of schema times bytes of content that are checked in line: some milliseconds at worst.
const SMALL: usize = 4 * 1024 * 1024;
/// A check that never ends holds a thread until the process does; others still go on, and no more than these are lost.
const MOST_THREADS: usize = 2;
/// Some milliseconds of work: a pattern that needs more may have been written to need for ever.
const MOST_BACKTRACKS: usize = 100_000;
/// A tenth of what is usual: patterns of schemas are short.
const MOST_PATTERN_BYTES: usize = 1024 * 1024;

#[cfg(test)]
mod tests;
