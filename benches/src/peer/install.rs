//! What it takes until a peer can be started. Each step is done once, until what it was done from changes.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;

/// Builds a package of `benches/peers/` and says where its program is.
pub(crate) fn rust(package: &str) -> Result<OsString> {
    let home = home()?;
    // Cargo knows by itself what is up to date; a directory of its own, whatever the environment says of others.
    let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build
        .args(["build", "--release", "--locked", "--package", package])
        .arg("--target-dir")
        .arg(home.join("target"));
    run(build.current_dir(&home), BUILD_LIMIT, "install Rust with cargo")?;
    Ok(home.join("target/release").join(package).into_os_string())
}

/// Installs the packages of `benches/peers/node/`: the command, and the version of Node.js.
pub(super) fn node() -> Result<(Vec<OsString>, String)> {
    let folder = home()?.join("node");
    let version = version("node", "install Node.js 20 or newer with npm")?;
    once(
        &folder.join("package-lock.json"),
        &version,
        &folder.join("node_modules/.installed-by-the-lab"),
        || {
            let mut npm = Command::new("npm");
            npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&folder);
            run(&mut npm, INSTALL_LIMIT, "install npm, which comes with Node.js")
        },
    )?;
    Ok((vec!["node".into(), folder.join("server.mjs").into()], format!("Node.js {version}")))
}

/// Makes an environment with the packages of `benches/peers/python/`: the command, and the version of Python.
pub(super) fn python() -> Result<(Vec<OsString>, String)> {
    let home = home()?;
    let version = version("python3", "install Python 3.10 or newer")?;
    let pins = home.join("python/requirements.txt");
    let environment = home.join("target/python");
    let python = environment.join("bin/python");
    once(&pins, &version, &environment.join("installed-by-the-lab"), || {
        let mut make = Command::new("python3");
        make.args(["-m", "venv", "--clear"]).arg(&environment);
        run(
            &mut make,
            INSTALL_LIMIT,
            "install Python with venv (on Debian and Ubuntu the package python3-venv)",
        )?;
        let mut pip = Command::new(&python);
        // No dependencies, for all are pinned. Only wheels: nothing runs at installation.
        pip.args(["-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet"]);
        pip.args(["--no-deps", "--only-binary=:all:", "-r"]).arg(&pins);
        run(&mut pip, INSTALL_LIMIT, "install Python with pip")
    })?;
    // Unbuffered error output would cost it system calls; standard output is one line.
    Ok((vec![python.into(), home.join("python/server.py").into()], version))
}

/// Where the peers are: the lab is run from the repository that it was built from.
fn home() -> Result<PathBuf> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
    if home.is_dir() {
        Ok(home)
    } else {
        Err(format!("{} is not there: build the lab anew in the repository", home.display()).into())
    }
}

/// What a program says of its own version, without the word before it.
fn version(program: &str, advice: &str) -> Result<String> {
    let told = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .ok()
        .filter(|output| output.status.success())
        .ok_or_else(|| format!("{program} does not run: {advice}"))?;
    Ok(String::from_utf8_lossy(&told.stdout).trim().to_owned())
}

/// Does a step unless `stamp` says that it was done from this very file with this version of the tool.
fn once(from: &Path, version: &str, stamp: &Path, step: impl FnOnce() -> Result<()>) -> Result<()> {
    let text =
        fs::read_to_string(from).map_err(|error| format!("{} cannot be read: {error}", from.display()))?;
    let wanted = format!("{version}\n{text}");
    if fs::read_to_string(stamp).is_ok_and(|done| done == wanted) {
        return Ok(());
    }
    step()?;
    fs::write(stamp, wanted).map_err(|error| format!("{} cannot be written: {error}", stamp.display()).into())
}

/// Runs a command to its end, which must be a good one. What it tells goes to the error stream.
fn run(command: &mut Command, limit: Duration, advice: &str) -> Result<()> {
    let name = Path::new(command.get_program()).file_name().unwrap_or_default().display().to_string();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(io::stderr())
        .spawn()
        .map_err(|error| format!("{name} does not run ({error}): {advice}"))?;
    let deadline = Instant::now() + limit;
    let status: Option<ExitStatus> = loop {
        match child.try_wait()? {
            Some(status) => break Some(status),
            None if Instant::now() < deadline => thread::sleep(GLANCE),
            None => break None,
        }
    };
    match status {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(format!("{name} failed ({status}), as it says above").into()),
        None => {
            // It may have ended in between; then there is nothing left to kill.
            let _ = child.kill();
            let _ = child.wait();
            Err(format!("{name} did not end in {} s", limit.as_secs()).into())
        }
    }
}

/// A hundred crates with optimization take two minutes on two cores.
const BUILD_LIMIT: Duration = Duration::from_secs(30 * 60);

/// The packages come in seconds; a registry that does not answer for this long will not.
const INSTALL_LIMIT: Duration = Duration::from_secs(10 * 60);

const GLANCE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_done_again_only_when_its_source_or_its_tool_changed() {
        let folder = std::env::temp_dir().join(format!("throughline-peers-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (from, stamp) = (folder.join("from"), folder.join("stamp"));
        let done = |version: &str| {
            let mut is_done = false;
            let step = || {
                is_done = true;
                Ok(())
            };
            once(&from, version, &stamp, step).unwrap();
            is_done
        };
        fs::write(&from, "a").unwrap();
        assert!(done("1"));
        assert!(!done("1"));
        assert!(done("2"), "another version of the tool");
        fs::write(&from, "b").unwrap();
        assert!(done("2"), "another source");
        once(&from, "3", &stamp, || Err("no network".into())).unwrap_err();
        assert!(done("3"), "a step that failed is not done");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_missing_tool_is_said_with_what_to_do() {
        let error = version("no-such-program-of-the-lab", "install it").unwrap_err().to_string();
        assert_eq!(error, "no-such-program-of-the-lab does not run: install it");
        let error = run(&mut Command::new("no-such-program-of-the-lab"), GLANCE, "install it").unwrap_err();
        assert!(error.to_string().ends_with("install it"), "{error}");
        let error = run(&mut Command::new("false"), INSTALL_LIMIT, "").unwrap_err().to_string();
        assert!(error.starts_with("false failed"), "{error}");
    }
}
