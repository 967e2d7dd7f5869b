//! Clients that open a session, use it, and end or leave it.

use std::net::SocketAddr;

use hyper::Method;
use serde_json::{Value, json};

use super::client::{Answer, Connection, Slow, expect, is_text};
use super::counted;
use super::random::Random;
use super::tally::Tally;
use crate::Result;
use crate::echo::REVISION;

struct Session {
    address: SocketAddr,
    /// Kept between requests, and opened anew after one was cut.
    connection: Option<Connection>,
    id: String,
    next: u64,
}

/// One client from its first request to its last.
pub(super) async fn life(address: SocketAddr, random: &mut Random, tally: &Tally) {
    let mut opened = None;
    let opening = async {
        opened = Some(Session::open(address).await?);
        Ok(())
    };
    if !counted(tally, "open a session", opening).await {
        return;
    }
    let Some(mut session) = opened else { return };
    // Some open one and never come back.
    if random.one_in(20) {
        return;
    }
    for _ in 0..random.below(12) {
        let kind = random.below(12);
        let went_well = match kind {
            0..=2 => counted(tally, "call", session.echo(random)).await,
            3 => counted(tally, "call with progress", session.slow(random)).await,
            4 => counted(tally, "cut and resume", session.cut(random)).await,
            5 => counted(tally, "standalone stream", session.listen(random)).await,
            6 => counted(tally, "question", session.question(random)).await,
            7 => counted(tally, "cancel", session.cancel(random)).await,
            8 => counted(tally, "settings", session.settings()).await,
            9 => counted(tally, "lists", session.lists()).await,
            10 => counted(tally, "abandoned call", session.abandon(random)).await,
            _ => counted(tally, "errors on purpose", session.errors()).await,
        };
        if !went_well {
            return;
        }
    }
    if !random.one_in(4) {
        counted(tally, "end a session", session.end()).await;
    }
}

impl Session {
    async fn open(address: SocketAddr) -> Result<Self> {
        let mut connection = Connection::open(address).await?;
        let hello = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
            "protocolVersion": REVISION, "capabilities": {"elicitation": {}, "roots": {}},
            "clientInfo": {"name": "soak", "version": "1"}}});
        let answer = connection.send(Method::POST, PATH, &[], hello.to_string()).await?;
        expect("the status of initialize", &answer.status, &200)?;
        let id = answer.session.clone().ok_or("no session was opened")?;
        let message = answer.message().await?;
        expect("the revision", &message["result"]["protocolVersion"], &json!(REVISION))?;
        let mut session = Self { address, connection: Some(connection), id, next: 1 };
        session.tell(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await?;
        Ok(session)
    }

    async fn send(&mut self, method: Method, headers: &[(&str, &str)], body: String) -> Result<Answer> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(self.address).await?,
        };
        let session = [("mcp-session-id", &*self.id), ("mcp-protocol-version", REVISION)];
        let answer = connection.send(method, PATH, &[&session, headers].concat(), body).await?;
        self.connection = Some(connection);
        Ok(answer)
    }

    async fn post(&mut self, message: &Value) -> Result<Answer> {
        self.send(Method::POST, &[], message.to_string()).await
    }

    async fn tell(&mut self, message: &Value) -> Result<()> {
        let answer = self.post(message).await?;
        expect("the status of what is not answered", &answer.status, &202)?;
        expect("its body", &answer.text().await?, &String::new())
    }

    fn request(&mut self, method: &str, params: Value) -> (u64, Value) {
        let id = self.next;
        self.next += 1;
        (id, json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
    }

    fn call(&mut self, tool: &str, arguments: &Value) -> (u64, Value) {
        self.request(
            "tools/call",
            json!({"name": tool, "arguments": arguments, "_meta": {"progressToken": "p"}}),
        )
    }

    async fn ask(&mut self, method: &str, params: Value) -> Result<Value> {
        let (id, message) = self.request(method, params);
        let answer = self.post(&message).await?;
        expect("the status", &answer.status, &200)?;
        let message = answer.message().await?;
        expect("the id", &message["id"], &json!(id))?;
        Ok(message)
    }

    async fn echo(&mut self, random: &mut Random) -> Result<()> {
        let text = format!("said {}", "x".repeat(1 << random.below(14)));
        let (id, message) = self.call("echo", &json!({ "text": text }));
        let answer = self.post(&message).await?;
        expect("the status", &answer.status, &200)?;
        is_text(&answer.message().await?, id, &text)
    }

    fn start_slow(&mut self, random: &mut Random) -> (Slow, Value) {
        let (ms, events) = (random.below(2_000), random.below(300));
        let (id, message) = self.call("slow", &json!({"ms": ms, "events": events}));
        (Slow { id, ms, events, came: 0 }, message)
    }

    async fn slow(&mut self, random: &mut Random) -> Result<()> {
        let (mut slow, message) = self.start_slow(random);
        let mut answer = self.post(&message).await?;
        expect("the status", &answer.status, &200)?;
        while let Some(event) = answer.next().await? {
            if !event.message.is_null() && slow.take(&event.message)? {
                return expect("what follows the result", &answer.next().await?.is_none(), &true);
            }
        }
        Err("a stream ended before its result".into())
    }

    /// A call whose connection is lost again and again: each event comes once all the same.
    async fn cut(&mut self, random: &mut Random) -> Result<()> {
        let (mut slow, message) = self.start_slow(random);
        let mut answer = self.post(&message).await?;
        expect("the status", &answer.status, &200)?;
        let mut cursor: Option<String> = None;
        let mut cuts = 1 + random.below(3);
        loop {
            let mut left = random.below(100);
            while let Some(event) = answer.next().await? {
                cursor = event.id.or(cursor);
                if !event.message.is_null() && slow.take(&event.message)? {
                    return Ok(());
                }
                left = left.saturating_sub(1);
                // Before there is a cursor a cut would lose the call.
                if left == 0 && cuts > 0 && cursor.is_some() {
                    break;
                }
            }
            cuts = cuts.saturating_sub(1);
            self.connection = None;
            drop(answer);
            let last = cursor.clone().ok_or("a stream ended without a cursor or a result")?;
            let headers = [("accept", "text/event-stream"), ("last-event-id", &*last)];
            answer = self.send(Method::GET, &headers, String::new()).await?;
            expect("the status of a resume", &answer.status, &200)?;
        }
    }

    /// The standalone stream, until what was subscribed to changes; then its connection is lost.
    async fn listen(&mut self, random: &mut Random) -> Result<()> {
        let uri = ["metrics://cpu", "metrics://memory"][usize::from(random.one_in(2))];
        let subscribed = self.ask("resources/subscribe", json!({ "uri": uri })).await?;
        expect("subscribed", &subscribed["result"], &json!({}))?;
        let kept = self.connection.take();
        let mut stream = self.send(Method::GET, &[("accept", "text/event-stream")], String::new()).await?;
        expect("the status", &stream.status, &200)?;
        loop {
            let event = stream.next().await?.ok_or("the standalone stream ended")?;
            if event.message["method"] == "notifications/resources/updated" {
                break;
            }
            expect("a message of the standalone stream", &event.message, &Value::Null)?;
        }
        self.connection = kept;
        drop(stream);
        if random.one_in(2) {
            let left = self.ask("resources/unsubscribe", json!({ "uri": uri })).await?;
            expect("unsubscribed", &left["result"], &json!({}))?;
        }
        Ok(())
    }

    async fn question(&mut self, random: &mut Random) -> Result<()> {
        let (id, message) = self.call("ask_permission", &json!({"path": "a.txt"}));
        let mut calling = Connection::open(self.address).await?;
        let session = [("mcp-session-id", &*self.id), ("mcp-protocol-version", REVISION)];
        let mut answer = calling.send(Method::POST, PATH, &session, message.to_string()).await?;
        expect("the status", &answer.status, &200)?;
        let mut asked = Value::Null;
        while asked.is_null() {
            asked = answer.next().await?.ok_or("a stream ended before its question")?.message;
        }
        expect("the question", &asked["method"], &json!("elicitation/create"))?;
        let (result, says) = if random.one_in(2) {
            (
                json!({"action": "accept", "content": {"allow": true}}),
                "Permission granted: a.txt may be changed.",
            )
        } else {
            (json!({"action": "decline"}), "The user declined to answer: a.txt stays as it is.")
        };
        self.tell(&json!({"jsonrpc": "2.0", "id": asked["id"], "result": result})).await?;
        let event = answer.next().await?.ok_or("a stream ended before its result")?;
        is_text(&event.message, id, says)
    }

    /// A call that is taken back: its stream ends without a result.
    async fn cancel(&mut self, random: &mut Random) -> Result<()> {
        let events = 1 + random.below(50);
        let (id, message) = self.call("slow", &json!({"ms": 300_000, "events": events}));
        let mut calling = Connection::open(self.address).await?;
        let session = [("mcp-session-id", &*self.id), ("mcp-protocol-version", REVISION)];
        let mut answer = calling.send(Method::POST, PATH, &session, message.to_string()).await?;
        expect("the status", &answer.status, &200)?;
        let params = json!({"requestId": id, "reason": "soak"});
        self.tell(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params})).await?;
        while let Some(event) = answer.next().await? {
            expect("what follows a cancel", &event.message["id"], &Value::Null)?;
        }
        Ok(())
    }

    /// A call whose client loses its connection and does not come back for it.
    async fn abandon(&mut self, random: &mut Random) -> Result<()> {
        let (_, message) = self.start_slow(random);
        let answer = self.post(&message).await?;
        expect("the status", &answer.status, &200)?;
        self.connection = None;
        Ok(())
    }

    async fn settings(&mut self) -> Result<()> {
        let set = self.ask("logging/setLevel", json!({"level": "info"})).await?;
        expect("the level was set", &set["result"], &json!({}))?;
        let pong = self.ask("ping", json!({})).await?;
        expect("a pong", &pong["result"], &json!({}))
    }

    async fn lists(&mut self) -> Result<()> {
        let tools = self.ask("tools/list", json!({})).await?;
        let count = tools["result"]["tools"].as_array().map(Vec::len);
        expect("how many tools there are", &count.is_some_and(|count| count > 5), &true)?;
        let read = self.ask("resources/read", json!({"uri": "guide://tools/echo"})).await?;
        let text = read["result"]["contents"][0]["text"].as_str();
        expect("a guide", &text.is_some_and(|text| text.contains("quickest")), &true)
    }

    async fn errors(&mut self) -> Result<()> {
        let unknown = self.ask("tools/call", json!({"name": "nobody"})).await?;
        expect("an unknown tool", &unknown["error"]["code"], &json!(-32602))?;
        let unknown = self.ask("no/such/method", json!({})).await?;
        expect("an unknown method", &unknown["error"]["code"], &json!(-32601))?;
        let cursor = [("accept", "text/event-stream"), ("last-event-id", "00000000-1-1")];
        for (method, headers, body, status) in [
            (Method::POST, &[][..], "{", 400),
            (Method::POST, &[("accept", "text/html")][..], "{}", 406),
            (Method::POST, &[("origin", "https://evil.example")][..], "{}", 403),
            (Method::GET, &cursor[..], "", 400),
            (Method::PUT, &[][..], "", 405),
        ] {
            let answer = self.send(method.clone(), headers, body.to_owned()).await?;
            expect(method.as_str(), &answer.status, &status)?;
            answer.text().await?;
        }
        let ours = std::mem::replace(&mut self.id, "nobody".to_owned());
        let (_, ping) = self.request("ping", json!({}));
        let answer = self.post(&ping).await;
        self.id = ours;
        let answer = answer?;
        expect("an unknown session", &answer.status, &404)?;
        answer.text().await?;
        Ok(())
    }

    async fn end(mut self) -> Result<()> {
        let answer = self.send(Method::DELETE, &[], String::new()).await?;
        expect("the status of DELETE", &answer.status, &204)?;
        let (_, ping) = self.request("ping", json!({}));
        let after = self.post(&ping).await?;
        expect("the status after it", &after.status, &404)?;
        after.text().await?;
        Ok(())
    }
}

const PATH: &str = "/mcp";
