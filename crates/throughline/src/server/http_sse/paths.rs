//! Where HTTP+SSE is served.

use std::fmt;

use http::uri::PathAndQuery;
use throughline_proto::http::message_address;

/// The two paths, and what stands before them where clients see them.
#[derive(Clone, Debug)]
pub(super) struct Paths {
    pub(super) sse: String,
    pub(super) message: String,
    pub(super) prefix: String,
}

impl Default for Paths {
    fn default() -> Self {
        Self { sse: "/sse".to_owned(), message: "/messages".to_owned(), prefix: String::new() }
    }
}

/// What is served at a path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Place {
    Sse,
    Message,
    Both,
}

impl Place {
    /// The HTTP methods, as the `Allow` header wants them.
    pub(super) fn methods(self) -> &'static str {
        match self {
            Place::Sse => "GET",
            Place::Message => "POST",
            Place::Both => "GET, POST",
        }
    }
}

impl Paths {
    pub(super) fn place(&self, path: &str) -> Option<Place> {
        match (path == self.sse, path == self.message) {
            (true, true) => Some(Place::Both),
            (true, false) => Some(Place::Sse),
            (false, true) => Some(Place::Message),
            (false, false) => None,
        }
    }

    /// The address that the client of this session posts to.
    pub(super) fn address(&self, session: &str) -> String {
        message_address(&format!("{}{}", self.prefix, self.message), session)
    }
}

/// Why a path of [`HttpSse`](crate::HttpSse) cannot be used: it does not begin with one slash, or holds what no path holds. The
/// text says what to give.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InvalidPath {
    path: String,
}

impl InvalidPath {
    /// Gives a path back that a request's can be equal to.
    pub(super) fn unless_path(path: String) -> Result<String, InvalidPath> {
        // Two slashes in front would name a host to whoever resolves the address.
        let fits = path.starts_with('/')
            && !path.starts_with("//")
            && path.parse::<PathAndQuery>().is_ok_and(|parsed| parsed.path() == path);
        if fits { Ok(path) } else { Err(InvalidPath { path }) }
    }
}

impl fmt::Display for InvalidPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\" is not a path. Give one that begins with one slash, like /sse.", self.path)
    }
}

impl std::error::Error for InvalidPath {}
