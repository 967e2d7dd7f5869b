//! The ways to a server, and how each is opened.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http::header::HeaderMap;
use throughline_proto::client::TransportKind;
use tokio::io::{AsyncRead, AsyncWrite};

use super::ClientError;
use super::authorize::Authorizing;
use super::core::{Core, Transport};
use super::http::Http;
use super::line::Line;
#[cfg(feature = "client")]
use super::observed::ConnectStep;
use super::observed::Steps;
use super::pipe::{Pipe, follow, open_lines};
#[cfg(feature = "client")]
use super::{HttpOptions, ServerCommand, connector::Connector, connector::is_loopback, stdio};

/// Where the server is.
pub(super) enum Target {
    /// Behind a service.
    Line(Line),
    /// At the other end of a reader and a writer.
    Pipe(Box<dyn AsyncRead + Send>, Box<dyn AsyncWrite + Send>),
    /// In the network.
    #[cfg(feature = "client")]
    Address(http::Uri, HttpOptions),
    /// Not running yet.
    #[cfg(feature = "client")]
    Command(ServerCommand),
}

/// A way that is open.
pub(super) struct Way {
    pub(super) transport: Transport,
    /// Reads what comes, for as long as the client lives.
    pub(super) follow: Option<Follow>,
}

pub(super) type Follow = Box<dyn FnOnce(Arc<Core>) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// How the process of a server is started again.
pub(super) struct Restart(#[cfg(feature = "client")] ServerCommand);

impl Target {
    #[cfg(feature = "client")]
    pub(super) fn address(url: &str) -> Result<Self, ClientError> {
        let uri = throughline_proto::client::address(url).map_err(ClientError::misconfigured)?;
        Ok(Self::Address(uri, HttpOptions::new()))
    }

    /// Whether credentials may be sent there.
    ///
    /// # Errors
    ///
    /// For an address in the network whose connections everybody between here and there reads.
    pub(super) fn may_be_told_secrets(&self) -> Result<(), ClientError> {
        #[cfg(feature = "client")]
        if let Self::Address(uri, _) = self
            && uri.scheme() == Some(&http::uri::Scheme::HTTP)
            && !is_loopback(uri.host().unwrap_or_default())
        {
            // https://www.rfc-editor.org/rfc/rfc6750#section-5.3
            return Err(ClientError::misconfigured(
                "credentials are not sent over http:// to another machine, where others can read them; use an https:// \
                 address (or, in a network that is trusted, give them as a header)",
            ));
        }
        Ok(())
    }

    /// Opens the way. `headers`: what every HTTP request carries; `authorizing`: where credentials come from.
    #[cfg_attr(
        not(feature = "client"),
        allow(unused_variables, reason = "only the network and processes have such steps")
    )]
    pub(super) fn open(
        self,
        headers: HeaderMap,
        authorizing: Option<Arc<Authorizing>>,
        steps: Steps,
    ) -> Result<(Way, Option<Restart>), ClientError> {
        match self {
            Self::Line(line) => Ok((Way::over(line, headers, authorizing), None)),
            Self::Pipe(reader, writer) => {
                let pipe = Pipe::new(open_lines(Box::into_pin(writer)));
                let reader = Box::into_pin(reader);
                Ok((Way::through(pipe, |core| Box::pin(follow(core, reader))), None))
            }
            #[cfg(feature = "client")]
            Self::Address(uri, options) => {
                let mut line =
                    Line::new(Connector::new(&options.on_open(steps)).map_err(ClientError::misconfigured)?);
                line.set_uri(uri);
                Ok((Way::over(line, headers, authorizing), None))
            }
            #[cfg(feature = "client")]
            Self::Command(command) => {
                let way = stdio::start(&command)?;
                steps.done(ConnectStep::Reached);
                Ok((way, Some(Restart(command))))
            }
        }
    }
}

impl Way {
    fn over(mut line: Line, headers: HeaderMap, authorizing: Option<Arc<Authorizing>>) -> Self {
        line.set_headers(headers);
        line.set_authorizing(authorizing);
        Self { transport: Transport::Http(Http::new(line)), follow: None }
    }

    pub(super) fn through(
        pipe: Pipe,
        follow: impl FnOnce(Arc<Core>) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + 'static,
    ) -> Self {
        Self { transport: Transport::Pipe(pipe), follow: Some(Box::new(follow)) }
    }

    pub(super) fn kind(&self) -> TransportKind {
        match self.transport {
            Transport::Http(_) => TransportKind::Http,
            Transport::Pipe(_) => TransportKind::Pipe,
        }
    }
}

impl Restart {
    #[cfg(feature = "client")]
    pub(super) fn open(self) -> Result<Way, ClientError> {
        stdio::start(&self.0)
    }

    #[cfg(not(feature = "client"))]
    pub(super) fn open(self) -> Result<Way, ClientError> {
        unreachable!("without the feature `client` no process is started")
    }
}
