//! Ports of this machine.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use super::address::{Host, Loopback};
use crate::auth::oauth::person::PromptError;
use crate::runtime;

/// The bound port of a redirect address: one listener, or two for a name that stands for two addresses.
#[derive(Debug)]
pub(super) struct Ports {
    pub(super) at: Loopback,
    listeners: Vec<TcpListener>,
}

impl Ports {
    /// Binds a fixed address. A port in use is waited for: a login that just ended may still hold it.
    pub(super) async fn bind_patiently(at: &Loopback) -> Result<Self, PromptError> {
        let deadline = runtime::now() + PORT_PATIENCE;
        loop {
            match Self::bind(at).await {
                Err(error) if error.kind() == ErrorKind::AddrInUse && runtime::now() < deadline => {
                    runtime::sleep_until(deadline.min(runtime::now() + PORT_PAUSE)).await;
                }
                Err(error) if error.kind() == ErrorKind::AddrInUse => {
                    return Err(PromptError::port_taken(at.port));
                }
                bound => return bound.map_err(unbound),
            }
        }
    }

    /// Binds the wish if it is free, or else any port there.
    pub(super) async fn bind_near(wish: Option<Loopback>) -> Result<Self, PromptError> {
        let mut at = wish.unwrap_or_else(Loopback::any);
        if at.port != 0
            && let Ok(ports) = Self::bind(&at).await
        {
            return Ok(ports);
        }
        at.port = 0;
        Self::bind(&at).await.map_err(unbound)
    }

    async fn bind(at: &Loopback) -> io::Result<Self> {
        let mut tries = 0;
        loop {
            match Self::bind_once(at).await {
                // The second address of a name has its free ports, too; another one may be free on both.
                Err(error) if error.kind() == ErrorKind::AddrInUse && at.port == 0 && tries < MOST_TRIES => {
                    tries += 1;
                }
                bound => return bound,
            }
        }
    }

    async fn bind_once(at: &Loopback) -> io::Result<Self> {
        let mut at = at.clone();
        let mut listeners = Vec::new();
        let mut missing = None;
        for address in at.host.addresses() {
            match TcpListener::bind(SocketAddr::new(*address, at.port)).await {
                Ok(listener) => {
                    at.port = listener.local_addr()?.port();
                    listeners.push(listener);
                }
                // Nobody else can have it either, on a machine without that family of addresses.
                Err(error) if at.host == Host::Localhost && is_missing(&error) => missing = Some(error),
                // Also when only one of two is in use: whoever has it could receive the answer.
                Err(error) => return Err(error),
            }
        }
        match missing {
            Some(error) if listeners.is_empty() => Err(error),
            _ => Ok(Self { at, listeners }),
        }
    }

    /// The address that a browser is sent back to.
    pub(super) fn redirect_uri(&self) -> String {
        self.at.to_string()
    }

    /// The next connection.
    ///
    /// # Cancel safety
    ///
    /// No connection is lost.
    pub(super) async fn accept(&self) -> io::Result<TcpStream> {
        let (stream, _) = match self.listeners.as_slice() {
            [one] => one.accept().await?,
            [one, other] => tokio::select! {
                accepted = one.accept() => accepted?,
                accepted = other.accept() => accepted?,
            },
            _ => unreachable!("a host has one address or two, and one is bound at least"),
        };
        Ok(stream)
    }
}

/// Whether this machine has no such address.
fn is_missing(error: &io::Error) -> bool {
    // Without IPv6 in the kernel: EAFNOSUPPORT, which std has no kind for.
    error.kind() == ErrorKind::AddrNotAvailable
        || (cfg!(unix) && error.raw_os_error() == Some(UNSUPPORTED_FAMILY))
}

#[cfg(unix)]
const UNSUPPORTED_FAMILY: i32 = rustix::io::Errno::AFNOSUPPORT.raw_os_error();
#[cfg(not(unix))]
const UNSUPPORTED_FAMILY: i32 = 0;

fn unbound(error: io::Error) -> PromptError {
    PromptError::caused(
        "no port of this machine can be had to receive the login; look at its network settings",
        error,
    )
}

/// How long a fixed port is waited for: longer than a login that is over keeps it.
const PORT_PATIENCE: Duration = Duration::from_secs(10);
const PORT_PAUSE: Duration = Duration::from_millis(100);
/// How often a port is chosen that is free on two addresses. Few of all ports are in use.
const MOST_TRIES: u32 = 16;
