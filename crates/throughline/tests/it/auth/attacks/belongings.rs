//! What belongs to somebody, in the hands of others who have good tokens of their own; and tokens that allow less.

use http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use throughline::revision::Revision;

use super::{Target, send};
use crate::support::{Wire, call, initialize, modern, modern_of, request, text, within};

const NEWEST: Revision = Revision::V2025_11_25;

/// Others with good tokens: of another name, of the same name at another issuer, through another client, and a client of the name.
fn others(target: &Target) -> Vec<(&'static str, String)> {
    let mut client = target.claims_with("client_id", json!("ann"));
    client.as_object_mut().unwrap().remove("sub");
    vec![
        ("another name", target.rsa.token(&target.claims("bob"))),
        ("another issuer", target.ed.token(&target.claims_with("iss", json!(target.theirs.name())))),
        ("another client", target.rsa.token(&target.claims_with("client_id", json!("other")))),
        ("a client of the name", target.rsa.token(&client)),
    ]
}

/// The same request by somebody else.
fn stolen(target: &Target, wire: &Wire, token: &str) -> Wire {
    target.wire(token).with("mcp-session-id", wire.session_id())
}

#[tokio::test]
async fn a_session_and_its_cursor_open_nothing_for_others() {
    let target = Target::start().await;
    let ann = target.wire(&target.rsa.token(&target.claims("ann"))).opened(NEWEST, json!({})).await;
    let cursor = ann.get().send().await.events().next().await.unwrap().id.expect("an id");
    for (who, token) in others(&target) {
        let other = stolen(&target, &ann, &token);
        for sending in [
            other.post(call(1, "touch", json!({}))),
            other.post(request(1, "ping", json!({}))),
            other.post(json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })),
            other.get(),
            other.resume(&cursor),
            other.delete(),
        ] {
            assert_eq!(sending.send().await.status(), 404, "{who}");
        }
        // With a session of their own the cursor is none of it.
        let own = target.wire(&token).opened(NEWEST, json!({})).await;
        assert_eq!(own.resume(&cursor).send().await.status(), 400, "{who}");
    }
    assert_eq!(target.ran(), 0);
    // A token that is newer is the same person.
    let refreshed = stolen(&target, &ann, &target.ec.token(&target.claims_with("jti", json!("newer"))));
    assert_eq!(refreshed.resume(&cursor).send().await.status(), 200);
    assert_eq!(refreshed.delete().send().await.status(), 204);
}

#[tokio::test]
async fn a_sealed_state_opens_nothing_for_others() {
    let target = Target::start().await;
    let ask = |state: Option<&Value>| {
        let mut params = json!({ "name": "ask" });
        if let Some(asked) = state {
            let key = asked["inputRequests"].as_object().unwrap().keys().next().unwrap().clone();
            params["requestState"] = asked["requestState"].clone();
            params["inputResponses"] = json!({ key: { "roots": [] } });
        }
        modern_of(json!({ "roots": {} }), 1, "tools/call", params)
    };
    let ann = target.wire(&target.rsa.token(&target.claims("ann")));
    let asked = ann.post_modern(ask(None)).send().await.json().await["result"].clone();
    assert_eq!(asked["resultType"], "input_required", "{asked}");
    for (who, token) in others(&target) {
        let answer = target.wire(&token).post_modern(ask(Some(&asked))).send().await;
        assert_eq!(answer.status(), 400, "{who}");
    }
    assert_eq!(text(&ann.post_modern(ask(Some(&asked))).send().await.json().await), "0 roots");
}

#[tokio::test]
async fn a_link_of_http_sse_takes_nothing_of_others() {
    let target = Target::start().await;
    let hers = target.rsa.token(&target.claims("ann"));
    let request = Request::get("/sse")
        .header("accept", "text/event-stream")
        .header("authorization", format!("Bearer {hers}"));
    let mut stream = send(target.address, request, String::new()).await.into_body();
    let first = within(stream.frame()).await.unwrap().unwrap().into_data().unwrap();
    let first = String::from_utf8(first.to_vec()).unwrap();
    let address =
        first.split("data: ").nth(1).and_then(|rest| rest.lines().next()).expect("an address").to_owned();
    let post = async |token: &str| {
        let request = Request::post(&address)
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {token}"));
        send(target.address, request, initialize(NEWEST, &json!({})).to_string()).await.status().as_u16()
    };
    for (who, token) in others(&target) {
        assert_eq!(post(&token).await, 404, "{who}");
    }
    assert_eq!(post("nonsense").await, 401);
    assert_eq!(post(&hers).await, 202);
}

#[tokio::test]
async fn a_subscription_is_not_ended_by_others() {
    let target = Target::start().await;
    let ann = target.wire(&target.rsa.token(&target.claims("ann")));
    let mut hers = ann.listen(7, json!({ "toolsListChanged": true })).await;
    for (_, token) in others(&target) {
        let cancel = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": {
            "requestId": 7,
            "_meta": modern(1, "ping", json!({}))["params"]["_meta"],
        } });
        // Whatever is said to it, it ends nothing.
        drop(target.wire(&token).post_modern(cancel).send().await);
    }
    assert!(hers.is_quiet().await, "it goes on");
}

#[tokio::test]
async fn a_token_that_allows_less_does_less_in_a_session_that_was_opened_with_more() {
    let target = Target::start().await;
    let mut more = target.claims("ann");
    more["scope"] = json!("files:read files:write");
    let (more, less) = (target.rsa.token(&more), target.rsa.token(&target.claims("ann")));
    let session = target.wire(&more).opened(NEWEST, json!({})).await;
    let remove = call(1, "remove", json!({}));
    for token in [&less, &target.rsa.token(&target.claims_with("scope", json!("")))] {
        let refused = stolen(&target, &session, token).post(remove.clone()).send().await;
        assert_eq!(refused.status(), 403);
        let challenge = refused.header("www-authenticate").to_owned();
        assert!(challenge.contains("insufficient_scope") && challenge.contains("files:write"), "{challenge}");
        let one = modern(1, "tools/call", json!({ "name": "remove", "arguments": {} }));
        assert_eq!(target.wire(token).post_modern(one).send().await.status(), 403);
    }
    assert_eq!(target.ran(), 0);
    // Nor does one with more raise what comes without.
    assert_eq!(session.post(remove.clone()).send().await.status(), 200);
    assert_eq!(stolen(&target, &session, &less).post(remove).send().await.status(), 403);
    // And a scope of another kind of text is none.
    for scope in
        [json!("files:write2"), json!("FILES:WRITE"), json!("files:write\u{a0}"), json!("\"files:write\"")]
    {
        let token = target.rsa.token(&target.claims_with("scope", scope.clone()));
        let one = modern(1, "tools/call", json!({ "name": "remove", "arguments": {} }));
        assert_eq!(target.wire(&token).post_modern(one).send().await.status(), 403, "{scope}");
    }
    assert_eq!(target.ran(), 1);
}
