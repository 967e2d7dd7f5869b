//! TLS: which authorities are trusted, and what is said of a handshake that fails.

use std::io;
use std::sync::{Arc, OnceLock};

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{AlertDescription, CertificateError, ClientConfig, InvalidMessage, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::error::HttpError;
use super::options::Settings;

/// Makes TLS connections. What it trusts is read when the first is made: reading the system's roots takes milliseconds
/// and blocks, and many clients need none.
#[derive(Debug)]
pub(super) struct Tls {
    roots: Vec<CertificateDer<'static>>,
    system_roots: bool,
    bundled_roots: bool,
    config: OnceCell<Configs>,
}

#[derive(Clone, Debug)]
struct Configs {
    /// Offers HTTP/2 and HTTP/1.1.
    server: Arc<ClientConfig>,
    /// To a proxy, which gets one `CONNECT`, or requests with whole addresses.
    proxy: Arc<ClientConfig>,
}

impl Tls {
    pub(super) fn new(settings: &mut Settings) -> Self {
        Self {
            roots: std::mem::take(&mut settings.roots),
            system_roots: settings.system_roots,
            bundled_roots: settings.bundled_roots,
            config: OnceCell::new(),
        }
    }

    /// The handshake with `host`, the server or a proxy.
    pub(super) async fn handshake<I>(
        &self,
        host: &str,
        io: I,
        to_proxy: bool,
    ) -> Result<TlsStream<I>, HttpError>
    where
        I: AsyncRead + AsyncWrite + Unpin,
    {
        let configs = self.config.get_or_try_init(|| self.configs()).await?;
        let config = if to_proxy { &configs.proxy } else { &configs.server };
        let name = ServerName::try_from(host.to_owned()).map_err(|error| {
            HttpError::unreachable(
                format!("`{host}` is no name that a certificate can have"),
                Some(error.into()),
            )
        })?;
        TlsConnector::from(Arc::clone(config))
            .connect(name, io)
            .await
            .map_err(|error| HttpError::unreachable(sentence(host, &error), Some(error.into())))
    }

    async fn configs(&self) -> Result<Configs, HttpError> {
        let (system, bundled, own) = (self.system_roots, self.bundled_roots, self.roots.clone());
        crate::runtime::blocking(move || configs(system, bundled, own))
            .await
            .map_err(|_| {
                HttpError::unreachable("the trusted certificates of this system cannot be read", None)
            })?
            .map_err(|error| {
                HttpError::unreachable("TLS cannot be set up in this process", Some(error.into()))
            })
    }
}

fn configs(system: bool, bundled: bool, own: Vec<CertificateDer<'static>>) -> Result<Configs, rustls::Error> {
    let mut roots = RootCertStore::empty();
    if system {
        roots.roots.extend_from_slice(&system_roots().roots);
    }
    if bundled {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    // Checked when they were given.
    roots.add_parsable_certificates(own);
    // Named here, as the process may have no default, or another one.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut server = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut proxy = server.clone();
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    proxy.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Configs { server: Arc::new(server), proxy: Arc::new(proxy) })
}

/// The authorities that this system trusts, read once in the life of the process. What cannot be read or used is left out: a
/// stale entry must not make every server unreachable.
fn system_roots() -> &'static RootCertStore {
    static ROOTS: OnceLock<RootCertStore> = OnceLock::new();
    ROOTS.get_or_init(|| {
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::debug!(%error, "trusted certificates of the system cannot be read");
        }
        let mut roots = RootCertStore::empty();
        let (used, left_out) = roots.add_parsable_certificates(found.certs);
        tracing::debug!(used, left_out, "read the trusted certificates of the system");
        roots
    })
}

/// What to do about a handshake that failed.
fn sentence(host: &str, error: &io::Error) -> String {
    let Some(error) = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>()) else {
        return if error.kind() == io::ErrorKind::UnexpectedEof
            || error.kind() == io::ErrorKind::ConnectionReset
        {
            format!(
                "{host} closed the connection during the TLS handshake; does it speak https at this port?"
            )
        } else {
            format!("the connection to {host} was lost during the TLS handshake")
        };
    };
    match error {
        rustls::Error::InvalidMessage(
            InvalidMessage::InvalidContentType
            | InvalidMessage::MessageTooLarge
            | InvalidMessage::UnknownProtocolVersion,
        ) => {
            format!(
                "{host} does not speak TLS at this port; if it speaks plain HTTP, write http:// instead of https://"
            )
        }
        rustls::Error::InvalidCertificate(certificate) => match certificate {
            CertificateError::UnknownIssuer => format!(
                "the certificate of {host} is signed by nobody who is trusted here; if it is your own, add the \
                 certificate of its authority as a root (`HttpOptions::root_certificates`, or the file SSL_CERT_FILE)"
            ),
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                format!(
                    "the certificate of {host} has expired; it must be renewed there (or the clock here is wrong)"
                )
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                format!("the certificate of {host} is not valid yet; is the clock here right?")
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                format!("the certificate that was shown is not for {host}; use the name that it is for")
            }
            CertificateError::Revoked => format!("the certificate of {host} has been revoked"),
            other if is_ca_as_server(other) => format!(
                "the certificate of {host} is one of an authority and none of a server; have it signed anew \
                 without `CA:TRUE`"
            ),
            other => format!("the certificate of {host} cannot be trusted: {other}"),
        },
        rustls::Error::AlertReceived(
            AlertDescription::HandshakeFailure | AlertDescription::ProtocolVersion,
        )
        | rustls::Error::PeerIncompatible(_) => {
            format!("{host} speaks no version of TLS that is safe; it must offer TLS 1.2 or 1.3")
        }
        rustls::Error::AlertReceived(AlertDescription::UnrecognisedName) => {
            format!("{host} knows no server of that name; check the address")
        }
        rustls::Error::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::AccessDenied,
        ) => format!("{host} wants a certificate from its clients, which is not supported"),
        other => format!("no TLS connection to {host}: {other}"),
    }
}

/// What `openssl req -x509` makes by default, and what webpki says of it.
fn is_ca_as_server(error: &CertificateError) -> bool {
    matches!(error, CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity"))
}
