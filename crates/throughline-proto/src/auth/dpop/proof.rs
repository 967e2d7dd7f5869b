use ::http::{HeaderMap, Method, Uri};
use serde::{Deserialize, Serialize};

use super::Jwk;
use crate::auth::resource::origin;
use crate::auth::{Algorithm, CompactJws, TokenFault, UnixTime, base64url, object, sha256};

/// A proof, taken apart. Its signature is not checked yet: that is done with [`key`](Proof::key) over
/// [`signed`](Proof::signed).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Proof<'a> {
    /// The algorithm that it names, for the kind of its key.
    pub algorithm: Algorithm,
    /// The key that signed it.
    pub key: Jwk,
    /// What it says.
    pub claims: ProofClaims,
    /// The text that was signed.
    pub signed: &'a str,
    /// The signature, in base64url.
    pub signature: &'a str,
}

/// What a proof says ([RFC 9449, 4.2](https://www.rfc-editor.org/rfc/rfc9449#section-4.2)).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ProofClaims {
    /// Its own name, which is used once.
    pub jti: String,
    /// The method of the request.
    pub htm: String,
    /// The address of the request, without its query.
    pub htu: String,
    /// When it was made.
    pub iat: UnixTime,
    /// The SHA-256 of the token, in base64url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ath: Option<String>,
    /// What the server gave out for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
}

impl<'a> Proof<'a> {
    /// The proof of a request: of its only `DPoP` header.
    ///
    /// # Errors
    ///
    /// [`TokenFault::Proof`] when there is none or there are several, it is no signed text of the type `dpop+jwt`, its
    /// algorithm has no public key or is not for its key, or the key is none or tells its private part.
    pub fn of_request(headers: &'a HeaderMap) -> Result<Proof<'a>, TokenFault> {
        let mut values = headers.get_all("dpop").iter();
        match (values.next(), values.next()) {
            (Some(value), None) => match value.to_str() {
                Ok(text) => Proof::parse(text),
                Err(_) => Err(TokenFault::Proof("the DPoP header is not ASCII")),
            },
            (None, _) => Err(TokenFault::Proof("there is no DPoP proof")),
            (Some(_), Some(_)) => Err(TokenFault::Proof("there are several DPoP proofs")),
        }
    }

    /// Takes a proof apart.
    ///
    /// # Errors
    ///
    /// As [`of_request`](Proof::of_request).
    pub fn parse(text: &'a str) -> Result<Proof<'a>, TokenFault> {
        let refuse = TokenFault::Proof;
        let jws = CompactJws::parse(text).map_err(|_| refuse("the DPoP proof cannot be read"))?;
        if !jws.header.typ.is_some_and(|typ| typ.eq_ignore_ascii_case("dpop+jwt")) {
            return Err(refuse("the DPoP proof is of another type"));
        }
        let key = jws.header.jwk.ok_or(refuse("the DPoP proof holds no key"))?;
        let algorithm = Algorithm::named(&jws.header.alg)
            .filter(|algorithm| !algorithm.is_symmetric() && algorithm.key_kind() == key.kind())
            .ok_or(refuse("the algorithm of the DPoP proof is not one for its key"))?;
        let claims: ProofClaims = object::parse(&jws.payload)
            .map_err(|_| refuse("the DPoP proof lacks a claim, or it is of another type"))?;
        Ok(Proof { algorithm, key, claims, signed: jws.signed, signature: jws.signature })
    }
}

impl ProofClaims {
    /// What a client signs for one request. `id` is random and used once; `token` is the access token, which a request for
    /// a token has not; `nonce` is the last that this server gave out. The query of the address is not part of it.
    ///
    /// ```
    /// use http::{Method, Uri};
    /// use throughline_proto::auth::UnixTime;
    /// use throughline_proto::auth::dpop::ProofClaims;
    ///
    /// let uri = Uri::from_static("https://login.example.com/token?a=b");
    /// let claims = ProofClaims::of_request(&Method::POST, &uri, "e1j3V_bKic8", UnixTime(1_562_262_616), None, None);
    /// assert_eq!(
    ///     serde_json::to_string(&claims)?,
    ///     r#"{"jti":"e1j3V_bKic8","htm":"POST","htu":"https://login.example.com/token","iat":1562262616}"#,
    /// );
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    #[must_use]
    pub fn of_request(
        method: &Method,
        uri: &Uri,
        id: impl Into<String>,
        now: UnixTime,
        token: Option<&str>,
        nonce: Option<&str>,
    ) -> ProofClaims {
        ProofClaims {
            jti: id.into(),
            htm: method.as_str().to_owned(),
            htu: address(uri).unwrap_or_default(),
            iat: now,
            ath: token.map(token_digest),
            nonce: nonce.map(str::to_owned),
        }
    }
}

/// The header that a client signs with the claims, as JSON.
#[must_use]
pub fn proof_header(algorithm: Algorithm, key: &Jwk) -> String {
    format!(r#"{{"typ":"dpop+jwt","alg":"{algorithm}","jwk":{}}}"#, key.to_json())
}

/// The `ath` of a token: its SHA-256, in base64url.
#[must_use]
pub fn token_digest(token: &str) -> String {
    base64url(&sha256(token.as_bytes()))
}

/// The address without query and fragment, normalised: scheme and host in lower case, no default port, and nothing in the path
/// escaped that need not be ([RFC 9449, 4.3](https://www.rfc-editor.org/rfc/rfc9449#section-4.3),
/// [RFC 3986, 6.2.2](https://www.rfc-editor.org/rfc/rfc3986#section-6.2.2)).
pub(super) fn address(uri: &Uri) -> Option<String> {
    Some(origin(uri)? + &unescaped(uri.path()).unwrap_or_else(|| uri.path().to_owned()))
}

/// A path with nothing escaped that need not be, or `None` when something in it is no escape: then it is as it stands.
fn unescaped(path: &str) -> Option<String> {
    let mut parts = path.split('%');
    let mut plain = parts.next()?.to_owned();
    for part in parts {
        let digits = part.get(..2).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        match u8::from_str_radix(digits, 16).map(char::from).ok()? {
            c if c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~') => plain.push(c),
            _ => {
                plain.push('%');
                plain.push_str(&digits.to_ascii_uppercase());
            }
        }
        plain.push_str(&part[2..]);
    }
    Some(plain)
}
