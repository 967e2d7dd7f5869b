//! Over real sockets: an issuer, a server behind a lock, and clients of both eras.

use std::net::SocketAddr;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use throughline::auth::{Authorization, JwtKey, ProtectedResource, TrustedProxy};
use throughline::revision::Revision;
use throughline::{Client, Context, Server, StreamableHttp, serve, tool};
use tokio::net::{TcpListener, TcpStream};

use super::Said;
use super::issuer::Issuer;
use super::keys::Key;
use crate::support::{MODERN, Tcp, Wire, initialize, modern};

/// Says who calls it.
fn endpoint() -> StreamableHttp {
    StreamableHttp::new(Server::new("it", "1").tool(tool("who", |cx: Context| async move {
        let authorized = cx.caller().authorized().expect("somebody");
        format!("{} {}", authorized.principal().subject, authorized.scopes())
    })))
}

fn claims(issuer: &Issuer, resource: &str, subject: &str) -> Value {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    json!({
        "iss": issuer.name(), "sub": subject, "aud": resource, "iat": now, "exp": now + 3600, "scope": "files:read",
    })
}

/// A listener, and the address of the server on it.
async fn listen() -> (TcpListener, SocketAddr, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address, format!("http://{address}/mcp"))
}

#[tokio::test]
async fn three_lines_protect_a_server_from_clients_of_both_eras() {
    let key = Key::rs256("key");
    let issuer = Issuer::listening(&[&key]).await;
    let (listener, address, resource) = listen().await;
    let lock = Authorization::builder(&resource).jwks(issuer.name()).build().unwrap();
    lock.prepare().await.unwrap();
    drop(tokio::spawn(serve(listener, lock.layer(endpoint())).into_future()));

    let token = key.token(&claims(&issuer, &resource, "ann"));
    for revision in [Revision::LATEST_LEGACY, MODERN] {
        let client = Client::connect(&resource).bearer(&token).revision(revision).await.unwrap();
        let said = client.call_tool("who", &json!({})).await.unwrap();
        assert_eq!(said.content[0].as_text(), Some("ann files:read"));
        client.close().await.unwrap();
        let other = key.token(&claims(&issuer, "https://other.example.com", "eve"));
        assert!(Client::connect(&resource).bearer(other).revision(revision).await.is_err());
    }
    assert_eq!(issuer.asked("/jwks"), 1);

    // The same on the wire: what is refused, and how.
    let wire = Wire::over(Tcp(address));
    for (message, is_modern) in
        [(initialize(Revision::LATEST_LEGACY, &json!({})), false), (modern(1, "tools/list", json!({})), true)]
    {
        for (authorization, status, code) in [
            (None, 401, None),
            (Some("Bearer a.b.c"), 401, Some("invalid_token")),
            (Some("Bearer a, Bearer b"), 401, Some("invalid_token")),
        ] {
            let sending =
                if is_modern { wire.post_modern(message.clone()) } else { wire.post(message.clone()) };
            let sending = match authorization {
                Some(authorization) => sending.header("authorization", authorization),
                None => sending,
            };
            let answer = sending.send().await;
            assert_eq!(answer.status(), status);
            let said = answer.header("www-authenticate").to_owned();
            assert!(
                said.starts_with("Bearer ") && said.contains("/.well-known/oauth-protected-resource/mcp\""),
                "{said}"
            );
            assert_eq!(
                code.map(|code| said.contains(&format!("error=\"{code}\""))),
                code.map(|_| true),
                "{said}"
            );
            assert!(answer.refusal().await.starts_with(&format!("{status} -32600: ")));
        }
        let token = format!("Bearer {token}");
        let sending = if is_modern { wire.post_modern(message) } else { wire.post(message) };
        assert_eq!(sending.header("authorization", &token).send().await.status(), 200);
    }
}

#[tokio::test]
async fn a_session_is_its_owners_and_outlives_a_token() {
    let key = Key::ed25519("key");
    let issuer = Issuer::listening(&[&key]).await;
    let (listener, address, resource) = listen().await;
    let lock = Authorization::builder(&resource).jwks(issuer.name()).build().unwrap();
    drop(tokio::spawn(serve(listener, lock.layer(endpoint())).into_future()));
    let mut mine = claims(&issuer, &resource, "ann");
    let bearer = |claims: &Value| format!("Bearer {}", key.token(claims));
    let wire = Wire::over(Tcp(address)).with("authorization", &bearer(&mine));
    let wire = wire.opened(Revision::LATEST_LEGACY, json!({})).await;
    mine["jti"] = json!("another token");
    let refreshed = wire.clone().with("authorization", &bearer(&mine));
    let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
    assert_eq!(refreshed.post(ping.clone()).send().await.status(), 200);
    let stranger = wire.clone().with("authorization", &bearer(&claims(&issuer, &resource, "eve")));
    assert_eq!(stranger.post(ping.clone()).send().await.status(), 404);
    assert_eq!(stranger.delete().send().await.status(), 404);
    assert_eq!(wire.post(ping).send().await.status(), 200);
}

#[tokio::test]
async fn the_peer_is_who_the_network_says() {
    for (network, status) in [("127.0.0.0/8", 200), ("10.0.0.0/8", 401)] {
        let (listener, address, resource) = listen().await;
        let proxy = TrustedProxy::new("x-user").at(network);
        let lock = Authorization::builder(&resource).trusted_proxy(proxy).build().unwrap();
        drop(tokio::spawn(serve(listener, lock.layer(endpoint())).into_future()));
        let message = modern(1, "tools/call", json!({ "name": "who", "arguments": {} }));
        let sending = Wire::over(Tcp(address))
            .post_modern(message)
            .header("x-user", "ann")
            .header("x-forwarded-for", "127.0.0.1")
            .header("forwarded", "for=127.0.0.1");
        let answer = sending.send().await;
        assert_eq!(answer.status(), status);
        if status == 200 {
            assert_eq!(answer.json().await["result"]["content"][0]["text"], "ann ");
        }
    }
}

#[tokio::test]
async fn within_a_router_the_document_has_a_route_of_its_own() {
    let key = Key::ed25519("key");
    let issuer = Issuer::new(&[]);
    let (listener, address, _) = listen().await;
    let lock = Authorization::builder("https://mcp.example.com/team/mcp")
        .jwt_keys(issuer.name(), JwtKey::jwks(key.jwk().to_string()).unwrap())
        .build()
        .unwrap();
    let document = lock.metadata().unwrap();
    let mut router = axum::Router::new()
        .route("/health", axum::routing::get(|| async { "well" }))
        .nest_service("/team/mcp", lock.layer(endpoint()));
    for path in document.paths() {
        router = router.route_service(path, document.clone());
    }
    drop(tokio::spawn(async move { axum::serve(listener, router).await }));

    let get = |path: &str| Request::get(path).body(Full::default()).unwrap();
    assert_eq!(fetch(address, get("/health")).await.body, "well");
    for path in ["/.well-known/oauth-protected-resource/team/mcp", "/.well-known/oauth-protected-resource"] {
        let found = ProtectedResource::parse(&fetch(address, get(path)).await.body).unwrap();
        assert_eq!(found.resource, "https://mcp.example.com/team/mcp");
        assert_eq!(found.authorization_servers, ["https://login.example.com"]);
    }
    let initialize = initialize(Revision::LATEST_LEGACY, &json!({})).to_string();
    let to_mcp = |token: &str| {
        Request::post("/team/mcp")
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("authorization", token)
            .body(Full::from(initialize.clone()))
            .unwrap()
    };
    let refused = fetch(address, to_mcp("none")).await;
    assert_eq!(refused.status, 401);
    assert_eq!(
        refused.headers["www-authenticate"],
        r#"Bearer resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource/team/mcp""#,
    );
    let token = key.token(&claims(&issuer, "https://mcp.example.com/team/mcp", "ann"));
    assert_eq!(fetch(address, to_mcp(&format!("Bearer {token}"))).await.status, 200);

    // Or the lock is around the whole router.
    let (listener, address, _) = listen().await;
    let whole = axum::Router::new().route_service("/team/mcp", endpoint()).layer(lock);
    drop(tokio::spawn(async move { axum::serve(listener, whole).await }));
    let document = fetch(address, get("/.well-known/oauth-protected-resource")).await;
    assert_eq!(document.status, 200);
    assert_eq!(fetch(address, to_mcp("none")).await.status, 401);
    assert_eq!(fetch(address, to_mcp(&format!("Bearer {token}"))).await.status, 200);
}

/// One request over a connection of its own.
async fn fetch(address: SocketAddr, mut request: Request<Full<Bytes>>) -> Said {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    drop(tokio::spawn(connection));
    request.headers_mut().insert("host", address.to_string().parse().unwrap());
    let (parts, body) = sender.send_request(request).await.unwrap().into_parts();
    Said {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: body.collect().await.unwrap().to_bytes(),
    }
}
