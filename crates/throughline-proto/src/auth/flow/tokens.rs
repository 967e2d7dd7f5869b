use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use serde::de::{Deserializer, IgnoredAny, Visitor};
use serde::{Deserialize, Serialize};

use super::error::{FlowError, FlowErrorKind, Refusal};
use super::said;
use crate::auth::{MAX_TOKEN, ScopeSet, Secret, TokenScheme, UnixTime};

/// Bytes of a refresh token. Unlike an access token it is in no header; some have a whole session sealed in them.
const MAX_REFRESH_TOKEN: usize = 32 * 1024;

/// The longest life of an access token that is believed: a year. Beyond it there is a mistake in units, and a token
/// that is refused is refreshed anyway.
const LONGEST_LIFE: Duration = Duration::from_secs(366 * 24 * 3600);

/// An access token, what is known of it, and what to get the next one with. They serialise with their secrets, for a token
/// store; `Debug` shows none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// The token that requests carry.
    pub access_token: Secret,
    /// How they carry it.
    pub scheme: TokenScheme,
    /// When it was issued.
    pub issued_at: UnixTime,
    /// When it ends; `None` when the authorization server did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<UnixTime>,
    /// What the next access token is got with; `None` when none was issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<Secret>,
    /// What it allows: what the authorization server said, or else what was asked for. Empty: whatever is the default there.
    #[serde(default)]
    pub granted: ScopeSet,
}

/// The part of a successful answer that counts ([RFC 6749, 5.1](https://www.rfc-editor.org/rfc/rfc6749#section-5.1)).
#[derive(Deserialize)]
struct Answer<'a> {
    access_token: Secret,
    #[serde(borrow)]
    token_type: Cow<'a, str>,
    #[serde(default, deserialize_with = "seconds")]
    expires_in: Option<u64>,
    #[serde(default)]
    refresh_token: Option<Secret>,
    #[serde(default)]
    scope: Option<ScopeSet>,
}

impl Tokens {
    /// Reads the answer of a token endpoint. What the answer leaves out is as it was asked for: `requested`, and the refresh
    /// token that was used (`refresh_token`), which stays the one to use until another comes
    /// ([RFC 6749, 6](https://www.rfc-editor.org/rfc/rfc6749#section-6)).
    pub(super) fn read(
        status: StatusCode,
        body: &Bytes,
        requested: &ScopeSet,
        refresh_token: Option<&Secret>,
        now: UnixTime,
    ) -> Result<Tokens, FlowError> {
        if !status.is_success() {
            return Err(refused(status, said::refusal(body)));
        }
        // Some servers refuse with 200.
        if let Some(refusal) = said::refusal(body) {
            return Err(refused(StatusCode::BAD_REQUEST, Some(refusal)));
        }
        let Ok(answer) = serde_json::from_slice::<Answer<'_>>(body) else {
            return Err(unfit("it is no JSON object with `access_token` and `token_type`"));
        };
        let scheme = match &*answer.token_type {
            name if name.eq_ignore_ascii_case("bearer") => TokenScheme::Bearer,
            name if name.eq_ignore_ascii_case("dpop") => TokenScheme::Dpop,
            // https://www.rfc-editor.org/rfc/rfc6749#section-7.1: a token of a type that is not understood is not used.
            name => {
                return Err(unfit(&format!(
                    "its `token_type` is {}, which is not known",
                    said::quoted(name)
                )));
            }
        };
        if !is_token(&answer.access_token, MAX_TOKEN) {
            return Err(unfit(
                "its `access_token` is empty, too long, or has characters that no header may have",
            ));
        }
        if answer.refresh_token.as_ref().is_some_and(|token| token.expose().len() > MAX_REFRESH_TOKEN) {
            return Err(unfit("its `refresh_token` is too long"));
        }
        Ok(Tokens {
            access_token: answer.access_token,
            scheme,
            issued_at: now,
            expires_at: answer.expires_in.map(|life| now.plus(Duration::from_secs(life).min(LONGEST_LIFE))),
            refresh_token: answer
                .refresh_token
                .filter(|token| !token.is_empty())
                .or_else(|| refresh_token.cloned()),
            granted: answer.scope.filter(|scope| !scope.is_empty()).unwrap_or_else(|| requested.clone()),
        })
    }
}

/// May it stand in an `Authorization` header? Visible ASCII
/// ([RFC 6749, A.12](https://www.rfc-editor.org/rfc/rfc6749#appendix-A.12), without the space, which ends it there).
fn is_token(token: &Secret, most: usize) -> bool {
    let token = token.expose();
    !token.is_empty() && token.len() <= most && token.bytes().all(|byte| byte.is_ascii_graphic())
}

fn unfit(why: &str) -> FlowError {
    FlowError::new(
        FlowErrorKind::TokenAnswer,
        format!(
            "the answer of the token endpoint cannot be used: {why}; tell who runs the authorization server"
        ),
    )
}

/// What a refusal of the token endpoint means ([RFC 6749, 5.2](https://www.rfc-editor.org/rfc/rfc6749#section-5.2)).
pub(super) fn refused(status: StatusCode, refusal: Option<Refusal>) -> FlowError {
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        return FlowError::new(
            FlowErrorKind::Unavailable,
            format!("the token endpoint answered with status {}; try again later", status.as_u16()),
        );
    }
    let Some(refusal) = refusal else {
        return FlowError::new(
            FlowErrorKind::TokenAnswer,
            format!(
                "the token endpoint answered with status {} and no error that can be read; tell who runs the \
                 authorization server",
                status.as_u16()
            ),
        );
    };
    let (kind, what) = match &*refusal.code {
        "temporarily_unavailable" | "server_error" => {
            (FlowErrorKind::Unavailable, "the authorization server cannot answer at present; try again later".to_owned())
        }
        "invalid_grant" => {
            (FlowErrorKind::TokenRefused, "the login has ended at the authorization server; log in again".to_owned())
        }
        "invalid_client" | "unauthorized_client" => (
            FlowErrorKind::TokenRefused,
            "the authorization server does not take this client; log in again to register it anew, or check the client id \
             and its secret"
                .to_owned(),
        ),
        "invalid_scope" => (
            FlowErrorKind::TokenRefused,
            "the authorization server does not grant a scope that was asked for; ask for others".to_owned(),
        ),
        "invalid_target" => (
            FlowErrorKind::TokenRefused,
            "the authorization server issues no tokens for this MCP server; tell who runs it to register the resource \
             there"
                .to_owned(),
        ),
        code => {
            (FlowErrorKind::TokenRefused, format!("the token endpoint refused with {}", said::quoted(code)))
        }
    };
    FlowError::refused(kind, said::with_description(what, refusal.description.as_deref()), refusal)
}

/// Seconds as a number or, as some servers write it, as a text of one. A fraction is dropped, what is below zero has
/// passed, and everything else is as if nothing were said.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    struct Seconds;

    impl<'de> Visitor<'de> for Seconds {
        type Value = Option<u64>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("seconds")
        }

        fn visit_u64<E>(self, seconds: u64) -> Result<Option<u64>, E> {
            Ok(Some(seconds))
        }

        fn visit_i64<E>(self, seconds: i64) -> Result<Option<u64>, E> {
            Ok(Some(u64::try_from(seconds).unwrap_or(0)))
        }

        fn visit_f64<E>(self, seconds: f64) -> Result<Option<u64>, E> {
            // A cast from a float ends at the ends of the integer.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            Ok(Some(seconds as u64))
        }

        fn visit_str<E>(self, text: &str) -> Result<Option<u64>, E> {
            Ok(text.trim().parse().ok())
        }

        fn visit_unit<E>(self) -> Result<Option<u64>, E> {
            Ok(None)
        }

        fn visit_bool<E>(self, _: bool) -> Result<Option<u64>, E> {
            Ok(None)
        }

        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Option<u64>, A::Error> {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            Ok(None)
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Option<u64>, A::Error> {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok(None)
        }
    }

    deserializer.deserialize_any(Seconds)
}
