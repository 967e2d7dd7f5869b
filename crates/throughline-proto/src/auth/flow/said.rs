//! What a peer says, made fit to be shown: bounded, one line, no control characters.

use http::Uri;
use serde::Deserialize;

use super::error::Refusal;
use crate::auth::Secret;

/// Characters of a description that are shown: two lines of a terminal.
const MOST_SHOWN: usize = 160;

/// An error code: what is none is not shown at all
/// ([RFC 6749, 5.2](https://www.rfc-editor.org/rfc/rfc6749#section-5.2)).
pub(super) fn code(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if !text.is_empty() && text.len() <= 64 && text.chars().all(plain) {
        text.to_owned()
    } else {
        "other".to_owned()
    }
}

/// A text in one line without what steers a terminal or turns its direction; `None` when nothing is left.
pub(super) fn text(text: &str) -> Option<String> {
    let shown: String = text
        .chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|c| !c.is_control() && !is_format(*c))
        .take(MOST_SHOWN)
        .collect();
    let shown = shown.trim();
    (!shown.is_empty()).then(|| shown.to_owned())
}

/// Characters that are not seen and change how the others are.
fn is_format(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// A short text in backquotes.
pub(super) fn quoted(said: &str) -> String {
    format!("`{}`", text(said).unwrap_or_default().replace('`', "'"))
}

/// An address without its query.
pub(super) fn address(uri: &Uri) -> String {
    quoted(uri.to_string().split('?').next().unwrap_or_default())
}

/// What stands before the words of a server.
const SAYS: &str = " (it says: ";

/// The sentence, and what the server says to it.
pub(super) fn with_description(sentence: String, description: Option<&str>) -> String {
    match description {
        Some(description) => format!("{sentence}{SAYS}{})", quoted(description)),
        None => sentence,
    }
}

/// The sentence without what the server says to it.
pub(super) fn without_description(text: &str) -> String {
    text.split(SAYS).next().unwrap_or_default().to_owned()
}

/// Whether a text has this secret in it, or as much of its beginning as tells it from others: what is shown is cut.
pub(super) fn tells(text: &str, secret: &Secret) -> bool {
    let start = secret.expose().get(..TELLING).unwrap_or(secret.expose());
    start.len() >= LEAST && text.contains(start)
}

/// Characters of a secret that are some of it. A code or a token has twenty and more.
const TELLING: usize = 12;

/// One that is shorter would be found in many words.
const LEAST: usize = 6;

/// The error that a body holds, if it is an object with one.
pub(super) fn refusal(body: &[u8]) -> Option<Refusal> {
    #[derive(Deserialize)]
    struct Body {
        error: String,
        #[serde(default)]
        error_description: Option<serde::de::IgnoredAny>,
    }
    #[derive(Deserialize)]
    struct Description {
        error_description: String,
    }
    let body_error: Body = serde_json::from_slice(body).ok()?;
    // A description that is no text is none; the error stays one.
    let description = body_error.error_description.and_then(|_| {
        serde_json::from_slice::<Description>(body).ok().and_then(|body| text(&body.error_description))
    });
    Some(Refusal { code: code(&body_error.error), description })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_one_bounded_line() {
        assert_eq!(text("a\u{1b}[31mb\r\nc\u{202e}d").as_deref(), Some("a[31mb  cd"));
        assert_eq!(text(" \n\u{200b} "), None);
        assert_eq!(text(&"x".repeat(1000)).unwrap().len(), MOST_SHOWN);
        assert_eq!(quoted("a`b"), "`a'b`");
        assert_eq!(code("invalid_grant"), "invalid_grant");
        for odd in ["", "a b", "a\nb", "<b>", &"x".repeat(65)] {
            assert_eq!(code(odd), "other");
        }
    }

    #[test]
    fn an_error_is_an_object_with_a_text() {
        let known =
            refusal(br#"{"error":"invalid_grant","error_description":"used up","error_uri":7}"#).unwrap();
        assert_eq!((&*known.code, known.description.as_deref()), ("invalid_grant", Some("used up")));
        let odd = refusal(br#"{"error":"invalid_grant","error_description":{"a":[]}}"#).unwrap();
        assert_eq!((&*odd.code, odd.description), ("invalid_grant", None));
        for none in ["", "null", "[]", "{}", r#"{"error":7}"#, r#"{"error":{"code":1}}"#, "<html>"] {
            assert_eq!(refusal(none.as_bytes()), None, "{none}");
        }
    }
}
