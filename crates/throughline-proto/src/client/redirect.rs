use std::error::Error;
use std::fmt;

use ::http::header::LOCATION;
use ::http::{HeaderMap, Method, StatusCode, Uri};

use crate::jsonrpc::excerpt;

/// How many redirects one request follows. One or two happen (a missing slash, a moved path); five is what curl's and
/// fetch's users never notice, and more is a circle.
pub const MOST_REDIRECTS: u32 = 5;

/// Where a request goes next after this answer: nowhere (`None`: the answer is no redirect and is the response), or to
/// another address of the same origin, with the same method, headers and body.
///
/// A request carries credentials in its headers and often an id that makes it a session's, so it never leaves its origin
/// by itself. 301 and 302 keep the method, which browsers do not: a message that becomes a GET is lost.
/// `followed` is how many redirects led to `uri`.
///
/// ```
/// use http::{HeaderMap, Method, StatusCode, Uri};
/// use throughline_proto::client::redirect;
///
/// let asked = Uri::from_static("https://example.com/mcp");
/// let mut headers = HeaderMap::new();
/// headers.insert("location", "/mcp/".parse()?);
/// let next = redirect(StatusCode::PERMANENT_REDIRECT, &headers, &Method::POST, &asked, 0)?;
/// assert_eq!(next.unwrap(), "https://example.com/mcp/");
///
/// headers.insert("location", "https://login.example.com/?next=mcp".parse()?);
/// let refused = redirect(StatusCode::FOUND, &headers, &Method::POST, &asked, 0).unwrap_err();
/// assert!(refused.to_string().contains("`https://login.example.com/`"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`NotFollowed`], a sentence that says where the server pointed to, without the query.
pub fn redirect(
    status: StatusCode,
    headers: &HeaderMap,
    method: &Method,
    uri: &Uri,
    followed: u32,
) -> Result<Option<Uri>, NotFollowed> {
    let moves = matches!(
        status,
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    if !moves {
        return Ok(None);
    }
    let refuse = |kind, to| Err(NotFollowed { kind, status, method: method.clone(), from: shown(uri), to });
    let Some(location) = headers.get(LOCATION) else {
        return refuse(NotFollowedKind::NoLocation, String::new());
    };
    let Some(to) = location.to_str().ok().and_then(|reference| resolve(uri, reference)) else {
        return refuse(NotFollowedKind::NoLocation, String::new());
    };
    // https://www.rfc-editor.org/rfc/rfc9110#section-15.4.4: the answer is elsewhere, and is fetched with GET.
    if status == StatusCode::SEE_OTHER && method != Method::GET {
        return refuse(NotFollowedKind::SeeOther, shown(&to));
    }
    if !same_origin(uri, &to) {
        return refuse(NotFollowedKind::OtherOrigin, shown(&to));
    }
    if followed >= MOST_REDIRECTS {
        return refuse(NotFollowedKind::TooMany, shown(&to));
    }
    Ok(Some(to))
}

/// Are scheme, host and port the same ([RFC 6454, 5](https://www.rfc-editor.org/rfc/rfc6454#section-5))? An address with
/// a user name in it is of no origin that is asked for here.
///
/// ```
/// use http::Uri;
/// use throughline_proto::client::same_origin;
///
/// let a = Uri::from_static("https://example.com/mcp");
/// assert!(same_origin(&a, &Uri::from_static("https://EXAMPLE.com:443/other")));
/// assert!(!same_origin(&a, &Uri::from_static("http://example.com/mcp")));
/// ```
#[must_use]
pub fn same_origin(a: &Uri, b: &Uri) -> bool {
    fn port(uri: &Uri) -> Option<u16> {
        match (uri.port_u16(), uri.scheme_str()) {
            (Some(port), _) => Some(port),
            // Behind a colon there is something, but no port.
            (None, _) if uri.authority()?.as_str().len() > uri.host()?.len() => None,
            (None, Some("http")) => Some(80),
            (None, Some("https")) => Some(443),
            (None, _) => None,
        }
    }
    let plain = |uri: &Uri| uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    let host = match (a.host(), b.host()) {
        (Some(a), Some(b)) => a.eq_ignore_ascii_case(b),
        _ => false,
    };
    host && plain(a) && plain(b) && a.scheme() == b.scheme() && port(a).is_some() && port(a) == port(b)
}

/// Why a redirect is not followed. Its text is one sentence that names where the server pointed to, without the query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotFollowed {
    kind: NotFollowedKind,
    status: StatusCode,
    method: Method,
    from: String,
    to: String,
}

/// The reasons for which a redirect is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NotFollowedKind {
    /// It leads to another scheme, host or port.
    OtherOrigin,
    /// 303 to a request that is no GET.
    SeeOther,
    /// It is one more than [`MOST_REDIRECTS`].
    TooMany,
    /// It says not where to, or nothing that is an address.
    NoLocation,
}

impl NotFollowed {
    /// The reason.
    #[must_use]
    pub fn kind(&self) -> NotFollowedKind {
        self.kind
    }

    /// The status of the redirect.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }
}

impl fmt::Display for NotFollowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, status, method, from, to } = self;
        let status = status.as_u16();
        match kind {
            NotFollowedKind::OtherOrigin => write!(
                f,
                "`{from}` redirects ({status}) to `{to}`, which is another origin, so nothing was sent there; connect \
                 to that address itself if you trust it"
            ),
            NotFollowedKind::SeeOther => write!(
                f,
                "`{from}` answered a {method} with 303 and points to `{to}`, which would drop the message and read \
                 that page; connect to the address of the MCP endpoint itself"
            ),
            NotFollowedKind::TooMany => write!(
                f,
                "`{from}` redirects ({status}) to `{to}` after {MOST_REDIRECTS} redirects already; connect to the \
                 address of the MCP endpoint itself"
            ),
            NotFollowedKind::NoLocation => write!(
                f,
                "`{from}` redirects ({status}) without an address to go to; ask who runs the server for the address \
                 of its MCP endpoint"
            ),
        }
    }
}

impl Error for NotFollowed {}

/// An address without query and credentials.
pub(super) fn shown(uri: &Uri) -> String {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let authority = authority.rsplit_once('@').map_or(authority, |(_, plain)| plain);
    excerpt(&format!("{}://{authority}{}", uri.scheme_str().unwrap_or_default(), uri.path())).into_owned()
}

/// The address that a reference means at `base` ([RFC 3986, 5.2](https://www.rfc-editor.org/rfc/rfc3986#section-5.2)).
pub(crate) fn resolve(base: &Uri, reference: &str) -> Option<Uri> {
    let reference = reference.split('#').next().unwrap_or_default();
    let (scheme, authority) = (base.scheme_str()?, base.authority()?);
    let path = if has_scheme(reference) {
        return reference.parse().ok().filter(|uri: &Uri| uri.host().is_some());
    } else if reference.starts_with("//") {
        return format!("{scheme}:{reference}").parse().ok();
    } else if reference.is_empty() {
        return Some(base.clone());
    } else if reference.starts_with('?') {
        format!("{}{reference}", base.path())
    } else {
        let (path, query) = match reference.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (reference, None),
        };
        let mut joined = if path.starts_with('/') {
            without_dots(path)
        } else {
            let parent = base.path().rsplit_once('/').map_or("", |(parent, _)| parent);
            without_dots(&format!("{parent}/{path}"))
        };
        if let Some(query) = query {
            joined.push('?');
            joined.push_str(query);
        }
        joined
    };
    Uri::builder().scheme(scheme).authority(authority.clone()).path_and_query(path).build().ok()
}

/// Does it begin with `scheme:` ([RFC 3986, 3.1](https://www.rfc-editor.org/rfc/rfc3986#section-3.1))?
fn has_scheme(reference: &str) -> bool {
    let Some((scheme, _)) = reference.split_once(':') else { return false };
    scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

/// An absolute path without `.` and `..` ([RFC 3986, 5.2.4](https://www.rfc-editor.org/rfc/rfc3986#section-5.2.4)).
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if last {
                    kept.push("");
                }
            }
            segment => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests;
