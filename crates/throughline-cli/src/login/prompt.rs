//! How a person is asked to log in.

use std::io;
use std::process::{Command, Stdio};

use throughline::auth::oauth::{LoginPrompt, LoginVisit, LoopbackCallback, PromptError};
use throughline::store::Soon;

use crate::flags::Login;
use crate::terminal;

/// Whether nobody is there who could log in: no browser would be seen, nor standard error.
pub(super) fn is_alone(login: &Login) -> bool {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let shown = ["BROWSER", "DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME", "WSL_INTEROP"];
    // Without a browser is how somebody wants it.
    login.browser
        && !cfg!(any(windows, target_os = "macos"))
        && !shown.into_iter().any(is_set)
        && !terminal::is_seen()
}

/// Where there is nobody: a script must not wait for ten minutes.
pub(super) struct Nobody;

impl LoginPrompt for Nobody {
    fn ready(&self, _: Option<&str>) -> Soon<Result<Box<dyn LoginVisit>, PromptError>> {
        Soon::now(Err(PromptError::failed(
            "the server asks for a login, and here is neither a terminal nor a browser; run `throughline login` with its \
             address at one beforehand",
        )))
    }
}

/// What the person sees, and where the answer comes back. `pastes`: standard input may be read.
///
/// The address of the page is always said on standard error. A browser opens where there is one; at a terminal without one the
/// address that the browser elsewhere ended up at can be pasted.
pub(super) fn prompt(login: &Login, pastes: bool) -> Result<LoopbackCallback, PromptError> {
    let pastes = pastes && terminal::can_ask();
    let chosen = std::env::var("BROWSER").ok().filter(|browser| login.browser && !browser.is_empty());
    let prompt = match chosen {
        Some(browser) => LoopbackCallback::new().browser(move |address| open(&browser, address)),
        None if !login.browser && pastes => LoopbackCallback::headless(),
        None if !login.browser => {
            LoopbackCallback::new().browser(|_| Err(io::Error::other("no browser is wanted")))
        }
        None if pastes => LoopbackCallback::detect(),
        None => LoopbackCallback::new(),
    };
    let prompt = match &login.redirect_uri {
        Some(address) => prompt.redirect_uri(address)?,
        None => prompt,
    };
    Ok(prompt.tell(terminal::complain))
}

/// Opens the address with the first of these programs that starts. They stand between colons, and may say with `%s` where the
/// address belongs.
fn open(browsers: &str, address: &str) -> io::Result<()> {
    let mut last = io::Error::other("BROWSER names no program");
    for browser in browsers.split(':').filter(|browser| !browser.trim().is_empty()) {
        match command(browser, address).spawn() {
            Ok(mut started) => {
                // Whoever starts a program has to wait for its end; it may come in a week.
                std::thread::spawn(move || started.wait());
                return Ok(());
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn command(browser: &str, address: &str) -> Command {
    let mut words = browser.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or_default());
    let mut placed = false;
    for word in words {
        placed |= word.contains("%s");
        command.arg(word.replace("%s", address));
    }
    if !placed {
        command.arg(address);
    }
    // Standard output may be for messages only, and what a browser says is of no use here.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_an_argument_of_the_browser() {
        for (browser, arguments) in [
            ("firefox", &["https://a.example/"][..]),
            ("firefox --new-window", &["--new-window", "https://a.example/"]),
            ("chrome --app=%s --new", &["--app=https://a.example/", "--new"]),
        ] {
            let command = command(browser, "https://a.example/");
            assert_eq!(command.get_args().collect::<Vec<_>>(), arguments, "{browser}");
        }
    }

    #[test]
    fn the_first_browser_that_is_there_is_taken() {
        assert!(open("/nowhere/firefox:true", "https://a.example/").is_ok());
        assert_eq!(
            open("/nowhere/firefox", "https://a.example/").expect_err("none").kind(),
            io::ErrorKind::NotFound
        );
        assert!(open(" : ", "https://a.example/").is_err());
    }
}
