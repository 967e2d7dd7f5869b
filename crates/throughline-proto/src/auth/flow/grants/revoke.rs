use http::Uri;

use super::Grant;
use crate::auth::Secret;
use crate::auth::UnixTime;
use crate::auth::flow::error::{FlowError, FlowErrorKind};
use crate::auth::flow::exchange::{Exchange, Signed};
use crate::auth::flow::form::Form;
use crate::auth::flow::login::Login;
use crate::auth::flow::machine::{Ground, Moved, Phase};
use crate::auth::flow::said;
use crate::auth::flow::step::{FetchResponse, Step};
use crate::auth::flow::tokens::refused;

/// Gives up the refresh token, which ends the login, and then the access token, which a server need not end with it
/// ([RFC 7009, 2.1](https://www.rfc-editor.org/rfc/rfc7009#section-2.1)).
pub(in crate::auth::flow) fn revoking(login: &Login) -> Result<Exchange, FlowError> {
    let Some(address) = login.server.revocation_endpoint.as_deref() else {
        return Err(FlowError::new(
            FlowErrorKind::Metadata,
            format!(
                "the authorization server {} takes no tokens back; they end by themselves",
                said::quoted(&login.server.issuer)
            ),
        ));
    };
    let endpoint = address.parse::<Uri>().map_err(|_| {
        FlowError::new(FlowErrorKind::Address, "the revocation endpoint that was kept is no address")
    })?;
    let mut tokens = Vec::with_capacity(2);
    if let Some(token) = &login.tokens.refresh_token {
        tokens.push((token.clone(), "refresh_token"));
    }
    tokens.push((login.tokens.access_token.clone(), "access_token"));
    Ok(Exchange {
        grant: Grant::Revoke { endpoint, tokens },
        server: login.server.clone(),
        registration: login.registration.clone(),
        resource: login.resource.clone(),
        requested: login.requested.clone(),
        binds_tokens: false,
        signed: Signed::default(),
    })
}

/// The parameters for the first of them.
pub(super) fn write(form: &mut Form, tokens: &[(Secret, &'static str)]) {
    if let Some((token, hint)) = tokens.first() {
        form.add("token", token.expose());
        form.add("token_type_hint", hint);
    }
}

/// The answer for one token. A token that the server does not know counts as given up, and so does one of a type that it cannot
/// end ([RFC 7009, 2.2](https://www.rfc-editor.org/rfc/rfc7009#section-2.2)).
pub(super) fn revoked(
    mut exchange: Exchange,
    ground: &Ground,
    now: UnixTime,
    response: &FetchResponse,
) -> Moved {
    let refusal = said::refusal(&response.body);
    let cannot_end = refusal.as_ref().is_some_and(|refusal| refusal.code == "unsupported_token_type");
    if !response.status.is_success() && !cannot_end {
        return Err(refused(response.status, refusal));
    }
    if matches!(&exchange.grant, Grant::Revoke { tokens, .. } if tokens.is_empty()) {
        return Ok((Phase::Over, Step::Revoked));
    }
    exchange.signed = exchange.signed.anew();
    exchange.begin(ground, now)
}
