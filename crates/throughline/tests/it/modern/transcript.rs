//! Golden transcripts: one script of the wire per modern revision, in `transcripts/`.
//!
//! Each line says in JSON who acts. Lines of the client and of the server's program are the script:
//!
//! - `{"post": MESSAGE}`: the client sends a message, with the headers that it needs; `"headers": {NAME: VALUE}` replaces
//!   one, `null` leaves it out; `"as": NAME` keeps a stream open under this name;
//! - `{"change": "tools"}`, `"prompts"` or `"resources"`: something is added; `{"updated": URI}`: a resource changed;
//!   `"drain"`: the server shuts down.
//!
//! What the server does about a line stands right after it: `{"status": NUMBER, ..}` with the `body`, or with the `events` of a
//! stream that is over; `{"on": NAME, "event": MESSAGE}` and `{"on": NAME, "end": true}` for one that is open. A
//! `requestState` is sealed anew each time, so it stands there as `STATE 1` and so on, and means the sealed one in a post.
//!
//! The test plays the script anew and compares. `UPDATE_TRANSCRIPTS=1 cargo test transcript` writes what it saw instead: read
//! the difference before you commit it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use throughline::model::LoggingLevel;
use throughline::revision::Revision;
use throughline::{Ability, Context, Error, Result, Server, StreamableHttp, prompt, resource, tool};

use crate::support::{Events, Wire, settle};

#[derive(Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum Act {
    Post(Value),
    Change(String),
    Updated(String),
    Drain,
}

#[derive(Deserialize)]
struct How {
    #[serde(default)]
    headers: BTreeMap<String, Option<String>>,
    #[serde(rename = "as")]
    name: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
struct Echo {
    text: String,
}

#[derive(Deserialize, JsonSchema)]
struct Project {
    name: String,
}

#[derive(Deserialize, JsonSchema)]
struct Approval {
    approved: bool,
}

async fn count(cx: Context) -> Result<&'static str> {
    cx.log(LoggingLevel::Info, "begun").logger("it").await?;
    for step in 1..=2 {
        cx.progress(f64::from(step)).total(2.0).message("counting").await?;
    }
    Ok("counted")
}

async fn delete(project: Project, cx: Context) -> Result<String> {
    let number = cx.once("number", || async { Ok::<_, Error>(7) }).await?;
    let Approval { approved } = cx.elicit(format!("Delete {}?", project.name)).key("approval").await?;
    let Approval { approved: sure } = cx.elicit("Really?").await?;
    Ok(format!("{number}: {}", approved && sure))
}

fn server() -> Server {
    Server::new("it", "1")
        .instructions("Ask away.")
        .tool(tool("echo", |echo: Echo| async move { echo.text }).description("Says it again."))
        .tool(tool("count", count))
        .tool(tool("delete", delete))
        .tool(tool("sample", || async { "unreachable" }).needs(Ability::Sampling))
        .prompt(prompt("hello", || async { "Hello." }))
        .resource(resource("it://motd", "motd", || async { "Have a nice day." }))
}

#[tokio::test(start_paused = true)]
async fn every_modern_revision_speaks_as_written_down() {
    let mut different = Vec::new();
    for revision in Revision::MODERN {
        let path = home().join(format!("{revision}.jsonl"));
        let written =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let seen = Play::new().all(&written).await;
        if seen == written {
            continue;
        }
        if std::env::var_os("UPDATE_TRANSCRIPTS").is_some() {
            std::fs::write(&path, seen).expect("it can be written");
            continue;
        }
        let at = seen.lines().zip(written.lines()).position(|(seen, written)| seen != written);
        let at = at.unwrap_or_else(|| seen.lines().count().min(written.lines().count()));
        let line = |text: &str| text.lines().nth(at).unwrap_or("the end").to_owned();
        different.push(format!(
            "{revision}, line {}\n  written: {}\n  seen:    {}",
            at + 1,
            line(&written),
            line(&seen)
        ));
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/modern/transcripts")
}

/// A script being played.
struct Play {
    server: Server,
    endpoint: StreamableHttp,
    wire: Wire,
    open: BTreeMap<String, Events>,
    /// The states that were given out, sealed.
    states: Vec<String>,
    seen: String,
}

impl Play {
    fn new() -> Self {
        let server = server();
        let endpoint = StreamableHttp::new(server.clone());
        let wire = Wire::new(&endpoint);
        Self { server, endpoint, wire, open: BTreeMap::new(), states: Vec::new(), seen: String::new() }
    }

    async fn all(mut self, script: &str) -> String {
        for line in script.lines() {
            let said: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"));
            if said.get("status").or(said.get("on")).is_some() {
                continue;
            }
            self.seen.push_str(line);
            self.seen.push('\n');
            self.act(said).await;
            self.read_open().await;
        }
        self.seen
    }

    async fn act(&mut self, mut said: Value) {
        let how = How::deserialize(&said).unwrap_or(How { headers: BTreeMap::new(), name: None });
        if let Some(said) = said.as_object_mut() {
            said.retain(|name, _| name != "headers" && name != "as");
        }
        match serde_json::from_value(said).expect("an act") {
            Act::Post(message) => self.post(message, how).await,
            Act::Change(list) => match &*list {
                "tools" => self.server.add_tool(tool("more", || async { "more" })).expect("a new name"),
                "prompts" => self.server.add_prompt(prompt("more", || async { "more" })).expect("a new name"),
                _ => self
                    .server
                    .add_resource(resource("it://more", "more", || async { "more" }))
                    .expect("a new URI"),
            },
            Act::Updated(uri) => {
                self.server.resource_updated(&uri);
            }
            Act::Drain => {
                let endpoint = self.endpoint.clone();
                tokio::spawn(async move { endpoint.drain(Duration::from_secs(1)).await });
                settle().await;
            }
        }
    }

    async fn post(&mut self, mut message: Value, how: How) {
        if let Some(state) = message.pointer_mut("/params/requestState")
            && let Some(number) = state.as_str().and_then(|state| state.strip_prefix("STATE "))
        {
            *state = self.states[number.parse::<usize>().expect("a number") - 1].clone().into();
        }
        let mut sending = self.wire.post_modern(message);
        for (name, value) in how.headers {
            let name: &'static str = name.leak();
            sending = match value {
                Some(value) => sending.header(name, &value),
                None => sending.without(name),
            };
        }
        let answer = sending.send().await;
        let status = answer.status();
        if answer.header("content-type") == "text/event-stream" {
            let mut events = answer.events();
            match how.name {
                Some(name) => {
                    self.say(json!({ "status": status, "on": name }));
                    self.open.insert(name, events);
                }
                None => {
                    let mut all = Vec::new();
                    while let Some(event) = events.next().await {
                        all.push(self.masked(event.message));
                    }
                    self.say(json!({ "status": status, "events": all }));
                }
            }
            return;
        }
        let text = answer.text().await;
        if text.is_empty() {
            return self.say(json!({ "status": status }));
        }
        let body = self.masked(serde_json::from_str(&text).expect("JSON"));
        self.say(json!({ "status": status, "body": body }));
    }

    /// What came on the open streams.
    async fn read_open(&mut self) {
        for name in self.open.keys().cloned().collect::<Vec<_>>() {
            let mut events = self.open.remove(&name).expect("it is open");
            let (messages, ended) = events.now().await;
            for message in messages {
                self.say(json!({ "on": name, "event": message }));
            }
            if ended {
                self.say(json!({ "on": name, "end": true }));
            } else {
                self.open.insert(name, events);
            }
        }
    }

    fn masked(&mut self, mut message: Value) -> Value {
        if let Some(state) = message.pointer_mut("/result/requestState") {
            self.states.push(state.as_str().expect("text").to_owned());
            *state = format!("STATE {}", self.states.len()).into();
        }
        message
    }

    fn say(&mut self, line: Value) {
        self.seen.push_str(&line.to_string());
        self.seen.push('\n');
    }
}
