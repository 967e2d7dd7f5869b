//! Attacks on a server behind a lock, each a real request to a real socket: what is refused is refused with the same words
//! whatever was wrong, and nothing behind the lock runs.
//!
//! Those that have their tests elsewhere:
//!
//! | Attack | Test |
//! |---|---|
//! | wrong audience, issuer, time and kind, in memory and to the second | `lock::jwt::what_a_token_has_to_say` |
//! | the key of one issuer for another, with keys that were given | `lock::jwt::keys_that_were_given_need_no_issuer` |
//! | a withdrawn key; made-up names of keys as a flood; an issuer that hangs | `lock::jwt::{a_key_that_is_new_.., made_up_keys_.., many_at_once_.., an_issuer_that_is_down_..}` |
//! | an introspection that says `active` as a text, or names another audience or issuer | `lock::introspection::the_issuer_says_who_it_is` |
//! | a withdrawn opaque token; questions as a flood | `lock::introspection::{a_token_that_was_withdrawn_.., questions_are_bounded_..}` |
//! | a DPoP proof for another method, address, token, time or key, used twice, or twice in one request | `lock::dpop::a_proof_is_for_one_request` |
//! | a stolen bound token as a bearer token, and the other way round | `lock::dpop::a_bound_token_is_no_bearer_token_nor_the_other_way_round` |
//! | a proof made in advance | `lock::dpop::a_proof_is_made_after_the_server_has_spoken` |
//! | the headers of a trusted proxy, from elsewhere, twice, or with made-up forwarding headers | `lock::doors::a_proxy_is_believed_..`, `lock::serving::the_peer_is_who_the_network_says` |
//! | two `Authorization` headers | `lock::answers::malformed_credentials_are_a_bad_request` |
//! | session, cursor, sealed state and HTTP+SSE link of another principal, on every path and after a restart | `binding::*` |
//! | more sessions, streams, calls or requests a second than one principal may have | `caps::*` |
//! | a call, batch or `listen` with less scopes than it needs | `scopes::*` |
//! | tokens in logs and `Debug` forms | `lock::quiet::tokens_are_in_no_log` |

mod belongings;
mod doors;
mod proofs;
mod tokens;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use throughline::auth::{Authorization, AuthorizationBuilder};
use throughline::{Context, Error, Server, StreamableHttp, tool};
use tokio::net::{TcpListener, TcpStream};

use super::lock::issuer::Issuer;
use super::lock::keys::Key;
use crate::support::{Answer, Tcp, Wire, modern, within};

/// A server that takes tokens of two issuers.
struct Target {
    address: SocketAddr,
    resource: String,
    /// Its keys are called `key` (RSA) and `ec`.
    ours: Issuer,
    rsa: Key,
    ec: Key,
    /// Its only key is called `key` too.
    theirs: Issuer,
    ed: Key,
    /// How many calls ran.
    ran: Arc<AtomicUsize>,
}

impl Target {
    async fn start() -> Self {
        Self::start_with(|builder| builder).await
    }

    async fn start_with(more: impl FnOnce(AuthorizationBuilder) -> AuthorizationBuilder) -> Self {
        let (rsa, ec, ed) = (Key::rs256("key"), Key::es256("ec"), Key::ed25519("key"));
        let ours = Issuer::listening(&[&rsa, &ec]).await;
        let theirs = Issuer::listening(&[&ed]).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let resource = format!("http://{address}/mcp");
        let builder = Authorization::builder(&resource).jwks(ours.name()).jwks(theirs.name());
        let lock = more(builder).build().unwrap();
        let ran = Arc::new(AtomicUsize::new(0));
        let endpoint = StreamableHttp::new(server(&ran));
        let sse = endpoint.http_sse();
        let router = axum::Router::new()
            .route_service("/mcp", endpoint)
            .route_service("/sse", sse.clone())
            .route_service("/messages", sse)
            .layer(lock);
        drop(tokio::spawn(async move { axum::serve(listener, router).await }));
        Self { address, resource, ours, rsa, ec, theirs, ed, ran }
    }

    /// What a good token of our issuer says.
    fn claims(&self, subject: &str) -> Value {
        let now = now();
        json!({
            "iss": self.ours.name(), "sub": subject, "aud": self.resource, "client_id": "editor",
            "iat": now, "exp": now + 3600, "scope": "files:read",
        })
    }

    /// The same with one member another.
    fn claims_with(&self, member: &str, value: Value) -> Value {
        let mut claims = self.claims("ann");
        claims[member] = value;
        claims
    }

    /// Whoever sends this token.
    fn wire(&self, token: &str) -> Wire {
        Wire::over(Tcp(self.address)).with("authorization", &format!("Bearer {token}"))
    }

    /// Calls the tool with this token.
    async fn call(&self, token: &str) -> Answer {
        self.wire(token).post_modern(touch()).send().await
    }

    /// Calls the tool with each of these tokens: all are refused, with the same words as what is no token at all.
    async fn refuses(&self, tokens: impl IntoIterator<Item = (&str, String)>) {
        let before = self.ran();
        let nonsense = said(self.call("nonsense").await).await;
        assert_eq!(nonsense.0, 401);
        assert!(nonsense.1.contains("error=\"invalid_token\""), "{nonsense:?}");
        for (what, token) in tokens {
            assert_eq!(said(self.call(&token).await).await, nonsense, "{what}");
        }
        assert_eq!(self.ran(), before, "nothing ran");
    }

    /// Whom the server takes the sender of this token for.
    async fn whom(&self, token: &str) -> String {
        let before = self.ran();
        let answer = self.call(token).await.json().await;
        assert_eq!(self.ran(), before + 1);
        crate::support::text(&answer).to_owned()
    }

    fn ran(&self) -> usize {
        self.ran.load(Ordering::SeqCst)
    }
}

/// Sends a request over a connection of its own.
async fn send(
    address: SocketAddr,
    request: http::request::Builder,
    body: String,
) -> http::Response<Incoming> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    drop(tokio::spawn(connection));
    let request = request.header("host", address.to_string()).body(Full::new(Bytes::from(body))).unwrap();
    within(sender.send_request(request)).await.unwrap()
}

/// Status, challenge and body of an answer.
async fn said(answer: Answer) -> (u16, String, String) {
    (answer.status(), answer.header("www-authenticate").to_owned(), answer.text().await)
}

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

/// The call that every attack is after.
fn touch() -> Value {
    modern(1, "tools/call", json!({ "name": "touch", "arguments": {} }))
}

fn server(ran: &Arc<AtomicUsize>) -> Server {
    let count = |ran: &Arc<AtomicUsize>| {
        let ran = Arc::clone(ran);
        move || ran.fetch_add(1, Ordering::SeqCst)
    };
    let (touched, removed) = (count(ran), count(ran));
    let who = |cx: &Context| {
        let principal = cx.caller().principal().expect("somebody").clone();
        format!("{} at {}", principal.subject, principal.issuer)
    };
    Server::new("it", "1")
        .tool(tool("touch", move |cx: Context| {
            touched();
            async move { who(&cx) }
        }))
        .tool(
            tool("remove", move |_: Context| {
                removed();
                async { "removed" }
            })
            .scopes(["files:write"]),
        )
        .tool(tool("ask", |cx: Context| async move {
            Ok::<_, Error>(format!("{} roots", cx.roots().await?.len()))
        }))
}
