//! An authorization server: metadata, registration, codes with PKCE, refresh tokens that rotate and whose reuse ends all.

mod granting;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::header::{AUTHORIZATION, LOCATION};
use http::{Request, Response};
use serde_json::{Value, json as value};
use sha2::{Digest, Sha256};

use super::{AnyBody, Listening, empty, form, json};
use crate::support::Gate;

pub(super) use granting::checked_proof;

type Fields = HashMap<String, String>;

/// An authorization server.
#[derive(Clone)]
pub(crate) struct Authority {
    books: Arc<Mutex<Books>>,
    /// Token requests wait here, where the rules say so.
    pub(crate) gate: Gate,
    issuer: String,
    _listening: Arc<Listening>,
}

/// What a test changes about it.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// How long access tokens live, as it says.
    pub(crate) lifetime: Option<u64>,
    /// Whether there are refresh tokens.
    pub(crate) refreshes: bool,
    /// Whether each refresh gives another refresh token.
    pub(crate) rotates: bool,
    /// Whether clients may register themselves.
    pub(crate) registers: bool,
    /// Whether clients that register get a secret.
    pub(crate) secrets: bool,
    /// Whether its answers name it (RFC 9207).
    pub(crate) names_itself: bool,
    /// What it answers people with.
    pub(crate) denies: Option<&'static str>,
    /// Token requests that are answered with 503.
    pub(crate) broken: usize,
    /// Whether token requests wait at the gate.
    pub(crate) slow: bool,
    /// The scopes that it grants at most.
    pub(crate) grants: Option<&'static str>,
    /// What it takes as an assertion, beside that of an identity provider which is for it.
    pub(crate) vouched: Option<String>,
    /// Tokens are bound to keys, and proofs must have this nonce.
    pub(crate) nonce: Option<&'static str>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            lifetime: Some(3600),
            refreshes: true,
            rotates: true,
            registers: true,
            secrets: false,
            names_itself: true,
            denies: None,
            broken: 0,
            slow: false,
            grants: None,
            vouched: None,
            nonce: None,
        }
    }
}

struct Books {
    issuer: String,
    rules: Rules,
    clients: HashMap<String, Registered>,
    codes: HashMap<String, Code>,
    families: Vec<Family>,
    access: HashMap<String, Access>,
    count: usize,
    log: Vec<String>,
}

struct Registered {
    redirect_uris: Vec<String>,
    secret: Option<String>,
    /// In PEM: it signs.
    key: Option<String>,
}

struct Code {
    client: String,
    redirect_uri: String,
    challenge: String,
    scope: String,
    resource: String,
}

/// What came of one login.
struct Family {
    client: String,
    scope: String,
    resource: String,
    refresh: String,
    spent: BTreeSet<String>,
    revoked: bool,
}

struct Access {
    family: usize,
    expired: bool,
    /// The key that it is bound to.
    key: Option<Value>,
}

/// How a token request is refused.
struct No(u16, &'static str, String);

impl Authority {
    pub(crate) async fn start(rules: Rules) -> Self {
        let gate = Gate::new();
        let mut books = None;
        let listening = Listening::start(|address| {
            let shared = Arc::new(Mutex::new(Books {
                issuer: format!("http://{address}"),
                rules,
                clients: HashMap::new(),
                codes: HashMap::new(),
                families: Vec::new(),
                access: HashMap::new(),
                count: 0,
                log: Vec::new(),
            }));
            books = Some(Arc::clone(&shared));
            let gate = gate.clone();
            move |request| answer(Arc::clone(&shared), gate.clone(), request)
        })
        .await;
        Self {
            books: books.unwrap(),
            gate,
            issuer: format!("http://{}", listening.address),
            _listening: Arc::new(listening),
        }
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Changes the rules.
    pub(crate) fn rule(&self, change: impl FnOnce(&mut Rules)) {
        change(&mut self.books.lock().unwrap().rules);
    }

    /// A client that was registered beforehand.
    pub(crate) fn register(&self, id: &str, secret: Option<&str>, redirect_uri: &str) {
        let registered = Registered {
            redirect_uris: vec![redirect_uri.to_owned()],
            secret: secret.map(str::to_owned),
            key: None,
        };
        self.books.lock().unwrap().clients.insert(id.to_owned(), registered);
    }

    /// A client that signs with the key to this one.
    pub(crate) fn register_key(&self, id: &str, key: String) {
        let registered = Registered { redirect_uris: Vec::new(), secret: None, key: Some(key) };
        self.books.lock().unwrap().clients.insert(id.to_owned(), registered);
    }

    /// The key that a token is bound to.
    pub(crate) fn key_of(&self, token: &str) -> Option<Value> {
        self.books.lock().unwrap().access.get(token)?.key.clone()
    }

    /// Whether it binds tokens to keys.
    pub(crate) fn binds(&self) -> bool {
        self.books.lock().unwrap().rules.nonce.is_some()
    }

    /// No client is known any more.
    pub(crate) fn forget_clients(&self) {
        self.books.lock().unwrap().clients.clear();
    }

    /// Every access token so far has expired.
    pub(crate) fn expire(&self) {
        self.books.lock().unwrap().access.values_mut().for_each(|access| access.expired = true);
    }

    /// Every login so far is taken back, refresh tokens and all.
    pub(crate) fn revoke(&self) {
        self.books.lock().unwrap().families.iter_mut().for_each(|family| family.revoked = true);
    }

    /// The scopes of a token that is good for this resource.
    pub(crate) fn scopes_of(&self, token: &str, resource: &str) -> Option<String> {
        let books = self.books.lock().unwrap();
        let access = books.access.get(token).filter(|access| !access.expired)?;
        let family = &books.families[access.family];
        (!family.revoked && family.resource == resource).then(|| family.scope.clone())
    }

    /// What happened since the last time.
    pub(crate) fn log(&self) -> Vec<String> {
        std::mem::take(&mut self.books.lock().unwrap().log)
    }
}

async fn answer(books: Arc<Mutex<Books>>, gate: Gate, request: Request<Bytes>) -> Response<AnyBody> {
    let path = request.uri().path().to_owned();
    if path == "/token" && books.lock().unwrap().rules.slow {
        gate.pass().await;
    }
    let mut books = books.lock().unwrap();
    match (request.method().as_str(), &*path) {
        ("GET", "/.well-known/oauth-authorization-server") => json(200, &books.metadata()),
        ("GET", "/authorize") => books.authorize(request.uri().query().unwrap_or_default()),
        ("POST", "/register") => books.register(request.body()),
        ("POST", "/token") => match books.token(&request) {
            Ok(tokens) => json(200, &tokens),
            Err(No(status, error, why)) => {
                books.log.push(format!("refused: {error}"));
                let mut response = json(status, &value!({ "error": error, "error_description": why }));
                if let Some(nonce) = books.rules.nonce {
                    response.headers_mut().insert("dpop-nonce", nonce.parse().unwrap());
                }
                response
            }
        },
        ("POST", "/revoke") => {
            let fields = form::read(std::str::from_utf8(request.body()).unwrap()).unwrap();
            let token = &fields["token"];
            books.log.push("revoke".into());
            let of_access = books.access.get(token).map(|access| access.family);
            let of_refresh = books.families.iter().position(|family| family.refresh == *token);
            if let Some(family) = of_access.or(of_refresh) {
                books.families[family].revoked = true;
            }
            empty(200)
        }
        _ => empty(404),
    }
}

impl Books {
    fn metadata(&self) -> Value {
        let issuer = &self.issuer;
        let mut metadata = value!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "revocation_endpoint": format!("{issuer}/revoke"),
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none", "client_secret_basic", "client_secret_post", "private_key_jwt"],
            "scopes_supported": ["read", "write", "offline_access"],
            "authorization_response_iss_parameter_supported": self.rules.names_itself,
        });
        if self.rules.nonce.is_some() {
            metadata["dpop_signing_alg_values_supported"] = value!(["ES256"]);
        }
        if self.rules.registers {
            metadata["registration_endpoint"] = format!("{issuer}/register").into();
        }
        metadata
    }

    fn next(&mut self, what: &str) -> String {
        self.count += 1;
        format!("{what}-{}", self.count)
    }

    fn register(&mut self, body: &[u8]) -> Response<AnyBody> {
        let mut asked: Value = serde_json::from_slice(body).unwrap();
        let redirect_uris: Vec<String> = serde_json::from_value(asked["redirect_uris"].clone()).unwrap();
        assert!(
            redirect_uris
                .iter()
                .all(|uri| uri.starts_with("http://127.0.0.1:") || uri.starts_with("https://"))
        );
        let id = self.next("client");
        self.log.push(format!("register {}", asked["client_name"].as_str().unwrap()));
        let secret = self.rules.secrets.then(|| format!("secret of {id}"));
        asked["client_id"] = id.clone().into();
        if let Some(secret) = &secret {
            asked["client_secret"] = secret.clone().into();
            asked["client_secret_expires_at"] = 0.into();
            asked["token_endpoint_auth_method"] = "client_secret_basic".into();
        }
        self.clients.insert(id, Registered { redirect_uris, secret, key: None });
        json(201, &asked)
    }

    /// A person logs in and agrees at once.
    fn authorize(&mut self, query: &str) -> Response<AnyBody> {
        let fields = form::read(query).unwrap();
        let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
        let (client, redirect_uri) = (field("client_id"), field("redirect_uri"));
        // Without a good client and address nobody is sent anywhere.
        match self.clients.get(&client) {
            Some(registered) if registered.redirect_uris.contains(&redirect_uri) => {}
            _ => {
                self.log.push("refused: authorize".into());
                return empty(400);
            }
        }
        let mut back = vec![("state", field("state"))];
        let good = field("response_type") == "code"
            && field("code_challenge_method") == "S256"
            && field("code_challenge").len() == 43
            && field("state").len() >= 22
            && !field("resource").is_empty();
        if let Some(error) = self.rules.denies.or((!good).then_some("invalid_request")) {
            self.log.push(format!("denied: {error}"));
            back.push(("error", error.to_owned()));
        } else {
            self.log.push(format!("authorize {}", field("scope")));
            let code = self.next("code");
            let granted = match self.rules.grants {
                Some(most) => {
                    let most: BTreeSet<_> = most.split(' ').collect();
                    let asked = field("scope");
                    let granted: Vec<_> = asked.split(' ').filter(|scope| most.contains(scope)).collect();
                    granted.join(" ")
                }
                None => field("scope"),
            };
            self.codes.insert(
                code.clone(),
                Code {
                    client,
                    redirect_uri: redirect_uri.clone(),
                    challenge: field("code_challenge"),
                    scope: granted,
                    resource: field("resource"),
                },
            );
            back.push(("code", code));
        }
        if self.rules.names_itself {
            back.push(("iss", self.issuer.clone()));
        }
        let query: Vec<_> =
            back.iter().map(|(name, value)| format!("{name}={}", form::encode(value))).collect();
        let mut response = empty(302);
        response
            .headers_mut()
            .insert(LOCATION, format!("{redirect_uri}?{}", query.join("&")).parse().unwrap());
        response
    }

    fn token(&mut self, request: &Request<Bytes>) -> Result<Value, No> {
        let bad = |why: &str| No(400, "invalid_request", why.to_owned());
        let text = std::str::from_utf8(request.body()).unwrap();
        let fields = form::read(text).map_err(|why| bad(&why))?;
        let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
        if self.rules.broken > 0 {
            self.rules.broken -= 1;
            return Err(No(503, "temporarily_unavailable", "later".into()));
        }
        let key = self.key(request)?;
        let client = self.authenticate(request, &fields)?;
        if field("resource").is_empty() {
            return Err(bad("there is no resource"));
        }
        let family = match &*field("grant_type") {
            "authorization_code" => {
                // A code is good once, whatever comes of it.
                let code = self.codes.remove(&field("code")).filter(|code| code.client == client);
                let code = code.ok_or_else(|| No(400, "invalid_grant", "no such code".into()))?;
                let proof = URL_SAFE_NO_PAD.encode(Sha256::digest(field("code_verifier")));
                if proof != code.challenge
                    || field("redirect_uri") != code.redirect_uri
                    || field("resource") != code.resource
                {
                    return Err(No(400, "invalid_grant", "the code is for another request".into()));
                }
                self.log.push("code".into());
                let refresh = self.next("refresh");
                self.families.push(Family {
                    client,
                    scope: code.scope,
                    resource: code.resource,
                    refresh,
                    spent: BTreeSet::new(),
                    revoked: false,
                });
                self.families.len() - 1
            }
            "refresh_token" => {
                let token = field("refresh_token");
                let known = |family: &Family| family.refresh == token || family.spent.contains(&token);
                let gone = || No(400, "invalid_grant", "no such refresh token".into());
                let found = self.families.iter().position(known).ok_or_else(gone)?;
                let rotated = self.rules.rotates.then(|| self.next("refresh"));
                let family = &mut self.families[found];
                if family.spent.contains(&token) {
                    // Somebody else has it too: https://www.rfc-editor.org/rfc/rfc9700#section-4.14.2
                    family.revoked = true;
                    self.log.push("a refresh token was used twice".into());
                    return Err(gone());
                }
                if family.revoked || family.client != client {
                    return Err(gone());
                }
                if let Some(rotated) = rotated {
                    family.spent.insert(std::mem::replace(&mut family.refresh, rotated));
                }
                self.log.push("refresh".into());
                found
            }
            granting::TOKEN_EXCHANGE => return self.exchange(&fields),
            _ => self.grant(client, &fields)?,
        };
        let access = self.next("access");
        self.access.insert(access.clone(), Access { family, expired: false, key: key.clone() });
        let family = &self.families[family];
        let mut tokens = value!({ "access_token": access, "token_type": if key.is_some() { "DPoP" } else { "Bearer" }, "scope": family.scope });
        if let Some(lifetime) = self.rules.lifetime {
            tokens["expires_in"] = lifetime.into();
        }
        let alone = !matches!(&*field("grant_type"), "authorization_code" | "refresh_token");
        if self.rules.refreshes
            && !alone
            && (self.rules.rotates || field("grant_type") == "authorization_code")
        {
            tokens["refresh_token"] = family.refresh.clone().into();
        }
        Ok(tokens)
    }

    /// Who asks for tokens: a public client says its id, another shows its secret, in one way.
    fn authenticate(&self, request: &Request<Bytes>, fields: &Fields) -> Result<String, No> {
        let no = |why: &str| No(401, "invalid_client", why.to_owned());
        let basic = request.headers().get(AUTHORIZATION).map(|value| {
            let value = value.to_str().unwrap().strip_prefix("Basic ").expect("a basic header");
            let pair = String::from_utf8(STANDARD.decode(value).unwrap()).unwrap();
            let (id, secret) = pair.split_once(':').unwrap();
            (form::decode(id), form::decode(secret))
        });
        let posted = fields.get("client_secret").cloned();
        if basic.is_some() && posted.is_some() {
            return Err(no("two ways at once"));
        }
        let (id, secret) = match basic {
            Some((id, secret)) => (id, Some(secret)),
            None => (fields.get("client_id").cloned().ok_or_else(|| no("nobody"))?, posted),
        };
        match self.clients.get(&id) {
            Some(Registered { key: Some(key), .. })
                if granting::is_signed(fields, key, &id, &self.issuer) =>
            {
                Ok(id)
            }
            Some(registered) if registered.secret == secret && registered.key.is_none() => Ok(id),
            _ => Err(no("unknown, or not with this secret")),
        }
    }
}
