//! Fetches what authorization needs over the network: metadata documents, keys, and the answers of token endpoints.
//!
//! An address often comes from somebody else (a challenge, a document), so that each request carries the rule which addresses may
//! be reached, and each answer is bounded in size and time.

use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::{Method, Request, Response, Uri};
use http_body::Body;
use throughline_proto::auth::{AddressRule, IpClass};
use tower_service::Service;

use crate::client::{BadOption, BoxBody, BoxError, Connector, RequestBody};
use crate::lock::Lock;
use crate::runtime;
use crate::{HttpOptions, Proxy};

/// Fetches over the network, or from a service in its place. Cheap to clone; clones share their connections.
///
/// Redirects are followed within the origin alone, and not at all for a request that [`Stays`](crate::client::Stays). Where a name is looked up here, the addresses that it has are held
/// against the rule, and only those that pass are connected to; through a proxy only the address as it is written can be.
#[derive(Clone)]
pub(crate) struct Fetcher(Arc<Way>);

enum Way {
    Network {
        options: HttpOptions,
        /// One for each rule: a connection that one rule admits is none for another.
        connectors: Mutex<Vec<(AddressRule, Connector)>>,
        /// Those of hosts that were looked up a moment ago.
        rules: Mutex<Vec<Looked>>,
    },
    Service(Box<dyn Fn(Request<RequestBody>) -> Sending + Send + Sync>),
}

/// What was found about a host.
struct Looked {
    host: String,
    until: Instant,
    rule: AddressRule,
}

type Sending = Pin<Box<dyn Future<Output = Result<Response<BoxBody>, BoxError>> + Send>>;

impl Fetcher {
    /// Over the network, with these options.
    ///
    /// # Errors
    ///
    /// When the options cannot be used.
    pub(crate) fn new(options: HttpOptions) -> Result<Self, BadOption> {
        // Whether they can be used is seen at once.
        Connector::new(&options)?;
        Ok(Self(Arc::new(Way::Network { options, connectors: Mutex::default(), rules: Mutex::default() })))
    }

    /// From a service, which is given whole addresses. The rule still holds for how they are written.
    pub(crate) fn over<S, B>(service: S) -> Self
    where
        S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self(Arc::new(Way::Service(Box::new(move |request| sending(service.clone(), request)))))
    }

    /// Which addresses may be reached for what this address leads to: public ones, and those like the ones that it has itself.
    /// Whoever chose the address is trusted in that.
    ///
    /// What a name resolves to is the word of whoever has the name, and that may be another one at each look-up. So a name opens a
    /// network that is not public only when its server answers there, with a certificate for the name; a stranger's name that is
    /// turned to this machine for a moment opens nothing.
    pub(crate) async fn rule_for(&self, address: &Uri) -> AddressRule {
        let host = address.host().unwrap_or_default();
        let Way::Network { options, rules, .. } = &*self.0 else {
            return AddressRule::for_server(address, &[]);
        };
        if host.starts_with('[') {
            return AddressRule::for_server(address, &[]);
        }
        let now = runtime::now();
        if let Some(known) = rules.locked().iter().find(|known| known.host == host && now < known.until) {
            return known.rule.clone();
        }
        // The port is of no account.
        let looking = options.names().look_up(host, 443);
        let Ok(Ok(found)) = tokio::time::timeout(TIMEOUT, looking).await else {
            return AddressRule::for_server(address, &[]);
        };
        let found: Vec<_> = found.into_iter().map(|address| address.ip()).collect();
        let mut rule = AddressRule::for_server(address, &found);
        let is_name = AddressRule::for_server(address, &[]) == AddressRule::public();
        if is_name && rule != AddressRule::public() && !answers_inside(options, address, &rule).await {
            rule = AddressRule::public();
        }
        let mut rules = rules.locked();
        rules.retain(|known| now < known.until && known.host != host);
        rules.truncate(MOST_RULES - 1);
        rules.push(Looked { host: host.to_owned(), until: now + KEPT, rule: rule.clone() });
        rule
    }

    /// Whether an address that somebody chose may be reached at all: `https`, or this machine.
    pub(crate) fn check(&self, address: &Uri) -> Result<(), String> {
        AddressRule::for_server(address, &[])
            .check_uri(address)
            .map_err(|error| format!("`{}` cannot be used: {error}", address.host().unwrap_or_default()))
    }

    /// Sends a request, and reads the whole answer, whatever its status.
    ///
    /// # Errors
    ///
    /// When the rule refuses the address, nothing comes of it within [`TIMEOUT`], or the answer is longer than [`MAX_BODY`].
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is done it ends the exchange.
    pub(crate) async fn fetch(
        &self,
        request: Request<Bytes>,
        rule: &AddressRule,
    ) -> Result<Response<Bytes>, FetchError> {
        let host = request.uri().authority().map_or("", |authority| authority.host()).to_owned();
        rule.check_uri(request.uri()).map_err(|error| FetchError::new(error.to_string(), None))?;
        match tokio::time::timeout(TIMEOUT, self.exchange(request, rule)).await {
            Ok(fetched) => fetched,
            Err(_) => {
                let sentence =
                    format!("`{host}` did not answer within {TIMEOUT:?}; try again, and check the network");
                Err(FetchError::new(sentence, None))
            }
        }
    }

    async fn exchange(
        &self,
        request: Request<Bytes>,
        rule: &AddressRule,
    ) -> Result<Response<Bytes>, FetchError> {
        let request = request.map(RequestBody::new);
        let sent = match &*self.0 {
            Way::Network { options, connectors, .. } => {
                sending(connector(options, &mut connectors.locked(), rule)?, request)
            }
            Way::Service(service) => service(request),
        };
        let failed = |error: BoxError| FetchError::new(error.to_string(), Some(error));
        let (parts, body) = sent.await.map_err(failed)?.into_parts();
        Ok(Response::from_parts(parts, read(body).await?))
    }
}

/// Whether the server of this address answers at one of the classes that the rule has beside the public one. Without TLS anybody
/// would, and through a proxy it is not known who does.
async fn answers_inside(options: &HttpOptions, address: &Uri, rule: &AddressRule) -> bool {
    let admits = rule.clone();
    let inside = move |tls, address| {
        let class = IpClass::of(address);
        tls && class != IpClass::Public && admits.allows(class)
    };
    let options = options.clone().proxy(Proxy::Off).connect_only(inside);
    let Ok(connector) = Connector::new(&options) else { return false };
    let mut request = Request::new(RequestBody::new(Bytes::new()));
    *request.method_mut() = Method::HEAD;
    *request.uri_mut() = address.clone();
    matches!(tokio::time::timeout(TIMEOUT, sending(connector, request)).await, Ok(Ok(_)))
}

/// The connector of a rule, made when it is first needed.
fn connector(
    options: &HttpOptions,
    connectors: &mut Vec<(AddressRule, Connector)>,
    rule: &AddressRule,
) -> Result<Connector, FetchError> {
    if let Some((_, connector)) = connectors.iter().find(|(of, _)| of == rule) {
        return Ok(connector.clone());
    }
    let admits = rule.clone();
    let options = options.clone().connect_only(move |tls, address| {
        let class = IpClass::of(address);
        admits.allows(class) && (tls || class == IpClass::Loopback)
    });
    let connector =
        Connector::new(&options).map_err(|error| FetchError::new(error.to_string(), Some(error.into())))?;
    if connectors.len() >= MOST_RULES {
        connectors.remove(0);
    }
    connectors.push((rule.clone(), connector.clone()));
    Ok(connector)
}

fn sending<S, B>(mut service: S, request: Request<RequestBody>) -> Sending
where
    S: Service<Request<RequestBody>, Response = Response<B>> + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    Box::pin(async move {
        poll_fn(|cx| service.poll_ready(cx)).await.map_err(Into::into)?;
        let response = service.call(request).await.map_err(Into::into)?;
        Ok(response.map(crate::client::boxed_body))
    })
}

/// The whole body, when it is short enough.
async fn read(body: BoxBody) -> Result<Bytes, FetchError> {
    let too_long = || {
        let sentence =
            format!("an answer is longer than {} KiB, which none of its kind should be", MAX_BODY / 1024);
        FetchError::new(sentence, None)
    };
    if body.size_hint().lower() > MAX_BODY as u64 {
        return Err(too_long());
    }
    let mut body = pin!(body);
    let mut read = BytesMut::new();
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        let frame = frame.map_err(|error| FetchError::new(error.to_string(), Some(error)))?;
        let Ok(data) = frame.into_data() else { continue };
        if read.len() + data.len() > MAX_BODY {
            return Err(too_long());
        }
        read.extend_from_slice(&data);
    }
    Ok(read.freeze())
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &*self.0 {
            Way::Network { .. } => "Fetcher(network)",
            Way::Service(_) => "Fetcher(service)",
        })
    }
}

/// Why there is no answer: one sentence. It names hosts, and nothing else of an address or a request.
#[derive(Debug)]
pub(crate) struct FetchError {
    sentence: String,
    source: Option<BoxError>,
}

impl FetchError {
    fn new(sentence: String, source: Option<BoxError>) -> Self {
        Self { sentence, source }
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl Error for FetchError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// How long an answer may take, with its body. Token endpoints and key sets answer within a second; somebody may be waiting
/// for this one.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);

/// How long an answer may be. The key sets and metadata of the large providers have some 10 KiB.
pub(crate) const MAX_BODY: usize = 256 * 1024;

/// How long it is not looked up again where a host is. One that has moved to a network of another kind is refused until then.
const KEPT: Duration = Duration::from_secs(60);

/// A program has a rule or two: those of the servers and issuers that it knows. Beyond this the oldest is made anew.
const MOST_RULES: usize = 16;

#[cfg(test)]
mod tests;
