//! Every example is started and called, so that none rots.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests fail and speak as tests do")]

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use http::header::{HeaderName, HeaderValue};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use throughline::auth::ApiKey;
use throughline::model::{LoggingLevel, ReadResourceResult};
use throughline::testing::{Kit, accept, decline};

use throughline::{Client, Connect};

/// An example that runs. It ends with this value.
struct Example {
    child: Child,
    address: SocketAddr,
}

impl Example {
    /// Starts the program with the address that it is to serve at, and waits until it does.
    async fn start(program: &str, arguments: &[&str]) -> Self {
        let address = free_address();
        let address_text = address.to_string();
        Self::at(address, Command::new(program).arg(address_text).args(arguments)).await
    }

    async fn at(address: SocketAddr, command: &mut Command) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("it starts");
        let mut example = Self { child, address };
        // It is a program of its own, and that it can be connected to is the one sign that it gives.
        let listens = async {
            while TcpStream::connect(address).is_err() {
                assert_eq!(example.child.try_wait().unwrap(), None, "it ended at once");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, listens).await.expect("it listens");
        example
    }

    /// How to connect over the network.
    fn client(&self) -> Connect {
        let http = HttpClient::builder(TokioExecutor::new()).build_http();
        Client::over(http).uri(format!("http://{}/mcp", self.address).parse().unwrap())
    }

    async fn kit(&self) -> Kit {
        Kit::connect(self.client()).await.patience(PATIENCE)
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        // It may have ended by itself, which the test has noticed then.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that was free just now.
fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn hello() {
    // It has no arguments, so that it stays short: its port is the one that every example has by default.
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 8808));
    if TcpListener::bind(address).is_err() {
        eprintln!("not checked: hello serves at {address}, which another program uses");
        return;
    }
    let hello = Example::at(address, &mut Command::new(env!("CARGO_BIN_EXE_hello"))).await;
    assert_eq!(hello.kit().await.call("add", json!({ "a": 20, "b": 22 })).text().await, "42");
}

#[tokio::test]
async fn shared_state() {
    let example = Example::start(env!("CARGO_BIN_EXE_shared_state"), &[]).await;
    let mut kit = example.kit().await;
    for (number, text) in [(1, "buy milk"), (2, "buy bread")] {
        let note: Value = kit.call("write", json!({ "text": text })).structured().await;
        assert_eq!(note, json!({ "number": number, "text": text }));
    }
    // Another client sees them.
    let mut kit = example.kit().await;
    assert!(kit.call("find", json!({ "part": "bread" })).text().await.contains("buy bread"));
    let read: ReadResourceResult = kit.request("resources/read", json!({ "uri": "note://1" })).answer().await;
    assert_eq!(read.contents[0].uri(), "note://1");
    assert_eq!(kit.call("tear_out", json!({ "number": 1 })).text().await, "buy milk");
    assert_eq!(kit.call("tear_out", json!({ "number": 1 })).tool_error().await, "there is no note 1");
}

#[tokio::test]
async fn long_job() {
    let example = Example::start(env!("CARGO_BIN_EXE_long_job"), &[]).await;
    let mut kit = example.kit().await;
    let mut call = kit.call("index", json!({ "documents": 3, "milliseconds": 1 }));
    for document in 1..=3 {
        let progress = call.expect_progress(f64::from(document)).await;
        assert_eq!(progress.total, Some(3.0));
    }
    call.expect_log(LoggingLevel::Info, json!({ "indexed": 3 })).await;
    assert_eq!(call.text().await, "3 documents are indexed");

    let mut call = kit.call("index", json!({ "documents": 10_000, "milliseconds": 10 }));
    call.expect_progress(1.0).await;
    call.cancel("changed my mind").await;
    call.ignore_progress().no_result().await;
}

#[tokio::test]
async fn elicitation() {
    let example = Example::start(env!("CARGO_BIN_EXE_elicitation"), &[]).await;
    let mut kit = example.kit().await;
    let mut call = kit.call("book", json!({ "train": "ICE 1" }));
    call.expect_elicit(|_| accept(json!({ "seat": "window", "wish": "quiet" }))).await;
    assert_eq!(call.text().await, "booked: Window, noted: quiet");
    let mut call = kit.call("book", json!({ "train": "ICE 1" }));
    call.expect_elicit(|_| decline()).await;
    assert_eq!(call.text().await, "not booked");
}

#[tokio::test]
async fn dashboard() {
    let page = free_address();
    let example = Example::start(env!("CARGO_BIN_EXE_dashboard"), &[&page.to_string()]).await;
    let mut kit = example.kit().await;
    kit.subscribe("metrics://presses").await;
    assert_eq!(kit.call("press", ()).text().await, "1");
    kit.expect_updated("metrics://presses").await;
    let read: Value = kit.request("resources/read", json!({ "uri": "metrics://presses" })).answer().await;
    assert_eq!(read["contents"][0]["text"], "1");
    let http = HttpClient::builder(TokioExecutor::new()).build_http::<throughline::RequestBody>();
    let answer = http.get(format!("http://{page}/").parse().unwrap()).await.unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn custom_extractor() {
    let example = Example::start(env!("CARGO_BIN_EXE_custom_extractor"), &[]).await;
    let client =
        example.client().header(HeaderName::from_static("x-customer"), HeaderValue::from_static("ACME"));
    let mut kit = Kit::connect(client).await.patience(PATIENCE);
    assert_eq!(kit.call("orders", json!({ "at_most": 3 })).text().await, "the 3 newest orders of ACME");
    let nobody = example.kit().await.call("orders", ()).protocol_error().await;
    assert_eq!(nobody.message(), "send the header `X-Customer`");
}

#[tokio::test]
async fn protected() {
    let key = ApiKey::from_random([7; 32]);
    let address = free_address();
    let mut command = Command::new(env!("CARGO_BIN_EXE_protected"));
    command.arg(address.to_string()).env("MCP_KEY_DIGEST", key.digest().to_string());
    let example = Example::at(address, &mut command).await;
    let nobody = example.client().await.unwrap_err();
    assert!(nobody.to_string().contains("401"), "{nobody}");
    let mut kit = Kit::connect(example.client().bearer(key.expose())).await.patience(PATIENCE);
    assert_eq!(kit.call("whoami", ()).text().await, "operator, who may files:read");
}

#[tokio::test]
async fn middleware() {
    let example = Example::start(env!("CARGO_BIN_EXE_middleware"), &[]).await;
    let mut kit = example.kit().await;
    assert_eq!(kit.call("wait", json!({ "milliseconds": 1 })).text().await, "waited 1 ms");
    let slow = kit.call("wait", json!({ "milliseconds": 60_000 })).tool_error().await;
    assert!(slow.ends_with("request timed out"), "{slow}");
}

#[tokio::test]
async fn axum() {
    let example = Example::start(env!("CARGO_BIN_EXE_axum"), &[]).await;
    assert_eq!(example.kit().await.call("hello", ()).text().await, "Hello from axum.");
}

#[tokio::test]
async fn hyper() {
    let example = Example::start(env!("CARGO_BIN_EXE_hyper"), &[]).await;
    assert_eq!(example.kit().await.call("hello", ()).text().await, "Hello from hyper.");
}

/// What `connect` prints of a server.
fn connect(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_connect")).args(arguments).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "connect {arguments:?}: {printed}{complaint}");
    printed
}

/// The binary of the command line, which is in the same directory once it is built.
fn throughline() -> PathBuf {
    let path = PathBuf::from(env!("CARGO_BIN_EXE_connect")).with_file_name("throughline");
    let path = path.with_extension(std::env::consts::EXE_EXTENSION);
    if !path.exists() {
        let built = Command::new(env!("CARGO")).args(["build", "--quiet", "-p", "throughline-cli"]).status();
        assert!(built.unwrap().success());
    }
    path
}

#[tokio::test]
async fn connect_finds_every_transport_and_era() {
    let throughline = throughline();
    for (flags, path, revision) in [
        (&[][..], "mcp", "2026-07-28"),
        (&["--era", "modern"], "mcp", "2026-07-28"),
        (&["--era", "legacy"], "mcp", "2025-11-25"),
        (&["--sse"], "sse", "2025-11-25"),
    ] {
        let address = free_address();
        let listen = address.to_string();
        let mut serve = Command::new(&throughline);
        let _serving = Example::at(address, serve.args(["serve", "--listen", &listen]).args(flags)).await;
        let printed = connect(&[&format!("http://{address}/{path}")]);
        assert!(printed.contains(&format!("speaks {revision}\n")), "{flags:?}: {printed}");
        assert!(printed.contains("\n  echo "), "{flags:?}: {printed}");
    }
    let printed = connect(&["--", throughline.to_str().unwrap(), "serve", "--stdio"]);
    assert!(printed.contains("speaks 2026-07-28\n") && printed.contains("\n  echo "), "{printed}");
}

#[test]
fn connect_says_what_is_wrong() {
    let nowhere = format!("http://{}/mcp", free_address());
    for (arguments, what) in [
        (&[nowhere.as_str()][..], "nothing listens at"),
        (&["localhost:8808"], "no scheme"),
        (&["--", "there-is-no-such-program"], "no such program is in PATH"),
        (&["--"], "usage"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_connect")).args(arguments).output().unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && complaint.contains(what), "{arguments:?}: {complaint}");
    }
}

/// A loaded machine is slow; a test that hangs ends all the same.
const PATIENCE: Duration = Duration::from_secs(60);
