//! Golden transcripts: one script of the wire per revision, in `transcripts/`.
//!
//! Each line says in JSON who acts. Lines of the client and of the handlers are the script:
//!
//! - `{"client": MESSAGE}`: the client sends a message or a batch;
//! - `"listen"`, `{"wait": SECONDS}`, `{"cut": STREAM}`: the client opens the standalone stream, time passes, a connection
//!   is lost;
//! - `{"progress": {"of": ID, ..}}`, and likewise `log`, `ask`, `result` and `fail`: the handler of the request with this id
//!   acts;
//! - `{"tell": METHOD}`, and an `ask` of no id: the server speaks outside any request.
//!
//! What the server does about a line stands right after it: `{"server": MESSAGE, "stream": NUMBER}`, `{"prime": STREAM}` and
//! `{"refused": STATUS, "error": ERROR}`. The test plays the script anew and compares. `UPDATE_TRANSCRIPTS=1 cargo test
//! transcripts` writes what it saw instead: read the difference before you commit it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::*;
use crate::model::{CallToolResult, ListToolsResult, Method, ServerNotification, ServerRequest};

#[derive(Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum Act {
    Client(Raw),
    Listen,
    Wait(u64),
    Cut(u64),
    Progress { of: RequestId, at: f64 },
    Log { of: RequestId, level: LoggingLevel, data: Raw },
    Ask { of: Option<RequestId>, method: String, params: Raw },
    Result { of: RequestId, value: Raw },
    Fail { of: RequestId, error: ErrorObject },
    Tell(String),
}

#[test]
fn every_legacy_revision_speaks_as_written_down() {
    let mut different = Vec::new();
    for revision in Revision::LEGACY {
        let path = home().join(format!("{revision}.jsonl"));
        let written =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let seen = play(&written);
        if seen == written {
            continue;
        }
        if std::env::var_os("UPDATE_TRANSCRIPTS").is_some() {
            std::fs::write(&path, seen).unwrap();
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

#[test]
fn there_is_no_transcript_without_a_revision() {
    for entry in std::fs::read_dir(home()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(
            Revision::LEGACY.iter().any(|revision| revision.date() == name),
            "{} is played by nobody",
            path.display()
        );
    }
}

fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/session/tests/transcripts")
}

/// Plays the script and writes it down anew, with what the server did.
fn play(script: &str) -> String {
    let mut pair = Pair::unopened(SessionLimits::default());
    let mut seen = String::new();
    let lines = script.lines().filter(|line| {
        !["{\"server\":", "{\"prime\":", "{\"refused\":"].iter().any(|start| line.starts_with(start))
    });
    for line in lines {
        writeln!(seen, "{line}").unwrap();
        let act: Act = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        act_out(&mut pair, act);
        pair.settle();
        for event in std::mem::take(&mut pair.client.arrived) {
            let stream = event.stream.0;
            match &*event.text {
                "" => writeln!(seen, r#"{{"prime":{stream}}}"#),
                text => writeln!(seen, r#"{{"server":{text},"stream":{stream}}}"#),
            }
            .unwrap();
        }
        for refusal in std::mem::take(&mut pair.client.refused) {
            let error = serde_json::to_string(&refusal.error()).unwrap();
            writeln!(seen, r#"{{"refused":{},"error":{error}}}"#, refusal.status().as_u16()).unwrap();
        }
    }
    assert_sound(&pair);
    assert!(pair.server.session().is_idle(), "the script leaves nothing in flight");
    seen
}

fn act_out(pair: &mut Pair, act: Act) {
    match act {
        Act::Client(message) => drop(pair.post(message.as_bytes().clone())),
        Act::Listen => pair.listen(),
        Act::Wait(seconds) => pair.advance(Duration::from_secs(seconds)),
        Act::Cut(stream) => {
            let on = |at: &usize| pair.client.place(*at).is_some_and(|place| place.stream.0 == stream);
            let source = (0..pair.client.sources.len()).rev().find(on).expect("the client knows the stream");
            pair.cut(source, 0);
        }
        Act::Progress { of, at } => drop(pair.progress(pair.running(&of), at)),
        Act::Log { of, level, data } => drop(pair.log(pair.running(&of), level, &data)),
        Act::Ask { of, method, params } => {
            let method = Method::parse(&method).expect("a method of MCP");
            let request = ServerRequest::parse(method, Some(&params)).unwrap().expect("a request of servers");
            let call = of.map(|id| pair.running(&id));
            pair.ask(call, request, Patience::new(MINUTE)).expect("the client can be asked");
        }
        Act::Result { of, value } => {
            let answer = answer(pair, &of, value);
            pair.answer(pair.running(&of), Ok(answer));
        }
        Act::Fail { of, error } => drop(pair.answer(pair.running(&of), Err(error))),
        Act::Tell(method) => {
            let method = Method::parse(&method).expect("a method of MCP");
            let notification =
                ServerNotification::parse(method, None).unwrap().expect("a notification of servers");
            pair.tell(None, MessageKind::Related, notification);
        }
    }
}

/// A result in the neutral form, so that the transcript shows what the revision makes of it.
fn answer(pair: &Pair, id: &RequestId, result: Raw) -> Answer {
    let running = pair.server.running.iter().find(|running| running.id == *id).expect("the request runs");
    match &*running.method {
        "tools/call" => result.parse::<CallToolResult>().unwrap().into(),
        "tools/list" => result.parse::<ListToolsResult>().unwrap().into(),
        _ => Answer::Custom(result),
    }
}
