use std::convert::Infallible;
use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use http::{Method, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody};
use throughline_proto::auth::{AddressRule, IpClass};
use tokio::net::TcpListener;

use super::*;
use crate::client::{Names, Stays};

/// Answers by a function.
#[derive(Clone)]
struct Answers<F>(F);

impl<F, R, B> Service<Request<RequestBody>> for Answers<F>
where
    F: Fn(Request<RequestBody>) -> R,
    R: Future<Output = Response<B>> + Send + 'static,
{
    type Response = Response<B>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<B>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let answer = (self.0)(request);
        Box::pin(async move { Ok(answer.await) })
    }
}

fn get(address: &str) -> Request<Bytes> {
    Request::get(address).body(Bytes::new()).unwrap()
}

const ADDRESS: &str = "https://login.example.com/token";

#[tokio::test]
async fn it_sends_what_it_is_given_and_reads_the_whole_answer() {
    let fetcher = Fetcher::over(Answers(|request: Request<RequestBody>| async move {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let said = format!("{} {} {}", parts.method, parts.uri, String::from_utf8_lossy(&body));
        let mut response = Response::new(Full::new(Bytes::from(said)));
        *response.status_mut() = StatusCode::BAD_REQUEST;
        response
    }));
    let mut request = get(ADDRESS).map(|_| Bytes::from_static(b"a=b"));
    *request.method_mut() = Method::POST;
    let response = fetcher.fetch(request, &AddressRule::public()).await.unwrap();
    assert_eq!(
        (response.status(), &response.body()[..]),
        (StatusCode::BAD_REQUEST, &b"POST https://login.example.com/token a=b"[..])
    );
}

#[tokio::test]
async fn an_answer_is_only_so_long() {
    let of_length = |length: usize, declared: bool| {
        Fetcher::over(Answers(move |_| async move {
            let frames = (0..length.div_ceil(1024)).map(move |number| {
                let left = (length - number * 1024).min(1024);
                Ok::<_, Infallible>(http_body::Frame::data(Bytes::from(vec![b'x'; left])))
            });
            Response::new(if declared {
                Full::new(Bytes::from(vec![b'x'; length])).boxed()
            } else {
                BodyExt::boxed(StreamBody::new(Frames(frames)))
            })
        }))
    };
    for declared in [true, false] {
        let rule = AddressRule::public();
        let whole = of_length(MAX_BODY, declared).fetch(get(ADDRESS), &rule).await.unwrap();
        assert_eq!(whole.body().len(), MAX_BODY);
        let error = of_length(MAX_BODY + 1, declared).fetch(get(ADDRESS), &rule).await.unwrap_err();
        assert!(error.to_string().contains("longer than 256 KiB"), "{error}");
    }
}

/// An iterator as a stream.
struct Frames<I>(I);

impl<I: Iterator + Unpin> futures_core::Stream for Frames<I> {
    type Item = I::Item;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<I::Item>> {
        Poll::Ready(self.0.next())
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_takes_only_so_long() {
    let fetcher = Fetcher::over(Answers(|_| pending::<Response<Full<Bytes>>>()));
    let began = tokio::time::Instant::now();
    let error =
        fetcher.fetch(get("https://login.example.com/a?secret"), &AddressRule::public()).await.unwrap_err();
    assert_eq!(began.elapsed(), TIMEOUT);
    assert_eq!(
        error.to_string(),
        "`login.example.com` did not answer within 10s; try again, and check the network"
    );
}

#[tokio::test]
async fn where_the_rule_does_not_lead_nobody_is_asked() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let fetcher = Fetcher::over(Answers(|_| async {
        ASKED.fetch_add(1, Ordering::Relaxed);
        Response::new(Full::<Bytes>::default())
    }));
    for address in [
        "http://login.example.com/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://169.254.169.254/latest/meta-data",
        "https://10.0.0.1/",
        "https://localhost/",
        "https://user@login.example.com/",
    ] {
        assert!(fetcher.fetch(get(address), &AddressRule::public()).await.is_err(), "{address}");
    }
    assert_eq!(ASKED.load(Ordering::Relaxed), 0);
    let rule = AddressRule::public().allow(IpClass::Loopback);
    assert!(fetcher.fetch(get("http://127.0.0.1:8080/"), &rule).await.is_ok());
}

#[tokio::test]
async fn a_rule_follows_from_an_address_that_is_trusted() {
    let fetcher = Fetcher::new(HttpOptions::new()).unwrap();
    let rule = async |address: &'static str| fetcher.rule_for(&Uri::from_static(address)).await;
    assert!(rule("http://localhost:8080").await.allows(IpClass::Loopback));
    assert!(rule("https://[::1]").await.allows(IpClass::Loopback));
    assert!(rule("https://10.1.2.3/").await.allows(IpClass::of("10.1.2.3".parse().unwrap())));
    assert!(!rule("https://93.184.215.14/").await.allows(IpClass::Loopback));
}

#[tokio::test]
async fn over_the_network_too_the_rule_holds() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(tokio::spawn(
        crate::serve(listener, crate::StreamableHttp::new(crate::Server::new("it", "1"))).into_future(),
    ));
    let fetcher = Fetcher::new(HttpOptions::new().proxy(crate::Proxy::Off)).unwrap();
    let here = format!("http://{address}/");
    let loopback = fetcher.rule_for(&here.parse().unwrap()).await;
    assert_eq!(fetcher.fetch(get(&here), &loopback).await.unwrap().status(), StatusCode::BAD_REQUEST);
    assert!(fetcher.fetch(get(&here), &AddressRule::public()).await.is_err());
}

/// A name whose addresses are what is said at each look-up, the last one again and again.
fn turning(addresses: &[&str]) -> Names {
    let addresses: Vec<std::net::IpAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
    let at = AtomicUsize::new(0);
    Names::by(move |_| {
        let at = at.fetch_add(1, Ordering::Relaxed);
        vec![addresses[at.min(addresses.len() - 1)]]
    })
}

/// A server on this machine that counts who connects, and speaks TLS with a certificate for `mcp.example.com` if it has one.
async fn inside(tls: Option<rustls::ServerConfig>) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, connections) = (listener.local_addr().unwrap().port(), Arc::<AtomicUsize>::default());
    let counted = Arc::clone(&connections);
    let tls = tls.map(|config| tokio_rustls::TlsAcceptor::from(Arc::new(config)));
    drop(tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            let Some(tls) = tls.clone() else { continue };
            drop(tokio::spawn(async move {
                let Ok(stream) = tls.accept(stream).await else { return };
                let nothing = hyper::service::service_fn(|_| async {
                    Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
                });
                let server = hyper::server::conn::http1::Builder::new();
                let _ = server.serve_connection(hyper_util::rt::TokioIo::new(stream), nothing).await;
            }));
        }
    }));
    (port, connections)
}

fn certificate(name: &str) -> (String, rustls::ServerConfig) {
    let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .unwrap();
    (made.cert.pem(), config)
}

fn by(names: Names) -> HttpOptions {
    HttpOptions::new().proxy(crate::Proxy::Off).system_roots(false).bundled_roots(false).with_names(names)
}

/// The name of a public server that is at an address of this machine once it was checked.
#[tokio::test]
async fn a_name_that_is_turned_to_this_machine_is_not_followed_there() {
    let (port, connections) = inside(None).await;
    let fetcher = Fetcher::new(by(turning(&["93.184.215.14", "127.0.0.1"]))).unwrap();
    let address = format!("https://mcp.example.com:{port}/token");
    let rule = fetcher.rule_for(&address.parse().unwrap()).await;
    assert_eq!(rule, AddressRule::public());
    let error = fetcher.fetch(get(&address), &rule).await.unwrap_err();
    assert!(error.to_string().contains("at an address of a private network"), "{error}");
    assert_eq!(connections.load(Ordering::Relaxed), 0);
}

/// The server is public when it is connected to, and its name is one of this machine when the rule is made: with the class of that
/// alone it could name addresses of this machine to be asked.
#[tokio::test]
async fn a_name_that_is_turned_to_this_machine_opens_nothing() {
    let endpoint = |port| format!("https://mcp.example.com:{port}/mcp").parse::<Uri>().unwrap();
    let (_, config) = certificate("other.example.com");
    for tls in [None, Some(config)] {
        let (port, connections) = inside(tls).await;
        let fetcher =
            Fetcher::new(by(turning(&["127.0.0.1"])).connect_timeout(Duration::from_secs(1))).unwrap();
        assert_eq!(fetcher.rule_for(&endpoint(port)).await, AddressRule::public());
        assert_eq!(connections.load(Ordering::Relaxed), 1, "it was asked whether the server is there");
    }
    // Nobody is there at all, or it is not spoken to with TLS.
    for address in ["10.1.2.3", "169.254.169.254"] {
        let fetcher = Fetcher::new(by(turning(&[address, "127.0.0.1"]))).unwrap();
        assert_eq!(fetcher.rule_for(&endpoint(1)).await, AddressRule::public());
    }
}

#[tokio::test]
async fn a_server_inside_that_shows_its_certificate_may_name_what_is_beside_it() {
    let (pem, config) = certificate("mcp.example.com");
    let (port, connections) = inside(Some(config)).await;
    let fetcher = Fetcher::new(by(turning(&["127.0.0.1"])).root_certificates(pem)).unwrap();
    let endpoint: Uri = format!("https://mcp.example.com:{port}/mcp").parse().unwrap();
    for _ in 0..3 {
        let rule = fetcher.rule_for(&endpoint).await;
        assert_eq!(rule, AddressRule::public().allow(IpClass::Loopback));
    }
    assert_eq!(connections.load(Ordering::Relaxed), 1, "once in a while is enough");
}

#[tokio::test]
async fn a_request_with_secrets_stays_where_it_goes() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = hyper::service::service_fn(|request: Request<hyper::body::Incoming>| async move {
                let mut response = Response::new(Full::<Bytes>::default());
                if request.uri().path() == "/token" {
                    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
                    response.headers_mut().insert("location", "/elsewhere".parse().unwrap());
                }
                Ok::<_, Infallible>(response)
            });
            let server = hyper::server::conn::http1::Builder::new();
            drop(tokio::spawn(server.serve_connection(hyper_util::rt::TokioIo::new(stream), answer)));
        }
    }));
    let fetcher = Fetcher::new(HttpOptions::new().proxy(crate::Proxy::Off)).unwrap();
    let rule = AddressRule::public().allow(IpClass::Loopback);
    let request =
        || Request::post(format!("http://{address}/token")).body(Bytes::from_static(b"secret")).unwrap();
    assert_eq!(fetcher.fetch(request(), &rule).await.unwrap().status(), StatusCode::OK);
    let mut stays = request();
    stays.extensions_mut().insert(Stays);
    assert_eq!(fetcher.fetch(stays, &rule).await.unwrap().status(), StatusCode::TEMPORARY_REDIRECT);
}
