//! An authorization server of a test: it publishes keys, and answers about tokens.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::fmt::Debug;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower_service::Service;

use super::keys::Key;
use crate::support::Gate;

/// A service, at an address that it is told, or on a port of its own.
#[derive(Clone)]
pub(in crate::auth) struct Issuer(Arc<Mutex<State>>);

struct State {
    name: String,
    keys: Vec<Value>,
    down: bool,
    cache_control: Option<&'static str>,
    gate: Option<Gate>,
    asked: BTreeMap<String, usize>,
    /// What an introspection says of a token.
    tokens: HashMap<String, Value>,
    /// With which credentials it was asked.
    credentials: Vec<String>,
}

impl Issuer {
    /// In memory.
    pub(in crate::auth) fn new(keys: &[&Key]) -> Self {
        Self::named("https://login.example.com", keys)
    }

    fn named(name: &str, keys: &[&Key]) -> Self {
        Self(Arc::new(Mutex::new(State {
            name: name.into(),
            keys: keys.iter().map(|key| key.jwk()).collect(),
            down: false,
            cache_control: None,
            gate: None,
            asked: BTreeMap::new(),
            tokens: HashMap::new(),
            credentials: Vec::new(),
        })))
    }

    /// On a port of this machine.
    pub(in crate::auth) async fn listening(keys: &[&Key]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let issuer = Self::named(&format!("http://{address}"), keys);
        drop(tokio::spawn(throughline::serve(listener, issuer.clone()).into_future()));
        issuer
    }

    pub(in crate::auth) fn name(&self) -> String {
        self.0.lock().unwrap().name.clone()
    }

    /// From now on these keys, and no others.
    pub(in crate::auth) fn rotate(&self, keys: &[&Key]) {
        self.0.lock().unwrap().keys = keys.iter().map(|key| key.jwk()).collect();
    }

    pub(in crate::auth) fn set_down(&self, down: bool) {
        self.0.lock().unwrap().down = down;
    }

    /// What its keys are sent with.
    pub(in crate::auth) fn set_cache_control(&self, text: &'static str) {
        self.0.lock().unwrap().cache_control = Some(text);
    }

    /// From now on every answer waits at this gate.
    pub(in crate::auth) fn hold(&self) -> Gate {
        let gate = Gate::new();
        self.0.lock().unwrap().gate = Some(gate.clone());
        gate
    }

    /// What it says of this token.
    pub(in crate::auth) fn knows(&self, token: &str, answer: Value) {
        self.0.lock().unwrap().tokens.insert(token.into(), answer);
    }

    /// How often it was asked at this path.
    pub(in crate::auth) fn asked(&self, path: &str) -> usize {
        self.0.lock().unwrap().asked.get(path).copied().unwrap_or(0)
    }

    pub(in crate::auth) fn credentials(&self) -> Vec<String> {
        self.0.lock().unwrap().credentials.clone()
    }

    async fn answer<B>(self, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: Body<Error: Debug>,
    {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path().to_owned();
        let gate = {
            let mut state = self.0.lock().unwrap();
            *state.asked.entry(path.clone()).or_default() += 1;
            state.gate.clone()
        };
        if let Some(gate) = gate {
            gate.pass().await;
        }
        let body = body.collect().await.unwrap().to_bytes();
        let mut state = self.0.lock().unwrap();
        let mut response = Response::new(Full::default());
        if state.down {
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            return response;
        }
        let name = &state.name;
        let json = match &*path {
            "/.well-known/oauth-authorization-server" => {
                json!({ "issuer": name, "jwks_uri": format!("{name}/jwks") })
            }
            "/jwks" => json!({ "keys": state.keys }),
            "/introspect" => {
                let form = String::from_utf8(body.to_vec()).unwrap();
                let token = form.split('&').find_map(|pair| pair.strip_prefix("token=")).unwrap();
                let answer = state.tokens.get(token).cloned().unwrap_or_else(|| json!({ "active": false }));
                let credentials =
                    parts.headers.get("authorization").map_or("", |value| value.to_str().unwrap());
                state.credentials.push(credentials.to_owned());
                answer
            }
            _ => {
                *response.status_mut() = StatusCode::NOT_FOUND;
                return response;
            }
        };
        *response.body_mut() = Full::new(json.to_string().into());
        if let Some(text) = state.cache_control {
            response.headers_mut().insert("cache-control", text.parse().unwrap());
        }
        response
    }
}

impl<B> Service<Request<B>> for Issuer
where
    B: Body<Data: Send, Error: Debug> + Send + 'static,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let issuer = self.clone();
        Box::pin(async move { Ok(issuer.answer(request).await) })
    }
}
