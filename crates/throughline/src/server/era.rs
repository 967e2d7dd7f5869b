//! Which of the protocol's two eras a front door serves.

use throughline_proto::revision::Revision;

/// Which clients are served: those that open a session with `initialize`, those of the revisions without sessions, or both.
///
/// Each message says by its own shape which era it is of, so both may come to one address, and over one connection
/// ([versioning](https://modelcontextprotocol.io/specification/2026-07-28/basic/versioning)).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Era {
    /// Both: the default.
    #[default]
    Hybrid,
    /// Only the revisions without sessions. An `initialize` is refused with an error that names them.
    Modern,
    /// Only the revisions that begin with `initialize`. A modern request is refused with a code that has a client of both
    /// eras fall back.
    Legacy,
}

impl Era {
    /// Whether sessions can be opened.
    pub(crate) fn has_sessions(self) -> bool {
        self != Era::Modern
    }

    /// The revisions that may be spoken, from the newest.
    pub(crate) fn revisions(self) -> Vec<Revision> {
        let speaks = |revision: &Revision| match self {
            Era::Hybrid => true,
            Era::Modern => revision.is_modern(),
            Era::Legacy => !revision.is_modern(),
        };
        Revision::ALL.into_iter().rev().filter(speaks).collect()
    }
}
