use super::error::{FlowError, FlowErrorKind};
use super::find_server::{FindingServer, Wanted};
use super::login::LoginRequest;
use super::machine::{Ground, Moved, Phase};
use super::said;
use super::search::{Hit, Search};
use super::step::{FetchResponse, Purpose};
use crate::auth::{
    AuthScheme, ProtectedResource, ScopeSet, UnixTime, canonical_resource, protected_resource_addresses,
    resource_covers,
};

/// Reading the metadata of the MCP server: what it is called, and who issues tokens for it.
///
/// Specification:
/// [protected resource metadata discovery](https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization/authorization-server-discovery#protected-resource-metadata-discovery-requirements).
pub(super) struct FindingResource {
    request: LoginRequest,
    search: Search,
}

/// The resource, and what the login was begun with.
pub(super) struct Resource {
    pub(super) request: LoginRequest,
    /// Its name, to the letter: what goes into `resource`.
    pub(super) name: String,
    /// `scopes_supported`.
    pub(super) scopes: Option<ScopeSet>,
    /// It takes tokens only that are bound to a key.
    pub(super) binds_tokens: bool,
}

impl FindingResource {
    pub(super) fn begin(ground: &Ground, now: UnixTime, request: LoginRequest) -> Moved {
        if let Err(refused) = ground.rule.check_uri(&request.endpoint) {
            return Err(FlowError::new(FlowErrorKind::Address, refused.to_string()));
        }
        let addresses = protected_resource_addresses(&request.endpoint, request.challenge.as_ref());
        let mut search = Search::new(Purpose::ResourceMetadata, addresses);
        let hit = search.next(ground);
        FindingResource { request, search }.go_on(ground, now, hit)
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
                Hit::Ask(step) => return Ok((Phase::FindingResource(Box::new(self)), step)),
                Hit::Document(body) => match ProtectedResource::parse(&body) {
                    Ok(document) => return self.found(ground, now, document),
                    // Many sites answer every address with a page of theirs, so this is as if nothing were there.
                    Err(invalid) => {
                        let why = format!("at {}: {invalid}", said::address(self.search.asked()));
                        hit = self.search.pass(ground, FlowError::new(FlowErrorKind::Metadata, why));
                    }
                },
                Hit::Nothing(trouble) => return self.not_found(ground, now, trouble),
            }
        }
    }

    fn found(self, ground: &Ground, now: UnixTime, document: ProtectedResource) -> Moved {
        let FindingResource { request, .. } = self;
        // https://www.rfc-editor.org/rfc/rfc9728#section-3.3: otherwise somebody else's document would decide where a person
        // types a password, and for what.
        if !resource_covers(&document.resource, &request.endpoint) {
            return Err(FlowError::new(
                FlowErrorKind::ResourceMismatch,
                format!(
                    "the metadata is that of the resource {}, and not of {}, so nobody is sent to log in; connect to that \
                     address, or tell who runs the server to correct `resource`",
                    said::quoted(&document.resource),
                    said::address(&request.endpoint),
                ),
            ));
        }
        let issuer = choose_issuer(ground, &request, document.authorization_servers)?;
        let challenged =
            request.challenge.as_ref().is_some_and(|challenge| challenge.scheme == AuthScheme::Dpop);
        let resource = Resource {
            request,
            name: document.resource,
            scopes: document.scopes_supported,
            binds_tokens: challenged || document.dpop_bound_access_tokens_required,
        };
        FindingServer::begin(ground, now, resource, Wanted::Issuer(issuer))
    }

    /// A server without metadata is its own authorization server in the first revision that has authorization; see
    /// [its discovery](https://modelcontextprotocol.io/specification/2025-03-26/basic/authorization#server-metadata-discovery).
    /// One that cannot answer at present, or that names an address for its metadata, is none of those.
    fn not_found(self, ground: &Ground, now: UnixTime, trouble: Option<FlowError>) -> Moved {
        let FindingResource { request, .. } = self;
        let names_metadata =
            request.challenge.as_ref().is_some_and(|challenge| challenge.resource_metadata.is_some());
        let unavailable = trouble.as_ref().is_some_and(FlowError::is_temporary);
        let name = canonical_resource(&request.endpoint);
        match name {
            Some(name) if ground.profile.first_revision && !names_metadata && !unavailable => {
                let resource = Resource { request, name, scopes: None, binds_tokens: false };
                FindingServer::begin(ground, now, resource, Wanted::Origin)
            }
            _ => Err(trouble.unwrap_or_else(|| {
                FlowError::new(
                    FlowErrorKind::Metadata,
                    format!(
                        "{} wants a login and does not say where: it has no protected resource metadata; tell who runs \
                         it, or give a token yourself",
                        said::address(&request.endpoint)
                    ),
                )
            })),
        }
    }
}

/// The authorization server to use, of those that the resource names: that of the login that is held, so that nobody logs in
/// twice; else one that the client has an id of; else the first.
fn choose_issuer(
    ground: &Ground,
    request: &LoginRequest,
    mut issuers: Vec<String>,
) -> Result<String, FlowError> {
    let held = request.held.as_ref().map(|held| &held.server.issuer);
    let ids = ground.profile.client_ids.iter().filter_map(|id| id.issuer.as_ref());
    let preferred =
        held.into_iter().chain(ids).find_map(|known| issuers.iter().position(|issuer| issuer == known));
    if issuers.is_empty() {
        return Err(FlowError::new(
            FlowErrorKind::Metadata,
            "the metadata of the server names no authorization server; tell who runs it to fill in \
             `authorization_servers`, or give a token yourself",
        ));
    }
    Ok(issuers.swap_remove(preferred.unwrap_or(0)))
}
