//! What can be said about a provider.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use http::{Request, Response, Uri};
use http_body::Body;
use throughline_proto::auth::flow::{ApplicationType, ClientId, IdentityProvider, LoginBy};
use throughline_proto::auth::{ScopeSet, Secret};
use throughline_proto::client::address;
use tower_service::Service;

use super::settings::Settings;
use super::{Inner, OAuth};
use crate::HttpOptions;
use crate::auth::fetch::Fetcher;
use crate::auth::oauth::{ClientKey, LoginPrompt, TokenStore};
use crate::client::{RequestBody, TokenError};
use crate::store::Soon;

impl OAuth {
    /// A provider for a program on a person's machine, with the name `throughline`.
    #[must_use]
    pub fn new() -> Self {
        Self::of(Settings::new())
    }

    fn of(settings: Settings) -> Self {
        Self(Arc::new(Inner { settings, accounts: Mutex::new(HashMap::new()) }))
    }

    /// Changes what is said. What others share with this one stays as it is.
    pub(super) fn with(self, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = match Arc::try_unwrap(self.0) {
            Ok(inner) => inner.settings,
            Err(shared) => shared.settings.clone(),
        };
        change(&mut settings);
        Self::of(settings)
    }

    /// The name of the client, which people see when they are asked to allow it. Programs with the same name share logins, where
    /// they share a store.
    #[must_use]
    pub fn client_name(self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.with(|settings| {
            settings.profile = settings.profile.clone().name(name.clone());
            settings.name = name;
        })
    }

    /// A page about the client, which people may see when they are asked to allow it.
    #[must_use]
    pub fn client_page(self, address: impl Into<String>) -> Self {
        self.with(|settings| settings.profile = settings.profile.clone().page(address))
    }

    /// A client id that an authorization server gave out beforehand. The client then never registers itself. Called again, it adds
    /// that of another authorization server.
    ///
    /// ```
    /// use throughline::auth::OAuth;
    /// use throughline::auth::flow::ClientId;
    ///
    /// let oauth = OAuth::new().client_id(ClientId::new("projects-cli").issuer("https://login.example.com"));
    /// # let _ = oauth;
    /// ```
    #[must_use]
    pub fn client_id(self, id: ClientId) -> Self {
        self.with(|settings| settings.profile = settings.profile.clone().client_id(id))
    }

    /// The address of a document that describes the client, and is its id where authorization servers take such
    /// ([client id metadata documents](https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization/client-registration#client-id-metadata-documents)).
    #[must_use]
    pub fn metadata_document(self, address: impl Into<String>) -> Self {
        self.with(|settings| settings.profile = settings.profile.clone().metadata_document(address))
    }

    /// Whether the client may register itself, where an authorization server lets it. Default: it may.
    #[must_use]
    pub fn dynamic_registration(self, allowed: bool) -> Self {
        self.with(|settings| settings.profile = settings.profile.clone().dynamic_registration(allowed))
    }

    /// The scopes to ask for instead of those that the server lists. What a server asks for in a challenge is asked for anyway.
    #[must_use]
    pub fn scopes(self, scopes: ScopeSet) -> Self {
        self.with(|settings| settings.profile = settings.profile.clone().scopes(scopes))
    }

    /// Whether to ask for `offline_access`, and so for a refresh token, where the authorization server has that scope.
    /// Default: yes.
    #[must_use]
    pub fn offline_access(self, wanted: bool) -> Self {
        self.with(|settings| settings.profile = settings.profile.clone().offline_access(wanted))
    }

    /// Tells logins at the same server apart: the name of an account, or of the person for whom an application acts. Default:
    /// there is one.
    #[must_use]
    pub fn account(self, name: impl Into<String>) -> Self {
        self.with(|settings| settings.account = Some(name.into()))
    }

    /// Where people come back to after a login, for an application that they use in a browser: `https`, and registered at the
    /// authorization server where clients are not registered by themselves. No browser is opened then: a request that needs a
    /// login fails, and a login is made in two steps, [`start`](Self::start) and [`finish`](Self::finish).
    #[must_use]
    pub fn redirect_uri(self, address: impl Into<String>) -> Self {
        let address = address.into();
        self.with(|settings| {
            settings.profile = settings.profile.clone().redirect_uri(address.clone());
            settings.redirect_uri = Some(address);
        })
    }

    /// What kind of program the client is. Default: on the person's machine, unless people come back to an `https` address.
    #[must_use]
    pub fn application_type(self, kind: ApplicationType) -> Self {
        self.with(|settings| settings.profile = settings.profile.clone().application_type(kind))
    }

    /// The client logs in as itself, with this id and its secret or its [key](Self::signing_key): for programs that nobody sits at.
    ///
    /// ```
    /// use throughline::auth::flow::ClientId;
    /// use throughline::auth::{OAuth, Secret};
    ///
    /// let id = ClientId::new("nightly-report").secret(Secret::new("from the environment"));
    /// let oauth = OAuth::new().client_credentials(id);
    /// # let _ = oauth;
    /// ```
    ///
    /// Specification:
    /// [OAuth client credentials](https://modelcontextprotocol.io/extensions/auth/oauth-client-credentials).
    #[must_use]
    pub fn client_credentials(self, id: ClientId) -> Self {
        self.client_id(id).login_by(LoginBy::ClientCredentials)
    }

    /// The key that the client proves itself with, where authorization servers take `private_key_jwt`. It takes the place of a
    /// secret.
    #[must_use]
    pub fn signing_key(self, key: ClientKey) -> Self {
        self.with(|settings| {
            settings.profile = settings.profile.clone().assertion_key(key.public().clone());
            settings.key = Some(key);
        })
    }

    /// A person logs in on another device, where this one has no browser: they are shown a code
    /// ([RFC 8628](https://www.rfc-editor.org/rfc/rfc8628)).
    #[must_use]
    pub fn device(self) -> Self {
        self.login_by(LoginBy::Device)
    }

    /// The platform that the program runs on vouches for it, with a JWT that this function gets anew for each login: out of a file
    /// that the platform renews, for instance. One that is refused is not shown again by itself.
    ///
    /// ```
    /// use throughline::auth::flow::ClientId;
    /// use throughline::auth::{OAuth, Secret};
    /// use throughline::store::Soon;
    /// use throughline::TokenError;
    ///
    /// let oauth = OAuth::new().workload_identity(ClientId::new("report"), || {
    ///     let read = std::fs::read_to_string("/var/run/secrets/tokens/mcp");
    ///     Soon::now(read.map(|jwt| Secret::new(jwt.trim())).map_err(|error| {
    ///         TokenError::new("the platform's token cannot be read; mount one").because(error)
    ///     }))
    /// });
    /// # let _ = oauth;
    /// ```
    ///
    /// The JWT is shown to the authorization server that it is for: its audience is the issuer or its token endpoint, or the
    /// [issuer of the client id](ClientId::issuer) is named here. Otherwise a server could have it shown to one of its own.
    ///
    /// The grant: [RFC 7523, 2.1](https://www.rfc-editor.org/rfc/rfc7523#section-2.1).
    #[must_use]
    pub fn workload_identity(
        self,
        id: ClientId,
        jwt: impl Fn() -> Soon<Result<Secret, TokenError>> + Send + Sync + 'static,
    ) -> Self {
        let this = self.client_id(id).login_by(LoginBy::Assertion(Secret::new("")));
        this.with(|settings| settings.vouching = Some(Arc::new(jwt)))
    }

    /// An organization's identity provider vouches for a person who logged in there, with what this function gets anew for each login;
    /// it takes the place of [`IdentityProvider::subject_token`]. The client id is that at the MCP server's authorization server.
    ///
    /// Specification: [enterprise-managed
    /// authorization](https://modelcontextprotocol.io/extensions/auth/enterprise-managed-authorization).
    #[must_use]
    pub fn enterprise_managed(
        self,
        id: ClientId,
        provider: IdentityProvider,
        subject_token: impl Fn() -> Soon<Result<Secret, TokenError>> + Send + Sync + 'static,
    ) -> Self {
        let this = self.client_id(id).login_by(LoginBy::IdentityProvider(provider));
        this.with(|settings| settings.vouching = Some(Arc::new(subject_token)))
    }

    /// Whether tokens are bound to a key of this client's wherever the authorization server does that
    /// ([RFC 9449](https://www.rfc-editor.org/rfc/rfc9449)), so that whoever steals one cannot use it. Default: only for MCP servers that
    /// ask for it, as others may not take such tokens. The key is made by itself, and kept with the login.
    #[must_use]
    pub fn dpop(self, always: bool) -> Self {
        self.with(|settings| settings.profile = settings.profile.clone().dpop_when_asked(!always))
    }

    /// By what the client gets tokens. Default: a person logs in with a browser.
    #[must_use]
    pub fn login_by(self, by: LoginBy) -> Self {
        self.with(|settings| {
            settings.profile = settings.profile.clone().login_by(by.clone());
            settings.login_by = by;
        })
    }

    /// Where logins are kept. Default: a [`FileTokenStore`](crate::auth::oauth::FileTokenStore) at its default place.
    #[must_use]
    pub fn store(self, store: impl TokenStore) -> Self {
        self.with(|settings| settings.store = Some(Arc::new(store)))
    }

    /// How a person is asked to log in. Default: a [`LoopbackCallback`](crate::auth::oauth::LoopbackCallback), which opens a
    /// browser, or prints the address where there is none.
    #[must_use]
    pub fn prompt(self, prompt: impl LoginPrompt) -> Self {
        self.with(|settings| settings.prompt = Some(Arc::new(prompt)))
    }

    /// How the network is used for metadata and tokens. What a client was told of its server
    /// ([`Connect::http`](crate::client::Connect::http)) is not taken over: a provider serves clients of many servers, and a
    /// certificate that one of them is trusted with says nothing of who issues tokens for the others.
    #[must_use]
    pub fn http(self, options: HttpOptions) -> Self {
        self.with(|settings| settings.set_options(options))
    }

    /// Sends requests for metadata and tokens to a service, which is given whole addresses, and not over the network. The rules of
    /// which addresses may be reached still hold for how they are written.
    #[must_use]
    pub fn over<S, B>(self, service: S) -> Self
    where
        S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Future: Send,
        S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        B: Body<Data = bytes::Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.with(|settings| settings.set_fetcher(Fetcher::over(service)))
    }

    /// The address of a server's endpoint, checked.
    pub(super) fn endpoint(url: &str) -> Result<Uri, TokenError> {
        address(url).map_err(|error| TokenError::new(error.to_string()))
    }
}

impl Default for OAuth {
    fn default() -> Self {
        Self::new()
    }
}
