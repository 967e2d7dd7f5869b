use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri};

use super::error::FlowError;
use super::login::Login;
use super::{redirected, said};
use crate::auth::{AddressRule, Secret};

/// What to do next.
#[derive(Debug)]
pub enum Step {
    /// Send this request, and hand the answer to [`Flow::handle_response`](super::Flow::handle_response), or say with
    /// [`Flow::handle_unreachable`](super::Flow::handle_unreachable) that there was none.
    Fetch(FetchRequest),
    /// Send a person to this address, and hand the redirect that comes back to
    /// [`Flow::handle_redirect`](super::Flow::handle_redirect); or keep [`Flow::pending`](super::Flow::pending) and go on in
    /// another process.
    Visit(Visit),
    /// Show a person this code, who enters it at an address elsewhere; then go on with
    /// [`Flow::handle_waited`](super::Flow::handle_waited) at once.
    ShowCode(ShowCode),
    /// Wait this long, then call [`Flow::handle_waited`](super::Flow::handle_waited).
    Wait(Duration),
    /// Sign this, and hand the signature to [`Flow::handle_signature`](super::Flow::handle_signature).
    Sign(SignRequest),
    /// There are tokens.
    Done(Box<Login>),
    /// The tokens are given up, and the flow is over.
    Revoked,
    /// There are none, and the flow is over.
    Fail(FlowError),
}

/// A request to send. It carries secrets in its headers and its body: `Debug` shows neither, nor a query.
#[derive(Clone)]
pub struct FetchRequest {
    /// `GET` for documents, `POST` for everything else.
    pub method: Method,
    /// Where to.
    pub uri: Uri,
    /// All headers but those of the connection.
    pub headers: HeaderMap,
    /// The body; empty for `GET`.
    pub body: Bytes,
    /// What it is for.
    pub purpose: Purpose,
    /// Which addresses it may reach. The address itself has passed; every IP address that its host resolves to must, too.
    pub rule: AddressRule,
}

impl FetchRequest {
    /// How many bytes of body an answer may have: whoever sends the request reads no more, and hands over what it has read.
    ///
    /// Metadata of large providers has some 10 KiB, and tokens with many groups in them some 20 KiB.
    pub const MAX_ANSWER: usize = 256 * 1024;

    /// How long an answer may take. Between the request and its last byte there is at most a login server that wakes up.
    pub const PATIENCE: Duration = Duration::from_secs(20);
}

impl fmt::Debug for FetchRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FetchRequest")
            .field("method", &self.method)
            .field("uri", &said::address(&self.uri))
            .field("purpose", &self.purpose)
            .finish_non_exhaustive()
    }
}

/// What a request of the flow is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Purpose {
    /// Metadata of the protected resource.
    ResourceMetadata,
    /// Metadata of the authorization server.
    ServerMetadata,
    /// The client registers itself.
    Registration,
    /// Tokens for a code, a refresh token, or what else a grant has.
    Token,
    /// A device asks for a code to show.
    DeviceCode,
    /// A token is given back.
    Revocation,
}

/// What a request was answered with. A redirect comes here as it is: the flow follows those that it may, and never with a
/// secret.
#[derive(Clone)]
pub struct FetchResponse {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, of which [`FetchRequest::MAX_ANSWER`] bytes are enough.
    pub body: Bytes,
}

impl FetchResponse {
    /// Is the body as long as it may be, and no longer?
    pub(super) fn fits(&self) -> bool {
        self.body.len() <= FetchRequest::MAX_ANSWER
    }
}

impl fmt::Debug for FetchResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FetchResponse").field("status", &self.status).finish_non_exhaustive()
    }
}

/// Where a person logs in, and what comes back from there.
#[derive(Clone)]
pub struct Visit {
    /// The address to open in a browser.
    pub address: String,
    /// Where the browser is sent to afterwards.
    pub redirect_uri: String,
    /// What the redirect must carry as `state`.
    pub state: Secret,
}

impl Visit {
    /// Is this redirect (an address, or its query) the answer to this visit? One with another `state` is that of another
    /// login, or of somebody who guesses: a listener answers it with an error page, and waits on.
    #[must_use]
    pub fn is_answered_by(&self, redirect: &str) -> bool {
        redirected::Redirected::parse(redirect).is_ok_and(|answer| answer.has_state(&self.state))
    }
}

/// The address holds the `state`, so `Debug` shows it without its query.
impl fmt::Debug for Visit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Visit")
            .field("address", &self.address.split('?').next().unwrap_or_default())
            .field("redirect_uri", &self.redirect_uri)
            .finish_non_exhaustive()
    }
}

/// What a person enters, and where ([RFC 8628, 3.3](https://www.rfc-editor.org/rfc/rfc8628#section-3.3)).
#[derive(Clone, Debug)]
pub struct ShowCode {
    /// The code to show.
    pub user_code: String,
    /// The address to show.
    pub address: String,
    /// An address with the code in it, for a QR code or a link.
    pub address_with_code: Option<String>,
    /// How long the code holds.
    pub lasts: Duration,
}

/// What to sign.
#[derive(Clone, Debug)]
pub struct SignRequest {
    /// With which key.
    pub with: SignWith,
    /// The text to sign: header and claims of a JWS, encoded, with a dot between them
    /// ([RFC 7515, 5.1](https://www.rfc-editor.org/rfc/rfc7515#section-5.1)). The signature goes back as base64url.
    pub input: String,
}

/// The keys of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SignWith {
    /// The key that says who the client is ([`ClientProfile::assertion_key`](super::ClientProfile::assertion_key)).
    ClientAssertion,
    /// The key that tokens are bound to ([`ClientProfile::dpop_key`](super::ClientProfile::dpop_key)).
    Dpop,
}
