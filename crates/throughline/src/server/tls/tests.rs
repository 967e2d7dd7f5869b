//! Handshakes over pipes in memory, and certificates in files.

use std::convert::Infallible;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::server::listener::Listener;

/// Connections in memory.
struct Pipes(mpsc::Receiver<DuplexStream>);

impl Listener for Pipes {
    type Connection = DuplexStream;

    async fn accept(&mut self) -> io::Result<DuplexStream> {
        match self.0.recv().await {
            Some(connection) => Ok(connection),
            None => std::future::pending().await,
        }
    }

    fn peer(_: &DuplexStream) -> Option<SocketAddr> {
        Some(PEER)
    }
}

const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7);

fn pipes() -> (mpsc::Sender<DuplexStream>, Pipes) {
    let (sender, receiver) = mpsc::channel(16);
    (sender, Pipes(receiver))
}

async fn dial(to: &mpsc::Sender<DuplexStream>) -> DuplexStream {
    let (ours, theirs) = duplex(64 * 1024);
    to.send(theirs).await.expect("it listens");
    ours
}

/// A certificate that signed itself, and its key.
struct Made {
    der: CertificateDer<'static>,
    certificate: String,
    key: String,
}

fn make() -> Made {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let der = params.self_signed(&key).expect("a certificate").der().clone();
    Made { certificate: pem("CERTIFICATE", &der), key: pem("PRIVATE KEY", &key.serialize_der()), der }
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}

/// A handshake as a client that trusts this certificate.
async fn shake(
    io: DuplexStream,
    trusted: &CertificateDer<'static>,
    protocol: &str,
) -> io::Result<TlsStream<DuplexStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).expect("a root");
    let mut config = ClientConfig::builder_with_provider(identity::provider())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    let name = ServerName::try_from("localhost").expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, io).await
}

fn served(tls: &ServerTls) -> mpsc::Sender<DuplexStream> {
    let (to, listener) = pipes();
    let service = tower::service_fn(|request: Request<hyper::body::Incoming>| async move {
        let peer = request.extensions().get::<crate::PeerAddress>().copied();
        assert_eq!(peer, Some(crate::PeerAddress(PEER)));
        let version = format!("{:?}", request.version());
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(version))))
    });
    tokio::spawn(crate::serve(listener, service).tls(tls.clone()).into_future());
    to
}

#[tokio::test]
async fn both_versions_of_http_are_offered() {
    let made = make();
    let to = served(&ServerTls::from_pem(&made.certificate, &made.key).expect("it is right"));
    let request =
        || Request::get("https://localhost/").header("host", "localhost").body(Empty::<Bytes>::new());

    let io = shake(dial(&to).await, &made.der, "h2").await.expect("it is trusted");
    assert_eq!(io.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut send, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(io)).await.expect("h2");
    let driving = tokio::spawn(connection);
    let answer = send.send_request(request().expect("a request")).await.expect("an answer");
    assert_eq!(answer.into_body().collect().await.expect("a body").to_bytes(), "HTTP/2.0");
    driving.abort();

    let io = shake(dial(&to).await, &made.der, "http/1.1").await.expect("it is trusted");
    assert_eq!(io.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let (mut send, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(io)).await.expect("HTTP/1.1");
    let driving = tokio::spawn(connection);
    let answer = send.send_request(request().expect("a request")).await.expect("an answer");
    assert_eq!(answer.into_body().collect().await.expect("a body").to_bytes(), "HTTP/1.1");
    driving.abort();
}

#[tokio::test]
async fn plain_http_is_no_handshake() {
    let made = make();
    let to = served(&ServerTls::from_pem(&made.certificate, &made.key).expect("it is right"));
    let mut io = dial(&to).await;
    io.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.expect("it fits");
    let mut said = Vec::new();
    io.read_to_end(&mut said).await.expect("it ends");
    // An alert of TLS, and nothing of the service.
    assert_eq!(said.first(), Some(&21), "{said:?}");
    assert!(said.len() <= 7, "{said:?}");
}

#[tokio::test(start_paused = true)]
async fn a_handshake_has_its_time() {
    let made = make();
    let tls = ServerTls::from_pem(&made.certificate, &made.key).expect("it is right");
    for said in [&b""[..], &[22, 3, 1]] {
        let (to, listener) = pipes();
        let mut listener = TlsListener::new(listener, tls.clone());
        let mut theirs = dial(&to).await;
        theirs.write_all(said).await.expect("it fits");
        let mut ours = listener.accept().await.expect("a connection");
        let begun = tokio::time::Instant::now();
        let error = ours.read_u8().await.expect_err("no handshake, no bytes");
        assert_eq!((error.kind(), begun.elapsed()), (io::ErrorKind::TimedOut, HANDSHAKE_TIMEOUT));
        // It has ended: what follows cannot revive it.
        assert_eq!(ours.write_all(b"x").await.expect_err("closed").kind(), io::ErrorKind::NotConnected);
    }
}

#[tokio::test(start_paused = true)]
async fn half_done_handshakes_are_few_and_done_ones_do_not_count() {
    let made = make();
    let tls = ServerTls::from_pem(&made.certificate, &made.key).expect("it is right").max_handshakes(1);
    let (to, listener) = pipes();
    let mut listener = TlsListener::new(listener, tls);
    let _silent = dial(&to).await;
    let client = {
        let io = dial(&to).await;
        let trusted = made.der.clone();
        tokio::spawn(async move { shake(io, &trusted, "h2").await.expect("it is trusted") })
    };
    let mut slow = listener.accept().await.expect("a connection");
    let waiting = tokio::time::timeout(HANDSHAKE_TIMEOUT / 2, listener.accept()).await;
    assert!(waiting.is_err(), "the one place is taken");
    let failed = slow.read_u8().await.expect_err("it is silent");
    assert_eq!(failed.kind(), io::ErrorKind::TimedOut);

    let mut second = listener.accept().await.expect("its place is free");
    second.write_all(b"hello").await.expect("the handshake is done");
    second.flush().await.expect("it is sent");
    let mut client = client.await.expect("it shook hands");
    let mut read = [0; 5];
    client.read_exact(&mut read).await.expect("it is there");
    assert_eq!(&read, b"hello");
    // The second connection lives on, and keeps no place.
    let _third = dial(&to).await;
    listener.accept().await.expect("there is a place");
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_once_it_is_reloaded() {
    let directory = tempfile::tempdir().expect("a directory");
    let (certificate, key) = (directory.path().join("c.pem"), directory.path().join("k.pem"));
    let write = |made: &Made| {
        fs::write(&certificate, &made.certificate).expect("it is written");
        fs::write(&key, &made.key).expect("it is written");
    };
    let (old, new) = (make(), make());
    write(&old);
    let tls = ServerTls::from_pem_files(&certificate, &key).expect("it is right");
    let to = served(&tls);
    shake(dial(&to).await, &old.der, "h2").await.expect("the old one");
    assert!(!tls.reload().expect("nothing is wrong"), "it is the same");

    // Half renewed, it stays as it was.
    fs::write(&certificate, &new.certificate).expect("it is written");
    let error = tls.reload().expect_err("the key is another's").to_string();
    assert!(error.contains("is not that of the first certificate"), "{error}");
    shake(dial(&to).await, &old.der, "h2").await.expect("still the old one");

    write(&new);
    assert!(tls.reload().expect("it is right"), "it is another");
    shake(dial(&to).await, &new.der, "h2").await.expect("the new one");
    shake(dial(&to).await, &old.der, "h2").await.expect_err("the old one is not shown");
}

#[test]
fn errors_say_what_to_do() {
    let (made, other) = (make(), make());
    let encrypted = pem("ENCRYPTED PRIVATE KEY", b"x");
    let no_certificate = pem("CERTIFICATE", b"x");
    for (certificate, key, says) in [
        ("", &*made.key, "there is no certificate (BEGIN CERTIFICATE) in the text of the certificate"),
        (&made.key, &made.certificate, "but a key; were the two exchanged?"),
        (
            &made.certificate,
            "",
            "there is no key (BEGIN PRIVATE KEY) that can be read in the text of the key",
        ),
        (&made.certificate, &made.certificate, ", but a certificate; give the file of the key"),
        (&made.certificate, &encrypted, "it has a passphrase: take that away with `openssl pkey"),
        (&made.certificate, &other.key, "comes first there, before those of its authorities"),
        (&no_certificate, &made.key, "the certificate in the text of the certificate cannot be used"),
        ("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", &made.key, "is no PEM text"),
        (&made.certificate, &pem("PRIVATE KEY", b"x"), "give an ECDSA, RSA or Ed25519 key"),
    ] {
        let error = ServerTls::from_pem(certificate, key).expect_err(says).to_string();
        assert!(error.contains(says), "{error}");
    }
    let error = ServerTls::from_pem_files("/nowhere/c.pem", "/nowhere/k.pem").expect_err("nothing there");
    assert!(error.to_string().starts_with("/nowhere/c.pem cannot be read: "), "{error}");
    let tls = ServerTls::from_pem(made.certificate + &other.certificate, &made.key).expect("a chain");
    assert!(!format!("{tls:?}").contains("PRIVATE"), "{tls:?}");
}
