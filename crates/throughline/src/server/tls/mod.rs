//! TLS for [`serve`](crate::serve()): the certificate, the listener and its connections.
//!
//! ```text
//!   TCP --> TlsListener: a place for the handshake --> TlsConnection: the handshake, with its clock --> HTTP, as without TLS
//!                                                        |
//!                 ServerTls: the certificate as it is <--+   reload: read anew, or kept as it is
//! ```

mod connection;
mod identity;
mod listener;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;

pub use connection::TlsConnection;
use identity::Identity;
pub use listener::TlsListener;

/// The certificate that a server shows, and the key to it: with it [`serve()`](crate::serve()) speaks HTTPS.
///
/// TLS 1.2 and 1.3 by rustls with ring; HTTP/2 and HTTP/1.1 are offered. Clients are asked for no certificate.
///
/// ```no_run
/// use throughline::{Server, ServerTls, StreamableHttp, serve};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let tls = ServerTls::from_pem_files("/etc/ssl/mcp.pem", "/etc/ssl/private/mcp.key")?;
/// let endpoint = StreamableHttp::builder(Server::new("demo", "1.0.0")).allow_host("mcp.example.com")?.build();
/// let listener = tokio::net::TcpListener::bind("0.0.0.0:443").await?;
/// serve(listener, endpoint).tls(tls.clone()).await?;
/// # Ok(())
/// # }
/// ```
///
/// Cheap to clone; every clone shows the same certificate, also after a [`reload`](Self::reload).
#[derive(Clone)]
pub struct ServerTls {
    identity: Arc<Identity>,
    config: Arc<ServerConfig>,
    handshake_timeout: Duration,
    max_handshakes: usize,
}

impl ServerTls {
    /// Reads PEM files: the certificate of the server first and then those that lead to its authority, and the key (PKCS #8,
    /// PKCS #1 or SEC1, without a passphrase). Both may be the same file. It blocks for as long as two small files take.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or holds something else, and when the key is not that of the certificate.
    pub fn from_pem_files(certificate: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self, TlsError> {
        Self::of(Identity::from_files(certificate.as_ref(), key.as_ref())?)
    }

    /// The same of PEM texts.
    ///
    /// ```
    /// use throughline::ServerTls;
    ///
    /// let error = ServerTls::from_pem("no certificate", "no key").unwrap_err();
    /// assert!(error.to_string().contains("there is no certificate"));
    /// ```
    ///
    /// # Errors
    ///
    /// As [`from_pem_files`](Self::from_pem_files).
    pub fn from_pem(certificate: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Result<Self, TlsError> {
        Self::of(Identity::from_pem(certificate.as_ref(), key.as_ref())?)
    }

    fn of(identity: Identity) -> Result<Self, TlsError> {
        let identity = Arc::new(identity);
        // Named here, as the process may have no default, or another one.
        let mut config = ServerConfig::builder_with_provider(identity::provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::new(format!("TLS cannot be set up in this process: {error}")))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&identity) as _);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            identity,
            config: Arc::new(config),
            handshake_timeout: HANDSHAKE_TIMEOUT,
            max_handshakes: MAX_HANDSHAKES,
        })
    }

    /// How long a handshake may take. Default: 10 s.
    #[must_use]
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.handshake_timeout = timeout;
        self
    }

    /// How many handshakes may go on at a time; further connections wait to be accepted. Default: 1,024.
    #[must_use]
    pub fn max_handshakes(mut self, handshakes: usize) -> Self {
        self.max_handshakes = handshakes.max(1);
        self
    }

    /// Reads the files again, for a certificate that was renewed: connections made from then on are shown the new one, those
    /// there are go on. Whether it is another one; of PEM texts it never is. It blocks for as long as two small files take.
    ///
    /// # Errors
    ///
    /// As [`from_pem_files`](Self::from_pem_files). The certificate stays as it was.
    pub fn reload(&self) -> Result<bool, TlsError> {
        self.identity.reload()
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls")
            .field("identity", &self.identity)
            .field("handshake_timeout", &self.handshake_timeout)
            .field("max_handshakes", &self.max_handshakes)
            .finish_non_exhaustive()
    }
}

/// Why a certificate and its key cannot be used. It says what to do, and holds nothing of the key.
#[derive(Debug)]
pub struct TlsError(String);

impl TlsError {
    fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TlsError {}

/// A handshake is two exchanges of packets: ten seconds allow for each to be lost twice. It is what clients wait, too.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// A handshake takes some 0.1 s on a slow line, so that 10,000 clients a second find a place; half-done ones hold up to 64 KiB each.
const MAX_HANDSHAKES: usize = 1024;
