//! `throughline ping`.

use std::future::IntoFuture;
use std::time::Duration;

use serde_json::{Value, json};
use throughline::jsonrpc::Raw;
use throughline::model::ServerCapabilities;
use throughline::{AnswerForm, Client, ClientTransport, Connect, ConnectStep, StreamStatus};
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::Instant;

use super::{Place, failed};
use crate::Stop;
use crate::flags::{Output, Request};
use crate::terminal;

/// One step, and how long it took.
struct Step {
    name: &'static str,
    took: Duration,
    /// What came of it.
    note: String,
}

pub(super) async fn run(connect: Connect, place: &Place, request: &Request) -> Result<(), Stop> {
    let mut steps = Steps { output: request.output, done: Vec::new() };
    let (tell, mut told) = unbounded_channel();
    let connecting = connect.on_step(move |step| {
        // Nobody listens any more once it is connected.
        let _ = tell.send((step, Instant::now()));
    });
    let mut connecting = connecting.into_future();
    let mut before = Instant::now();
    let connected = loop {
        tokio::select! {
            biased;
            Some(step) = told.recv() => steps.connecting(&mut before, step),
            connected = &mut connecting => break connected,
        }
    };
    while let Ok(step) = told.try_recv() {
        steps.connecting(&mut before, step);
    }
    let client = connected.map_err(|error| failed(&error))?;
    let client = place.get_or_init(|| client);

    let stream = tokio::spawn(stream_of(client.clone(), request.timeout, Instant::now()));
    let capabilities = client.peer().capabilities.clone();
    let method = first_list(&capabilities);
    let begun = Instant::now();
    let listed = client.request::<Raw>(method, &()).await;
    let note = match &listed {
        Ok(_) => client.answered_by().map_or("", |form| match form {
            AnswerForm::Json => "one JSON body",
            AnswerForm::Stream => "a stream of events",
        }),
        Err(_) => "failed",
    };
    steps.add(method, begun.elapsed(), note);
    listed.map_err(|error| failed(&error))?;
    let standalone = match stream.await {
        Ok(Some((status, took))) => {
            steps.add("standalone stream", took, standalone_note(status));
            Some(status)
        }
        _ => None,
    };
    let found = Found { client, standalone };
    match request.output {
        Output::Text => terminal::print_foreign(&found.text()),
        Output::Json => terminal::print_foreign(&found.json(&steps.done).to_string()),
    }
    Ok(())
}

struct Steps {
    output: Output,
    done: Vec<Step>,
}

impl Steps {
    fn add(&mut self, name: &'static str, took: Duration, note: impl Into<String>) {
        let step = Step { name, took, note: note.into() };
        if self.output == Output::Text {
            let line = format!("{:<18} {:>9}  {}", step.name, millis(step.took), step.note);
            terminal::print(line.trim_end());
        }
        self.done.push(step);
    }

    /// A step of connecting is done.
    fn connecting(&mut self, before: &mut Instant, (step, at): (ConnectStep, Instant)) {
        let name = match step {
            // Other connections belong to other steps.
            ConnectStep::Reached if self.done.iter().any(|step| step.name == "connect") => return,
            ConnectStep::Reached => "connect",
            ConnectStep::Discovered => "server/discover",
            ConnectStep::Initialized => "initialize",
            ConnectStep::SseOpened => "HTTP+SSE stream",
            _ => return,
        };
        let took = at.saturating_duration_since(std::mem::replace(before, at));
        self.add(name, took, "");
    }
}

/// What was found out.
struct Found<'a> {
    client: &'a Client,
    /// `None` where there is none of its own.
    standalone: Option<StreamStatus>,
}

impl Found<'_> {
    fn text(&self) -> String {
        let peer = self.client.peer();
        let server = peer.info.as_ref().map_or_else(
            || "it does not say who it is".into(),
            |info| match &info.title {
                Some(title) => format!("{} {} ({title})", info.name, info.version),
                None => format!("{} {}", info.name, info.version),
            },
        );
        let mode = match (peer.revision.is_modern(), self.has_session()) {
            (true, _) => "without sessions",
            (false, true) => "with a session",
            (false, false) => "stateless: the server gives no session id",
        };
        let mut text = format!(
            "\nserver     {server}\ntransport  {}\nrevision   {}, {mode}\noffers     {}\n",
            transport_name(self.client.transport()),
            peer.revision,
            offers(&peer.capabilities),
        );
        for (at, note) in self.takes_away().iter().enumerate() {
            text.push_str(if at == 0 { "so         " } else { "           " });
            text.push_str(note);
            text.push('\n');
        }
        text
    }

    fn json(&self, steps: &[Step]) -> Value {
        let peer = self.client.peer();
        let steps = steps.iter().map(|step| {
            let millis = (step.took.as_secs_f64() * 1e6).round() / 1e3;
            json!({ "step": step.name, "ms": millis, "note": step.note })
        });
        json!({
            "server": peer.info,
            "transport": match self.client.transport() {
                ClientTransport::Streamable => "streamable",
                ClientTransport::Sse => "sse",
                _ => "stdio",
            },
            "revision": peer.revision.date(),
            "sessions": !peer.revision.is_modern() && self.has_session(),
            "standaloneStream": self.standalone.map(|status| status == StreamStatus::Open),
            "answer": self.client.answered_by().map(|form| match form {
                AnswerForm::Json => "json",
                AnswerForm::Stream => "sse",
            }),
            "capabilities": peer.capabilities,
            "instructions": peer.instructions,
            "takesAway": self.takes_away(),
            "steps": steps.collect::<Vec<_>>(),
        })
    }

    fn has_session(&self) -> bool {
        self.client.transport() != ClientTransport::Streamable || self.client.session_id().is_some()
    }

    /// What a client of this server has to do without, as far as that can be seen.
    fn takes_away(&self) -> Vec<&'static str> {
        let mut notes = Vec::new();
        let modern = self.client.revision().is_modern();
        match self.client.transport() {
            ClientTransport::Streamable if modern => {
                notes.push("a lost connection cancels its call: nothing can be resumed");
            }
            ClientTransport::Streamable if !self.has_session() => {
                notes.push("tools can ask nothing, nothing can be subscribed to, and nothing can be resumed");
            }
            ClientTransport::Sse => notes.push("what is under way when the stream is lost is lost with it"),
            _ => {}
        }
        if !modern && self.standalone.is_some_and(|status| status != StreamStatus::Open) {
            notes.push("changes and log messages that belong to no call cannot arrive");
        }
        if self.client.answered_by() == Some(AnswerForm::Json) && self.standalone != Some(StreamStatus::Open)
        {
            // Where there are no sessions, tools ask by results.
            notes.push(match modern {
                true => "it answered with one JSON body: if it always does, there is no progress",
                false => "it answered with one JSON body: if it always does, there is no progress, and tools can ask nothing",
            });
        }
        notes
    }
}

/// Waits for what becomes of the standalone stream; `None` where there is none of its own.
async fn stream_of(client: Client, patience: Duration, begun: Instant) -> Option<(StreamStatus, Duration)> {
    if client.revision().is_modern() || client.transport() != ClientTransport::Streamable {
        return None;
    }
    let mut status = client.status();
    let known = tokio::time::timeout(patience, status.wait_for(|status| *status != StreamStatus::Idle)).await;
    let status =
        known.map_or(StreamStatus::Idle, |known| known.map_or(StreamStatus::Closed, |status| *status));
    Some((status, begun.elapsed()))
}

fn standalone_note(status: StreamStatus) -> &'static str {
    match status {
        StreamStatus::Open => "open",
        StreamStatus::Unavailable => "the server offers none",
        StreamStatus::Idle => "no answer in time",
        _ => "lost at once",
    }
}

/// The list that every such server has; `ping` where there is none.
fn first_list(capabilities: &ServerCapabilities) -> &'static str {
    match capabilities {
        ServerCapabilities { tools: Some(_), .. } => "tools/list",
        ServerCapabilities { resources: Some(_), .. } => "resources/list",
        ServerCapabilities { prompts: Some(_), .. } => "prompts/list",
        _ => "ping",
    }
}

fn transport_name(transport: ClientTransport) -> &'static str {
    match transport {
        ClientTransport::Streamable => "Streamable HTTP",
        ClientTransport::Sse => "HTTP+SSE, the transport of the first revision",
        _ => "standard input and output",
    }
}

/// `tools (list changes), resources (subscriptions)`.
fn offers(capabilities: &ServerCapabilities) -> String {
    let mut all = Vec::new();
    let changes =
        |name: &str, changes: bool| if changes { format!("{name} (tells changes)") } else { name.into() };
    if let Some(tools) = &capabilities.tools {
        all.push(changes("tools", tools.list_changed));
    }
    if let Some(resources) = &capabilities.resources {
        let more = [(resources.list_changed, "tells changes"), (resources.subscribe, "subscriptions")];
        let more: Vec<_> = more.into_iter().filter_map(|(is, what)| is.then_some(what)).collect();
        all.push(match &more[..] {
            [] => "resources".into(),
            more => format!("resources ({})", more.join(", ")),
        });
    }
    if let Some(prompts) = &capabilities.prompts {
        all.push(changes("prompts", prompts.list_changed));
    }
    if capabilities.completions {
        all.push("completions".into());
    }
    if capabilities.logging {
        all.push("logging".into());
    }
    all.extend(capabilities.extensions.keys().map(|name| format!("the extension {name}")));
    all.extend(capabilities.experimental.keys().map(|name| format!("the experimental {name}")));
    if all.is_empty() { "nothing".into() } else { all.join(", ") }
}

fn millis(took: Duration) -> String {
    format!("{:.1} ms", took.as_secs_f64() * 1000.0)
}
