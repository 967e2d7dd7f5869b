//! Following one request, or the standalone stream, over as many connections as it takes.

use std::time::Duration;

use serde_json::{Value, json};
use throughline_proto::sse::Decoder;
use tokio::time::Instant;

use std::sync::atomic::Ordering;

use super::record::is_response_to;
use super::{Dial, Fate, Loss, Lost, Reader, Record, Reply, Seen, Watch};

/// How a response ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Ending {
    /// With its last byte, or with what was waited for.
    Whole,
    /// With when to come back.
    ComeBack(Duration),
}

/// More than any event here needs.
const MAX_EVENT: usize = 1 << 20;

impl<D: Dial> Reader<D> {
    /// Reads `reply`, and comes back with the last id as often as it takes. Without a `reply` it begins with a GET: the
    /// standalone stream, which is opened anew where no id came to come back with.
    pub(super) async fn follow(
        &self,
        mut reply: Option<Reply>,
        record: &mut Record,
        watch: Watch<'_>,
        is_last: &(dyn Fn(&Value) -> bool + Sync),
    ) {
        let is_standalone = record.id.is_null();
        let mut pause = self.0.habits.pause;
        loop {
            let mut at_once = record.connections == 0;
            if let Some(reply) = reply.take() {
                record.connections += 1;
                let losses = record.losses.len();
                if reply.status == 200 {
                    match self.read(reply, record, watch, is_last).await {
                        Ok(Ending::ComeBack(retry)) => pause = retry,
                        Ok(Ending::Whole) | Err(_) => {}
                    }
                    if record.response().is_some() {
                        record.fate = Fate::Answered;
                        return;
                    }
                    if record.messages().any(is_last) {
                        record.fate = Fate::Left;
                        return;
                    }
                } else if self.refused(reply, record).await {
                    return;
                } else {
                    at_once = record.losses.len() > losses;
                }
            }
            if self.0.session.is_none() || (record.last_id.is_none() && !is_standalone) {
                record.fate = Fate::Unknown;
                return;
            }
            // No connection broke where events are gone: there is nothing to wait for.
            if !at_once {
                tokio::time::sleep(pause).await;
            }
            match &record.last_id {
                Some(_) => drop(self.0.resumes.fetch_add(1, Ordering::Relaxed)),
                // The number of the connection that is about to be.
                None => record.opened.push(record.connections + 1),
            }
            match self.0.http.send(self.get(record.last_id.as_deref())).await {
                Ok(answered) => reply = Some(answered),
                Err(_) => record.connections += 1,
            }
        }
    }

    /// Whether that was the end. *Gone* is not: it names the place where the rest begins.
    async fn refused(&self, mut reply: Reply, record: &mut Record) -> bool {
        let status = reply.status.as_u16();
        let Ok(body) = reply.whole().await else { return false };
        self.0.http.rest(reply);
        let text = String::from_utf8_lossy(&body).into_owned();
        if status == 404 && self.0.session.is_some() {
            record.fate = Fate::SessionGone;
            return true;
        }
        let error: Value = serde_json::from_str(&text).unwrap_or_default();
        let data = &error["error"]["data"];
        if status == 400 && data["reason"] == "gone" {
            let count = data["lost"].as_u64().expect("how many are lost");
            record.losses.push(Loss { after: record.seen.len(), count });
            record.last_id = Some(data["oldest"].as_str().expect("the oldest cursor").to_owned());
            return false;
        }
        record.fate = Fate::Refused(status, text);
        true
    }

    /// Reads a response to its end, or to what is waited for on a standalone stream.
    pub(super) async fn read(
        &self,
        mut reply: Reply,
        record: &mut Record,
        watch: Watch<'_>,
        is_last: &(dyn Fn(&Value) -> bool + Sync),
    ) -> Result<Ending, Lost> {
        let connection = record.connections;
        if reply.header("content-type") == "application/json" {
            let body = reply.whole().await?;
            self.0.http.rest(reply);
            let message: Value = serde_json::from_slice(&body).expect("a JSON body that is whole is JSON");
            watch(&message);
            record.seen.push(Seen { connection, at: Instant::now(), id: None, message });
            return Ok(Ending::Whole);
        }
        assert_eq!(reply.header("content-type"), "text/event-stream");
        let mut decoder = Decoder::new(MAX_EVENT);
        let mut ending = Ending::Whole;
        while let Some(bytes) = reply.chunk().await? {
            decoder.push(&bytes);
            while let Some(event) = decoder.next_event() {
                let event = event.expect("an event of bounded size");
                if let Some(retry) = event.retry {
                    ending = Ending::ComeBack(retry);
                }
                if let Some(id) = &event.id {
                    record.last_id = Some(id.clone());
                }
                let message = match &*event.data {
                    "" if event.id.is_none() => continue,
                    "" => Value::Null,
                    data => serde_json::from_str(data).expect("an event is JSON"),
                };
                watch(&message);
                self.answer(record, &message);
                let is_last = is_last(&message);
                record.seen.push(Seen { connection, at: Instant::now(), id: event.id, message });
                if is_last {
                    return Ok(ending);
                }
            }
        }
        self.0.http.rest(reply);
        Ok(ending)
    }

    /// Answers the server's question for the roots, in a task of its own: the root names the call that was asked on, so
    /// that an answer that went astray shows.
    fn answer(&self, record: &Record, message: &Value) {
        if message["method"] != "roots/list" || is_response_to(message, &record.id) {
            return;
        }
        let root = json!({ "uri": format!("file:///{}", record.id) });
        let answer = json!({ "jsonrpc": "2.0", "id": message["id"], "result": { "roots": [root] } });
        let reader = self.clone();
        tokio::spawn(async move { reader.tell(&answer).await });
    }
}
