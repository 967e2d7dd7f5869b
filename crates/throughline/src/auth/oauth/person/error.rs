//! What can go wrong while a person logs in.

use std::fmt;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why no answer of a person came. Its text is one sentence for people, which says what to do; nothing of an answer is in it.
#[derive(Debug)]
pub struct PromptError {
    kind: Kind,
    message: Box<str>,
    source: Option<BoxError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    TimedOut,
    Declined,
    PortTaken,
    Failed,
}

impl PromptError {
    /// The person did not finish in time.
    pub fn is_timeout(&self) -> bool {
        self.kind == Kind::TimedOut
    }

    /// The person does not want to log in: the prompt was closed, or its input ended.
    pub fn is_declined(&self) -> bool {
        self.kind == Kind::Declined
    }

    /// The port that was asked for is in use.
    pub fn is_port_taken(&self) -> bool {
        self.kind == Kind::PortTaken
    }

    /// The person did not finish in time.
    pub fn timed_out() -> Self {
        Self::new(Kind::TimedOut, "nobody finished the login in time; start it again", None)
    }

    /// The person does not want to log in.
    pub fn declined(message: impl Into<Box<str>>) -> Self {
        Self::new(Kind::Declined, message, None)
    }

    /// The port that was asked for is in use.
    pub fn port_taken(port: u16) -> Self {
        let why = format!(
            "another program uses port {port}, where the login is received: end it, or name another port"
        );
        Self::new(Kind::PortTaken, why, None)
    }

    /// The prompt cannot be shown, or its answer not be received.
    pub fn failed(message: impl Into<Box<str>>) -> Self {
        Self::new(Kind::Failed, message, None)
    }

    /// The same, with what it comes from.
    pub fn caused(message: impl Into<Box<str>>, source: impl Into<BoxError>) -> Self {
        Self::new(Kind::Failed, message, Some(source.into()))
    }

    fn new(kind: Kind, message: impl Into<Box<str>>, source: Option<BoxError>) -> Self {
        Self { kind, message: message.into(), source }
    }
}

impl fmt::Display for PromptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for PromptError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}
