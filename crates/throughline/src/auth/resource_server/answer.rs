//! What the lock answers by itself: refusals, and the metadata of the resource.

use bytes::{Bytes, BytesMut};
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName,
    HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use throughline_proto::auth::{
    AuthScheme, Challenge, ChallengeError, ProtectedResource, ScopeSet, TokenFault,
};
use throughline_proto::jsonrpc::{ErrorCode, ErrorObject, write_error};

/// What all refusals of a lock say: where to log in, and for what.
#[derive(Debug)]
pub(super) struct Words {
    /// The address of the metadata document, where there is one.
    pub(super) resource_metadata: Option<String>,
    /// The scopes that every request takes.
    pub(super) required: ScopeSet,
    /// The algorithms of DPoP proofs, where such are announced.
    pub(super) proofs: Option<Vec<&'static str>>,
    /// Without a proof nobody is let in.
    pub(super) proofs_only: bool,
}

impl Words {
    /// The answer to a request that is not let in.
    ///
    /// Specification: <https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization#error-handling>.
    #[cold]
    pub(super) fn refuse(&self, fault: &TokenFault, nonce: Option<HeaderValue>) -> Response<Bytes> {
        let status = fault.status();
        tracing::debug!(status = status.as_u16(), reason = fault.reason(), "refused a request");
        let (code, message) = match fault {
            // There is nowhere to log in.
            TokenFault::Missing if self.resource_metadata.is_none() => (
                ErrorCode::INVALID_REQUEST,
                "This server is locked. Ask whoever runs it for a key, and send it in an `Authorization: Bearer` header.".into(),
            ),
            TokenFault::Missing => {
                (ErrorCode::INVALID_REQUEST, "This server takes an access token. Log in where the WWW-Authenticate header says, and send one.".into())
            }
            TokenFault::Unavailable => (
                ErrorCode::INTERNAL_ERROR,
                "Whether the access token is good cannot be found out at the moment. Try again later.".into(),
            ),
            _ => {
                let said = fault.challenge().and_then(|challenge| challenge.error_description);
                (ErrorCode::INVALID_REQUEST, said.unwrap_or_default())
            }
        };
        let mut body = BytesMut::new();
        write_error(&mut body, None, &ErrorObject::new(code, message));
        let mut response = Response::new(body.freeze());
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        for challenge in self.challenges(fault) {
            headers.append(WWW_AUTHENTICATE, challenge.to_header_value());
        }
        if let Some(nonce) = nonce {
            headers.insert(DPOP_NONCE, nonce);
        }
        if matches!(fault, TokenFault::Unavailable) {
            headers.insert(RETRY_AFTER, HeaderValue::from(RETRY_SECONDS));
        }
        // It is the same for everybody: a page of any origin may read where to log in.
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        headers.insert(
            ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static("WWW-Authenticate, DPoP-Nonce, Retry-After"),
        );
        response
    }

    /// The challenges of a refusal: that for bearer tokens, that for bound ones, or both
    /// ([RFC 9449, 7.1](https://www.rfc-editor.org/rfc/rfc9449#section-7.1)).
    fn challenges(&self, fault: &TokenFault) -> Vec<Challenge> {
        let Some(mut challenge) = fault.challenge() else { return Vec::new() };
        challenge.resource_metadata.clone_from(&self.resource_metadata);
        if challenge.scope.is_none() && !self.required.is_empty() {
            challenge.scope = Some(self.required.clone());
        }
        let of_scheme = |scheme: AuthScheme| {
            let mut challenge = challenge.clone();
            if let (AuthScheme::Dpop, Some(proofs)) = (&scheme, &self.proofs) {
                challenge.algs = proofs.iter().map(|name| (*name).to_owned()).collect();
            }
            challenge.scheme = scheme;
            challenge
        };
        let is_of_proof =
            matches!(challenge.error, Some(ChallengeError::UseDpopNonce | ChallengeError::InvalidDpopProof));
        match &self.proofs {
            _ if is_of_proof => vec![of_scheme(AuthScheme::Dpop)],
            None => vec![of_scheme(AuthScheme::Bearer)],
            Some(_) if self.proofs_only => vec![of_scheme(AuthScheme::Dpop)],
            Some(_) => vec![of_scheme(AuthScheme::Bearer), of_scheme(AuthScheme::Dpop)],
        }
    }
}

/// The metadata of the resource, ready to be sent
/// ([RFC 9728, 3](https://www.rfc-editor.org/rfc/rfc9728#section-3)).
#[derive(Clone, Debug)]
pub(super) struct Document {
    paths: Vec<String>,
    json: Bytes,
}

impl Document {
    pub(super) fn new(paths: Vec<String>, document: &ProtectedResource) -> Self {
        let json = serde_json::to_vec(document).expect("a document of texts has a JSON form");
        Self { paths, json: json.into() }
    }

    /// Where it is looked for.
    pub(super) fn paths(&self) -> &[String] {
        &self.paths
    }

    /// Is the request for the document?
    pub(super) fn is_asked_for(&self, parts: &Parts) -> bool {
        let path = parts.uri.path();
        // Most paths differ in their second byte.
        path.starts_with("/.") && self.paths.iter().any(|known| known == path.trim_end_matches('/'))
    }

    /// The document, for anybody: it says where to log in.
    pub(super) fn answer(&self, method: &Method) -> Response<Bytes> {
        let mut response = Response::new(Bytes::new());
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        match *method {
            Method::GET | Method::HEAD => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
                if method == Method::GET {
                    *response.body_mut() = self.json.clone();
                }
            }
            Method::OPTIONS => {
                headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET"));
                headers.insert(
                    ACCESS_CONTROL_ALLOW_HEADERS,
                    HeaderValue::from_static("Accept, MCP-Protocol-Version"),
                );
                headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("7200"));
                *response.status_mut() = StatusCode::NO_CONTENT;
            }
            _ => {
                headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"));
                *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            }
        }
        response
    }
}

/// The nonce that a proof must hold ([RFC 9449, 8](https://www.rfc-editor.org/rfc/rfc9449#section-8)).
pub(super) const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// An issuer that does not answer is asked again within some seconds.
const RETRY_SECONDS: u64 = 5;
