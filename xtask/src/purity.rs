//! The engine stays pure: nothing it is built from can reach a socket, a clock's timer or randomness.

use crate::sh::{self, Result};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

const ENGINE: &str = "throughline-proto";

/// Crates that bring a runtime, sockets or randomness. What they would do for the engine, its caller does.
const IMPURE: [&str; 15] = [
    "async-io",
    "async-std",
    "fastrand",
    "futures-executor",
    "getrandom",
    "hyper",
    "hyper-util",
    "mio",
    "polling",
    "rand",
    "rand_core",
    "reqwest",
    "smol",
    "socket2",
    "tokio",
];

/// Fails when the engine's normal dependencies, for any target and with all features, hold an impure crate.
pub(crate) fn check_tree(root: &Path) -> Result<()> {
    let mut tree = sh::cargo(root);
    tree.args(["tree", "--locked", "-p", ENGINE, "-e", "normal", "--all-features", "--target", "all"]);
    let tree = sh::capture(tree.args(["--prefix", "none", "--format", "{p}"]))?;
    let found = impure(&tree)?;
    let Some(name) = found.first() else { return Ok(()) };
    Err(format!(
        "{ENGINE} is pure but depends on {}: `cargo tree -p {ENGINE} -e normal -i {name}` shows how it came in",
        found.join(", ")
    ))
}

/// A target without an operating system: what builds there has no socket, clock or thread.
const BARE: &str = "wasm32-unknown-unknown";

/// Whether this toolchain can build for a target without an operating system.
pub(crate) fn has_bare_target() -> bool {
    let installed = sh::capture(Command::new("rustup").args(["target", "list", "--installed"]));
    installed.is_ok_and(|list| list.lines().any(|line| line.trim() == BARE))
}

/// Builds the engine for a target without an operating system.
pub(crate) fn check_bare(root: &Path) -> Result<()> {
    sh::run(sh::cargo(root).args(["check", "--locked", "-p", ENGINE, "--target", BARE]))
}

/// The impure crates in the output of `cargo tree --prefix none --format {p}`, sorted.
fn impure(tree: &str) -> Result<Vec<&str>> {
    let names: BTreeSet<&str> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
    if !names.contains(ENGINE) {
        return Err(format!("`cargo tree` did not list {ENGINE}: the purity check cannot judge"));
    }
    Ok(names.into_iter().filter(|name| IMPURE.contains(name)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impure_crates_are_found_once_each() {
        let tree =
            "throughline-proto v0.1.0 (/x)\nbytes v1.12.0\n\ntokio v1.54.0\nmio v1.0.0\ntokio v1.54.0 (*)\n";
        assert_eq!(impure(tree), Ok(vec!["mio", "tokio"]));
        assert_eq!(impure("throughline-proto v0.1.0\nrandom-words v1.0.0\n"), Ok(vec![]));
    }

    #[test]
    fn a_tree_without_the_engine_proves_nothing() {
        assert!(impure("").is_err());
    }
}
