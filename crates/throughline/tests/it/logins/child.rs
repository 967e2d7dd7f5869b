//! A program of the user's, as a process of its own.

use std::io::{self, BufRead, Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::Duration;

use throughline::Client;
use throughline::auth::OAuth;
use throughline::auth::oauth::{
    Exclusive, FileTokenStore, LoginPage, LoginPrompt, LoopbackCallback, Record, TokenStore, exclusive,
};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::JoinSet;

use super::{key, long_record};

/// A process, and what it says.
pub(crate) struct Program {
    process: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Program {
    /// Starts one, which says that it is ready and waits to be told to go.
    pub(crate) async fn start(role: &str, store: &FileTokenStore, issuer: Option<&str>) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "logins::child::a_program", "--ignored", "--nocapture"]);
        command.env("IT_ROLE", role).env("IT_STORE", store.directory());
        command.env("IT_ISSUER", issuer.unwrap_or_default());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut process = command.spawn().unwrap();
        let input = process.stdin.take().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut program = Self { process, input, lines };
        assert_eq!(program.said().await, "ready");
        program
    }

    pub(crate) async fn go(&mut self) {
        self.input.write_all(b"go\n").await.unwrap();
    }

    /// The next thing that it says.
    pub(crate) async fn said(&mut self) -> String {
        loop {
            let line = self.lines.next_line().await.unwrap().expect("the program says something");
            // The test harness speaks too, and its line has no end when a test begins to speak.
            if let Some((_, said)) = line.split_once("it says: ") {
                return said.to_owned();
            }
        }
    }

    /// Ends it with no chance to tidy up.
    pub(crate) async fn kill(mut self) {
        self.process.kill().await.unwrap();
    }
}

fn say(what: &str) {
    let mut out = io::stdout().lock();
    writeln!(out, "it says: {what}").unwrap();
    out.flush().unwrap();
}

#[test]
#[ignore = "it is a process that the other tests start"]
fn a_program() {
    let role = std::env::var("IT_ROLE").expect("a test starts it");
    let store = FileTokenStore::at(std::env::var_os("IT_STORE").unwrap()).unwrap();
    let issuer = std::env::var("IT_ISSUER").unwrap();
    say("ready");
    io::stdin().lock().read_line(&mut String::new()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        match &*role {
            "login" => {
                say("trying");
                say(&format!("token {}", login(&store, &issuer).await));
            }
            "connect" => {
                say("trying");
                connect(store, &issuer).await;
                say("done");
            }
            "refresh" => {
                let mut tasks = JoinSet::new();
                for _ in 0..4 {
                    tasks.spawn(refresh(store.clone(), issuer.clone()));
                }
                say("trying");
                for token in tasks.join_all().await {
                    say(&format!("token {token}"));
                }
            }
            "hold" => {
                let _held = exclusive(&store, &key(), ENOUGH).await.unwrap();
                say("held");
                std::future::pending::<()>().await;
            }
            "write" => loop {
                for letter in ['a', 'b'] {
                    store.save(&key(), &long_record(letter)).await.unwrap();
                    say("saved");
                }
            },
            other => panic!("nobody knows the role {other}"),
        }
    });
}

/// Logs in, unless another process did.
async fn login(store: &FileTokenStore, issuer: &str) -> String {
    let held = exclusive(store, &key(), ENOUGH).await.unwrap();
    if let Some(record) = &held.record {
        return record.read().unwrap();
    }
    let prompt = LoopbackCallback::new().tell(|_| {}).browser(|address| {
        let address = address.to_owned();
        std::thread::spawn(move || browse(&address));
        Ok(())
    });
    let visit = prompt.ready(None).await.unwrap();
    let redirect_uri = visit.redirect_uri().to_owned();
    let address = format!("http://{issuer}/authorize?redirect_uri={redirect_uri}&state=abc");
    let redirect = visit.visit(LoginPage::new(address, "abc", "it")).await.unwrap();
    assert!(redirect.expose().starts_with(&redirect_uri));
    keep(store, &held, get(issuer, "/token?code=1")).await
}

/// A client that logs in by itself, and calls a tool some times at once.
async fn connect(store: FileTokenStore, server: &str) {
    let prompt = LoopbackCallback::new().tell(|_| {}).browser(|address| {
        let address = address.to_owned();
        std::thread::spawn(move || browse(&address));
        Ok(())
    });
    let oauth = OAuth::new().client_name("demo").store(store).prompt(prompt);
    let client = Client::connect(server).authorize(oauth).standalone_stream(false).await.unwrap();
    let mut calls = JoinSet::new();
    for _ in 0..8 {
        let client = client.clone();
        calls.spawn(async move { client.call_tool("count", &()).await.map(drop) });
    }
    calls.join_all().await.into_iter().for_each(|called| called.unwrap());
}

/// Refreshes, unless another process or task did.
async fn refresh(store: FileTokenStore, issuer: String) -> String {
    let held = exclusive(&store, &key(), ENOUGH).await.unwrap();
    let token: String = held.record.as_ref().unwrap().read().unwrap();
    if token != "0" {
        return token;
    }
    let answer = tokio::task::spawn_blocking(move || get(&issuer, &format!("/token?refresh_token={token}")));
    keep(&store, &held, answer.await.unwrap()).await
}

/// Keeps a token while the lock is held.
async fn keep(store: &FileTokenStore, _held: &Exclusive, token: String) -> String {
    store.save(&key(), &Record::of(&token).unwrap()).await.unwrap();
    token
}

/// What a browser does: it goes where it is sent.
fn browse(address: &str) {
    let (host, target) = address.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let response = exchange(host, &format!("/{target}"));
    let locations = response.lines().filter_map(|line| line.split_once(": "));
    let next =
        locations.filter(|(name, _)| name.eq_ignore_ascii_case("location")).map(|(_, next)| next).next();
    let next = next.expect("it is sent on");
    let (host, target) = next.strip_prefix("http://").unwrap().split_once('/').unwrap();
    assert!(exchange(host, &format!("/{target}")).starts_with("HTTP/1.1 200 "));
}

/// The body of a good answer.
fn get(host: &str, target: &str) -> String {
    let response = exchange(host, target);
    assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
    response.split_once("\r\n\r\n").unwrap().1.to_owned()
}

fn exchange(host: &str, target: &str) -> String {
    let mut stream = TcpStream::connect(host).unwrap();
    write!(stream, "GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

/// No process waits so long for another one; it is there so that one that hangs fails.
pub(super) const ENOUGH: Duration = Duration::from_secs(60);
