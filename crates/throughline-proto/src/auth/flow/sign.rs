use std::time::Duration;

use http::{Method, Uri};
use serde::Serialize;

use super::profile::SigningKey;
use super::step::{SignRequest, SignWith};
use crate::auth::dpop::{ProofClaims, proof_header};
use crate::auth::{UnixTime, base64url};

/// `client_assertion_type` of [RFC 7523, 2.2](https://www.rfc-editor.org/rfc/rfc7523#section-2.2).
pub(super) const CLIENT_ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How long an assertion holds: it is sent at once, to a clock that may differ by some minutes.
const ASSERTION_LIFE: Duration = Duration::from_secs(5 * 60);

/// The header of an assertion.
#[derive(Serialize)]
struct Header<'a> {
    alg: &'a str,
    typ: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a str>,
}

/// The claims of an assertion ([RFC 7523, 3](https://www.rfc-editor.org/rfc/rfc7523#section-3)).
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    jti: String,
    iat: UnixTime,
    exp: UnixTime,
}

/// What a client signs to say who it is. It is for the issuer alone, so that no other server can pass it on
/// ([the draft that updates RFC 7523](https://datatracker.ietf.org/doc/html/draft-ietf-oauth-rfc7523bis)).
pub(super) fn client_assertion(
    key: &SigningKey,
    client_id: &str,
    issuer: &str,
    id: String,
    now: UnixTime,
) -> SignRequest {
    let header = Header { alg: key.algorithm.name(), typ: "JWT", kid: key.key_id.as_deref() };
    let claims = Claims {
        iss: client_id,
        sub: client_id,
        aud: issuer,
        jti: id,
        iat: now,
        exp: now.plus(ASSERTION_LIFE),
    };
    SignRequest { with: SignWith::ClientAssertion, input: input(&json(&header), &json(&claims)) }
}

/// What a client signs to show that it has the key that tokens are bound to
/// ([RFC 9449, 5](https://www.rfc-editor.org/rfc/rfc9449#section-5)).
pub(super) fn proof(
    key: &SigningKey,
    endpoint: &Uri,
    id: String,
    now: UnixTime,
    nonce: Option<&str>,
) -> SignRequest {
    let claims = ProofClaims::of_request(&Method::POST, endpoint, id, now, None, nonce);
    let header = proof_header(key.algorithm, &key.public);
    SignRequest { with: SignWith::Dpop, input: input(&header, &json(&claims)) }
}

fn input(header: &str, claims: &str) -> String {
    format!("{}.{}", base64url(header.as_bytes()), base64url(claims.as_bytes()))
}

fn json(part: &impl Serialize) -> String {
    serde_json::to_string(part).expect("texts and numbers alone have a JSON form")
}
