//! The person who logs in: where the page of the authorization server is shown, and how its answer comes back.
//!
//! ```text
//!   LoginPrompt::ready(wish)  -->  LoginVisit   it receives already: its redirect address goes into the registration
//!                                     |         and into the address of the page
//!   LoginVisit::visit(page)  <--------+  -->  Redirect   the answer, or an error when nobody gave one in time
//! ```
//!
//! [Authorization Code Grant of a native app](https://www.rfc-editor.org/rfc/rfc8252#section-7).

mod browser;
mod error;
mod loopback;
mod paste;
mod stdin;
mod tell;

use std::fmt;
use std::time::Duration;

use zeroize::Zeroizing;

pub use self::error::PromptError;
pub use self::loopback::LoopbackCallback;
use crate::store::Soon;

/// How a person is asked to log in. Implement it for a user interface of your own.
///
/// # Laws
///
/// 1. *Ready first.* When [`ready`](Self::ready) has answered, the redirect address receives: a page that is shown from then
///    on finds somebody there.
/// 2. *Ours alone.* An answer with another `state` than the page's is not the answer: it is left aside, and the visit goes on.
/// 3. *Bounded.* A visit ends after some minutes, and dropping it ends it at once and lets its port go.
/// 4. *Silent.* Nothing of an answer is in an error or a log.
pub trait LoginPrompt: Send + Sync + 'static {
    /// Gets ready to receive the answer of a login.
    ///
    /// `wish`: the redirect address that the client was registered with, if it was. One that cannot be had is no error: the
    /// visit's own address says so, and the client is registered anew or relies on the authorization server taking any
    /// port ([loopback redirection](https://www.rfc-editor.org/rfc/rfc8252#section-7.3)).
    ///
    /// # Errors
    ///
    /// When no answer can be received.
    fn ready(&self, wish: Option<&str>) -> Soon<Result<Box<dyn LoginVisit>, PromptError>>;

    /// Shows a code to a person who types it in on another device
    /// ([device authorization](https://www.rfc-editor.org/rfc/rfc8628#section-3.3)). It need not wait for the person. By
    /// default the address and the code go to standard error.
    ///
    /// # Errors
    ///
    /// When it cannot be shown.
    fn show_code(&self, code: &DeviceCode) -> Soon<Result<(), PromptError>> {
        Soon::now(tell::on_stderr(&code.to_string()))
    }
}

/// One login: it can receive the answer already.
///
/// # Drop behavior
///
/// Nothing receives the answer any more.
pub trait LoginVisit: Send + 'static {
    /// The address that the authorization server sends the person back to, byte for byte.
    fn redirect_uri(&self) -> &str;

    /// Shows the page and waits for the answer.
    ///
    /// # Errors
    ///
    /// When the page cannot be shown, or no answer came in time.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the visit.
    fn visit(self: Box<Self>, page: LoginPage) -> Soon<Result<Redirect, PromptError>>;
}

/// The page to show to the person.
#[derive(Clone)]
pub struct LoginPage {
    address: Zeroizing<String>,
    state: Zeroizing<String>,
    server: String,
}

impl LoginPage {
    /// `address`: of the authorization server's page, with all of the request. `state`: what the answer must bring back.
    /// `server`: for which MCP server the login is, as people are told it.
    pub fn new(address: impl Into<String>, state: impl Into<String>, server: impl Into<String>) -> Self {
        Self {
            address: Zeroizing::new(address.into()),
            state: Zeroizing::new(state.into()),
            server: server.into(),
        }
    }

    /// The address of the page. Others who see it cannot use the answer, but show it to nobody else.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The `state` that the answer must bring back.
    pub fn state(&self) -> &str {
        &self.state
    }

    /// For which MCP server the login is.
    pub fn server(&self) -> &str {
        &self.server
    }
}

impl fmt::Debug for LoginPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginPage").field("server", &self.server).finish_non_exhaustive()
    }
}

/// The answer of the authorization server, as the address that it sent the person to: with a code, or with an error.
#[derive(Clone, PartialEq, Eq)]
pub struct Redirect(Zeroizing<String>);

impl Redirect {
    /// The most bytes of an answer. Codes have up to a few kilobytes, and browsers and servers take addresses of 8 KiB;
    /// this is twice as much.
    pub const MAX_BYTES: usize = 16 * 1024;

    /// The answer with this address, which begins with the redirect address of the visit.
    ///
    /// # Errors
    ///
    /// When it has more than [`MAX_BYTES`](Self::MAX_BYTES).
    pub fn new(address: impl Into<String>) -> Result<Self, PromptError> {
        let address = Zeroizing::new(address.into());
        if address.len() > Self::MAX_BYTES {
            return Err(PromptError::failed(
                "the answer of the authorization server is too long to be taken",
            ));
        }
        Ok(Self(address))
    }

    /// The address.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Redirect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redirect(..)")
    }
}

/// A code that a person types in at an address, on any device.
///
/// Its text says so in one or two lines, without the control characters that the server may have put into it.
#[derive(Clone)]
#[non_exhaustive]
pub struct DeviceCode {
    /// Where it is typed in.
    pub address: String,
    /// The same address with the code in it, for a link or a QR code.
    pub address_with_code: Option<String>,
    /// What to type in.
    pub code: String,
    /// How long it can be used.
    pub expires_in: Duration,
}

impl DeviceCode {
    /// A code to be typed in at `address`.
    pub fn new(address: impl Into<String>, code: impl Into<String>, expires_in: Duration) -> Self {
        Self { address: address.into(), address_with_code: None, code: code.into(), expires_in }
    }
}

impl fmt::Debug for DeviceCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceCode").field("expires_in", &self.expires_in).finish_non_exhaustive()
    }
}

impl fmt::Display for DeviceCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (address, code) = (tell::plain(&self.address), tell::plain(&self.code));
        write!(f, "To log in, open {address} in a browser and enter the code {code}")?;
        match &self.address_with_code {
            Some(address) => write!(f, "\nOr open {}", tell::plain(address)),
            None => Ok(()),
        }
    }
}
