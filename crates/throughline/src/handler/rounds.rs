//! A proof, kept as a test: a handler written once also serves the revision without sessions.
//!
//! There the server cannot wait for an answer. A question without one stays pending; the driver sees that the handler
//! waits for it, answers "input required" and drops the handler; the client's retry runs it anew with the answer at
//! hand ([MRTR](https://modelcontextprotocol.io/specification/2026-07-28/basic/patterns/mrtr)). Neither [`Handler`] nor
//! [`Context`](super::Context) knows of it: only the channel is another one.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{self, Poll, Waker};
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Deserialize;
use throughline_proto::jsonrpc::Raw;
use throughline_proto::model::{LoggingLevel, ServerRequest};
use throughline_proto::revision::Revision;
use throughline_proto::session::{AskNo, CallNo};

use super::channel::{AskRequest, Channel, Note, QuestionBody};
use super::{
    Answer, AskError, Call, CallOver, CallScope, Caller, Context, Handler, Outcome, Reply, Server, tool,
};
use crate::lock::Lock;

/// The channel of a request without a session: answers that came with it, and questions that have none yet.
#[derive(Default)]
struct Rounds {
    answers: BTreeMap<String, Raw>,
    asked: Mutex<Vec<(String, AskRequest)>>,
}

impl Channel for Rounds {
    fn poll_notify(
        &self,
        _: Option<CallNo>,
        _: Note<'_>,
        _: &mut task::Context<'_>,
    ) -> Poll<Result<(), CallOver>> {
        Poll::Ready(Ok(()))
    }

    fn wants_log(&self, _: LoggingLevel) -> bool {
        false
    }

    fn open_ask(&self, _: Option<CallNo>, question: &QuestionBody) -> Result<AskNo, AskError> {
        let mut asked = self.asked.locked();
        let key = question.key.clone().unwrap_or_else(|| asked.len().to_string());
        asked.push((key, question.request.clone()));
        Ok(AskNo(asked.len() as u64))
    }

    fn poll_ask(&self, ask: AskNo, _: &mut task::Context<'_>) -> Poll<Result<Raw, AskError>> {
        let key = self.asked.locked()[ask.0 as usize - 1].0.clone();
        self.answers.get(&key).map_or(Poll::Pending, |answer| Poll::Ready(Ok(answer.clone())))
    }

    fn ask_deadline(&self, _: AskNo) -> Option<Instant> {
        None
    }

    fn expire_asks(&self, _: Instant) {}

    fn close_ask(&self, _: AskNo) {}

    fn close_connection(&self, _: CallNo, _: Duration) -> bool {
        false
    }
}

/// How a round ends.
enum Turn {
    Answered(Outcome),
    InputRequired(Vec<(String, AskRequest)>),
}

/// One round: runs the handler until it answers or waits for an answer that is not there.
fn round(handler: &dyn Handler, call: Call, answers: BTreeMap<String, Raw>) -> Turn {
    let rounds = Arc::new(Rounds { answers, asked: Mutex::default() });
    let caller = Arc::new(Caller::new(Revision::LATEST_LEGACY, None, None));
    let scope = CallScope::new(Arc::clone(&rounds) as Arc<dyn Channel>, CallNo(1), caller, None, None, None);
    let mut running: Pin<Box<dyn Future<Output = Outcome> + Send>> = match handler.call(call, scope.context())
    {
        Reply::Ready(outcome) => return Turn::Answered(outcome),
        Reply::Later(running) => running,
    };
    match running.as_mut().poll(&mut task::Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => Turn::Answered(outcome),
        Poll::Pending => {
            drop(running);
            let asked = std::mem::take(&mut *rounds.asked.locked());
            Turn::InputRequired(
                asked.into_iter().filter(|(key, _)| !rounds.answers.contains_key(key)).collect(),
            )
        }
    }
}

#[derive(Deserialize, JsonSchema)]
struct Approval {
    approved: bool,
}

#[derive(Deserialize, JsonSchema)]
struct Project {
    name: String,
}

static DELETED: AtomicUsize = AtomicUsize::new(0);

async fn delete_project(project: Project, cx: Context) -> crate::Result<String> {
    // A careless author: whatever goes wrong counts as yes. While nobody has answered, this line is never passed.
    let approved = cx
        .elicit::<Approval>(format!("Delete {}?", project.name))
        .key("approval")
        .await
        .map_or(true, |approval| approval.approved);
    if !approved {
        return Ok("kept".into());
    }
    DELETED.fetch_add(1, Ordering::Relaxed);
    Ok("deleted".into())
}

fn text_of(turn: Turn) -> String {
    match turn {
        Turn::Answered(Ok(Answer::CallTool(result))) => {
            result.content[0].as_text().expect("it is text").to_owned()
        }
        Turn::Answered(other) => panic!("not a tool result: {other:?}"),
        Turn::InputRequired(asked) => panic!("still waits for {asked:?}"),
    }
}

#[test]
fn one_handler_serves_the_revision_without_sessions() {
    let server = Server::new("demo", "1.0.0").tool(tool("delete_project", delete_project));
    let call = || Call {
        method: "tools/call".into(),
        target: Some("delete_project".into()),
        arguments: Some(Raw::from_json(r#"{"name":"x"}"#).expect("JSON")),
        cursor: None,
        params: Raw::empty_object(),
    };
    let Turn::InputRequired(asked) = round(&server, call(), BTreeMap::new()) else {
        panic!("it must ask first")
    };
    assert_eq!(DELETED.load(Ordering::Relaxed), 0, "nothing ran unapproved");
    assert!(
        matches!(&asked[..], [(key, AskRequest::Mcp(request))] if key == "approval" && matches!(**request, ServerRequest::Elicit(_)))
    );

    let answer = |approved: bool| {
        let answer = format!(r#"{{"action":"accept","content":{{"approved":{approved}}}}}"#);
        BTreeMap::from([("approval".to_owned(), Raw::from_json(answer).expect("JSON"))])
    };
    assert_eq!(text_of(round(&server, call(), answer(false))), "kept");
    assert_eq!(text_of(round(&server, call(), answer(true))), "deleted");
    assert_eq!(DELETED.load(Ordering::Relaxed), 1);
}
