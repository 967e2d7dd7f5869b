use std::borrow::Cow;
use std::fmt;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{ScopeSet, TokenFault, TokenScheme, UnixTime, object};

/// The longest claims that are read, in bytes: more than any token holds ([`MAX_TOKEN`](super::MAX_TOKEN)), with room for what
/// an introspection answers about one.
pub const MAX_CLAIMS: usize = 32 * 1024;

/// Audiences that are kept. A token for more is for everyone.
const MAX_AUDIENCES: usize = 64;

/// What a token says: the claims of a JWT ([RFC 9068, 2.2](https://www.rfc-editor.org/rfc/rfc9068#section-2.2)), or the answer
/// of an introspection ([RFC 7662, 2.2](https://www.rfc-editor.org/rfc/rfc7662#section-2.2)). Members that are not named here
/// are passed over.
///
/// ```
/// use throughline_proto::auth::{Claims, UnixTime};
///
/// let claims = Claims::parse(
///     br#"{"iss":"https://login.example.com","sub":"ann","aud":"https://mcp.example.com/mcp",
///         "exp":1700003600,"scope":"files:read"}"#,
/// )?;
/// assert_eq!(claims.aud, ["https://mcp.example.com/mcp"]);
/// assert_eq!(claims.exp, Some(UnixTime(1_700_003_600)));
/// assert!(claims.scopes().contains("files:read"));
/// # Ok::<(), throughline_proto::auth::TokenFault>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Claims {
    /// Who issued it.
    #[serde(default)]
    pub iss: Option<String>,
    /// On whose behalf it is used.
    #[serde(default)]
    pub sub: Option<String>,
    /// Which resources it is for: one text or a list.
    #[serde(default, deserialize_with = "one_or_many")]
    pub aud: Vec<String>,
    /// When its time is over.
    #[serde(default)]
    pub exp: Option<UnixTime>,
    /// When its time begins.
    #[serde(default)]
    pub nbf: Option<UnixTime>,
    /// When it was issued.
    #[serde(default)]
    pub iat: Option<UnixTime>,
    /// What it allows; see [`scopes`](Claims::scopes).
    #[serde(default)]
    pub scope: Option<ScopeSet>,
    /// What it allows, as some servers name it.
    #[serde(default)]
    pub scp: Option<ScopeSet>,
    /// Which client it was issued to; see [`client`](Claims::client).
    #[serde(default)]
    pub client_id: Option<String>,
    /// Which client it was issued to, as OpenID has it.
    #[serde(default)]
    pub azp: Option<String>,
    /// Its own name.
    #[serde(default)]
    pub jti: Option<String>,
    /// To which key it is bound.
    #[serde(default, deserialize_with = "object::optional")]
    pub cnf: Option<Confirmation>,
    /// Is it good? Only an introspection says so, and must.
    #[serde(default)]
    pub active: Option<bool>,
}

/// The key that a token is bound to ([RFC 7800, 3.1](https://www.rfc-editor.org/rfc/rfc7800#section-3.1)).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Confirmation {
    /// The thumbprint of the key of its DPoP proofs ([RFC 9449, 6.1](https://www.rfc-editor.org/rfc/rfc9449#section-6.1)).
    #[serde(default)]
    pub jkt: Option<String>,
    /// The thumbprint of a client's certificate ([RFC 8705, 3.1](https://www.rfc-editor.org/rfc/rfc8705#section-3.1)).
    #[serde(default, rename = "x5t#S256")]
    pub x5t_s256: Option<String>,
}

impl Claims {
    /// Reads at most 32 KiB of JSON.
    ///
    /// # Errors
    ///
    /// [`TokenFault::Unreadable`] when it is longer, no JSON object, holds a member twice or one of another type.
    pub fn parse(bytes: &[u8]) -> Result<Claims, TokenFault> {
        if bytes.len() > MAX_CLAIMS {
            return Err(TokenFault::Unreadable);
        }
        object::parse(bytes).map_err(|_| TokenFault::Unreadable)
    }

    /// What it allows: `scope`, or else `scp`.
    #[must_use]
    pub fn scopes(&self) -> ScopeSet {
        self.scope.as_ref().or(self.scp.as_ref()).cloned().unwrap_or_default()
    }

    /// Which client it was issued to: `client_id`, or else `azp`.
    #[must_use]
    pub fn client(&self) -> Option<&str> {
        self.client_id.as_deref().or(self.azp.as_deref()).filter(|client| !client.is_empty())
    }

    /// Who it stands for: the subject, or else the client, which acts for itself then and is written as `client_id=` and its
    /// id. A subject that is written so is none: a client may choose its id, and must not come by what belongs to a person of
    /// that name. Where the issuer itself gives a client a subject, to tell it from a person is up to the issuer
    /// ([RFC 9068, 5](https://www.rfc-editor.org/rfc/rfc9068#section-5)). It is unique to its issuer only.
    #[must_use]
    pub fn subject(&self) -> Option<Cow<'_, str>> {
        match self.sub.as_deref().filter(|subject| !subject.is_empty()) {
            Some(subject) => (!subject.starts_with(CLIENT)).then_some(Cow::Borrowed(subject)),
            None => self.client().map(|client| format!("{CLIENT}{client}").into()),
        }
    }

    /// The thumbprint of the key that it is bound to.
    #[must_use]
    pub fn bound_key(&self) -> Option<&str> {
        self.cnf.as_ref()?.jkt.as_deref()
    }

    /// Was it sent as it has to be? A token that is bound to a key comes as `DPoP`, and must not be taken as if whoever has
    /// it may use it ([RFC 9449, 7.2](https://www.rfc-editor.org/rfc/rfc9449#section-7.2)); the others come as `Bearer`. A
    /// token that is bound to something else, such as a certificate, cannot be checked here, and is refused.
    ///
    /// What is good and bound still needs its proof checked: [`DpopRule::check`](super::dpop::DpopRule::check).
    ///
    /// # Errors
    ///
    /// [`TokenFault::Binding`].
    pub fn check_scheme(&self, scheme: TokenScheme) -> Result<(), TokenFault> {
        let expected = match &self.cnf {
            None => TokenScheme::Bearer,
            Some(bound) => bound.proof_key().map(|_| TokenScheme::Dpop)?,
        };
        if scheme == expected { Ok(()) } else { Err(TokenFault::Binding) }
    }
}

impl Confirmation {
    /// The thumbprint of the key that proofs are made with.
    ///
    /// # Errors
    ///
    /// [`TokenFault::Binding`] when it is bound to something else, be that a certificate or what is not known here. Whether
    /// who sent it has that cannot be checked, and it must not be taken as if nothing were bound
    /// ([RFC 7800, 3.1](https://www.rfc-editor.org/rfc/rfc7800#section-3.1)).
    pub fn proof_key(&self) -> Result<&str, TokenFault> {
        match (&self.jkt, &self.x5t_s256) {
            (Some(key), None) => Ok(key),
            _ => Err(TokenFault::Binding),
        }
    }
}

/// What is written before the id of a client that acts for itself.
const CLIENT: &str = "client_id=";

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct Texts;

    impl<'de> Visitor<'de> for Texts {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text or a list of texts")
        }

        fn visit_unit<E>(self) -> Result<Vec<String>, E> {
            Ok(Vec::new())
        }

        fn visit_str<E>(self, text: &str) -> Result<Vec<String>, E> {
            Ok(vec![text.to_owned()])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<String>, A::Error> {
            let mut texts = Vec::new();
            while let Some(text) = seq.next_element::<Cow<'de, str>>()? {
                if texts.len() == MAX_AUDIENCES {
                    return Err(A::Error::custom("too many"));
                }
                texts.push(text.into_owned());
            }
            Ok(texts)
        }
    }

    deserializer.deserialize_any(Texts)
}

#[cfg(test)]
mod tests;
