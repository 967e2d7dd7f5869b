//! What can be chosen about the network.

use std::error::Error;
use std::fmt;
#[cfg(feature = "auth")]
use std::net::IpAddr;
#[cfg(feature = "auth")]
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::dial::{Admits, Names};
use super::proxy::{Proxies, ProxyAddress};
use crate::client::observed::Steps;

/// How a client reaches servers over the network. Every setting has a default that suits most programs.
///
/// ```
/// use std::time::Duration;
/// use throughline::{HttpOptions, Proxy};
///
/// let options = HttpOptions::new()
///     .connect_timeout(Duration::from_secs(3))
///     .proxy(Proxy::Address("http://proxy.example.com:3128".into()));
/// # let _ = options;
/// ```
#[derive(Clone)]
pub struct HttpOptions {
    connect_timeout: Duration,
    idle_timeout: Duration,
    proxy: Proxy,
    root_certificates: Vec<Vec<u8>>,
    system_roots: bool,
    bundled_roots: bool,
    steps: Steps,
    admits: Admits,
    names: Names,
}

/// How servers are reached.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Proxy {
    /// As the environment says, which is read when the client is made: `HTTPS_PROXY` for `https` servers, `HTTP_PROXY`
    /// for `http` servers, `ALL_PROXY` for both, except for the hosts in `NO_PROXY`. Each may be written in lower case, which
    /// goes first. Servers on this machine (`localhost`, `127.0.0.1`, `[::1]`) are always reached directly.
    ///
    /// `NO_PROXY` is a list with commas: `example.com` (and every name under it), `10.0.0.1`, `10.0.0.0/8`,
    /// `example.com:8080`, or `*` for everything. `HTTP_PROXY` in capitals is not read in a CGI process, where a request
    /// could set it (<https://httpoxy.org>).
    #[default]
    Environment,
    /// Directly.
    Off,
    /// All through this proxy: `http://[user[:password]@]host[:port]`, or `https://` where the proxy itself speaks TLS.
    Address(String),
}

impl HttpOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self {
            connect_timeout: CONNECT_TIMEOUT,
            idle_timeout: IDLE_TIMEOUT,
            proxy: Proxy::Environment,
            root_certificates: Vec::new(),
            system_roots: true,
            bundled_roots: true,
            steps: Steps::default(),
            admits: Admits::default(),
            names: Names::default(),
        }
    }

    /// How long a new connection may take, from the look-up of the name to the end of the TLS handshake, the way through a
    /// proxy included: 10 s unless told otherwise. A server that is there answers in well under a second; ten allow for
    /// one packet that is lost twice.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long a connection is kept that carries no request: 50 s unless told otherwise. That is below the 60 s after
    /// which common gateways close one, as a request on a connection that is just being closed may be lost. A
    /// server that names its own time (`Keep-Alive: timeout=5`) is believed if that is less.
    #[must_use]
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = timeout;
        self
    }

    /// How servers are reached: [`Proxy::Environment`] unless told otherwise.
    #[must_use]
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.proxy = proxy;
        self
    }

    /// Trusts the certificates in this PEM text too: those of your own authority, or the one of a server that signed it
    /// itself. Can be called several times.
    #[must_use]
    pub fn root_certificates(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.root_certificates.push(pem.as_ref().to_vec());
        self
    }

    /// Whether the authorities that this system trusts are trusted: yes unless told otherwise. Those in the file
    /// `SSL_CERT_FILE` and the directories `SSL_CERT_DIR`, where one of these variables is set, take their place. A system
    /// that has none, or some that cannot be read, is no error.
    #[must_use]
    pub fn system_roots(mut self, trust: bool) -> Self {
        self.system_roots = trust;
        self
    }

    /// Whether the authorities that Mozilla trusts, which come with this program, are trusted: yes unless told otherwise, so
    /// that it works in a container without any.
    #[must_use]
    pub fn bundled_roots(mut self, trust: bool) -> Self {
        self.bundled_roots = trust;
        self
    }

    /// Who is told when a connection was made.
    pub(in crate::client) fn on_open(mut self, steps: Steps) -> Self {
        self.steps = steps;
        self
    }

    /// Connects only to addresses that `admits` takes, with TLS (`true`) or without, whatever name they were found by. Not so
    /// through a proxy, which looks names up by itself.
    #[cfg(feature = "auth")]
    pub(crate) fn connect_only(
        mut self,
        admits: impl Fn(bool, IpAddr) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.admits = Admits(Some(Arc::new(admits)));
        self
    }

    /// Where the addresses of names come from.
    #[cfg(feature = "auth")]
    pub(crate) fn names(&self) -> &Names {
        &self.names
    }

    #[cfg(all(test, feature = "auth"))]
    pub(crate) fn with_names(mut self, names: Names) -> Self {
        self.names = names;
        self
    }

    /// The same, checked.
    pub(super) fn settings(&self) -> Result<Settings, BadOption> {
        let proxies = match &self.proxy {
            Proxy::Environment => Proxies::from_variables(|name| std::env::var(name).ok()),
            Proxy::Off => Proxies::default(),
            Proxy::Address(address) => {
                Proxies::all(ProxyAddress::parse("the address of the proxy", address)?)
            }
        };
        let mut roots = Vec::new();
        for pem in &self.root_certificates {
            let before = roots.len();
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|error| {
                    BadOption::new(format!("a root certificate is no PEM text that can be read: {error}"))
                })?;
                // Whether it can be used as a root is seen here and not when a server is refused.
                rustls::RootCertStore::empty().add(certificate.clone()).map_err(|error| {
                    BadOption::new(format!("a root certificate cannot be used as one: {error}"))
                })?;
                roots.push(certificate);
            }
            if roots.len() == before {
                return Err(BadOption::new(
                    "a root certificate is missing: the text has no `-----BEGIN CERTIFICATE-----`".into(),
                ));
            }
        }
        Ok(Settings {
            connect_timeout: self.connect_timeout,
            idle_timeout: self.idle_timeout,
            proxies,
            roots,
            system_roots: self.system_roots,
            bundled_roots: self.bundled_roots,
            steps: self.steps.clone(),
            admits: self.admits.clone(),
            names: self.names.clone(),
        })
    }
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for HttpOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpOptions")
            .field("connect_timeout", &self.connect_timeout)
            .field("idle_timeout", &self.idle_timeout)
            .field("proxy", &self.proxy)
            .field("root_certificates", &self.root_certificates.len())
            .field("system_roots", &self.system_roots)
            .field("bundled_roots", &self.bundled_roots)
            .finish()
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the address: there may be a password in it.
        f.write_str(match self {
            Self::Environment => "Environment",
            Self::Off => "Off",
            Self::Address(_) => "Address(..)",
        })
    }
}

/// Why [`HttpOptions`] cannot be used: one sentence that says which and what to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BadOption(String);

impl BadOption {
    pub(super) fn new(sentence: String) -> Self {
        Self(sentence)
    }
}

impl fmt::Display for BadOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for BadOption {}

/// [`HttpOptions`] that were checked.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) connect_timeout: Duration,
    pub(super) idle_timeout: Duration,
    pub(super) proxies: Proxies,
    pub(super) roots: Vec<CertificateDer<'static>>,
    pub(super) system_roots: bool,
    pub(super) bundled_roots: bool,
    pub(super) steps: Steps,
    pub(super) admits: Admits,
    pub(super) names: Names,
}

/// See [`HttpOptions::connect_timeout`].
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// See [`HttpOptions::idle_timeout`].
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);
