//! The browser of this machine.

use std::ffi::OsString;
use std::io;

use http::Uri;

use super::PromptError;

/// Opens an address that was [checked](check). It may block for a moment.
pub(super) fn open(address: &str) -> io::Result<()> {
    if !can_be_shown(|name| std::env::var_os(name)) {
        return Err(io::Error::other("there is no display to show a browser on"));
    }
    open::that_detached(address)
}

/// Whether a browser would be seen by the person: not at the other end of an SSH connection, and not without a display, where some
/// desktops start a browser for text in the terminal of the program.
pub(super) fn can_be_shown(variable: impl Fn(&str) -> Option<OsString>) -> bool {
    let is_set = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
    let remote = ["SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY"].into_iter().any(is_set);
    if cfg!(any(windows, target_os = "macos")) {
        return !remote;
    }
    // Displays are passed on over SSH on purpose. WSL has the browser of Windows.
    let display = ["DISPLAY", "WAYLAND_DISPLAY"].into_iter().any(is_set);
    display || (!remote && ["WSL_DISTRO_NAME", "WSL_INTEROP"].into_iter().any(is_set))
}

/// Whether an address may be given to the system to open, which opens files and starts programs just as well, and to
/// people. It was made of what a server said.
///
/// # Errors
///
/// When it is no page of the web, over TLS or on this machine.
pub(super) fn check(address: &str) -> Result<(), PromptError> {
    let refused = || {
        PromptError::failed(
            "the login page of the authorization server has no https address, so it is not opened; ask who runs the server",
        )
    };
    // What a shell or a launcher might take for its own; in an address they are all written as %xx.
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"\"'`<>\\^{|}".contains(&byte);
    if address.len() > MOST_BYTES || !address.bytes().all(plain) {
        return Err(refused());
    }
    let uri: Uri = address.parse().map_err(|_| refused())?;
    let authority =
        uri.authority().filter(|authority| !authority.as_str().contains('@')).ok_or_else(refused)?;
    let here = ["127.0.0.1", "[::1]", "localhost"].contains(&authority.host());
    match uri.scheme_str() {
        Some("https") => Ok(()),
        Some("http") if here => Ok(()),
        _ => Err(refused()),
    }
}

/// The longest address: what Windows passes to a program has 32,767 characters at most, and servers take far less.
const MOST_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_of_the_web_are_opened() {
        for good in [
            "https://login.example.com/authorize?a=b&c=%20d#e",
            "http://127.0.0.1:8080/authorize",
            "http://[::1]:8080/authorize",
            "http://localhost/authorize",
        ] {
            assert!(check(good).is_ok(), "{good}");
        }
        let long = format!("https://login.example.com/{}", "a".repeat(MOST_BYTES));
        for bad in [
            "http://login.example.com/authorize",
            "https://user:password@login.example.com/authorize",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "smb://share/evil.exe",
            "C:\\Windows\\System32\\calc.exe",
            "--load-modules=/tmp/evil.so",
            "https://login.example.com/$(touch /tmp/x)",
            "https://login.example.com/\"&calc.exe&\"",
            "https://login.example.com/`touch${IFS}x`",
            "https://login.example.com/\n--flag",
            "https://login.example.com/\u{202e}moc",
            "/authorize",
            "",
            &long,
        ] {
            let refused = check(bad).unwrap_err();
            assert!(refused.to_string().contains("not opened"), "{bad}");
        }
    }

    #[test]
    #[cfg(not(any(windows, target_os = "macos")))]
    fn a_browser_needs_a_display() {
        let shown = |variables: &[&str]| can_be_shown(|name| variables.contains(&name).then(|| "1".into()));
        assert!(shown(&["DISPLAY"]) && shown(&["WAYLAND_DISPLAY"]) && shown(&["WSL_INTEROP"]));
        assert!(shown(&["SSH_CONNECTION", "DISPLAY"]), "it was passed on");
        assert!(!shown(&[]) && !shown(&["SSH_TTY"]) && !shown(&["SSH_TTY", "WSL_INTEROP"]));
        assert!(!can_be_shown(|name| (name == "DISPLAY").then(OsString::new)));
    }
}
