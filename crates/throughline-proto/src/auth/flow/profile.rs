use std::net::IpAddr;

use http::Uri;

use super::endpoint_auth::EndpointAuth;
use crate::auth::dpop::Jwk;
use crate::auth::{Algorithm, ScopeSet, Secret};

/// Who the client is, and how it wants to log in: what is the same for every server.
///
/// ```
/// use throughline_proto::auth::flow::ClientProfile;
///
/// let profile = ClientProfile::new("Projects CLI")
///     .redirect_uri("http://127.0.0.1:7323/callback")
///     .metadata_document("https://projects.example/oauth/client.json");
/// # let _ = profile;
/// ```
#[derive(Clone, Debug)]
pub struct ClientProfile {
    pub(super) name: String,
    pub(super) page: Option<String>,
    pub(super) redirect_uri: String,
    pub(super) application: Option<ApplicationType>,
    pub(super) client_ids: Vec<ClientId>,
    pub(super) metadata_document: Option<String>,
    pub(super) dynamic_registration: bool,
    pub(super) scopes: Option<ScopeSet>,
    pub(super) offline_access: bool,
    pub(super) first_revision: bool,
    pub(super) login_by: LoginBy,
    pub(super) assertion_key: Option<SigningKey>,
    pub(super) dpop_key: Option<SigningKey>,
    pub(super) dpop_when_asked: bool,
}

/// What kind of program a client is, for authorization servers that tell redirect URIs by it
/// ([OpenID Connect Registration, 2](https://openid.net/specs/openid-connect-registration-1_0.html#ClientMetadata)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ApplicationType {
    /// On the person's machine.
    Native,
    /// On a server.
    Web,
}

impl ApplicationType {
    pub(super) const fn name(self) -> &'static str {
        match self {
            ApplicationType::Native => "native",
            ApplicationType::Web => "web",
        }
    }
}

/// By what a client gets tokens.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum LoginBy {
    /// A person logs in with a browser: code and PKCE.
    #[default]
    Browser,
    /// A person enters a code on another device ([RFC 8628](https://www.rfc-editor.org/rfc/rfc8628)).
    Device,
    /// The client itself, by its secret or its key; nobody is asked.
    ///
    /// Specification:
    /// [OAuth client credentials](https://modelcontextprotocol.io/extensions/auth/oauth-client-credentials).
    ClientCredentials,
    /// A JWT of somebody whom the authorization server trusts, such as the platform that the client runs on
    /// ([RFC 7523, 2.1](https://www.rfc-editor.org/rfc/rfc7523#section-2.1)). One that is refused is not shown again, and none goes
    /// to an authorization server that neither its audience nor the [issuer of the client id](ClientId::issuer) names.
    Assertion(Secret),
    /// What an organization's identity provider says of a person who logged in there.
    ///
    /// Specification: [enterprise-managed
    /// authorization](https://modelcontextprotocol.io/extensions/auth/enterprise-managed-authorization).
    IdentityProvider(IdentityProvider),
}

impl LoginBy {
    /// Does it take a person each time? Where it does not, tokens that ended are replaced by logging in again.
    #[must_use]
    pub fn asks_person(&self) -> bool {
        matches!(self, LoginBy::Browser | LoginBy::Device)
    }
}

/// The identity provider of an organization, and what it said of the person: set by whoever manages the client, so its
/// address may be inside the organization's network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityProvider {
    /// Its token endpoint.
    pub token_endpoint: String,
    /// What the client is there.
    pub client_id: String,
    /// The client's secret there, if it has one.
    pub client_secret: Option<Secret>,
    /// What was issued when the person logged in: an ID token, or a SAML assertion.
    pub subject_token: Secret,
    /// What `subject_token` is.
    pub subject: SubjectToken,
}

/// What an identity provider issued when a person logged in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SubjectToken {
    /// An OpenID Connect ID token.
    #[default]
    IdToken,
    /// A SAML 2.0 assertion, in base64url.
    Saml2,
}

impl SubjectToken {
    /// By [RFC 8693, 3](https://www.rfc-editor.org/rfc/rfc8693#section-3).
    pub(super) const fn token_type(self) -> &'static str {
        match self {
            SubjectToken::IdToken => "urn:ietf:params:oauth:token-type:id_token",
            SubjectToken::Saml2 => "urn:ietf:params:oauth:token-type:saml2",
        }
    }
}

/// A client id that an authorization server gave out beforehand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientId {
    /// The authorization server that gave it out, exactly as it names itself. `None`: that of the first login; once there is
    /// one, the client id goes to no other.
    pub issuer: Option<String>,
    /// The client id.
    pub client_id: String,
    /// Its secret, if it has one.
    pub client_secret: Option<Secret>,
    /// How the client was registered to say who it is. `None`: by what the server lists.
    pub endpoint_auth: Option<EndpointAuth>,
}

impl ClientId {
    /// The id of a public client, of whichever authorization server the first login finds.
    pub fn new(client_id: impl Into<String>) -> ClientId {
        ClientId { issuer: None, client_id: client_id.into(), client_secret: None, endpoint_auth: None }
    }

    /// The same with a secret. Name the [issuer](Self::issuer) with it: without, the secret is shown to the authorization server
    /// that the first MCP server names.
    #[must_use]
    pub fn secret(mut self, secret: Secret) -> ClientId {
        self.client_secret = Some(secret);
        self
    }

    /// The same, of this authorization server alone.
    #[must_use]
    pub fn issuer(mut self, issuer: impl Into<String>) -> ClientId {
        self.issuer = Some(issuer.into());
        self
    }

    /// The same, registered for this way to say who it is.
    #[must_use]
    pub fn endpoint_auth(mut self, method: EndpointAuth) -> ClientId {
        self.endpoint_auth = Some(method);
        self
    }
}

/// What is public of a key that the shell signs with ([`Step::Sign`](super::Step::Sign)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKey {
    /// The algorithm, one with a public key.
    pub algorithm: Algorithm,
    /// The key's id, when the authorization server knows it by one.
    pub key_id: Option<String>,
    /// The public key.
    pub public: Jwk,
}

impl ClientProfile {
    /// A client of this name, which people see when they are asked to allow it. It logs in with a browser and registers
    /// itself where it must; it needs a [`redirect_uri`](ClientProfile::redirect_uri).
    pub fn new(name: impl Into<String>) -> ClientProfile {
        ClientProfile {
            name: name.into(),
            page: None,
            redirect_uri: String::new(),
            application: None,
            client_ids: Vec::new(),
            metadata_document: None,
            dynamic_registration: true,
            scopes: None,
            offline_access: true,
            first_revision: true,
            login_by: LoginBy::Browser,
            assertion_key: None,
            dpop_key: None,
            dpop_when_asked: false,
        }
    }

    /// Another name.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> ClientProfile {
        self.name = name.into();
        self
    }

    /// A page about the client.
    #[must_use]
    pub fn page(mut self, address: impl Into<String>) -> ClientProfile {
        self.page = Some(address.into());
        self
    }

    /// Where the browser is sent back to: a port of this machine's loopback that is bound already, or a page of an
    /// application that is reached by HTTPS.
    #[must_use]
    pub fn redirect_uri(mut self, address: impl Into<String>) -> ClientProfile {
        self.redirect_uri = address.into();
        self
    }

    /// What kind of program it is. Default: by the redirect URI, native for one on this machine.
    #[must_use]
    pub fn application_type(mut self, kind: ApplicationType) -> ClientProfile {
        self.application = Some(kind);
        self
    }

    /// A client id that was given out beforehand. With one, the client is never registered otherwise; several are of
    /// different authorization servers.
    #[must_use]
    pub fn client_id(mut self, id: ClientId) -> ClientProfile {
        self.client_ids.push(id);
        self
    }

    /// The address of a document that describes the client, which is its id where authorization servers support that:
    /// `https`, with a path. The redirect URI must be among those of the document.
    ///
    /// Specification:
    /// [client id metadata documents](https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization/client-registration#client-id-metadata-documents).
    #[must_use]
    pub fn metadata_document(mut self, address: impl Into<String>) -> ClientProfile {
        self.metadata_document = Some(address.into());
        self
    }

    /// Whether the client may register itself. Default: it may.
    #[must_use]
    pub fn dynamic_registration(mut self, allowed: bool) -> ClientProfile {
        self.dynamic_registration = allowed;
        self
    }

    /// Scopes to ask for instead of those that the resource's metadata lists. Those of a challenge are asked for anyway.
    #[must_use]
    pub fn scopes(mut self, scopes: ScopeSet) -> ClientProfile {
        self.scopes = Some(scopes);
        self
    }

    /// Whether to ask for `offline_access`, and so for a refresh token, where the authorization server has that scope.
    /// Default: yes.
    #[must_use]
    pub fn offline_access(mut self, wanted: bool) -> ClientProfile {
        self.offline_access = wanted;
        self
    }

    /// Whether a server without metadata may be taken for its own authorization server, as in the first revision with
    /// authorization. Default: yes.
    ///
    /// Specification:
    /// [fallbacks](https://modelcontextprotocol.io/specification/2025-03-26/basic/authorization#fallbacks-for-servers-without-metadata-discovery).
    #[must_use]
    pub fn without_metadata(mut self, allowed: bool) -> ClientProfile {
        self.first_revision = allowed;
        self
    }

    /// By what it gets tokens. Default: [`LoginBy::Browser`].
    #[must_use]
    pub fn login_by(mut self, by: LoginBy) -> ClientProfile {
        self.login_by = by;
        self
    }

    /// The key that says who the client is, where authorization servers take `private_key_jwt`.
    #[must_use]
    pub fn assertion_key(mut self, key: SigningKey) -> ClientProfile {
        self.assertion_key = Some(key);
        self
    }

    /// The key that tokens are bound to, where authorization servers bind them.
    #[must_use]
    pub fn dpop_key(mut self, key: SigningKey) -> ClientProfile {
        self.dpop_key = Some(key);
        self
    }

    /// Whether tokens are bound to that key only for an MCP server that asks for it: by a challenge of the scheme `DPoP`, or in its
    /// metadata. A server that knows no such tokens refuses them. Default: no, they are bound wherever the authorization server
    /// does that.
    #[must_use]
    pub fn dpop_when_asked(mut self, only: bool) -> ClientProfile {
        self.dpop_when_asked = only;
        self
    }

    /// The kind that was set, or that the redirect URI tells
    /// ([application type](https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization/client-registration#application-type-and-redirect-uri-constraints)).
    pub(super) fn application(&self) -> ApplicationType {
        let local = || self.redirect_uri.parse::<Uri>().is_ok_and(|uri| is_loopback(&uri));
        self.application
            .unwrap_or_else(|| if local() { ApplicationType::Native } else { ApplicationType::Web })
    }

    /// Is the redirect URI one that may be used: on this machine, or `https`, and without a fragment
    /// ([communication security](https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization/security-considerations#communication-security))?
    pub(super) fn has_redirect_uri(&self) -> bool {
        !self.redirect_uri.contains('#')
            && self.redirect_uri.parse::<Uri>().is_ok_and(|uri| match uri.scheme_str() {
                Some("https") => uri.host().is_some(),
                Some("http") => is_loopback(&uri),
                _ => false,
            })
    }
}

fn is_loopback(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || ip.is_ok_and(|ip| ip.is_loopback())
}
