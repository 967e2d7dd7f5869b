use std::ops::RangeInclusive;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::auth::{KeyKind, base64url, from_base64url, sha256};

/// The RSA moduli that are taken, in bytes: 2048 bits are the least
/// ([RFC 7518, 3.3](https://www.rfc-editor.org/rfc/rfc7518#section-3.3)), and 4096 the most that anyone uses. The key is the
/// peer's choice, and a longer one makes the check of each signature dearer.
const MODULUS: RangeInclusive<usize> = 256..=512;

/// The public exponents that are taken, in bytes: nearly all are 65537.
const EXPONENT: RangeInclusive<usize> = 1..=4;

/// Characters of one number: those of the longest modulus as base64url.
const MAX_NUMBER: usize = 683;

/// A public key as JSON ([RFC 7517](https://www.rfc-editor.org/rfc/rfc7517#section-4)): RSA, P-256, P-384 or Ed25519. A key
/// that also tells its private part, or is a shared secret, is none.
///
/// ```
/// use throughline_proto::auth::dpop::Jwk;
///
/// let key: Jwk = serde_json::from_str(
///     r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
/// )?;
/// assert_eq!(key.thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "Members", into = "Written")]
pub struct Jwk {
    numbers: Numbers,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Numbers {
    Rsa { n: String, e: String },
    Ec { curve: Curve, x: String, y: String },
    Ed25519 { x: String },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Curve {
    P256,
    P384,
}

impl Curve {
    fn name(self) -> &'static str {
        match self {
            Curve::P256 => "P-256",
            Curve::P384 => "P-384",
        }
    }
}

impl Jwk {
    /// What kind of key it is.
    #[must_use]
    pub fn kind(&self) -> KeyKind {
        match self.numbers {
            Numbers::Rsa { .. } => KeyKind::Rsa,
            Numbers::Ec { curve: Curve::P256, .. } => KeyKind::P256,
            Numbers::Ec { curve: Curve::P384, .. } => KeyKind::P384,
            Numbers::Ed25519 { .. } => KeyKind::Ed25519,
        }
    }

    /// The name that follows from the key: the SHA-256 of its members, in base64url
    /// ([RFC 7638, 3](https://www.rfc-editor.org/rfc/rfc7638#section-3)).
    #[must_use]
    pub fn thumbprint(&self) -> String {
        base64url(&sha256(self.to_json().as_bytes()))
    }

    /// The key with its required members only, in the order of their names and without white space.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Each text was read as base64url: nothing is to be escaped.
        match &self.numbers {
            Numbers::Rsa { n, e } => format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#),
            Numbers::Ec { curve, x, y } => {
                format!(r#"{{"crv":"{}","kty":"EC","x":"{x}","y":"{y}"}}"#, curve.name())
            }
            Numbers::Ed25519 { x } => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#),
        }
    }
}

#[derive(Deserialize)]
struct Members {
    kty: String,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    // What nobody but the owner may know: https://www.rfc-editor.org/rfc/rfc7518#section-6.
    d: Option<IgnoredAny>,
    p: Option<IgnoredAny>,
    q: Option<IgnoredAny>,
    dp: Option<IgnoredAny>,
    dq: Option<IgnoredAny>,
    qi: Option<IgnoredAny>,
    oth: Option<IgnoredAny>,
    k: Option<IgnoredAny>,
}

impl TryFrom<Members> for Jwk {
    type Error = &'static str;

    fn try_from(members: Members) -> Result<Jwk, &'static str> {
        let private = [
            &members.d,
            &members.p,
            &members.q,
            &members.dp,
            &members.dq,
            &members.qi,
            &members.oth,
            &members.k,
        ];
        if private.iter().any(|member| member.is_some()) {
            return Err("the key tells its private part");
        }
        let numbers = match (members.kty.as_str(), members.crv.as_deref()) {
            ("RSA", _) => Numbers::Rsa {
                n: number(members.n, |bytes| MODULUS.contains(&bytes))?,
                e: number(members.e, |bytes| EXPONENT.contains(&bytes))?,
            },
            ("EC", Some("P-256")) => ec(Curve::P256, 32, members.x, members.y)?,
            ("EC", Some("P-384")) => ec(Curve::P384, 48, members.x, members.y)?,
            ("OKP", Some("Ed25519")) => Numbers::Ed25519 { x: number(members.x, |bytes| bytes == 32)? },
            _ => return Err("the key is of a kind that is not known"),
        };
        Ok(Jwk { numbers })
    }
}

fn ec(curve: Curve, size: usize, x: Option<String>, y: Option<String>) -> Result<Numbers, &'static str> {
    Ok(Numbers::Ec { curve, x: number(x, |bytes| bytes == size)?, y: number(y, |bytes| bytes == size)? })
}

fn number(text: Option<String>, good: impl Fn(usize) -> bool) -> Result<String, &'static str> {
    text.filter(|text| text.len() <= MAX_NUMBER)
        .filter(|text| from_base64url(text).is_some_and(|bytes| good(bytes.len())))
        .ok_or("a number of the key is missing or none")
}

#[derive(Serialize)]
struct Written {
    #[serde(skip_serializing_if = "Option::is_none")]
    crv: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    e: Option<String>,
    kty: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    y: Option<String>,
}

impl From<Jwk> for Written {
    fn from(key: Jwk) -> Written {
        match key.numbers {
            Numbers::Rsa { n, e } => {
                Written { crv: None, e: Some(e), kty: "RSA", n: Some(n), x: None, y: None }
            }
            Numbers::Ec { curve, x, y } => {
                Written { crv: Some(curve.name()), e: None, kty: "EC", n: None, x: Some(x), y: Some(y) }
            }
            Numbers::Ed25519 { x } => {
                Written { crv: Some("Ed25519"), e: None, kty: "OKP", n: None, x: Some(x), y: None }
            }
        }
    }
}
