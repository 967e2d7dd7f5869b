//! What can go wrong on the way to a server and back.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use http::StatusCode;
use throughline_proto::client::NotFollowed;

use super::super::line::{BoxError, NeverSent};

/// Why a request has no response, or a response no end. Its text is one sentence that says what to do, where there is something
/// that can be done; [`source`](Error::source) is what was seen underneath.
pub(crate) struct HttpError(Box<Inner>); // boxed because it is rare and travels in every `Result`

#[derive(Debug)]
struct Inner {
    kind: Kind,
    sentence: String,
    source: Option<BoxError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// No connection could be made.
    Unreachable,
    /// None could be made in time.
    TimedOut,
    /// There was a connection, but nothing of the request went over it, or the server says that it did not look at it.
    NeverSent,
    /// It may have been sent.
    Lost,
    /// It was answered with a redirect that is not followed.
    Redirected,
}

impl HttpError {
    /// The one inside of an error, if there is one.
    pub(crate) fn of<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        let mut error = Some(error);
        while let Some(this) = error {
            if let Some(found) = this.downcast_ref() {
                return Some(found);
            }
            error = match this.downcast_ref() {
                // Its source is that of what it holds.
                Some(NeverSent(held)) => Some(&**held),
                None => this.source(),
            };
        }
        None
    }

    /// Is it certain that the server did not run the request? Then it may be sent again without running twice. That holds
    /// where no connection was made (no such name, nothing listens, TLS failed, the proxy refused), where the connection had
    /// ended before the first byte of the request was written, and where the server said so (HTTP/2's `REFUSED_STREAM`,
    /// <https://www.rfc-editor.org/rfc/rfc9113#section-8.7>).
    pub(crate) fn never_sent(&self) -> bool {
        matches!(self.0.kind, Kind::Unreachable | Kind::TimedOut | Kind::NeverSent)
    }

    /// No connection was made within the connect timeout.
    #[cfg(test)]
    pub(crate) fn is_connect_timeout(&self) -> bool {
        self.0.kind == Kind::TimedOut
    }

    /// The server answered with a redirect that is not followed. It did not run the request, and will not the next time.
    pub(crate) fn is_redirect(&self) -> bool {
        self.0.kind == Kind::Redirected
    }

    /// The same as the client's core takes it from any service.
    pub(super) fn into_service(self) -> BoxError {
        if self.never_sent() { NeverSent(self.into()).into() } else { self.into() }
    }

    pub(super) fn redirected(error: NotFollowed) -> Self {
        Self::new(Kind::Redirected, error.to_string(), None)
    }

    pub(super) fn unreachable(sentence: impl Into<String>, source: impl Into<Option<BoxError>>) -> Self {
        Self::new(Kind::Unreachable, sentence.into(), source.into())
    }

    pub(super) fn timed_out(sentence: impl Into<String>) -> Self {
        Self::new(Kind::TimedOut, sentence.into(), None)
    }

    pub(super) fn proxy_refused(proxy: String, server: &Name, status: StatusCode) -> Self {
        let sentence = if status == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
            format!(
                "the proxy {proxy} wants other credentials; write them into its address (http://user:password@{proxy})"
            )
        } else {
            format!("the proxy {proxy} refused to connect to {server} ({status})")
        };
        Self::unreachable(sentence, None)
    }

    /// The connection had ended when the request was to be written.
    pub(super) fn ended_before(server: &Name, error: hyper::Error) -> Self {
        let sentence = format!("the connection to {server} ended before the request was sent");
        Self::new(Kind::NeverSent, sentence, Some(error.into()))
    }

    /// There is no response, and the request was written, or some of it.
    pub(super) fn after_sending(server: &Name, error: hyper::Error) -> Self {
        if is_refused_stream(&error) {
            let sentence = format!("{server} refused the request before it looked at it; try again later");
            return Self::new(Kind::NeverSent, sentence, Some(error.into()));
        }
        Self::lost(server, error, "before the response came")
    }

    /// The connection was lost while a response was read.
    pub(super) fn within_body(server: &Name, error: hyper::Error) -> Self {
        Self::lost(server, error, "within the response")
    }

    fn lost(server: &Name, error: hyper::Error, when: &str) -> Self {
        let sentence = if error.is_parse_too_large() {
            format!("{server} answered with headers of more than {} KiB", super::pool::MAX_HEAD / 1024)
        } else if error.is_parse() {
            format!(
                "what {server} answered is no HTTP; check the port, and whether the address must begin with https://"
            )
        } else if error.is_timeout() {
            format!("{server} stopped answering, so the connection was given up {when}")
        } else {
            format!("the connection to {server} was lost {when}")
        };
        Self::new(Kind::Lost, sentence, Some(error.into()))
    }

    fn new(kind: Kind, sentence: String, source: Option<BoxError>) -> Self {
        Self(Box::new(Inner { kind, sentence, source }))
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.sentence)
    }
}

impl fmt::Debug for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind, sentence, source } = &*self.0;
        f.debug_struct("HttpError")
            .field("kind", kind)
            .field("sentence", sentence)
            .field("source", source)
            .finish()
    }
}

impl Error for HttpError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

/// A server as errors name it: `example.com:443`.
pub(super) type Name = Arc<str>;

/// A stream that the server resets with this code was not processed at all.
fn is_refused_stream(error: &hyper::Error) -> bool {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            return error.is_remote()
                && error.is_reset()
                && error.reason() == Some(h2::Reason::REFUSED_STREAM);
        }
        source = error.source();
    }
    false
}
