//! Why a store refused or failed.

use std::error::Error;
use std::fmt;

use throughline_proto::log::{self, Dropped};

/// An error of a back end, whatever it is.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Why a batch was not appended. Nothing of a refused batch is visible to a reader; after
/// [`Unavailable`](Self::Unavailable) the outcome may be unknown, and the same batch may be sent again.
#[derive(Debug)]
pub enum AppendError {
    /// A writer with a newer epoch has taken over the session.
    Fenced,
    /// The stream or its session has ended.
    Ended,
    /// An event of the batch is larger than a budget allows a whole stream, session or store to be.
    TooLarge,
    /// The batch does not continue the stream.
    Gap,
    /// The back end failed.
    Unavailable(BoxError),
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fenced => "another writer has taken over the session; stop writing to it",
            Self::Ended => "the stream or its session has ended; send new events on another stream",
            Self::TooLarge => {
                "the event is larger than the store's budgets; raise `stream_bytes` or send less"
            }
            Self::Gap => {
                "the batch leaves a hole in the stream; append each event right after the one before it"
            }
            Self::Unavailable(_) => "the event store is unavailable; check the back end and try again",
        })
    }
}

impl Error for AppendError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Unavailable(cause) => Some(&**cause),
            _ => None,
        }
    }
}

impl From<log::AppendError> for AppendError {
    fn from(error: log::AppendError) -> Self {
        match error {
            log::AppendError::Gap => Self::Gap,
            log::AppendError::Ended => Self::Ended,
        }
    }
}

/// Why a stream could not be read at a cursor.
#[derive(Debug)]
pub enum ReadError {
    /// The event right after the cursor was dropped.
    Dropped(Dropped),
    /// The cursor is a sequence that the stream has not reached.
    Ahead {
        /// The sequence of the last event the stream was given.
        head: u64,
    },
    /// The store does not know the stream: it was never appended to, or its session was forgotten, or it ended so
    /// long ago that even its end is forgotten.
    Unknown,
    /// The back end failed.
    Unavailable(BoxError),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dropped(dropped) => dropped.fmt(f),
            Self::Ahead { head } => log::ReadError::Ahead { head: *head }.fmt(f),
            Self::Unknown => f.write_str("the store does not know this stream; start over without a cursor"),
            Self::Unavailable(_) => {
                f.write_str("the event store is unavailable; check the back end and try again")
            }
        }
    }
}

impl Error for ReadError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Unavailable(cause) => Some(&**cause),
            _ => None,
        }
    }
}

impl From<log::ReadError> for ReadError {
    fn from(error: log::ReadError) -> Self {
        match error {
            log::ReadError::Dropped(dropped) => Self::Dropped(dropped),
            log::ReadError::Ahead { head } => Self::Ahead { head },
        }
    }
}
