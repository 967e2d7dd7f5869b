//! Several servers that share nothing but their key.

use std::sync::atomic::{AtomicUsize, Ordering};

use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use throughline::{KeyRing, StreamableHttp};
use tower_service::Service;

use super::modern::{named, yes};
use super::{Deeds, server};
use crate::support::{Loopback, MODERN, Tcp, modern_of, text};

/// Gives each request to the next server, over a connection of its own.
struct Alternating<'a> {
    servers: [&'a Loopback; 2],
    turn: AtomicUsize,
}

impl Alternating<'_> {
    async fn call(&self, mut params: Value, state: &Value, responses: Value) -> Value {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        params["requestState"] = state.clone();
        params["inputResponses"] = responses;
        let body = modern_of(json!({ "elicitation": {} }), turn as u64, "tools/call", params);
        let request = http::Request::post("/mcp")
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", MODERN.date())
            .header("mcp-method", "tools/call")
            .header("mcp-name", "trip")
            .body(Full::new(body.to_string().into()))
            .unwrap();
        let answer = Tcp(self.servers[turn % 2].address).call(request).await.unwrap();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice(&body).unwrap()
    }
}

#[tokio::test]
async fn a_call_goes_from_server_to_server() {
    let deeds = [Deeds::default(), Deeds::default()];
    let secret = "a secret that is long enough to be one";
    // The second server has a newer key already, and knows the old one.
    let new = KeyRing::from_secret("the next secret, just as long as that one").unwrap();
    let keys = [KeyRing::from_secret(secret).unwrap(), new.clone().with_older_secret(secret).unwrap()];
    let keys = [
        keys[0].clone().with_older_secret("the next secret, just as long as that one").unwrap(),
        keys[1].clone(),
    ];
    let endpoints =
        [0, 1].map(|at| StreamableHttp::builder(server(&deeds[at])).seal_key(keys[at].clone()).build());
    let served = [Loopback::serve(&endpoints[0]).await, Loopback::serve(&endpoints[1]).await];
    let proxy = Alternating { servers: [&served[0], &served[1]], turn: AtomicUsize::new(0) };

    for first in [0, 1] {
        let params = || json!({ "name": "trip", "arguments": {} });
        let mut state = Value::Null;
        for (name, responses) in [
            ("from", Value::Null),
            ("to", json!({ "from": named("Ulm") })),
            ("1", json!({ "to": named("Bonn") })),
        ] {
            let message = proxy.call(params(), &state, responses).await;
            let result = &message["result"];
            assert!(result["inputRequests"][name].is_object(), "{message}");
            state = result["requestState"].clone();
        }
        let message = proxy.call(params(), &state, json!({ "1": yes() })).await;
        assert_eq!(text(&message), "Ulm Bonn true 1 1");
        // The ticket was made in the round after the first answer, by one server, once.
        assert_eq!(deeds[1 - first].count(), 1);
        assert_eq!(deeds[0].count() + deeds[1].count(), first + 1);
        // One request more, so that the next call begins at the other server.
        proxy.call(params(), &Value::Null, Value::Null).await;
    }
    for served in served {
        served.stop().await;
    }
}
