//! What functions take from the call.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::json;
use throughline::{
    Client, Context, Extract, McpError, Meta, Misuse, Needs, Parts, Principal, Server, SessionHandle, State,
    StreamableHttp, prompt, resource, tool,
};

use super::{call, client, over, refused, request};

#[derive(Clone, Default)]
struct Calls(Arc<AtomicU64>);

/// Counts its calls.
#[tool]
async fn count(by: u64, State(calls): State<Calls>) -> u64 {
    calls.0.fetch_add(by, Ordering::Relaxed) + by
}

#[resource("demo://count")]
fn counted(State(calls): State<Calls>) -> String {
    calls.0.load(Ordering::Relaxed).to_string()
}

#[tokio::test]
async fn state_is_shared() {
    assert_eq!(count(2, State(Calls::default())).await, 2);
    let server = Server::new("demo", "1.0.0").tool(count).resource(counted).state(Calls::default());
    let client = client(server).await;
    assert_eq!(call(&client, "count", json!({"by": 2})).await, "2");
    assert_eq!(call(&client, "count", json!({"by": 3})).await, "5");
    let read = request(&client, "resources/read", json!({"uri": "demo://count"})).await;
    assert_eq!(read["contents"][0]["text"], "5");
}

#[test]
#[should_panic(
    expected = "the tool `count` takes `State<it::macros::extractors::Calls>`, and the server has no such state"
)]
fn a_server_without_the_state_is_not_served() {
    let _ = StreamableHttp::new(Server::new("demo", "1.0.0").tool(count));
}

#[tokio::test]
async fn a_tool_added_while_serving_must_find_its_state() {
    let server = Server::new("demo", "1.0.0");
    let _endpoint = StreamableHttp::new(server.clone());
    let misuse: Misuse = server.add_tool(count).expect_err("there is no state");
    assert!(misuse.to_string().contains("give it one with `Server::state`"), "{misuse}");
    server.clone().state(Calls::default()).add_tool(count).expect("now there is");
}

#[tool]
async fn whoami(principal: Principal) -> String {
    principal.subject.to_string()
}

#[tool]
async fn maybe(principal: Option<Principal>, session: Option<SessionHandle>) -> String {
    format!("{} {}", principal.is_some(), session.is_some())
}

#[tool]
async fn session(session: SessionHandle, cx: Context) -> bool {
    cx.session().is_some_and(|other| other.id() == session.id())
}

#[tokio::test]
async fn the_caller_and_the_session() {
    let server = Server::new("demo", "1.0.0").tool(whoami).tool(maybe).tool(session);
    let nobody = client(server.clone()).await;
    let message = refused(&nobody, "tools/call", json!({"name": "whoami"})).await;
    assert!(message.starts_with("-32600: this needs to know who calls"), "{message}");
    assert_eq!(call(&nobody, "maybe", json!({})).await, "false true");
    assert_eq!(call(&nobody, "session", json!({})).await, "true");

    let endpoint =
        StreamableHttp::builder(server.clone()).principal(|_| Some(Principal::new("test", "ann"))).build();
    let ann = over(endpoint).await.expect("a session");
    assert_eq!(call(&ann, "whoami", json!({})).await, "ann");

    let stateless = over(StreamableHttp::builder(server).stateless_http(true).build());
    let stateless = stateless.await.expect("an answer");
    assert_eq!(call(&stateless, "maybe", json!({})).await, "false false");
    let message = refused(&stateless, "tools/call", json!({"name": "session"})).await;
    assert!(message.starts_with("-32600: this needs a session"), "{message}");
}

#[tool]
async fn agent(parts: Parts) -> String {
    let header = parts.headers.get("x-agent").and_then(|value| value.to_str().ok());
    header.unwrap_or("none").to_owned()
}

#[tool]
async fn keeps_parts(cx: Context) -> bool {
    cx.http_parts().is_some()
}

async fn agent_client(server: Server) -> Client {
    over(StreamableHttp::new(server))
        .header(HeaderName::from_static("x-agent"), HeaderValue::from_static("smith"))
        .await
        .expect("a session")
}

#[tokio::test]
async fn the_head_of_the_request_is_kept_only_when_asked_for() {
    let without = agent_client(Server::new("demo", "1.0.0").tool(keeps_parts)).await;
    assert_eq!(call(&without, "keeps_parts", json!({})).await, "false");
    let with = agent_client(Server::new("demo", "1.0.0").tool(keeps_parts).tool(agent)).await;
    assert_eq!(call(&with, "keeps_parts", json!({})).await, "true");
    assert_eq!(call(&with, "agent", json!({})).await, "smith");
}

#[tokio::test]
async fn the_requests_of_a_batch_share_the_head() {
    use http_body_util::{BodyExt, Full};
    let endpoint =
        StreamableHttp::builder(Server::new("demo", "1.0.0").tool(agent)).stateless_http(true).build();
    let batch: Vec<_> = (1..=2)
        .map(|id| json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": "agent"}}))
        .collect();
    let request = http::Request::post("http://localhost/mcp")
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2025-03-26")
        .header("x-agent", "smith")
        .body(Full::new(bytes::Bytes::from(serde_json::to_vec(&batch).expect("JSON"))))
        .expect("a request");
    let response = endpoint.handle(request).await;
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    let answers: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    for answer in answers.as_array().expect("a batch") {
        assert_eq!(answer["result"]["content"][0]["text"], "smith", "{answers}");
    }
}

#[derive(Deserialize)]
struct Trace {
    #[serde(rename = "com.example/trace")]
    id: Option<u32>,
}

#[tool]
async fn traced(Meta(trace): Meta<Trace>) -> String {
    format!("{:?}", trace.id)
}

#[prompt]
async fn trace_prompt(Meta(trace): Meta<Trace>) -> String {
    format!("{:?}", trace.id)
}

#[tokio::test]
async fn meta_is_read_into_a_type() {
    let client = client(Server::new("demo", "1.0.0").tool(traced).prompt(trace_prompt)).await;
    let text = async |method: &str, params| request(&client, method, params).await;
    let result = text("tools/call", json!({"name": "traced", "_meta": {"com.example/trace": 7}})).await;
    assert_eq!(result["content"][0]["text"], "Some(7)");
    let result = text("tools/call", json!({"name": "traced"})).await;
    assert_eq!(result["content"][0]["text"], "None");
    let result =
        text("prompts/get", json!({"name": "trace_prompt", "_meta": {"com.example/trace": 8}})).await;
    assert_eq!(result["messages"][0]["content"]["text"], "Some(8)");
    let message =
        refused(&client, "tools/call", json!({"name": "traced", "_meta": {"com.example/trace": "x"}})).await;
    assert!(message.starts_with("-32602: `_meta` does not fit: invalid type"), "{message}");
}

/// A key in a header, looked up in the server's state.
struct Tenant(String);

impl Extract for Tenant {
    async fn extract(cx: &Context) -> throughline::Result<Self> {
        tokio::task::yield_now().await;
        let key = cx.http_parts().and_then(|parts| parts.headers.get("x-agent")?.to_str().ok());
        let key = key.ok_or_else(|| McpError::invalid_params("send the header `x-agent`"))?;
        let State(calls) = State::<Calls>::extract(cx).await?;
        Ok(Self(format!("{key}{}", calls.0.fetch_add(1, Ordering::Relaxed))))
    }

    fn needs(needs: &mut Needs) {
        needs.http_parts();
        State::<Calls>::needs(needs);
    }
}

#[tool]
async fn tenant(#[extract] tenant: Tenant) -> String {
    tenant.0
}

/// Says nothing of what it needs.
struct Everything(bool);

impl Extract for Everything {
    async fn extract(cx: &Context) -> throughline::Result<Self> {
        Ok(Self(cx.http_parts().is_some() && cx.state::<Calls>().is_some()))
    }
}

#[tool]
fn everything(#[extract] everything: Everything) -> bool {
    everything.0
}

#[tokio::test]
async fn extractors_can_be_written() {
    let server = Server::new("demo", "1.0.0").state(Calls::default()).tool(tenant);
    assert_eq!(call(&agent_client(server.clone()).await, "tenant", json!({})).await, "smith0");
    let message = refused(&client(server).await, "tools/call", json!({"name": "tenant"})).await;
    assert_eq!(message, "-32602: send the header `x-agent`");
    let server = Server::new("demo", "1.0.0").state(Calls::default()).tool(everything);
    assert_eq!(call(&client(server).await, "everything", json!({})).await, "true");
}
