//! A Python environment under `target/` with the packages that `conformance/clients/requirements.txt` pins: one of the clients,
//! and one of the servers, of others.

use crate::sh::{self, Group, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The oldest Python that runs both: it has groups of exceptions.
const OLDEST: (u32, u32) = (3, 11);

/// 28 packages come in seconds; a registry that does not answer for this long will not.
const INSTALL_LIMIT: Duration = Duration::from_secs(600);

/// The environment's `python`. It is made anew when the pinned packages or the Python changed since the last time.
pub(crate) fn ready(root: &Path) -> Result<PathBuf> {
    let system = if cfg!(windows) { "python" } else { "python3" };
    let told = sh::capture(Command::new(system).arg("--version")).map_err(|e| {
        format!("{e}; install Python {}.{} or newer: one of the clients and one of the servers of others are in it", OLDEST.0, OLDEST.1)
    })?;
    if parse_version(&told).is_none_or(|version| version < OLDEST) {
        return Err(format!(
            "`{system}` is {}, too old: at least {}.{} is needed",
            told.trim(),
            OLDEST.0,
            OLDEST.1
        ));
    }
    let pins = root.join("conformance/clients/requirements.txt");
    let text = fs::read_to_string(&pins).map_err(|e| format!("{} cannot be read: {e}", pins.display()))?;
    let folder = root.join("target/xtask/clients/venv");
    let python = folder.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    let stamp = folder.join("installed-by-xtask");
    let wanted = format!("{told}{text}");
    if fs::read_to_string(&stamp).ok().as_deref() == Some(&wanted) {
        return Ok(python);
    }
    println!("installing the Python packages of conformance/clients/requirements.txt");
    let log = root.join("target/xtask/clients/python-packages.log");
    run(Command::new(system).args(["-m", "venv", "--clear"]).arg(&folder), &log).map_err(|e| {
        format!("no Python environment could be made (on Debian and Ubuntu it takes the package python3-venv): {e}")
    })?;
    // No dependencies: all are pinned, which the check afterwards confirms. Only wheels: nothing runs at installation.
    let pip = ["-m", "pip", "--disable-pip-version-check", "--no-input"];
    let install = ["install", "--no-deps", "--only-binary=:all:", "-r"];
    run(Command::new(&python).args(pip).args(install).arg(&pins), &log)?;
    run(Command::new(&python).args(pip).arg("check"), &log)?;
    fs::write(&stamp, wanted).map_err(|e| format!("{} cannot be written: {e}", stamp.display()))?;
    Ok(python)
}

/// Runs a command to its end, which must be a good one; what it writes goes to `log`.
fn run(command: &mut Command, log: &Path) -> Result<()> {
    let file = sh::create(log)?;
    let copy = file.try_clone().map_err(|e| format!("{} cannot be written: {e}", log.display()))?;
    let name = sh::line(command);
    match Group::start(command.stdout(file).stderr(copy), |_| {})?.wait(INSTALL_LIMIT)? {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(format!("`{name}` failed ({status}):\n{}", sh::tail(log, 20))),
        None => Err(format!("`{name}` did not end in {} s:\n{}", INSTALL_LIMIT.as_secs(), sh::tail(log, 20))),
    }
}

/// 3 and 11 of `Python 3.11.7`.
fn parse_version(told: &str) -> Option<(u32, u32)> {
    let mut numbers = told.trim().strip_prefix("Python ")?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_as_python_prints_it() {
        assert_eq!(parse_version("Python 3.11.7\n"), Some((3, 11)));
        assert_eq!(parse_version("Python 4.0.0rc1\n"), Some((4, 0)));
        assert_eq!(parse_version("3.11.7"), None);
    }
}
