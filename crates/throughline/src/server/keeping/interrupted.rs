//! A call that ran when the process ended, and what becomes of it.

use throughline_proto::model::{Method, ToolAnnotations};

use crate::handler::{Call, Principal, SessionHandle};

/// What becomes of an interrupted call.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum AfterRestart {
    /// It is answered with an error (-32603) that says that its outcome is unknown: the default, as nobody can tell how far
    /// it came.
    #[default]
    Fail,
    /// Its handler runs once more, from the start, on the same stream.
    RunAgain,
}

/// A call that ran when the process before this one ended, for [`Builder::on_interrupted`](crate::Builder::on_interrupted).
#[derive(Clone, Debug)]
pub struct Interrupted {
    call: Call,
    annotations: Option<ToolAnnotations>,
    session: SessionHandle,
}

impl Interrupted {
    pub(crate) fn new(call: Call, annotations: Option<ToolAnnotations>, session: SessionHandle) -> Self {
        Self { call, annotations, session }
    }

    /// The method, for instance `tools/call`.
    pub fn method(&self) -> &str {
        &self.call.method
    }

    /// The tool, where one was called.
    pub fn tool(&self) -> Option<&str> {
        self.call.target.as_deref().filter(|_| self.method() == "tools/call")
    }

    /// All of the request: arguments, and the parameters as they came.
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// What the tool is annotated with. `None` for what is no tool, or one that is not there any more.
    pub fn annotations(&self) -> Option<&ToolAnnotations> {
        self.annotations.as_ref()
    }

    /// The session that it belongs to.
    pub fn session(&self) -> &SessionHandle {
        &self.session
    }

    /// Whom the session belongs to.
    pub fn principal(&self) -> Option<&Principal> {
        self.session.caller().principal()
    }

    /// Whether it changes nothing: a tool that is annotated so, or one of MCP's own requests for something to read.
    pub fn is_read_only(&self) -> bool {
        match Method::parse(self.method()) {
            Some(Method::CallTool) => self.hint(|annotations| annotations.read_only_hint),
            method => method.is_some_and(Method::only_reads),
        }
    }

    /// Whether it may be run twice: it [changes nothing](Self::is_read_only), or is a tool that is annotated as idempotent.
    pub fn is_idempotent(&self) -> bool {
        self.is_read_only() || self.hint(|annotations| annotations.idempotent_hint)
    }

    /// The policy that suits most servers: what is [idempotent](Self::is_idempotent) runs again, and all else fails.
    ///
    /// ```
    /// use throughline::{Interrupted, Server, StreamableHttp};
    ///
    /// let endpoint = StreamableHttp::builder(Server::new("demo", "1.0.0"))
    ///     .on_interrupted(Interrupted::run_again_if_idempotent)
    ///     .build();
    /// ```
    pub fn run_again_if_idempotent(&self) -> AfterRestart {
        if self.is_idempotent() { AfterRestart::RunAgain } else { AfterRestart::Fail }
    }

    fn hint(&self, hint: impl FnOnce(&ToolAnnotations) -> Option<bool>) -> bool {
        self.annotations.as_ref().and_then(hint).unwrap_or(false)
    }
}
