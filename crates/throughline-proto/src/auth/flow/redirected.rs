use super::error::{FlowError, FlowErrorKind, Refusal};
use super::said;
use crate::auth::Secret;

/// Bytes of a redirect that are read. Codes of large providers have some 2,000 characters; a browser sends no more than
/// some 64 KiB.
const MAX_REDIRECT: usize = 32 * 1024;

/// What came back from a browser: the parameters of the authorization response
/// ([RFC 6749, 4.1.2](https://www.rfc-editor.org/rfc/rfc6749#section-4.1.2)), unchecked.
pub(super) struct Redirected {
    /// Scheme, host, port and path, when a whole address was given.
    address: Option<String>,
    state: Option<Secret>,
    issuer: Option<String>,
    code: Option<Secret>,
    error: Option<String>,
    error_description: Option<String>,
}

/// What the authorization response is checked against, recorded before the person was sent away.
pub(super) struct Expected<'a> {
    pub(super) redirect_uri: &'a str,
    pub(super) state: &'a Secret,
    pub(super) issuer: &'a str,
    /// `authorization_response_iss_parameter_supported`.
    pub(super) names_issuer: bool,
}

impl Redirected {
    /// Takes apart an address, a path with a query (`/callback?code=..`), or a query alone (`code=..`), which is what people
    /// paste and listeners read.
    pub(super) fn parse(redirect: &str) -> Result<Redirected, FlowError> {
        let redirect = redirect.trim();
        if redirect.len() > MAX_REDIRECT {
            return Err(unreadable("it is too long"));
        }
        let redirect = redirect.split_once('#').map_or(redirect, |(redirect, _)| redirect);
        let (place, query) = match redirect.split_once('?') {
            Some((place, query)) => (place, query),
            None => ("", redirect),
        };
        let mut answer = Redirected {
            address: place.contains("://").then(|| place.to_owned()),
            state: None,
            issuer: None,
            code: None,
            error: None,
            error_description: None,
        };
        let mut seen = [false; 5];
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let place = match &*name {
                "state" => 0,
                "iss" => 1,
                "code" => 2,
                "error" => 3,
                "error_description" => 4,
                _ => continue,
            };
            // https://www.rfc-editor.org/rfc/rfc6749#section-3.1: no parameter comes twice. One that does was put there.
            if std::mem::replace(&mut seen[place], true) {
                return Err(unreadable("a parameter comes twice in it"));
            }
            let value = value.into_owned();
            match place {
                0 => answer.state = Some(Secret::new(value)),
                1 => answer.issuer = Some(value),
                2 => answer.code = Some(Secret::new(value)),
                3 => answer.error = Some(value),
                _ => answer.error_description = Some(value),
            }
        }
        Ok(answer)
    }

    pub(super) fn has_state(&self, state: &Secret) -> bool {
        self.state.as_ref() == Some(state)
    }

    /// The code, after every check that must come before it goes anywhere. Nothing that the response says is repeated
    /// before it is known whose it is.
    ///
    /// Specification:
    /// [authorization response validation](https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization#authorization-response-validation).
    pub(super) fn code(self, expected: &Expected<'_>) -> Result<Secret, FlowError> {
        if !self.has_state(expected.state) {
            return Err(FlowError::new(
                FlowErrorKind::Redirect,
                "what came back from the browser is not the answer to this login (its `state` is another one, or \
                 missing); log in again, and finish in the page that this login opens",
            ));
        }
        if self.address.as_ref().is_some_and(|address| !is_at(address, expected.redirect_uri)) {
            return Err(unreadable("it is not at the address that the browser was to be sent back to"));
        }
        // The table of the section above. Both are compared as they are: no case folding, no default ports, no slashes.
        match self.issuer {
            Some(issuer) if issuer != expected.issuer => {
                return Err(FlowError::new(
                    FlowErrorKind::ResponseIssuer,
                    format!(
                        "what came back from the browser is from another authorization server than {}, so it was not \
                         used; log in again, and report it if it happens twice",
                        said::quoted(expected.issuer)
                    ),
                ));
            }
            None if expected.names_issuer => {
                return Err(FlowError::new(
                    FlowErrorKind::ResponseIssuer,
                    format!(
                        "what came back from the browser does not say that it is from {}, which promises to say so, so \
                         it was not used; log in again, and report it if it happens twice",
                        said::quoted(expected.issuer)
                    ),
                ));
            }
            Some(_) | None => {}
        }
        if let Some(error) = self.error {
            return Err(denied(&error, self.error_description.as_deref()));
        }
        match self.code {
            Some(code) if !code.is_empty() => Ok(code),
            _ => Err(unreadable("there is neither a code nor an error in it")),
        }
    }
}

fn unreadable(why: &str) -> FlowError {
    FlowError::new(
        FlowErrorKind::Redirect,
        format!(
            "what came back from the browser cannot be used: {why}; log in again, and paste the whole address"
        ),
    )
}

/// Is `address` the redirect URI, whatever query that one has?
fn is_at(address: &str, redirect_uri: &str) -> bool {
    let place = redirect_uri.split(['?', '#']).next().unwrap_or_default();
    address == place || {
        // A browser writes the empty path as `/`, and hosts in lower case.
        match (address.parse::<http::Uri>(), place.parse::<http::Uri>()) {
            (Ok(a), Ok(b)) => a == b,
            _ => false,
        }
    }
}

/// The error of an authorization response ([RFC 6749, 4.1.2.1](https://www.rfc-editor.org/rfc/rfc6749#section-4.1.2.1)).
fn denied(error: &str, description: Option<&str>) -> FlowError {
    let refusal = Refusal { code: said::code(error), description: description.and_then(said::text) };
    let kind = match &*refusal.code {
        "temporarily_unavailable" | "server_error" => FlowErrorKind::Unavailable,
        _ => FlowErrorKind::Denied,
    };
    let what = match &*refusal.code {
        "access_denied" => {
            "the login was refused at the authorization server; log in again to allow it".to_owned()
        }
        "invalid_scope" => {
            "the authorization server does not know a scope that was asked for; ask for others".to_owned()
        }
        code => format!("the authorization server refused the login with {}", said::quoted(code)),
    };
    FlowError::refused(kind, said::with_description(what, refusal.description.as_deref()), refusal)
}
