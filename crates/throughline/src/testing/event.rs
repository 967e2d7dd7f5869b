//! What comes from the server.

use std::fmt;

use throughline_proto::jsonrpc::{Message, Notification, Raw, Request};
use throughline_proto::model::{LoggingMessageParams, ProgressParams};

use crate::client::ClientError;

/// One thing that came, or the end.
#[derive(Debug)]
pub(super) enum Event {
    Progress(ProgressParams),
    Log(LoggingMessageParams),
    Question(Request),
    Notification(Notification),
    Over(Result<Option<Raw>, ClientError>),
}

impl Event {
    /// `None` for what is no event: a response to something else.
    pub(super) fn of(message: &Message) -> Option<Self> {
        let notification = match message {
            Message::Request(request) => return Some(Self::Question(request.clone())),
            Message::Response(_) => return None,
            Message::Notification(notification) => notification,
        };
        let params = notification.params.as_ref();
        let known = match &*notification.method {
            "notifications/progress" => params.and_then(|params| params.parse().ok()).map(Self::Progress),
            // The client asked for a subscription and has it.
            "notifications/subscriptions/acknowledged" => return None,
            "notifications/message" => params.and_then(|params| params.parse().ok()).map(Self::Log),
            _ => None,
        };
        Some(known.unwrap_or_else(|| Self::Notification(notification.clone())))
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Progress(progress) => {
                write!(f, "progress {}", progress.progress)?;
                if let Some(total) = progress.total {
                    write!(f, " of {total}")?;
                }
                progress.message.as_ref().map_or(Ok(()), |message| write!(f, " {:?}", &**message))
            }
            Event::Log(log) => {
                write!(f, "log {} {}", log.level, Short(log.data.as_str()))?;
                log.logger.as_ref().map_or(Ok(()), |logger| write!(f, " by {}", Short(logger)))
            }
            Event::Question(request) => {
                write!(f, "question {}", request.method)?;
                params(f, request.params.as_ref())
            }
            Event::Notification(notification) => {
                write!(f, "{}", notification.method)?;
                params(f, notification.params.as_ref())
            }
            Event::Over(Ok(Some(result))) => write!(f, "result {}", Short(result.as_str())),
            Event::Over(Ok(None)) => f.write_str("the end of the stream"),
            Event::Over(Err(error)) => match error.error() {
                Some(error) => write!(f, "protocol error {}: {}", error.code.0, Short(&error.message)),
                None => write!(f, "no answer: {error}"),
            },
        }
    }
}

/// A text, cut where it gets long: a transcript is for reading.
pub(super) struct Short<'a>(pub(super) &'a str);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(LONGEST) {
            Some((end, _)) => write!(f, "{}.. ({} bytes)", &self.0[..end], self.0.len()),
            None => f.write_str(self.0),
        }
    }
}

fn params(f: &mut fmt::Formatter<'_>, params: Option<&Raw>) -> fmt::Result {
    params.map_or(Ok(()), |params| write!(f, " {}", Short(params.as_str())))
}

/// Characters of one value in a transcript: five lines of a terminal.
const LONGEST: usize = 400;
