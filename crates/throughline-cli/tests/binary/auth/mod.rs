//! Servers that ask who comes, and clients that say so, against an authorization server of the tests.

pub(crate) mod authority;
pub(crate) mod browser;
mod login;
mod serve;

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;
use tokio::process::Command;

use self::authority::Authority;
use self::browser::Browser;
use super::process::{Served, binary, serve};

/// Files of a test.
pub(crate) struct Files(TempDir);

impl Files {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file: its path.
    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).expect("it is written");
        self.path(name).to_string_lossy().into_owned()
    }
}

/// A server that takes tokens of the authorization server, a person with a browser, and a place for logins.
pub(crate) struct Locked {
    pub(crate) authority: Authority,
    pub(crate) browser: Browser,
    pub(crate) url: String,
    home: Files,
    _server: Served,
}

impl Locked {
    pub(crate) async fn start(flags: &[&str]) -> Self {
        let authority = Authority::start().await;
        let lock = ["--auth", "jwt", "--auth-issuer", &authority.issuer];
        let server = serve(&[&lock[..], flags].concat()).await;
        let url = format!("http://{}/mcp", server.address);
        Self { authority, browser: Browser::new(), url, home: Files::new(), _server: server }
    }

    /// A command of which URL is the address, with the browser and the place for logins.
    pub(crate) fn command(&self, line: &[&str]) -> Command {
        let mut command = self.command_without_browser(line);
        command.env("BROWSER", &self.browser.program);
        command
    }

    pub(crate) fn command_without_browser(&self, line: &[&str]) -> Command {
        let line: Vec<&str> =
            line.iter().map(|word| if *word == "URL" { &self.url } else { *word }).collect();
        let mut command = binary(&line);
        command.env("XDG_DATA_HOME", self.home.path("")).env("HOME", self.home.path(""));
        command
    }
}
