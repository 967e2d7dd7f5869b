//! An authorization server in this process, with everything in memory. Whoever comes is `ada`, and she agrees at once.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{KeyPair, PublicKeyData};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tower_service::Service;

/// The client that was registered by hand, for introspection and for `--client-id`.
pub(crate) const KNOWN: (&str, &str) = ("by hand", "a secret of the client");

const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// Runs until it is dropped.
pub(crate) struct Authority {
    /// Its address, which is the issuer of its tokens.
    pub(crate) issuer: String,
    desk: Arc<Desk>,
    serving: tokio::task::JoinHandle<()>,
}

/// What it knows.
struct Desk {
    issuer: String,
    signs: EncodingKey,
    jwk: Value,
    books: Mutex<Books>,
}

#[derive(Default)]
struct Books {
    /// Registered clients: where they may be sent back to.
    clients: HashMap<String, Vec<String>>,
    codes: HashMap<String, (Grant, String)>,
    refresh: HashMap<String, Grant>,
    /// By device code: what to enter, and whether somebody did.
    devices: HashMap<String, (Grant, String, bool)>,
    /// Access tokens that were withdrawn or, if they are opaque, given out.
    revoked: Vec<String>,
    opaque: HashMap<String, Grant>,
    counts: BTreeMap<String, usize>,
    /// Seconds that access tokens are good for.
    lifetime: u64,
    gives_opaque: bool,
    made: usize,
}

#[derive(Clone)]
struct Grant {
    client: String,
    resource: String,
    scope: String,
}

impl Authority {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let issuer = format!("http://{}", listener.local_addr().expect("an address"));
        let key = KeyPair::generate().expect("a key");
        let point = key.der_bytes();
        let (x, y) = (&point[1..33], &point[33..65]);
        let jwk = json!({"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "one",
            "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y)});
        let signs = EncodingKey::from_ec_pem(key.serialize_pem().as_bytes()).expect("a key");
        let books = Mutex::new(Books { lifetime: 3600, ..Books::default() });
        let desk = Arc::new(Desk { issuer: issuer.clone(), signs, jwk, books });
        let serving = throughline::serve(listener, Front(Arc::clone(&desk))).into_future();
        let serving = tokio::spawn(async move {
            let _ = serving.await;
        });
        Self { issuer, desk, serving }
    }

    /// Access tokens are good for so many seconds from now on.
    pub(crate) fn set_lifetime(&self, seconds: u64) {
        self.desk.books().lifetime = seconds;
    }

    /// Access tokens say nothing by themselves from now on.
    pub(crate) fn give_opaque(&self) {
        self.desk.books().gives_opaque = true;
    }

    /// How many requests of this kind were granted: `authorize`, `register`, `introspect`, `revoke`, or the name of a grant.
    pub(crate) fn count(&self, kind: &str) -> usize {
        self.desk.books().counts.get(kind).copied().unwrap_or_default()
    }

    /// Enters the code that a device shows.
    pub(crate) fn enter(&self, user_code: &str) {
        let mut books = self.desk.books();
        let device = books.devices.values_mut().find(|(_, code, _)| code == user_code);
        device.expect("it is shown by a device").2 = true;
    }

    /// A token for this server, as if somebody had logged in.
    pub(crate) fn token(&self, resource: &str, scope: &str) -> String {
        let grant = Grant { client: KNOWN.0.into(), resource: resource.into(), scope: scope.into() };
        self.desk.access_token(&mut self.desk.books(), &grant)
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

#[derive(Clone)]
struct Front(Arc<Desk>);

impl Service<Request<Incoming>> for Front {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let desk = Arc::clone(&self.0);
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            let given = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
            let answered = desk.answer(
                parts.uri.path(),
                &form(parts.uri.query().unwrap_or_default().as_bytes()),
                given,
                &body,
            );
            Ok(answered.unwrap_or_else(|why| answer(StatusCode::BAD_REQUEST, &json!({ "error": why }))))
        })
    }
}

type Form = HashMap<String, String>;

fn form(text: &[u8]) -> Form {
    form_urlencoded::parse(text).into_owned().collect()
}

fn answer(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    let response = Response::builder().status(status).header(CONTENT_TYPE, "application/json");
    response.body(Full::from(body.to_string())).expect("a response")
}

impl Desk {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(
        &self,
        path: &str,
        query: &Form,
        credentials: Option<&str>,
        body: &[u8],
    ) -> Result<Response<Full<Bytes>>, &'static str> {
        let mut books = self.books();
        let books = &mut *books;
        match path {
            "/.well-known/oauth-authorization-server" => Ok(answer(StatusCode::OK, &self.metadata())),
            "/jwks" => Ok(answer(StatusCode::OK, &json!({ "keys": [self.jwk] }))),
            "/register" => {
                let asked: Value = serde_json::from_slice(body).map_err(|_| "invalid_client_metadata")?;
                let redirects = asked["redirect_uris"].as_array().into_iter().flatten();
                let redirects = redirects.filter_map(|uri| uri.as_str().map(str::to_owned)).collect();
                let id = books.make("client");
                books.clients.insert(id.clone(), redirects);
                books.count("register");
                let mut registered = asked;
                registered["client_id"] = id.into();
                Ok(answer(StatusCode::CREATED, &registered))
            }
            "/authorize" => self.authorize(books, query),
            "/device" => {
                let form = form(body);
                let field = |name: &str| form.get(name).cloned().ok_or("invalid_request");
                let grant = Grant {
                    client: field("client_id")?,
                    resource: field("resource")?,
                    scope: form.get("scope").cloned().unwrap_or_default(),
                };
                let (device, code) = (books.make("device"), books.make("CODE"));
                books.devices.insert(device.clone(), (grant, code.clone(), false));
                let shown = json!({"device_code": device, "user_code": code, "expires_in": 600, "interval": 1,
                    "verification_uri": format!("{}/enter", self.issuer)});
                Ok(answer(StatusCode::OK, &shown))
            }
            "/token" => self.give(books, &form(body), credentials),
            "/introspect" => {
                authenticate(&form(body), credentials, KNOWN.0)?;
                books.count("introspect");
                let form = form(body);
                let token = form.get("token").ok_or("invalid_request")?;
                let described = match books.opaque.get(token).cloned() {
                    Some(grant) if !books.revoked.contains(token) => {
                        let mut claims = self.claims(books, &grant);
                        claims["active"] = true.into();
                        claims
                    }
                    _ => json!({ "active": false }),
                };
                Ok(answer(StatusCode::OK, &described))
            }
            "/revoke" => {
                let form = form(body);
                let token = form.get("token").ok_or("invalid_request")?;
                books.refresh.remove(token);
                books.revoked.push(token.clone());
                books.count("revoke");
                Ok(answer(StatusCode::OK, &json!({})))
            }
            _ => Ok(answer(StatusCode::NOT_FOUND, &json!({ "error": "not_found" }))),
        }
    }

    fn metadata(&self) -> Value {
        let at = |path: &str| format!("{}{path}", self.issuer);
        json!({
            "issuer": self.issuer,
            "authorization_endpoint": at("/authorize"),
            "device_authorization_endpoint": at("/device"),
            "token_endpoint": at("/token"),
            "registration_endpoint": at("/register"),
            "revocation_endpoint": at("/revoke"),
            "introspection_endpoint": at("/introspect"),
            "jwks_uri": at("/jwks"),
            "scopes_supported": ["tools", "offline_access"],
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials", DEVICE],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none", "client_secret_basic", "client_secret_post"],
            "authorization_response_iss_parameter_supported": true,
        })
    }

    /// The page where somebody would log in: sends her back at once.
    fn authorize(&self, books: &mut Books, query: &Form) -> Result<Response<Full<Bytes>>, &'static str> {
        let field = |name: &str| query.get(name).ok_or("invalid_request");
        let (client, redirect) = (field("client_id")?, field("redirect_uri")?);
        let known = books.clients.get(client).is_some_and(|redirects| redirects.contains(redirect));
        if !(known || client == KNOWN.0 && redirect.starts_with("http://127.0.0.1:")) {
            return Err("unauthorized_client");
        }
        if field("response_type")? != "code" || field("code_challenge_method")? != "S256" {
            return Err("invalid_request");
        }
        let grant = Grant {
            client: client.clone(),
            resource: field("resource")?.clone(),
            scope: query.get("scope").cloned().unwrap_or_default(),
        };
        let code = books.make("code");
        books.codes.insert(code.clone(), (grant, field("code_challenge")?.clone()));
        books.count("authorize");
        let mut back = form_urlencoded::Serializer::new(String::new());
        back.append_pair("code", &code)
            .append_pair("state", field("state")?)
            .append_pair("iss", &self.issuer);
        let to = format!("{redirect}?{}", back.finish());
        let response = Response::builder().status(StatusCode::FOUND).header(LOCATION, to);
        Ok(response.body(Full::default()).expect("a response"))
    }

    fn give(
        &self,
        books: &mut Books,
        form: &Form,
        credentials: Option<&str>,
    ) -> Result<Response<Full<Bytes>>, &'static str> {
        let kind = form.get("grant_type").ok_or("invalid_request")?;
        let resource = form.get("resource").ok_or("invalid_target")?;
        let grant = match kind.as_str() {
            "authorization_code" => {
                let code = form.get("code").ok_or("invalid_request")?;
                let (grant, challenge) = books.codes.remove(code).ok_or("invalid_grant")?;
                let verifier = form.get("code_verifier").ok_or("invalid_request")?;
                if URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)) != challenge {
                    return Err("invalid_grant");
                }
                grant
            }
            "refresh_token" => {
                let token = form.get("refresh_token").ok_or("invalid_request")?;
                // Each is good once.
                books.refresh.remove(token).ok_or("invalid_grant")?
            }
            DEVICE => {
                let device = form.get("device_code").ok_or("invalid_request")?;
                match books.devices.get(device) {
                    Some((_, _, false)) => return Err("authorization_pending"),
                    Some((grant, _, true)) => grant.clone(),
                    None => return Err("invalid_grant"),
                }
            }
            "client_credentials" => {
                authenticate(form, credentials, KNOWN.0)?;
                let scope = form.get("scope").cloned().unwrap_or_default();
                Grant { client: KNOWN.0.into(), resource: resource.clone(), scope }
            }
            _ => return Err("unsupported_grant_type"),
        };
        if grant.client == KNOWN.0 {
            authenticate(form, credentials, KNOWN.0)?;
        } else if form.get("client_id") != Some(&grant.client) {
            return Err("invalid_client");
        }
        if *resource != grant.resource {
            return Err("invalid_target");
        }
        books.count(kind);
        let access = self.access_token(books, &grant);
        let mut given = json!({"access_token": access, "token_type": "Bearer", "expires_in": books.lifetime,
            "scope": grant.scope});
        if kind != "client_credentials" {
            let refresh = books.make("refresh");
            given["refresh_token"] = refresh.clone().into();
            books.refresh.insert(refresh, grant);
        }
        Ok(answer(StatusCode::OK, &given))
    }

    fn claims(&self, books: &mut Books, grant: &Grant) -> Value {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs();
        json!({"iss": self.issuer, "sub": "ada", "aud": grant.resource, "scope": grant.scope,
            "client_id": grant.client, "iat": now, "exp": now + books.lifetime, "jti": books.make("id")})
    }

    fn access_token(&self, books: &mut Books, grant: &Grant) -> String {
        if books.gives_opaque {
            let token = books.make("access");
            books.opaque.insert(token.clone(), grant.clone());
            return token;
        }
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some("one".into());
        header.typ = Some("at+jwt".into());
        jsonwebtoken::encode(&header, &self.claims(books, grant), &self.signs).expect("it signs")
    }
}

impl Books {
    fn make(&mut self, kind: &str) -> String {
        self.made += 1;
        format!("{kind}-{}", self.made)
    }

    fn count(&mut self, kind: &str) {
        *self.counts.entry(kind.to_owned()).or_default() += 1;
    }
}

/// Checks the secret of the known client, in the form or in the header.
fn authenticate(form: &Form, credentials: Option<&str>, client: &str) -> Result<(), &'static str> {
    let in_form = form.get("client_id").zip(form.get("client_secret"));
    let in_form = in_form.map(|(id, secret)| (id.clone(), secret.clone()));
    let in_header = credentials.and_then(|value| {
        let text = String::from_utf8(STANDARD.decode(value.strip_prefix("Basic ")?).ok()?).ok()?;
        let (id, secret) = text.split_once(':')?;
        // Each is encoded as in a form: https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1
        let decode = |text: &str| self::form(format!("x={text}").as_bytes()).remove("x");
        Some((decode(id)?, decode(secret)?))
    });
    match in_form.or(in_header) {
        Some((id, secret)) if id == client && secret == KNOWN.1 => Ok(()),
        _ => Err("invalid_client"),
    }
}
