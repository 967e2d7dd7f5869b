//! The official JSON schemas that tests validate messages against.

use crate::node::Node;
use crate::sh::{self, Result};
use std::path::{Path, PathBuf};

/// The variable that names the folder: tests read `$MCP_SCHEMA_DIR/<revision>/schema.json`.
pub(crate) const VARIABLE: &str = "MCP_SCHEMA_DIR";

/// Every revision has a schema; the suite carries these as they were published, but for `NumberSchema`, whose numbers it
/// takes for integers in the last two. It has none for 2024-11-05, and of 2026-07-28 only a draft, which is not taken.
const CARRIED: [&str; 3] = ["2025-03-26", "2025-06-18", "2025-11-25"];

/// Where the schemas are, and what is missing there.
pub(crate) struct Schemas {
    /// `None`: nowhere.
    pub(crate) folder: Option<PathBuf>,
    /// A sentence for the user.
    pub(crate) missing: Option<String>,
}

/// The folder of `MCP_SCHEMA_DIR`, else one filled from the conformance suite.
pub(crate) fn find(root: &Path) -> Result<Schemas> {
    if let Some(folder) = std::env::var_os(VARIABLE).map(PathBuf::from) {
        if !folder.is_dir() {
            return Err(format!("{VARIABLE} is {}, which is no folder", folder.display()));
        }
        return Ok(Schemas { folder: Some(folder), missing: None });
    }
    match extract(root) {
        Ok(folder) => {
            let missing = format!(
                "{VARIABLE} is not set: the schemas of {} are taken from the conformance suite, and messages of other revisions are not validated",
                CARRIED.join(", ")
            );
            Ok(Schemas { folder: Some(folder), missing: Some(missing) })
        }
        Err(why) => {
            let missing = format!(
                "the official schemas are missing, so no message is validated: set {VARIABLE} ({why})"
            );
            Ok(Schemas { folder: None, missing: Some(missing) })
        }
    }
}

/// Fills `target/xtask/schema` from the pinned suite.
fn extract(root: &Path) -> Result<PathBuf> {
    let node = Node::ready(root)?;
    let folder = root.join("target/xtask/schema");
    let script = root.join("xtask/src/schemas.mjs");
    sh::capture(node.command().arg(script).arg(node.suite_file()).arg(&folder))?;
    match CARRIED.iter().find(|revision| !folder.join(revision).join("schema.json").is_file()) {
        None => Ok(folder),
        Some(revision) => Err(format!("the conformance suite no longer carries the schema of {revision}")),
    }
}
