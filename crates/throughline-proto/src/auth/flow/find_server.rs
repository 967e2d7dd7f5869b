use http::{HeaderName, HeaderValue, Uri};

use super::error::{FlowError, FlowErrorKind};
use super::find_resource::Resource;
use super::login::IssuedBy;
use super::machine::{Ground, Moved, Phase, server_known};
use super::said;
use super::search::{Hit, Search};
use super::step::{FetchResponse, Purpose};
use crate::auth::{
    AddressRule, AuthorizationServer, UnixTime, authorization_server_addresses,
    legacy_authorization_server_address,
};
use crate::revision::Revision;

/// Reading the metadata of the authorization server.
///
/// Specification:
/// [authorization server metadata discovery](https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization/authorization-server-discovery#authorization-server-metadata-discovery).
pub(super) struct FindingServer {
    resource: Resource,
    wanted: Wanted,
    search: Search,
}

/// Whose metadata it must be.
pub(super) enum Wanted {
    /// That of this issuer.
    Issuer(String),
    /// That of whoever is at the origin of the MCP endpoint: a server of the first revision with authorization.
    Origin,
}

/// The authorization server, by metadata that is its own.
pub(super) struct Server {
    pub(super) metadata: AuthorizationServer,
    /// It is one of the first revision, which has PKCE without saying so.
    pub(super) first_revision: bool,
    /// It has no metadata: its addresses are those that such a server has by default, if it is one.
    pub(super) is_guess: bool,
}

impl FindingServer {
    pub(super) fn begin(ground: &Ground, now: UnixTime, resource: Resource, wanted: Wanted) -> Moved {
        let addresses = match &wanted {
            Wanted::Issuer(issuer) => authorization_server_addresses(issuer).map_err(|invalid| {
                FlowError::new(
                    FlowErrorKind::Metadata,
                    format!(
                        "the server names {} as its authorization server: {invalid}",
                        said::quoted(issuer)
                    ),
                )
            })?,
            Wanted::Origin => {
                legacy_authorization_server_address(&resource.request.endpoint).into_iter().collect()
            }
        };
        let mut search = Search::new(Purpose::ServerMetadata, addresses);
        if let Wanted::Origin = wanted {
            // https://modelcontextprotocol.io/specification/2025-03-26/basic/authorization#server-metadata-discovery-headers
            let date = Revision::FIRST_WITH_AUTHORIZATION.date();
            search.header(HeaderName::from_static("mcp-protocol-version"), HeaderValue::from_static(date));
        }
        let hit = search.next(ground);
        FindingServer { resource, wanted, search }.go_on(ground, now, hit)
    }

    pub(super) fn handle(mut self, ground: &Ground, now: UnixTime, response: &FetchResponse) -> Moved {
        let hit = self.search.handle(ground, response);
        self.go_on(ground, now, hit)
    }

    pub(super) fn unreachable(mut self, ground: &Ground, now: UnixTime, reason: &str) -> Moved {
        let hit = self.search.unreachable(ground, reason);
        self.go_on(ground, now, hit)
    }

    fn go_on(mut self, ground: &Ground, now: UnixTime, mut hit: Hit) -> Moved {
        loop {
            match hit {
                Hit::Ask(step) => return Ok((Phase::FindingServer(Box::new(self)), step)),
                Hit::Document(body) => match self.read(&body) {
                    Ok(metadata) => return self.found(ground, now, metadata),
                    Err(error) => hit = self.search.pass(ground, error),
                },
                Hit::Nothing(trouble) => return self.not_found(ground, now, trouble),
            }
        }
    }

    /// The document, if it is that of the server that is wanted. Nothing of another's is used
    /// ([RFC 8414, 3.3](https://www.rfc-editor.org/rfc/rfc8414#section-3.3)).
    fn read(&self, body: &[u8]) -> Result<AuthorizationServer, FlowError> {
        let place = said::address(self.search.asked());
        let metadata = AuthorizationServer::parse(body)
            .map_err(|invalid| FlowError::new(FlowErrorKind::Metadata, format!("at {place}: {invalid}")))?;
        let same = match &self.wanted {
            Wanted::Issuer(issuer) => metadata.issuer == *issuer,
            // Nobody said how it is written: with the slash of an empty path it names the same place.
            Wanted::Origin => AuthorizationServer::legacy_defaults(&self.resource.request.endpoint)
                .is_some_and(|origin| {
                    metadata.issuer.strip_suffix('/').unwrap_or(&metadata.issuer) == origin.issuer
                }),
        };
        if same {
            return Ok(metadata);
        }
        Err(FlowError::new(
            FlowErrorKind::IssuerMismatch,
            format!(
                "the metadata at {place} is that of {}, which is not the authorization server that was asked for, so it \
                 was not used; tell who runs the server to write the issuer everywhere the same, to the letter",
                said::quoted(&metadata.issuer),
            ),
        ))
    }

    fn found(self, ground: &Ground, now: UnixTime, metadata: AuthorizationServer) -> Moved {
        let first_revision = matches!(self.wanted, Wanted::Origin);
        server_known(ground, now, self.resource, Server { metadata, first_revision, is_guess: false })
    }

    fn not_found(self, ground: &Ground, now: UnixTime, trouble: Option<FlowError>) -> Moved {
        let FindingServer { resource, wanted, .. } = self;
        match wanted {
            Wanted::Issuer(issuer) => Err(trouble.unwrap_or_else(|| {
                FlowError::new(
                    FlowErrorKind::Metadata,
                    format!(
                        "the authorization server {} has no metadata; tell who runs it to publish it, by RFC 8414 or \
                         OpenID Connect Discovery",
                        said::quoted(&issuer)
                    ),
                )
            })),
            // https://modelcontextprotocol.io/specification/2025-03-26/basic/authorization#fallbacks-for-servers-without-metadata-discovery
            Wanted::Origin => {
                if let Some(trouble) = trouble.filter(speaks_against_defaults) {
                    return Err(trouble);
                }
                let metadata = AuthorizationServer::legacy_defaults(&resource.request.endpoint)
                    .expect("an endpoint with a canonical name has an origin");
                server_known(ground, now, resource, Server { metadata, first_revision: true, is_guess: true })
            }
        }
    }
}

/// Is there metadata that cannot be had at present, or that is another's? Then the default addresses are not those of the
/// server. A page that is no metadata says nothing.
fn speaks_against_defaults(trouble: &FlowError) -> bool {
    matches!(trouble.kind(), FlowErrorKind::Unavailable | FlowErrorKind::IssuerMismatch)
}

/// What the flow keeps of the server, all of it checked.
impl Server {
    /// The token endpoint and what belongs to it.
    pub(super) fn issued_by(&self, rule: &AddressRule) -> Result<IssuedBy, FlowError> {
        let metadata = &self.metadata;
        let token_endpoint = self.endpoint("token_endpoint", metadata.token_endpoint.as_deref(), rule)?;
        let revocation_endpoint = match metadata.revocation_endpoint.as_deref() {
            Some(address) => Some(self.endpoint("revocation_endpoint", Some(address), rule)?.to_string()),
            None => None,
        };
        Ok(IssuedBy {
            issuer: metadata.issuer.clone(),
            token_endpoint: token_endpoint.to_string(),
            revocation_endpoint,
        })
    }

    /// An address out of the metadata, which may be reached.
    pub(super) fn endpoint(
        &self,
        member: &str,
        address: Option<&str>,
        rule: &AddressRule,
    ) -> Result<Uri, FlowError> {
        let wrong = |kind, why: &str| {
            let issuer = said::quoted(&self.metadata.issuer);
            Err(FlowError::new(
                kind,
                format!("the metadata of {issuer} {why}; tell who runs it to correct it"),
            ))
        };
        let Some(address) = address else {
            return wrong(FlowErrorKind::Metadata, &format!("has no `{member}`"));
        };
        let Some(uri) = address.parse::<Uri>().ok().filter(|_| !address.contains('#')) else {
            return wrong(FlowErrorKind::Metadata, &format!("has a `{member}` that is no address"));
        };
        match rule.check_uri(&uri) {
            Ok(()) => Ok(uri),
            Err(refused) => {
                wrong(FlowErrorKind::Address, &format!("has a `{member}` that is not used: {refused}"))
            }
        }
    }
}
