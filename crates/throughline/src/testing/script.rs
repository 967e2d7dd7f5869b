//! A stream of the server that is read step by step, against what the test expects.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;
use throughline_proto::jsonrpc::{Raw, Request};
use tokio::sync::mpsc;

use super::answer::{Answer, Desk, Kind};
use super::event::{Event, Short};
use super::transcript::Transcript;

/// What has come and is not looked at yet. Reading goes on beside it, so that several calls can run.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) who: String,
    pub(super) transcript: Transcript,
    pub(super) desk: Arc<Desk>,
    pub(super) patience: Duration,
    pub(super) events: mpsc::Receiver<Event>,
    pub(super) skips: Skips,
}

/// What the test does not want to hear of.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Skips {
    pub(super) progress: bool,
    pub(super) logs: bool,
}

/// Where the test asks.
pub(super) type Place = &'static Location<'static>;

impl Script {
    /// The next event, whatever it is.
    pub(super) async fn next(&mut self, at: Place, expected: &str) -> Event {
        match tokio::time::timeout(self.patience, self.any()).await {
            Ok(Some(event)) => event,
            Ok(None) => self.fail(at, &expected, &"it is over already"),
            Err(_) => self.fail(at, &expected, &format_args!("nothing came within {:?}", self.patience)),
        }
    }

    /// Fails when anything comes within this time.
    pub(super) async fn nothing(&mut self, at: Place, time: Duration) {
        if let Ok(Some(event)) = tokio::time::timeout(time, self.any()).await {
            self.wrong(at, &format_args!("nothing for {time:?}"), &event);
        }
    }

    pub(super) async fn question(
        &mut self,
        at: Place,
        method: &str,
        answer: impl FnOnce(&Request) -> Result<Answer, String>,
    ) {
        let expected = format!("the question {method}");
        let question = match self.next(at, &expected).await {
            Event::Question(question) if *question.method == *method => question,
            other => self.wrong(at, &expected, &other),
        };
        let answer = match answer(&question) {
            Ok(answer) => answer,
            Err(why) => self.fail(at, &expected, &why),
        };
        match answer.0 {
            Kind::Given(answer) => {
                match &answer {
                    Ok(result) => {
                        let line = format_args!("answer {}", Short(result.as_str()));
                        self.transcript.sent(&self.who, &line);
                    }
                    Err(error) => self.transcript.sent(&self.who, &format_args!("error {error}")),
                }
                self.desk.answer(&question.id, answer);
            }
            Kind::Silence => self.transcript.sent(&self.who, &"(no answer)"),
        }
    }

    pub(super) async fn notification(&mut self, at: Place, method: &str) -> Value {
        match self.next(at, method).await {
            Event::Notification(it) if *it.method == *method => {
                it.params.map_or(Value::Null, |params| params.parse().expect("a message holds JSON"))
            }
            other => self.wrong(at, &method, &other),
        }
    }

    /// Something else came than what was expected.
    pub(super) fn wrong(&self, at: Place, expected: &dyn fmt::Display, came: &Event) -> ! {
        self.fail(at, expected, &format_args!("this came: {came}"))
    }

    pub(super) fn fail(&self, at: Place, expected: &dyn fmt::Display, instead: &dyn fmt::Display) -> ! {
        panic!(
            "{}: expected {expected}, but {instead}\nexpected at {at}\n\
             so far (seconds; `>` went to the server, `<` came from it):\n{}",
            self.who, self.transcript
        )
    }

    async fn any(&mut self) -> Option<Event> {
        loop {
            let event = self.events.recv().await?;
            let skipped = match &event {
                Event::Progress(_) => self.skips.progress,
                Event::Log(_) => self.skips.logs,
                Event::Question(_) | Event::Notification(_) | Event::Over(_) => false,
            };
            if !skipped {
                return Some(event);
            }
        }
    }
}

/// Reads what a message carries; the error says what it is not.
pub(super) fn read<T: DeserializeOwned>(params: Option<&Raw>) -> Result<T, String> {
    let params = params.cloned().unwrap_or_else(Raw::empty_object);
    params.parse().map_err(|error| format!("what came cannot be read ({error}): {}", Short(params.as_str())))
}
