use ::http::header::{ACCEPT, CONTENT_TYPE, HeaderMap};

use super::{Refusal, RefusalKind};

/// What a client takes for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepts {
    /// `application/json`.
    pub json: bool,
    /// `text/event-stream`.
    pub sse: bool,
}

/// Reads the `Accept` headers.
///
/// Ranges (`*/*`, `application/*`) count, the more specific one decides, a weight of zero rules out, other
/// parameters are ignored. No header, or only empty ones, accepts anything.
///
/// ```
/// use http::HeaderMap;
/// use throughline_proto::http::{Accepts, accepts};
///
/// let mut headers = HeaderMap::new();
/// assert_eq!(accepts(&headers), Accepts { json: true, sse: true });
/// headers.insert("accept", "text/event-stream, */*;q=0".parse()?);
/// assert_eq!(accepts(&headers), Accepts { json: false, sse: true });
/// # Ok::<(), http::header::InvalidHeaderValue>(())
/// ```
///
/// <https://www.rfc-editor.org/rfc/rfc9110#field.accept>
pub fn accepts(headers: &HeaderMap) -> Accepts {
    // What nearly every client sends, word for word: reading it costs as much as all other headers together.
    let mut all = headers.get_all(ACCEPT).iter();
    if let (Some(value), None) = (all.next(), all.next())
        && matches!(value.as_bytes(), USUAL | USUAL_TURNED)
    {
        return Accepts { json: true, sse: true };
    }
    let mut json = Verdict::default();
    let mut sse = Verdict::default();
    let mut says_anything = false;
    for value in headers.get_all(ACCEPT) {
        let Ok(value) = value.to_str() else {
            says_anything = true; // something, but nothing that can be met
            continue;
        };
        for range in split(value, ',') {
            let mut parts = split(range, ';');
            let Some(media) = parts.next().filter(|media| !media.is_empty()) else { continue };
            says_anything = true;
            let is_wanted = !parts.any(|parameter| match parameter.split_once('=') {
                Some((name, weight)) => name.trim().eq_ignore_ascii_case("q") && is_zero(weight.trim()),
                None => false,
            });
            json.hear(media, "application", "json", is_wanted);
            sse.hear(media, "text", "event-stream", is_wanted);
        }
    }
    Accepts { json: json.is_wanted || !says_anything, sse: sse.is_wanted || !says_anything }
}

/// Checks that the body is declared as JSON: `application/json`, with any parameters, of which `charset` may
/// only be UTF-8.
///
/// # Errors
///
/// [`RefusalKind::UnsupportedMediaType`], also when the header is missing or there are several.
pub fn check_content_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let is_json = match (values.next(), values.next()) {
        // Nearly every client says just this.
        (Some(value), None) if value.as_bytes() == b"application/json" => true,
        (Some(value), None) => value.to_str().is_ok_and(is_json),
        _ => false,
    };
    if is_json { Ok(()) } else { Err(Refusal::new(RefusalKind::UnsupportedMediaType)) }
}

fn is_json(value: &str) -> bool {
    let mut parts = split(value, ';');
    parts.next().is_some_and(|media| media.eq_ignore_ascii_case("application/json"))
        && parts.all(|parameter| match parameter.split_once('=') {
            Some((name, charset)) if name.trim().eq_ignore_ascii_case("charset") => {
                charset.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
            }
            _ => true,
        })
}

/// What was heard about one media type so far.
#[derive(Default)]
struct Verdict {
    /// 0 nothing, 1 `*/*`, 2 `type/*`, 3 `type/subtype`.
    specificity: u8,
    is_wanted: bool,
}

impl Verdict {
    fn hear(&mut self, media: &str, kind: &str, subtype: &str, is_wanted: bool) {
        let specificity = match media.split_once('/') {
            Some(("*", "*")) => 1,
            Some((left, "*")) if left.eq_ignore_ascii_case(kind) => 2,
            Some((left, right)) if left.eq_ignore_ascii_case(kind) && right.eq_ignore_ascii_case(subtype) => {
                3
            }
            None if media == "*" => 1, // what some old HTTP clients send by default
            _ => return,
        };
        if specificity > self.specificity {
            *self = Verdict { specificity, is_wanted };
        } else if specificity == self.specificity {
            self.is_wanted |= is_wanted;
        }
    }
}

fn is_zero(weight: &str) -> bool {
    weight.starts_with(['0', '.']) && weight.bytes().all(|byte| matches!(byte, b'0' | b'.'))
}

/// Splits at a separator outside quotes, and trims.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    let mut is_escaped = false;
    text.split(move |character| {
        let ends = character == separator && !is_quoted;
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            _ => {}
        }
        ends
    })
    .map(str::trim)
}

const USUAL: &[u8] = b"application/json, text/event-stream";
const USUAL_TURNED: &[u8] = b"text/event-stream, application/json";

#[cfg(test)]
mod tests {
    use ::http::HeaderValue;

    use super::*;

    fn headers(name: &'static str, values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    #[test]
    fn accept_is_heard_in_full() {
        for (values, json, sse) in [
            (&[][..], true, true),
            (&[""], true, true),
            (&[" , ,"], true, true),
            (&["*/*"], true, true),
            (&["*"], true, true),
            (&["*; q=.2"], true, true),
            (&["application/json, text/event-stream"], true, true),
            (&["application/json", "text/event-stream"], true, true),
            (&["application/json"], true, false),
            (&["text/event-stream"], false, true),
            (&["APPLICATION/JSON ; charset=utf-8"], true, false),
            (&["application/*"], true, false),
            (&["text/*;q=0.1"], false, true),
            (&["text/html"], false, false),
            (&["application/jsonp, text/event"], false, false),
            (&["application/json;q=0, */*"], false, true),
            (&["*/*, application/json;q=0.000"], false, true),
            (&["*/*;q=0, application/json"], true, false),
            (&["text/*;q=0", "*/*"], true, false),
            (&["*/*;q=0"], false, false),
            (&["application/json;Q=0"], false, false),
            (&["application/json;q=0.001"], true, false),
            (&["application/json;q=0, application/json;v=1"], true, false),
            (&["application/json;v=1, application/json;q=0"], true, false),
            (&["text/html;x=\"a, application/json\""], false, false),
            (&["text/html;x=\"a\\\", application/json\", text/event-stream"], false, true),
            (&["é"], false, false),
        ] {
            assert_eq!(accepts(&headers("accept", values)), Accepts { json, sse }, "{values:?}");
        }
    }

    #[test]
    fn a_body_is_declared_as_json() {
        for good in [
            "application/json",
            "Application/JSON",
            "application/json; charset=utf-8",
            "application/json;charset=\"UTF-8\"",
            "application/json; profile=\"a;charset=x\"; v=1",
            "application/json;",
        ] {
            assert_eq!(check_content_type(&headers("content-type", &[good])), Ok(()), "{good}");
        }
        for bad in [
            &[][..],
            &[""],
            &["text/plain"],
            &["application/jsonp"],
            &["application/json-rpc"],
            &["text/plain; x=application/json"],
            &["application/json; charset=latin1"],
            &["application/json", "application/json"],
            &["application/json, text/plain"],
            &["é"],
        ] {
            let refusal = check_content_type(&headers("content-type", bad)).unwrap_err();
            assert_eq!(refusal.kind(), RefusalKind::UnsupportedMediaType, "{bad:?}");
        }
    }
}
