//! How clients may keep what they are told.

use std::time::Duration;

use serde_json::{Value, json};
use throughline::model::{CacheHints, ReadResourceResult, ResourceContents};
use throughline::revision::Revision;
use throughline::{Context, Principal, Server, StreamableHttp, prompt, resource, template, tool};

use crate::support::{Wire, modern, request};

const LISTS: [&str; 4] = ["tools/list", "prompts/list", "resources/list", "resources/templates/list"];

fn server() -> Server {
    Server::new("it", "1")
        .page_size(1)
        .tool(tool("a", || async { "a" }))
        .tool(tool("b", || async { "b" }))
        .prompt(prompt("a", || async { "a" }))
        .resource(resource("it://plain", "plain", || async { "x" }))
        .template(template("it://{id}", "of", |of: Of| async move { of.id }).cache(hour()))
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Of {
    id: String,
}

fn hour() -> CacheHints {
    CacheHints::public(Duration::from_secs(3600))
}

/// An endpoint that takes a header's word for who calls.
fn endpoint(server: Server) -> StreamableHttp {
    let who =
        |parts: &throughline::Parts| Some(Principal::new("it", parts.headers.get("x-who")?.to_str().ok()?));
    StreamableHttp::builder(server).principal(who).build()
}

/// The result of a request, and in one line how it may be kept.
async fn asked(wire: &Wire, method: &str, params: Value) -> (Value, String) {
    let answer = wire.post_modern(modern(1, method, params)).send().await.json().await;
    let result = answer["result"].clone();
    let kept = format!("{} {}", result["ttlMs"], result["cacheScope"].as_str().expect("a scope"));
    (result, kept)
}

async fn kept(wire: &Wire, method: &str, params: Value) -> String {
    asked(wire, method, params).await.1
}

async fn read(wire: &Wire, uri: &str) -> String {
    kept(wire, "resources/read", json!({ "uri": uri })).await
}

#[tokio::test]
async fn lists_are_public_until_there_is_somebody() {
    let endpoint = endpoint(server());
    let (nobody, somebody) = (Wire::new(&endpoint), Wire::new(&endpoint).with("x-who", "ann"));
    for method in LISTS.into_iter().chain(["server/discover"]) {
        assert_eq!(kept(&nobody, method, json!({})).await, "60000 public", "{method}");
        assert_eq!(kept(&somebody, method, json!({})).await, "60000 private", "{method}");
    }
}

#[tokio::test]
async fn every_page_of_a_list_is_private_when_one_entry_is_not_for_everybody() {
    let server = server().tool(tool("c", || async { "c" }).visible_to(|_| false));
    let wire = Wire::new(&endpoint(server));
    let (first, kept_first) = asked(&wire, "tools/list", json!({})).await;
    let (second, kept_second) = asked(&wire, "tools/list", json!({ "cursor": first["nextCursor"] })).await;
    assert_eq!((&first["tools"][0]["name"], &second["tools"][0]["name"]), (&json!("a"), &json!("b")));
    assert_eq!(second.get("nextCursor"), None, "the third is hidden");
    assert_eq!((&*kept_first, &*kept_second), ("60000 private", "60000 private"));
    assert_eq!(kept(&wire, "prompts/list", json!({})).await, "60000 public", "another list");
}

#[tokio::test]
async fn a_server_says_how_its_lists_are_kept() {
    let wire = Wire::new(&endpoint(server().cache(hour())));
    assert_eq!(kept(&wire, "tools/list", json!({})).await, "3600000 public");
    assert_eq!(kept(&wire, "server/discover", json!({})).await, "3600000 public");
    let wire = Wire::new(&endpoint(server().cache(CacheHints::default())));
    assert_eq!(kept(&wire, "tools/list", json!({})).await, "0 private");
}

#[tokio::test]
async fn contents_are_stale_at_once_unless_somebody_says_more() {
    let own = || async {
        let contents = ResourceContents::text("it://own", "x");
        ReadResourceResult::new([contents]).with_cache(CacheHints::private(Duration::from_secs(1)))
    };
    let server = server()
        .resource(resource("it://hour", "hour", || async { "x" }).cache(hour()))
        .resource(resource("it://own", "own", own).cache(hour()))
        .resource(resource("it://some", "some", || async { "x" }).cache(hour()).visible_to(|_| true));
    let endpoint = endpoint(server);
    let (nobody, somebody) = (Wire::new(&endpoint), Wire::new(&endpoint).with("x-who", "ann"));
    for wire in [nobody, somebody] {
        assert_eq!(read(&wire, "it://plain").await, "0 private");
        assert_eq!(read(&wire, "it://hour").await, "3600000 public", "its author said so, whoever reads");
        assert_eq!(read(&wire, "it://7").await, "3600000 public", "of a template");
        assert_eq!(read(&wire, "it://own").await, "1000 private", "the function knows best");
        assert_eq!(read(&wire, "it://some").await, "3600000 private", "there may be some who must not");
    }
}

/// What came of a retry belongs to its answers, which are no part of what a cache looks it up by.
#[tokio::test]
async fn what_came_of_answers_is_kept_by_nobody() {
    let asking = |cx: Context| async move {
        let given = cx.input_responses().raw("name").is_some();
        format!("given: {given}")
    };
    let wire = Wire::new(&endpoint(server().resource(resource("it://asks", "asks", asking).cache(hour()))));
    assert_eq!(read(&wire, "it://asks").await, "3600000 public");
    let answers = json!({ "name": { "action": "accept", "content": {} } });
    let params = json!({ "uri": "it://asks", "inputResponses": answers });
    let (result, kept) = asked(&wire, "resources/read", params).await;
    assert_eq!(result["contents"][0]["text"], "given: true");
    assert_eq!(kept, "0 private");
}

#[tokio::test]
async fn sessions_hear_nothing_of_it() {
    let wire = Wire::open(&endpoint(server().cache(hour())), Revision::V2025_11_25).await;
    for (method, params) in LISTS
        .map(|method| (method, json!({})))
        .into_iter()
        .chain([("resources/read", json!({ "uri": "it://7" }))])
    {
        let result = wire.post(request(1, method, params)).send().await.json().await["result"].clone();
        assert_eq!((result.get("ttlMs"), result.get("cacheScope")), (None, None), "{method}: {result}");
    }
}

#[tokio::test]
async fn lists_keep_their_order() {
    let names = ["m", "a", "z", "c", "b", "y", "k"];
    let server = names
        .into_iter()
        .fold(Server::new("it", "1"), |server, name| server.tool(tool(name, || async { "x" })));
    let wire = Wire::new(&endpoint(server.clone()));
    let listed = async || {
        let (result, _) = asked(&wire, "tools/list", json!({})).await;
        let tools = result["tools"].as_array().expect("tools").clone();
        tools.iter().map(|tool| tool["name"].as_str().expect("a name").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(listed().await, names);
    assert!(server.remove_tool("z"));
    server.add_tool(tool("z", || async { "again" })).expect("a free name");
    assert_eq!(listed().await, ["m", "a", "c", "b", "y", "k", "z"]);
}
