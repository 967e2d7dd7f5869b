//! Clients without a session.

use std::net::SocketAddr;

use hyper::Method;
use serde_json::{Value, json};

use super::client::{Answer, Connection, Slow, expect, is_text};
use super::counted;
use super::random::Random;
use super::tally::Tally;
use crate::Result;
use crate::echo::MODERN_REVISION;

struct Modern {
    connection: Connection,
    next: u64,
}

/// One client: some calls over one connection.
pub(super) async fn life(address: SocketAddr, random: &mut Random, tally: &Tally) {
    let mut opened = None;
    let opening = async {
        opened = Some(Modern { connection: Connection::open(address).await?, next: 1 });
        Ok(())
    };
    if !counted(tally, "modern: connect", opening).await {
        return;
    }
    let Some(mut modern) = opened else { return };
    for _ in 0..1 + random.below(8) {
        let went_well = match random.below(6) {
            0 | 1 => counted(tally, "modern: call", modern.echo(random)).await,
            2 => counted(tally, "modern: progress", modern.slow(random)).await,
            3 => counted(tally, "modern: rounds", modern.rounds()).await,
            4 => counted(tally, "modern: errors", modern.errors()).await,
            // These lose the connection.
            _ if random.one_in(2) => {
                counted(tally, "modern: listen", modern.listen()).await;
                return;
            }
            _ => {
                counted(tally, "modern: cut", modern.cut()).await;
                return;
            }
        };
        if !went_well {
            return;
        }
    }
}

impl Modern {
    async fn send(&mut self, method: &str, name: &str, mut params: Value) -> Result<(u64, Answer)> {
        let id = self.next;
        self.next += 1;
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": MODERN_REVISION,
            "io.modelcontextprotocol/clientInfo": {"name": "soak", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {"elicitation": {}},
            "progressToken": id,
        });
        let message = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        let headers = [("mcp-protocol-version", MODERN_REVISION), ("mcp-method", method), ("mcp-name", name)];
        let answer = self.connection.send(Method::POST, "/mcp", &headers, message.to_string()).await?;
        Ok((id, answer))
    }

    async fn call(&mut self, tool: &str, arguments: Value) -> Result<(u64, Answer)> {
        self.send("tools/call", tool, json!({"name": tool, "arguments": arguments})).await
    }

    async fn echo(&mut self, random: &mut Random) -> Result<()> {
        let text = "y".repeat(1 << random.below(14));
        let (id, answer) = self.call("echo", json!({ "text": text })).await?;
        expect("the status", &answer.status, &200)?;
        is_text(&answer.message().await?, id, &text)
    }

    async fn slow(&mut self, random: &mut Random) -> Result<()> {
        let (ms, events) = (random.below(1_000), random.below(100));
        let (id, mut answer) = self.call("slow", json!({"ms": ms, "events": events})).await?;
        expect("the status", &answer.status, &200)?;
        let mut slow = Slow { id, ms, events, came: 0 };
        loop {
            let event = answer.next().await?.ok_or("a stream ended before its result")?;
            if !event.message.is_null() && slow.take(&event.message)? {
                return expect("what follows the result", &answer.next().await?.is_none(), &true);
            }
        }
    }

    async fn rounds(&mut self) -> Result<()> {
        let (_, answer) = self.call("ask_permission", json!({"path": "b.txt"})).await?;
        let asked = answer.message().await?;
        let result = &asked["result"];
        expect("a question", &result["resultType"], &json!("input_required"))?;
        let key =
            result["inputRequests"].as_object().and_then(|asked| asked.keys().next()).ok_or("no question")?;
        let answers = json!({ key: {"action": "accept", "content": {"allow": true}} });
        let again = json!({"name": "ask_permission", "arguments": {"path": "b.txt"},
            "requestState": result["requestState"], "inputResponses": answers});
        let (id, answer) = self.send("tools/call", "ask_permission", again).await?;
        is_text(&answer.message().await?, id, "Permission granted: b.txt may be changed.")
    }

    /// Until something changes; then the connection is lost.
    async fn listen(&mut self) -> Result<()> {
        let filter = json!({"notifications": {"resourceSubscriptions": ["metrics://cpu"]}});
        let (_, mut answer) = self.send("subscriptions/listen", "", filter).await?;
        expect("the status", &answer.status, &200)?;
        loop {
            let event = answer.next().await?.ok_or("the stream ended")?;
            if event.message["method"] == "notifications/resources/updated" {
                return Ok(());
            }
        }
    }

    /// A call whose connection is lost is cancelled.
    async fn cut(&mut self) -> Result<()> {
        let (_, mut answer) = self.call("slow", json!({"ms": 300_000, "events": 50_000})).await?;
        expect("the status", &answer.status, &200)?;
        for _ in 0..3 {
            answer.next().await?.ok_or("the stream ended")?;
        }
        Ok(())
    }

    async fn errors(&mut self) -> Result<()> {
        let (_, answer) =
            self.send("tools/call", "echo", json!({"name": "slow", "arguments": {"ms": 1}})).await?;
        expect("headers that say something else", &answer.status, &400)?;
        expect("their code", &answer.message().await?["error"]["code"], &json!(-32020))?;
        let (_, answer) = self.send("no/such/method", "", json!({})).await?;
        expect("an unknown method", &answer.status, &404)?;
        expect("its code", &answer.message().await?["error"]["code"], &json!(-32601))?;
        let forged = json!({"name": "ask_permission", "arguments": {"path": "b"}, "requestState": "AQAAAA"});
        let (_, answer) = self.send("tools/call", "ask_permission", forged).await?;
        expect("a forged state", &answer.message().await?["error"]["code"], &json!(-32602))
    }
}
