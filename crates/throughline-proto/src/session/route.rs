//! Where a message goes. Each message goes to exactly one stream.

use super::StreamNo;

/// The stream that carries a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Route {
    /// The stream of the POST that carried the request which the message belongs to.
    Post(StreamNo),
    /// The session's standalone stream, which GET opens.
    Standalone,
    /// No stream can carry it.
    Nowhere(NoRoute),
}

/// Why no stream can carry a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NoRoute {
    /// The request that the message belongs to is answered or was cancelled.
    CallOver,
    /// The request is answered with one JSON body, and this session has no stream that is open.
    OneJsonBody,
}

/// What a message is, as far as its way depends on it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MessageKind {
    /// `notifications/progress` about a request of the client.
    Progress,
    /// Any other message that belongs to a request of the client: a log line, a question, the response.
    Related,
}

/// Which stream carries progress.
///
/// The specification ties a POST stream's messages to its request, and progress belongs there. Some clients listen
/// for it on the GET stream all the same.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ProgressRoute {
    /// The stream of the request: the default.
    #[default]
    Request,
    /// The standalone stream while one is open, else the request's.
    Standalone,
}

/// What the transport knows when a message is routed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Roads {
    /// The request is answered with one JSON body: its POST cannot carry anything before the response.
    pub one_json_body: bool,
    /// A connection reads the standalone stream now.
    pub standalone_open: bool,
    /// Which stream carries progress.
    pub progress: ProgressRoute,
}
