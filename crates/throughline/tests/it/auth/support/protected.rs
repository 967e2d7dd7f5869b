//! A server whose endpoint wants tokens of an authorization server.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::json as value;
use sha2::{Digest, Sha256};
use throughline::{Server, StreamableHttp, tool};
use tower::Service;

use super::{AnyBody, Authority, Listening, empty, json};

/// The server. Its tool `count` counts its calls.
#[derive(Clone)]
pub(crate) struct Protected {
    state: Arc<State>,
    listening: Arc<Listening>,
}

struct State {
    endpoint: StreamableHttp,
    calls: Arc<AtomicUsize>,
    /// The scopes that requests need whose text has this in it.
    needs: Mutex<HashMap<&'static str, &'static str>>,
    refused: AtomicUsize,
    /// No token is good.
    refuses: AtomicBool,
    authority: Authority,
    /// What proofs must have in them.
    nonce: Mutex<&'static str>,
}

impl Protected {
    pub(crate) async fn start(authority: &Authority) -> Self {
        let calls = Arc::<AtomicUsize>::default();
        let counting = Arc::clone(&calls);
        let server = Server::new("demo", "1.0.0").tool(tool("count", move || {
            counting.fetch_add(1, Ordering::Relaxed);
            async { "counted" }
        }));
        let state = Arc::new(State {
            endpoint: StreamableHttp::new(server),
            calls,
            needs: Mutex::default(),
            refused: AtomicUsize::new(0),
            refuses: AtomicBool::new(false),
            authority: authority.clone(),
            nonce: Mutex::new(""),
        });
        let answering = Arc::clone(&state);
        let listening = Listening::start(|address| {
            move |request| answer(Arc::clone(&answering), format!("http://{address}"), request)
        })
        .await;
        Self { state, listening: Arc::new(listening) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/mcp", self.listening.address)
    }

    /// What has this text in it needs this scope.
    pub(crate) fn needs(&self, part: &'static str, scope: &'static str) {
        self.state.needs.lock().unwrap().insert(part, scope);
    }

    /// From now on no token is good.
    pub(crate) fn refuses(&self) {
        self.state.refuses.store(true, Ordering::Relaxed);
    }

    /// From now on proofs must have this in them.
    pub(crate) fn wants_nonce(&self, nonce: &'static str) {
        *self.state.nonce.lock().unwrap() = nonce;
    }

    pub(crate) fn calls(&self) -> usize {
        self.state.calls.load(Ordering::Relaxed)
    }

    /// The endpoint without a network between.
    pub(crate) fn in_memory<B>(
        &self,
    ) -> impl Service<Request<B>, Response = Response<AnyBody>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static
    where
        B: http_body::Body<Data = Bytes, Error = Infallible> + Send + 'static,
    {
        let (state, origin) = (Arc::clone(&self.state), format!("http://{}", self.listening.address));
        tower::service_fn(move |request: Request<B>| {
            let (state, origin) = (Arc::clone(&state), origin.clone());
            async move {
                let (parts, body) = request.into_parts();
                let Ok(body) = body.collect().await;
                Ok(answer(state, origin, Request::from_parts(parts, body.to_bytes())).await)
            }
        })
    }

    /// How many requests were refused since the last time.
    pub(crate) fn refused(&self) -> usize {
        self.state.refused.swap(0, Ordering::Relaxed)
    }
}

async fn answer(state: Arc<State>, origin: String, request: Request<Bytes>) -> Response<AnyBody> {
    let metadata = "/.well-known/oauth-protected-resource/mcp";
    let resource = format!("{origin}/mcp");
    if request.uri().path() == metadata {
        return json(
            200,
            &value!({
                "resource": resource,
                "authorization_servers": [state.authority.issuer()],
                "scopes_supported": ["read"],
                "bearer_methods_supported": ["header"],
                "dpop_bound_access_tokens_required": state.authority.binds(),
            }),
        );
    }
    if request.uri().path() != "/mcp" {
        return empty(404);
    }
    let scheme = if state.authority.binds() { "DPoP" } else { "Bearer" };
    let token = request.headers().get(AUTHORIZATION).map(|value| {
        let (said, token) = value.to_str().unwrap().split_once(' ').unwrap();
        assert_eq!(said, scheme);
        token.to_owned()
    });
    let refuse = |status, how: String| {
        state.refused.fetch_add(1, Ordering::Relaxed);
        let mut response = empty(status);
        let challenge = format!(r#"{scheme} resource_metadata="{origin}{metadata}"{how}"#);
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge.parse().unwrap());
        response
    };
    let Some(token) = token else { return refuse(401, String::new()) };
    let granted = state.authority.scopes_of(&token, &resource);
    let Some(granted) = granted.filter(|_| !state.refuses.load(Ordering::Relaxed)) else {
        return refuse(401, r#", error="invalid_token""#.into());
    };
    if scheme == "DPoP" {
        let (key, claims) = super::authority::checked_proof(request.headers());
        assert_eq!(Some(key), state.authority.key_of(&token), "the key of the token");
        assert_eq!(
            (&claims["htu"], claims["htm"].as_str()),
            (&value!(resource), Some(request.method().as_str()))
        );
        assert_eq!(claims["ath"], URL_SAFE_NO_PAD.encode(Sha256::digest(&token)));
        let nonce = *state.nonce.lock().unwrap();
        if claims["nonce"] != nonce {
            let mut response = refuse(401, r#", error="use_dpop_nonce""#.into());
            response.headers_mut().insert("dpop-nonce", nonce.parse().unwrap());
            return response;
        }
    }
    let text = String::from_utf8_lossy(request.body());
    let needed =
        state.needs.lock().unwrap().iter().find(|(part, _)| text.contains(**part)).map(|(_, scope)| *scope);
    if let Some(needed) = needed
        && !needed.split(' ').all(|scope| granted.split(' ').any(|had| had == scope))
    {
        return refuse(403, format!(r#", error="insufficient_scope", scope="{needed}""#));
    }
    let mut endpoint = state.endpoint.clone();
    let (parts, body) = request.into_parts();
    let served: Result<_, Infallible> =
        endpoint.call(Request::from_parts(parts, Full::new(body))).await.map_err(|never| match never {});
    let Ok(response) = served;
    response.map(|body| body.map_err(|never| match never {}).boxed_unsync())
}
