//! The answer of a login, received on a port of this machine
//! ([loopback redirection](https://www.rfc-editor.org/rfc/rfc8252#section-7.3)).
//!
//! ```text
//!   ready:  ports bound --> redirect address known
//!   visit:  browser opened --+--> a request for the redirect address, with the state of the page --> Redirect
//!                            +--> a pasted line (headless) --------------------------------------------^
//!           anything else is answered with a small page, and the visit goes on until its time is over
//!           once there is an answer, what comes behind it (a reload, an icon) is answered for two seconds more
//! ```

mod address;
mod answer;
mod listen;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncRead;

use self::address::Loopback;
pub(super) use self::answer::is_answer;
use self::listen::Ports;
use super::paste::{Lines, Pasted};
use super::{DeviceCode, LoginPage, LoginPrompt, LoginVisit, PromptError, Redirect, browser, tell};
use crate::runtime;
use crate::store::Soon;

type Opening = Arc<dyn Fn(&str) -> io::Result<()> + Send + Sync>;
type Telling = Arc<dyn Fn(&str) + Send + Sync>;

/// Logs a person in with the browser of this machine: binds a port of the loopback interface, opens the page, and
/// receives the answer.
///
/// ```
/// use throughline::auth::oauth::{LoginPrompt, LoopbackCallback};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), throughline::auth::oauth::PromptError> {
/// let visit = LoopbackCallback::new().ready(None).await?;
/// assert!(visit.redirect_uri().starts_with("http://127.0.0.1:"));
/// assert!(visit.redirect_uri().ends_with("/callback"));
/// # Ok(())
/// # }
/// ```
///
/// # Which port
///
/// Any that is free, at `http://127.0.0.1:<port>/callback`. A client that was registered with an address on this machine
/// receives there, when its port is free. An authorization server that takes no other port than the registered one needs a fixed
/// [`redirect_uri`](Self::redirect_uri); when its port is in use, it is waited for as long as ten seconds.
///
/// # What it takes
///
/// One `GET` of its own path, with its own `Host` (so a page that turned its name to this machine cannot speak with it) and
/// the `state` of the page. Everything else is answered with a small page and changes nothing: a foreign answer does not
/// end the login. It shows nothing that it was sent. Of what one program of this machine can hold open there are 32 connections, the oldest go
/// first; each has 10 seconds.
///
/// # Drop behavior
///
/// A visit that is dropped lets its port go. One that has its answer keeps it for two seconds in the background, for
/// what a browser still asks.
#[derive(Clone)]
pub struct LoopbackCallback {
    /// Where it must be.
    fixed: Option<Loopback>,
    browser: Option<Opening>,
    input: Input,
    tell: Telling,
    patience: Duration,
}

#[derive(Clone)]
enum Input {
    None,
    Stdin,
    Given(Lines),
}

impl LoopbackCallback {
    /// With the browser of this machine. The address of the page goes to standard error too, for when none opens.
    pub fn new() -> Self {
        Self {
            fixed: None,
            browser: Some(Arc::new(browser::open)),
            input: Input::None,
            tell: Arc::new(|line| drop(tell::on_stderr(line))),
            patience: PATIENCE,
        }
    }

    /// For a machine without a browser, at a terminal: writes the address of the page to standard error, and takes the
    /// address that the browser ended up at, or the code in it, as a line from standard input. A browser on this machine
    /// is received as well.
    ///
    /// A line of a terminal has at most 4,095 bytes on Linux. When standard input ends, so does the login: do not use
    /// this where standard input is used otherwise, as by a server over stdio.
    pub fn headless() -> Self {
        Self { browser: None, input: Input::Stdin, ..Self::new() }
    }

    /// As [`new`](Self::new) where a browser can be shown or where there is no terminal, else as [`headless`](Self::headless). On
    /// Linux and the like a browser takes a display, and on all systems that this is no session over SSH. Standard input that is no
    /// terminal is left alone: it may well be what a server speaks over.
    pub fn detect() -> Self {
        let shown = browser::can_be_shown(|name| std::env::var_os(name));
        if shown || !io::stdin().is_terminal() { Self::new() } else { Self::headless() }
    }

    /// Receives at this address alone, as it was registered: `http://localhost:8765/callback`. The host is `127.0.0.1`, `[::1]`
    /// or `localhost`, which is both; without a port, any will do.
    ///
    /// # Errors
    ///
    /// When it is no such address.
    pub fn redirect_uri(mut self, address: &str) -> Result<Self, PromptError> {
        let parsed = Loopback::parse(address);
        self.fixed = Some(parsed.ok_or_else(|| {
            PromptError::failed(
                "a login is received at an address like http://127.0.0.1:8765/callback; name one like it",
            )
        })?);
        Ok(self)
    }

    /// Opens the page with `open` instead, which may block for a moment. An address is passed that begins with `https:`, or with
    /// `http:` and a host of this machine, and has no character that a shell would take for another.
    #[must_use]
    pub fn browser(mut self, open: impl Fn(&str) -> io::Result<()> + Send + Sync + 'static) -> Self {
        self.browser = Some(Arc::new(open));
        self
    }

    /// Takes the pasted line from `input` instead of standard input.
    #[must_use]
    pub fn paste_from(mut self, input: impl AsyncRead + Send + 'static) -> Self {
        self.input = Input::Given(Lines::new(input));
        self
    }

    /// Tells the person with `tell` instead of on standard error: a line or more, without an end. It must not block.
    #[must_use]
    pub fn tell(mut self, tell: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.tell = Arc::new(tell);
        self
    }

    /// How long the person has. Default: ten minutes, as for other questions to a person: it takes a password, another device,
    /// perhaps a new account.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }
}

impl Default for LoopbackCallback {
    fn default() -> Self {
        Self::new()
    }
}

impl LoginPrompt for LoopbackCallback {
    fn ready(&self, wish: Option<&str>) -> Soon<Result<Box<dyn LoginVisit>, PromptError>> {
        let (prompt, wish) = (self.clone(), wish.and_then(Loopback::parse));
        Soon::later(async move {
            let ports = match &prompt.fixed {
                Some(fixed) if fixed.port != 0 => Ports::bind_patiently(fixed).await?,
                Some(open) => {
                    Ports::bind_near(wish.filter(|wish| wish.is_near(open)).or(Some(open.clone()))).await?
                }
                None => Ports::bind_near(wish).await?,
            };
            let redirect_uri = ports.redirect_uri();
            Ok(Box::new(Visit { prompt, ports, redirect_uri }) as Box<dyn LoginVisit>)
        })
    }

    fn show_code(&self, code: &DeviceCode) -> Soon<Result<(), PromptError>> {
        (self.tell)(&code.to_string());
        Soon::now(Ok(()))
    }
}

impl fmt::Debug for LoopbackCallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("LoopbackCallback");
        debug.field("redirect_uri", &self.fixed.as_ref().map(Loopback::to_string));
        debug.field("patience", &self.patience).finish_non_exhaustive()
    }
}

/// One login, whose port is bound.
struct Visit {
    prompt: LoopbackCallback,
    ports: Ports,
    redirect_uri: String,
}

impl LoginVisit for Visit {
    fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }

    fn visit(self: Box<Self>, page: LoginPage) -> Soon<Result<Redirect, PromptError>> {
        Soon::later((*self).run(page))
    }
}

impl Visit {
    async fn run(self, page: LoginPage) -> Result<Redirect, PromptError> {
        let deadline = runtime::now() + self.prompt.patience;
        browser::check(page.address())?;
        let (answers, arrived) = answer::Answers::to(&self.ports, page.state());
        // Before the browser, so that what it asks is answered at once. It ends when this future does.
        let mut answering = Box::pin(answers.serve(self.ports));
        let pasting =
            Pasted { redirect_uri: &self.redirect_uri, state: page.state(), tell: &*self.prompt.tell };
        let person = async {
            self.prompt.show(&page).await;
            match &self.prompt.input {
                Input::None => std::future::pending().await,
                Input::Stdin => pasting.read(&Lines::of_stdin()?).await,
                Input::Given(lines) => pasting.read(lines).await,
            }
        };
        let outcome = tokio::select! {
            biased;
            Ok(redirect) = arrived => Ok(redirect),
            pasted = person => pasted,
            () = &mut answering => Err(PromptError::failed("the port of the login was lost; start it again")),
            () = runtime::sleep_until(deadline) => Err(PromptError::timed_out()),
        };
        if outcome.is_ok() {
            let until = runtime::now() + LINGER;
            runtime::spawn(async move {
                tokio::select! {
                    () = answering => {}
                    () = runtime::sleep_until(until) => {}
                }
            });
        }
        outcome
    }
}

impl LoopbackCallback {
    /// Shows the page, or says where it is.
    async fn show(&self, page: &LoginPage) {
        let (server, address) = (tell::plain(page.server()), tell::plain(page.address()));
        let pastes = !matches!(self.input, Input::None);
        let mut opened = false;
        if let Some(open) = &self.browser {
            let (open, address) = (Arc::clone(open), page.address().to_owned());
            opened = matches!(runtime::blocking(move || open(&address)).await, Ok(Ok(())));
        }
        let mut lines = if opened {
            format!("A browser opens to log in at {server}. If none does, open this address:\n{address}")
        } else {
            format!("To log in at {server}, open this address in a browser:\n{address}")
        };
        if pastes {
            lines.push_str(
                "\nIf the browser then cannot show a page, copy the address that it ended up at, paste it here, and press Enter.",
            );
        }
        (self.tell)(&lines);
    }
}

/// How long a person has to log in.
const PATIENCE: Duration = Duration::from_secs(10 * 60);
/// How long requests behind the answer are answered: an icon, a reload, a page that was loaded twice.
const LINGER: Duration = Duration::from_secs(2);
