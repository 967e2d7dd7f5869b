use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::error::{FlowError, FlowErrorKind};
use super::form::encoded;
use super::said;
use crate::auth::Secret;

/// How a client says at an authorization server's endpoints who it is, by the names of
/// [RFC 7591, 2](https://www.rfc-editor.org/rfc/rfc7591#section-2) and
/// [OpenID Connect, 9](https://openid.net/specs/openid-connect-core-1_0.html#ClientAuthentication).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EndpointAuth {
    /// Not at all: a public client, whose codes PKCE protects.
    #[serde(rename = "none")]
    Public,
    /// Id and secret in an `Authorization: Basic` header.
    #[serde(rename = "client_secret_basic")]
    Basic,
    /// Id and secret in the body.
    #[serde(rename = "client_secret_post")]
    Post,
    /// A JWT that the client signs ([RFC 7523](https://www.rfc-editor.org/rfc/rfc7523#section-2.2)).
    #[serde(rename = "private_key_jwt")]
    PrivateKeyJwt,
}

/// What a client can prove itself with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Means {
    pub(super) secret: bool,
    pub(super) key: bool,
}

impl EndpointAuth {
    /// Its registered name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            EndpointAuth::Public => "none",
            EndpointAuth::Basic => "client_secret_basic",
            EndpointAuth::Post => "client_secret_post",
            EndpointAuth::PrivateKeyJwt => "private_key_jwt",
        }
    }

    /// The method of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<EndpointAuth> {
        [EndpointAuth::Public, EndpointAuth::Basic, EndpointAuth::Post, EndpointAuth::PrivateKeyJwt]
            .into_iter()
            .find(|method| method.name() == name)
    }

    /// The method for a client that exists, by what the server's metadata lists (`None`: no list, which means
    /// `client_secret_basic`, [RFC 8414, 2](https://www.rfc-editor.org/rfc/rfc8414#section-2)).
    ///
    /// A key is better than a secret, and a header better than a body, which is more often logged. A client with neither
    /// is a public one, whether or not the list says so: many lists name the methods that authenticate, and leave out
    /// the one that does not.
    pub(super) fn choose(listed: Option<&[String]>, means: Means) -> Result<EndpointAuth, FlowError> {
        if !means.secret && !means.key {
            return Ok(EndpointAuth::Public);
        }
        let lists = |method: EndpointAuth| match listed {
            Some(listed) => listed.iter().any(|name| name == method.name()),
            None => method == EndpointAuth::Basic,
        };
        let candidates = [
            (means.key, EndpointAuth::PrivateKeyJwt),
            (means.secret, EndpointAuth::Basic),
            (means.secret, EndpointAuth::Post),
            (true, EndpointAuth::Public),
        ];
        candidates
            .into_iter()
            .find(|(possible, method)| *possible && lists(*method))
            .map(|(_, method)| method)
            .ok_or_else(|| {
                let listed = listed.unwrap_or_default().join(", ");
                FlowError::new(
                    FlowErrorKind::NoAuthMethod,
                    format!(
                        "the authorization server takes none of the ways in which this client can say who it is (it \
                         lists {}); register the client there for one of {}",
                        said::quoted(&listed),
                        if means.key { "private_key_jwt" } else { "client_secret_basic and client_secret_post" },
                    ),
                )
            })
    }

    /// The method to register for. A client that registers itself is public if it may be: a secret that every copy of a
    /// program gets for the asking proves nothing.
    pub(super) fn to_register(listed: Option<&[String]>, key: bool) -> Result<EndpointAuth, FlowError> {
        let lists = |method: EndpointAuth| {
            listed.is_some_and(|listed| listed.iter().any(|name| name == method.name()))
        };
        if key && lists(EndpointAuth::PrivateKeyJwt) {
            return Ok(EndpointAuth::PrivateKeyJwt);
        }
        if lists(EndpointAuth::Public) {
            return Ok(EndpointAuth::Public);
        }
        EndpointAuth::choose(listed, Means { secret: true, key: false })
    }
}

/// The value of an `Authorization` header with id and secret, each encoded as in a form before they are put together
/// ([RFC 6749, 2.3.1](https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1)).
pub(super) fn basic(client_id: &str, client_secret: &Secret) -> String {
    let pair = format!("{}:{}", encoded(client_id), encoded(client_secret.expose()));
    format!("Basic {}", STANDARD.encode(pair))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_method_is_one_that_both_have() {
        use EndpointAuth::{Basic, Post, PrivateKeyJwt, Public};
        let secret = Means { secret: true, key: false };
        let key = Means { secret: false, key: true };
        let both = Means { secret: true, key: true };
        let public = Means { secret: false, key: false };
        for (list, means, method) in [
            (None, secret, Some(Basic)),
            (None, public, Some(Public)),
            (None, key, None),
            (Some(&["client_secret_post", "client_secret_basic"][..]), secret, Some(Basic)),
            (Some(&["client_secret_post"]), secret, Some(Post)),
            (Some(&["none"]), secret, Some(Public)),
            (Some(&["client_secret_basic"]), public, Some(Public)),
            (Some(&["tls_client_auth"]), secret, None),
            (Some(&[]), secret, None),
            (Some(&["client_secret_basic", "private_key_jwt"]), both, Some(PrivateKeyJwt)),
            (Some(&["client_secret_basic"]), key, None),
            (Some(&["private_key_jwt"]), secret, None),
        ] {
            let names = list.map(listed);
            assert_eq!(EndpointAuth::choose(names.as_deref(), means).ok(), method, "{list:?} {means:?}");
        }
    }

    #[test]
    fn id_and_secret_are_encoded_first() {
        assert_eq!(
            basic("a:b c", &Secret::new("ä%")),
            format!("Basic {}", STANDARD.encode("a%3Ab+c:%C3%A4%25"))
        );
    }
}
