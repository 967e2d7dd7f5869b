use http::Uri;
use serde::Deserialize;

use super::Grant;
use crate::auth::flow::endpoint_auth::EndpointAuth;
use crate::auth::flow::error::{FlowError, FlowErrorKind};
use crate::auth::flow::exchange::{Exchange, Signed};
use crate::auth::flow::form::Form;
use crate::auth::flow::login::IssuedBy;
use crate::auth::flow::machine::{Ground, Moved};
use crate::auth::flow::profile::{IdentityProvider, SubjectToken};
use crate::auth::flow::registration::{Registration, RegistrationKind};
use crate::auth::flow::said;
use crate::auth::flow::step::FetchResponse;
use crate::auth::flow::tokens::refused;
use crate::auth::{AddressRule, IpClass, Secret, UnixTime};

/// The grant of [RFC 8693](https://www.rfc-editor.org/rfc/rfc8693#section-2.1).
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// An identity assertion for another authorization server
/// ([the draft](https://datatracker.ietf.org/doc/html/draft-ietf-oauth-identity-assertion-authz-grant)).
const ID_JAG: &str = "urn:ietf:params:oauth:token-type:id-jag";

/// Bytes of an assertion: with the groups of a large organization in it some 20 KiB. It is in the body of a request only.
const MAX_ASSERTION: usize = 64 * 1024;

/// The request to the identity provider; its answer is what the request after it offers.
///
/// Specification: [enterprise-managed
/// authorization](https://modelcontextprotocol.io/extensions/auth/enterprise-managed-authorization#how-it-works).
pub(super) fn ask(provider: &IdentityProvider, then: Exchange) -> Result<Exchange, FlowError> {
    let address = provider.token_endpoint.parse::<Uri>().map_err(|_| {
        FlowError::new(
            FlowErrorKind::Address,
            "the token endpoint of the identity provider is no address; correct the settings",
        )
    })?;
    // Settings name it, and no server: it may be inside the network of its organization.
    let rule = AddressRule::for_server(&address, &[]).allow(IpClass::Private).allow(IpClass::Shared);
    let issuer = provider.token_endpoint.clone();
    let endpoint_auth =
        if provider.client_secret.is_some() { EndpointAuth::Basic } else { EndpointAuth::Public };
    Ok(Exchange {
        server: IssuedBy {
            issuer: issuer.clone(),
            token_endpoint: provider.token_endpoint.clone(),
            revocation_endpoint: None,
        },
        registration: Registration {
            issuer,
            client_id: provider.client_id.clone(),
            client_secret: provider.client_secret.clone(),
            secret_expires_at: None,
            endpoint_auth,
            kind: RegistrationKind::Preregistered,
            redirect_uris: Vec::new(),
            scope: None,
        },
        resource: then.resource.clone(),
        requested: then.requested.clone(),
        binds_tokens: false,
        signed: Signed::default(),
        grant: Grant::TokenExchange {
            subject: provider.subject_token.clone(),
            subject_is: provider.subject,
            rule,
            then: Box::new(then),
        },
    })
}

/// The parameters of that request. The assertion is for one authorization server.
pub(super) fn write(form: &mut Form, subject: &Secret, subject_is: SubjectToken, audience: &str) {
    form.add("grant_type", TOKEN_EXCHANGE);
    form.add("requested_token_type", ID_JAG);
    form.add("subject_token", subject.expose());
    form.add("subject_token_type", subject_is.token_type());
    form.add("audience", audience);
}

/// Its answer ([RFC 8693, 2.2.1](https://www.rfc-editor.org/rfc/rfc8693#section-2.2.1)). Its `token_type` says that it is no
/// access token, and is `N_A`.
#[derive(Deserialize)]
struct Answer {
    access_token: Secret,
    issued_token_type: String,
}

/// The identity provider has answered: shows its assertion to the authorization server.
pub(super) fn exchanged(
    mut next: Exchange,
    ground: &Ground,
    now: UnixTime,
    response: &FetchResponse,
) -> Moved {
    if !response.status.is_success() {
        let said = said::refusal(&response.body);
        let error = refused(response.status, said);
        let text = format!("the identity provider refused: {error}");
        return Err(match error.refusal() {
            Some(refusal) => FlowError::refused(error.kind(), text, refusal.clone()),
            None => FlowError::new(error.kind(), text),
        });
    }
    let unfit = |why: &str| {
        FlowError::new(
            FlowErrorKind::TokenAnswer,
            format!("the answer of the identity provider cannot be used: {why}; tell who runs it"),
        )
    };
    let Ok(answer) = serde_json::from_slice::<Answer>(&response.body) else {
        return Err(unfit("it is no JSON object with `access_token` and `issued_token_type`"));
    };
    if answer.issued_token_type != ID_JAG {
        return Err(unfit("what it issued is no assertion for another authorization server"));
    }
    if answer.access_token.is_empty() || answer.access_token.expose().len() > MAX_ASSERTION {
        return Err(unfit("its assertion is empty or too long"));
    }
    next.grant = Grant::Assertion { assertion: answer.access_token };
    next.begin(ground, now)
}
