use std::time::Duration;

use http::Uri;
use serde::Deserialize;

use super::Grant;
use crate::auth::flow::error::{FlowError, FlowErrorKind};
use crate::auth::flow::exchange::Exchange;
use crate::auth::flow::machine::{Ground, Moved, Phase};
use crate::auth::flow::pending::LOGIN_PATIENCE;
use crate::auth::flow::register::Known;
use crate::auth::flow::said;
use crate::auth::flow::step::{FetchResponse, ShowCode, Step};
use crate::auth::flow::tokens::refused;
use crate::auth::{Secret, UnixTime};

/// The grant of [RFC 8628, 3.4](https://www.rfc-editor.org/rfc/rfc8628#section-3.4).
pub(in crate::auth::flow) const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// How long to wait between two questions where the server does not say, and how much longer when it is asked too often
/// ([RFC 8628, 3.2 and 3.5](https://www.rfc-editor.org/rfc/rfc8628#section-3.5)).
const INTERVAL: Duration = Duration::from_secs(5);

/// The longest wait between two questions: who has entered the code waits no longer than a minute.
const LONGEST_INTERVAL: Duration = Duration::from_secs(60);

/// Characters of a code that a person enters, and of an address that a person types. Codes have some eight.
const MAX_USER_CODE: usize = 64;
const MAX_ADDRESS: usize = 2048;

/// Bytes of a device code, which is in the body of requests only.
const MAX_DEVICE_CODE: usize = 8 * 1024;

/// The answer of the device authorization endpoint ([RFC 8628, 3.2](https://www.rfc-editor.org/rfc/rfc8628#section-3.2)).
#[derive(Deserialize)]
struct Answer {
    device_code: Secret,
    user_code: String,
    /// Some servers write it as it was in an early draft.
    #[serde(alias = "verification_url")]
    verification_uri: String,
    #[serde(default, alias = "verification_url_complete")]
    verification_uri_complete: Option<String>,
    expires_in: u64,
    #[serde(default)]
    interval: Option<u64>,
}

/// A code is shown; the server is asked again and again whether it was entered.
pub(in crate::auth::flow) struct Polling {
    exchange: Exchange,
    /// The code was just shown, and nothing was waited for.
    is_new: bool,
}

/// The request for a code.
pub(super) fn start(ground: &Ground, known: &Known) -> Result<Grant, FlowError> {
    let metadata = &known.server.metadata;
    let Some(address) = metadata.device_authorization_endpoint.as_deref() else {
        return Err(FlowError::new(
            FlowErrorKind::Metadata,
            format!(
                "the authorization server {} does not log devices in; log in with a browser",
                said::quoted(&metadata.issuer)
            ),
        ));
    };
    let endpoint = known.server.endpoint("device_authorization_endpoint", Some(address), &ground.rule)?;
    Ok(Grant::DeviceStart { endpoint })
}

/// The answer to that.
pub(super) fn started(
    mut exchange: Exchange,
    ground: &Ground,
    now: UnixTime,
    response: &FetchResponse,
) -> Moved {
    if !response.status.is_success() {
        return Err(refused(response.status, said::refusal(&response.body)));
    }
    let unfit = |why: &str| {
        FlowError::new(
            FlowErrorKind::TokenAnswer,
            format!(
                "the answer to a device's request cannot be used: {why}; tell who runs the authorization server"
            ),
        )
    };
    let Ok(answer) = serde_json::from_slice::<Answer>(&response.body) else {
        return Err(unfit("it lacks a member, or one is of another type"));
    };
    if answer.device_code.is_empty() || answer.device_code.expose().len() > MAX_DEVICE_CODE {
        return Err(unfit("its `device_code` is empty or too long"));
    }
    let shown = said::text(&answer.user_code).filter(|code| *code == answer.user_code);
    let Some(user_code) = shown.filter(|code| code.len() <= MAX_USER_CODE) else {
        return Err(unfit("its `user_code` is none that can be shown"));
    };
    // A person follows them, so they are held to the same rule as addresses that the client follows.
    let address = |text: &str| {
        let uri = text.parse::<Uri>().ok().filter(|_| text.len() <= MAX_ADDRESS)?;
        ground.rule.check_uri(&uri).is_ok().then(|| text.to_owned())
    };
    let Some(verification) = address(&answer.verification_uri) else {
        return Err(unfit("its `verification_uri` is no address of an https page"));
    };
    let lasts = Duration::from_secs(answer.expires_in).min(LOGIN_PATIENCE);
    let interval = answer.interval.map_or(INTERVAL, Duration::from_secs);
    exchange.grant = Grant::DeviceCode {
        code: answer.device_code,
        interval: interval.clamp(Duration::from_secs(1), LONGEST_INTERVAL),
        expires_at: now.plus(lasts),
    };
    let code = ShowCode {
        user_code,
        address: verification,
        address_with_code: answer.verification_uri_complete.as_deref().and_then(address),
        lasts,
    };
    let polling = Polling { exchange, is_new: true };
    Ok((Phase::Polling(Box::new(polling)), Step::ShowCode(code)))
}

/// The answer to a question whether the code was entered. `Err`: it was, or never will be.
pub(super) fn polled(
    exchange: Exchange,
    now: UnixTime,
    response: &FetchResponse,
) -> Result<Moved, Box<Exchange>> {
    let refusal = said::refusal(&response.body);
    let slower = match refusal.as_ref().map(|refusal| &*refusal.code) {
        Some("authorization_pending") => Duration::ZERO,
        Some("slow_down") => INTERVAL,
        Some("expired_token") => return Ok(Err(too_late())),
        Some("access_denied") => {
            let refusal = refusal.expect("it was just looked at");
            let text = "the login was not allowed on the other device".to_owned();
            let text = said::with_description(text, refusal.description.as_deref());
            return Ok(Err(FlowError::refused(FlowErrorKind::Denied, text, refusal)));
        }
        _ => return Err(Box::new(exchange)),
    };
    Ok(Polling::again(exchange, now, |interval| interval + slower))
}

impl Polling {
    /// The time of a wait is over.
    pub(in crate::auth::flow) fn waited(self, ground: &Ground, now: UnixTime) -> Moved {
        if self.is_new {
            return Polling::again(self.exchange, now, |interval| interval);
        }
        self.exchange.begin(ground, now)
    }

    /// The server did not answer: where it is asked again and again, that is done less often
    /// ([RFC 8628, 3.5](https://www.rfc-editor.org/rfc/rfc8628#section-3.5)).
    pub(in crate::auth::flow) fn after_silence(exchange: Exchange, now: UnixTime) -> Option<(Phase, Step)> {
        matches!(exchange.grant, Grant::DeviceCode { .. })
            .then(|| Polling::again(exchange, now, |interval| interval * 2).ok())
            .flatten()
    }

    /// Waits for the next question.
    fn again(mut exchange: Exchange, now: UnixTime, slower: impl Fn(Duration) -> Duration) -> Moved {
        // What was signed goes out once.
        exchange.signed = exchange.signed.anew();
        let Grant::DeviceCode { interval, expires_at, .. } = &mut exchange.grant else {
            return Err(too_late());
        };
        *interval = slower(*interval).min(LONGEST_INTERVAL);
        let wait = *interval;
        if now.plus(wait) >= *expires_at {
            return Err(too_late());
        }
        Ok((Phase::Polling(Box::new(Polling { exchange, is_new: false })), Step::Wait(wait)))
    }
}

fn too_late() -> FlowError {
    FlowError::new(FlowErrorKind::TooLate, "the code was not entered in time; log in again")
}
