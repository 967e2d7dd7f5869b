use super::error::{FlowError, FlowErrorKind};
use super::exchange::{Exchange, Signed};
use super::form::with_query;
use super::grants::Grant;
use super::machine::{Ground, Moved, Phase};
use super::pending::{LOGIN_PATIENCE, PendingLogin};
use super::pkce::{S256, challenge};
use super::profile::ClientProfile;
use super::redirected::{Expected, Redirected};
use super::register::Known;
use super::registration::Registration;
use super::said;
use super::scopes::OFFLINE_ACCESS;
use super::seed::DrawnFor;
use super::step::Step;
use crate::auth::{Secret, UnixTime};

/// Can the browser come back?
pub(super) fn check_redirect_uri(profile: &ClientProfile) -> Result<(), FlowError> {
    if profile.has_redirect_uri() {
        return Ok(());
    }
    Err(FlowError::new(
        FlowErrorKind::Redirect,
        format!(
            "the browser cannot come back to {}; set a redirect URI that is https, or http on this machine's loopback",
            said::quoted(&profile.redirect_uri)
        ),
    ))
}

/// Sends a person to the authorization server. All that the answer is checked against is recorded before.
///
/// Specification:
/// [authorization code protection](https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization/security-considerations#authorization-code-protection).
pub(super) fn send(ground: &Ground, now: UnixTime, known: Known, registration: Registration) -> Moved {
    let Known { resource, server, scope } = known;
    let metadata = &server.metadata;
    let profile = &ground.profile;
    // The first revision wants PKCE of everyone and has no way to say so; a list without S256 says that it is not there.
    let silent = server.first_revision && metadata.code_challenge_methods_supported.is_none();
    if !metadata.supports_s256() && !silent {
        return Err(FlowError::new(
            FlowErrorKind::NoPkce,
            format!(
                "the authorization server {} does not say that it checks PKCE with S256, without which a stolen code \
                 is a login; tell who runs it to enable that, and to list it in `code_challenge_methods_supported`",
                said::quoted(&metadata.issuer)
            ),
        ));
    }
    if metadata.require_pushed_authorization_requests {
        return Err(FlowError::new(
            FlowErrorKind::Metadata,
            format!(
                "the authorization server {} takes pushed authorization requests only, which are not spoken here; ask \
                 who runs it to allow others for this client",
                said::quoted(&metadata.issuer)
            ),
        ));
    }
    let endpoint = server.endpoint(
        "authorization_endpoint",
        metadata.authorization_endpoint.as_deref(),
        &ground.rule,
    )?;
    let verifier = Secret::new(ground.seed.draw(DrawnFor::Verifier));
    let state = Secret::new(ground.seed.draw(DrawnFor::State));
    let code_challenge = challenge(verifier.expose());
    let mut parameters = vec![
        ("response_type", "code"),
        ("client_id", &registration.client_id),
        ("redirect_uri", &profile.redirect_uri),
        ("state", state.expose()),
        ("code_challenge", &code_challenge),
        ("code_challenge_method", S256),
        ("resource", &resource.name),
    ];
    if !scope.is_empty() {
        parameters.push(("scope", scope.as_str()));
    }
    // https://openid.net/specs/openid-connect-core-1_0.html#OfflineAccess: without it the scope is passed over.
    if scope.contains(OFFLINE_ACCESS) {
        parameters.push(("prompt", "consent"));
    }
    let pending = PendingLogin {
        address: with_query(&endpoint.to_string(), &parameters),
        redirect_uri: profile.redirect_uri.clone(),
        names_issuer: metadata.authorization_response_iss_parameter_supported,
        server: server.issued_by(&ground.rule)?,
        binds_tokens: ground.binds_tokens(&resource, metadata),
        registration,
        resource: resource.name,
        requested: scope,
        endpoint: resource.request.endpoint.to_string(),
        expires_at: now.plus(LOGIN_PATIENCE),
        state,
        verifier,
    };
    let visit = pending.visit();
    Ok((Phase::Visiting(Box::new(pending)), Step::Visit(visit)))
}

/// Takes what came back from the browser. The code goes to the token endpoint of the server that was recorded, and nowhere
/// before every check is done.
pub(super) fn returned(ground: &Ground, now: UnixTime, pending: PendingLogin, redirect: &str) -> Moved {
    if now >= pending.expires_at {
        return Err(FlowError::new(
            FlowErrorKind::TooLate,
            format!("the login took longer than {} minutes; log in again", LOGIN_PATIENCE.as_secs() / 60),
        ));
    }
    let code = Redirected::parse(redirect)?.code(&Expected {
        redirect_uri: &pending.redirect_uri,
        state: &pending.state,
        issuer: &pending.server.issuer,
        names_issuer: pending.names_issuer,
    })?;
    let grant = Grant::Code { code, verifier: pending.verifier, redirect_uri: pending.redirect_uri };
    let exchange = Exchange {
        grant,
        server: pending.server,
        registration: pending.registration,
        resource: pending.resource,
        requested: pending.requested,
        binds_tokens: pending.binds_tokens,
        signed: Signed::default(),
    };
    exchange.begin(ground, now)
}
