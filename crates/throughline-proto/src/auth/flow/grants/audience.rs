use serde::Deserialize;

use crate::auth::Secret;
use crate::auth::flow::error::{FlowError, FlowErrorKind};
use crate::auth::flow::machine::Ground;
use crate::auth::flow::register::Known;
use crate::auth::flow::registration::Registration;
use crate::auth::flow::said;
use crate::auth::from_base64url;

/// Whom a JWT is for.
#[derive(Deserialize)]
struct Claims {
    aud: Audience,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

/// Is this authorization server the one that the assertion is meant for? The MCP server names it, and no person looks at it: one
/// that names its own would be handed what logs in at the right one.
///
/// The settings say so, with the issuer of the client id; or the assertion does, with its audience
/// ([RFC 7523, 3](https://www.rfc-editor.org/rfc/rfc7523#section-3): the issuer or the token endpoint).
pub(super) fn check(
    ground: &Ground,
    known: &Known,
    registration: &Registration,
    assertion: &Secret,
) -> Result<(), FlowError> {
    let metadata = &known.server.metadata;
    let mut ids = ground.profile.client_ids.iter();
    if ids.any(|id| id.client_id == registration.client_id && id.issuer.as_ref() == Some(&metadata.issuer)) {
        return Ok(());
    }
    let named = |name: &str| {
        let same = |other: &str| name.trim_end_matches('/') == other.trim_end_matches('/');
        same(&metadata.issuer) || metadata.token_endpoint.as_deref().is_some_and(same)
    };
    let is_meant = match claims(assertion).map(|claims| claims.aud) {
        Some(Audience::One(name)) => named(&name),
        Some(Audience::Many(names)) => names.iter().any(|name| named(name)),
        None => false,
    };
    if is_meant {
        return Ok(());
    }
    Err(FlowError::new(
        FlowErrorKind::OtherIssuer,
        format!(
            "the server names {0} as its authorization server, and what vouches for this client does not say that it is for that \
             one, so it was not shown; if it is the right one, name it as the issuer of the client id",
            said::quoted(&metadata.issuer)
        ),
    ))
}

/// What it says, if it is a JWT; whoever gets it checks its signature.
fn claims(assertion: &Secret) -> Option<Claims> {
    let payload = assertion.expose().split('.').nth(1)?;
    serde_json::from_slice(&from_base64url(payload)?).ok()
}
