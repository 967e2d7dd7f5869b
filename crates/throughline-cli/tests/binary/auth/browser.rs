//! A browser for tests: a program that the binary starts with an address, and the person who sits in front of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use http::header::LOCATION;
use http::{Method, Response, StatusCode, Uri};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::unix::pipe::{OpenOptions, Receiver};

use super::super::http::Connection;
use super::super::within;

/// The browser. What it is asked to open comes here.
pub(crate) struct Browser {
    /// What the variable `BROWSER` is set to.
    pub(crate) program: PathBuf,
    opened: Lines<BufReader<Receiver>>,
    _directory: TempDir,
}

impl Browser {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let (program, pipe) = (directory.path().join("browser"), directory.path().join("opened"));
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo is there");
        assert!(made.success());
        let script = format!("#!/bin/sh\nprintf '%s\\n' \"$1\" > '{}'\n", pipe.display());
        fs::write(&program, script).expect("it is written");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("it is ours");
        // With a writer of its own it does not end between two of the program's.
        let pipe = OpenOptions::new().read_write(true).open_receiver(&pipe).expect("it is a pipe");
        Self { program, opened: BufReader::new(pipe).lines(), _directory: directory }
    }

    /// The next address that was opened.
    pub(crate) async fn opened(&mut self) -> Uri {
        let line = within("that a page is opened", self.opened.next_line()).await.expect("it is text");
        line.expect("there is a writer").parse().expect("it is an address")
    }

    /// Whether no other page was opened so far.
    pub(crate) async fn opened_no_more(&mut self) -> bool {
        // What is asked of it is read in order.
        let asked = std::process::Command::new(&self.program).arg("http://the.end/").status();
        assert!(asked.expect("it is there").success());
        self.opened().await == "http://the.end/"
    }

    /// Opens the next page, agrees, and goes where that leads: what is shown in the end.
    pub(crate) async fn log_in(&mut self) -> String {
        let page = self.opened().await;
        visit(&page).await
    }
}

/// Opens a page: where it sends the browser.
pub(crate) async fn redirect_of(page: &Uri) -> String {
    let response = get(page).await;
    response.headers()[LOCATION].to_str().expect("it is text").to_owned()
}

async fn get(page: &Uri) -> Response<Incoming> {
    let authority = page.authority().expect("an address has one");
    let address = tokio::net::lookup_host(authority.as_str()).await.expect("it is known").next();
    let mut connection = Connection::open(address.expect("it has an address")).await;
    let path = page.path_and_query().map_or("/", |path| path.as_str());
    connection.send_to(authority.as_str(), Method::GET, path, &[], "").await
}

/// Opens a page and goes where it leads: what is shown in the end.
pub(crate) async fn visit(page: &Uri) -> String {
    let mut page = page.clone();
    for _ in 0..5 {
        let response = get(&page).await;
        if let Some(next) = response.headers().get(LOCATION) {
            page = next.to_str().expect("it is text").parse().expect("it is an address");
            continue;
        }
        let status = response.status();
        let body = within("the page", response.into_body().collect()).await.expect("it is whole").to_bytes();
        let text = String::from_utf8_lossy(&body).into_owned();
        assert_eq!(status, StatusCode::OK, "{text}");
        return text;
    }
    panic!("it leads around and around");
}
