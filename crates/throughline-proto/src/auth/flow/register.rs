use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use serde::{Deserialize, Serialize};

use super::endpoint_auth::{EndpointAuth, Means};
use super::error::{FlowError, FlowErrorKind};
use super::find_resource::Resource;
use super::find_server::Server;
use super::grants;
use super::machine::{Ground, Moved, Phase, registered};
use super::profile::{ClientId, LoginBy};
use super::registration::{Registration, RegistrationKind};
use super::said;
use super::step::{FetchRequest, FetchResponse, Purpose, Step};
use crate::auth::{ScopeSet, Secret, UnixTime};

/// Characters of a client id: some are signed documents of several KiB, and it goes into an address.
const MAX_CLIENT_ID: usize = 8 * 1024;

/// The client registers itself.
///
/// Specification:
/// [dynamic client registration](https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization/client-registration#dynamic-client-registration).
pub(super) struct Registering {
    known: Known,
    asked: EndpointAuth,
}

/// What is known once metadata is read.
pub(super) struct Known {
    pub(super) resource: Resource,
    pub(super) server: Server,
    /// The scopes to ask for.
    pub(super) scope: ScopeSet,
}

/// Finds the client id to use, by the order of
/// [client registration](https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization/client-registration):
/// one that was given out beforehand, the address of a document, one that an earlier registration brought, a new one.
pub(super) fn begin(ground: &Ground, now: UnixTime, known: Known) -> Moved {
    if !ground.profile.client_ids.is_empty() {
        let registration = preregistered(ground, &known)?;
        return registered(ground, now, known, registration);
    }
    if let Some(registration) = by_document(ground, &known)? {
        return registered(ground, now, known, registration);
    }
    if let Some(registration) = kept(ground, now, &known) {
        let registration = registration.clone();
        return registered(ground, now, known, registration);
    }
    let issuer = &known.server.metadata.issuer;
    match known.server.metadata.registration_endpoint.as_deref() {
        // Who is nobody's but the client's own must be known beforehand.
        Some(address) if ground.profile.dynamic_registration && ground.profile.login_by.asks_person() => {
            let uri = known.server.endpoint("registration_endpoint", Some(address), &ground.rule)?;
            register(ground, known, uri)
        }
        _ => Err(FlowError::new(
            FlowErrorKind::NoClientId,
            format!(
                "the authorization server {} does not register clients by itself; register this client there, with the \
                 redirect address {}, and give the client id that it gets",
                said::quoted(issuer),
                said::quoted(&ground.profile.redirect_uri)
            ),
        )),
    }
}

/// The client id that was given out beforehand, to this authorization server and no other.
fn preregistered(ground: &Ground, known: &Known) -> Result<Registration, FlowError> {
    let issuer = &known.server.metadata.issuer;
    let ids = &ground.profile.client_ids;
    let named = ids.iter().find(|id| id.issuer.as_ref() == Some(issuer));
    let id = named
        .or_else(|| ids.iter().find(|id| id.issuer.is_none()))
        .filter(|id| !belongs_elsewhere(id, known));
    let Some(id) = id else {
        return Err(FlowError::new(
            FlowErrorKind::OtherIssuer,
            format!(
                "the server names {} as its authorization server, and the client id that was given is of another one, so \
                 it was not used; register the client there and give that client id",
                said::quoted(issuer)
            ),
        ));
    };
    let means = Means { secret: id.client_secret.is_some(), key: ground.profile.assertion_key.is_some() };
    let listed = known.server.metadata.token_endpoint_auth_methods_supported.as_deref();
    let endpoint_auth = match id.endpoint_auth {
        Some(method) => method,
        None => EndpointAuth::choose(listed, means)?,
    };
    Ok(Registration {
        issuer: issuer.clone(),
        client_id: id.client_id.clone(),
        client_secret: id.client_secret.clone(),
        secret_expires_at: None,
        endpoint_auth,
        kind: RegistrationKind::Preregistered,
        redirect_uris: Vec::new(),
        scope: None,
    })
}

/// Was this id, for which no authorization server was named, used with another one before?
fn belongs_elsewhere(id: &ClientId, known: &Known) -> bool {
    known.resource.request.held.as_ref().is_some_and(|held| {
        id.issuer.is_none()
            && held.registration.client_id == id.client_id
            && held.registration.issuer != known.server.metadata.issuer
    })
}

/// The address of the client's document, where the authorization server fetches such. It is the same everywhere.
fn by_document(ground: &Ground, known: &Known) -> Result<Option<Registration>, FlowError> {
    let metadata = &known.server.metadata;
    let Some(address) = ground.profile.metadata_document.as_deref() else { return Ok(None) };
    if !metadata.client_id_metadata_document_supported {
        return Ok(None);
    }
    let fit = address.parse::<Uri>().is_ok_and(|uri| {
        uri.scheme_str() == Some("https")
            && uri.path() != "/"
            && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
    });
    if !fit || address.contains('#') {
        return Err(FlowError::new(
            FlowErrorKind::NoClientId,
            format!(
                "the address of the client's metadata document, {}, must be https and have a path; correct it",
                said::quoted(address)
            ),
        ));
    }
    let key = ground.profile.assertion_key.is_some()
        && metadata.supports_auth_method(EndpointAuth::PrivateKeyJwt.name());
    Ok(Some(Registration {
        issuer: metadata.issuer.clone(),
        client_id: address.to_owned(),
        client_secret: None,
        secret_expires_at: None,
        endpoint_auth: if key { EndpointAuth::PrivateKeyJwt } else { EndpointAuth::Public },
        kind: RegistrationKind::Document,
        redirect_uris: vec![ground.profile.redirect_uri.clone()],
        scope: None,
    }))
}

/// A registration that is kept, of this authorization server and fit for this login.
fn kept<'a>(ground: &Ground, now: UnixTime, known: &'a Known) -> Option<&'a Registration> {
    let request = &known.resource.request;
    request.registrations.iter().chain(request.held.as_ref().map(|held| &held.registration)).find(
        |registration| {
            registration.kind == RegistrationKind::Dynamic
                && registration.issuer == known.server.metadata.issuer
                && registration.serves(&ground.profile.redirect_uri, &known.scope, now)
        },
    )
}

/// What the client says of itself ([RFC 7591, 2](https://www.rfc-editor.org/rfc/rfc7591#section-2)).
#[derive(Serialize)]
struct Document<'a> {
    client_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_uri: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    redirect_uris: &'a [&'a str],
    grant_types: &'a [&'a str],
    response_types: &'a [&'a str],
    token_endpoint_auth_method: &'a str,
    /// Without it OpenID providers take a client for one with a web server, and refuse loopback addresses.
    application_type: &'a str,
    /// Some servers allow a client no scope but those it registered with.
    #[serde(skip_serializing_if = "str::is_empty")]
    scope: &'a str,
}

/// The part of the answer that counts ([RFC 7591, 3.2.1](https://www.rfc-editor.org/rfc/rfc7591#section-3.2.1)).
#[derive(Deserialize)]
struct Answer {
    client_id: String,
    #[serde(default)]
    client_secret: Option<Secret>,
    /// 0: never.
    #[serde(default)]
    client_secret_expires_at: Option<u64>,
    #[serde(default)]
    token_endpoint_auth_method: Option<String>,
}

fn register(ground: &Ground, known: Known, uri: Uri) -> Moved {
    let profile = &ground.profile;
    let metadata = &known.server.metadata;
    // A server without metadata lists nothing; a public client is what all of them know.
    let asked = match (&metadata.token_endpoint_auth_methods_supported, known.server.first_revision) {
        (None, true) => EndpointAuth::Public,
        (listed, _) => EndpointAuth::to_register(listed.as_deref(), profile.assertion_key.is_some())?,
    };
    // Wanted unless the server says that it has none: some refuse a client that names a grant they do not have.
    let refreshes = metadata.grant_types_supported.is_none() || metadata.supports_grant("refresh_token");
    let redirect_uris = [&*profile.redirect_uri];
    let (redirect_uris, grant_types, response_types): (&[_], _, &[_]) = match profile.login_by {
        LoginBy::Device => (&[], [grants::DEVICE_CODE, "refresh_token"], &[]),
        _ => (&redirect_uris, ["authorization_code", "refresh_token"], &["code"]),
    };
    let document = Document {
        client_name: &profile.name,
        client_uri: profile.page.as_deref(),
        redirect_uris,
        grant_types: if refreshes { &grant_types } else { &grant_types[..1] },
        response_types,
        token_endpoint_auth_method: asked.name(),
        application_type: profile.application().name(),
        scope: known.scope.as_str(),
    };
    let body = serde_json::to_vec(&document).expect("texts alone have a JSON form");
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    let request = FetchRequest {
        method: Method::POST,
        uri,
        headers,
        body: Bytes::from(body),
        purpose: Purpose::Registration,
        rule: ground.rule.clone(),
    };
    Ok((Phase::Registering(Box::new(Registering { known, asked })), Step::Fetch(request)))
}

impl Registering {
    pub(super) fn handle(self, ground: &Ground, now: UnixTime, response: &FetchResponse) -> Moved {
        let issuer = &self.known.server.metadata.issuer;
        let refused = |why: &str| {
            FlowError::new(
                FlowErrorKind::RegistrationRefused,
                format!(
                    "the authorization server {} did not register this client: {why}; register it there by hand, with \
                     the redirect address {}, and give the client id that it gets",
                    said::quoted(issuer),
                    said::quoted(&ground.profile.redirect_uri)
                ),
            )
        };
        let status = response.status;
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Err(FlowError::new(
                FlowErrorKind::Unavailable,
                format!(
                    "the authorization server {} answered a registration with status {}; try again later",
                    said::quoted(issuer),
                    status.as_u16()
                ),
            ));
        }
        if !response.fits() {
            return Err(refused("its answer is too long"));
        }
        if !status.is_success() {
            return Err(match said::refusal(&response.body) {
                Some(refusal) => {
                    let why = format!("it answered {}", said::quoted(&refusal.code));
                    let text =
                        refused(&said::with_description(why, refusal.description.as_deref())).to_string();
                    FlowError::refused(FlowErrorKind::RegistrationRefused, text, refusal)
                }
                // Nobody said that logins are made there, and they are not.
                None if self.known.server.is_guess => FlowError::new(
                    FlowErrorKind::Metadata,
                    format!(
                        "{} wants credentials and does not say where to log in; give it the key or the token that whoever \
                         runs it has for you",
                        said::address(&self.known.resource.request.endpoint)
                    ),
                ),
                None => refused(&format!("it answered with status {}", status.as_u16())),
            });
        }
        let Ok(answer) = serde_json::from_slice::<Answer>(&response.body) else {
            return Err(refused("its answer has no client id that can be read"));
        };
        if !is_client_id(&answer.client_id) {
            return Err(refused("the client id in its answer is empty, too long, or not plain text"));
        }
        let secret = answer.client_secret.filter(|secret| !secret.is_empty());
        let endpoint_auth = match answer.token_endpoint_auth_method.as_deref() {
            None => self.asked,
            Some(name) => EndpointAuth::parse(name).ok_or_else(|| {
                refused(&format!("it wants the method {}, which is not known", said::quoted(name)))
            })?,
        };
        if matches!(endpoint_auth, EndpointAuth::Basic | EndpointAuth::Post) && secret.is_none() {
            return Err(refused("it wants a secret and gave none"));
        }
        if endpoint_auth == EndpointAuth::PrivateKeyJwt && ground.profile.assertion_key.is_none() {
            return Err(refused("it wants the client to sign, which has no key"));
        }
        let registration = Registration {
            issuer: issuer.clone(),
            client_id: answer.client_id,
            client_secret: secret,
            secret_expires_at: answer.client_secret_expires_at.filter(|end| *end != 0).map(UnixTime),
            endpoint_auth,
            kind: RegistrationKind::Dynamic,
            redirect_uris: vec![ground.profile.redirect_uri.clone()],
            scope: Some(self.known.scope.clone()),
        };
        registered(ground, now, self.known, registration)
    }
}

/// `VSCHAR` of <https://www.rfc-editor.org/rfc/rfc6749#appendix-A.1>, bounded.
fn is_client_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_CLIENT_ID && text.bytes().all(|byte| (0x20..0x7f).contains(&byte))
}
