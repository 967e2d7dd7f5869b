//! Certificates that are trusted, and what is said of those that are not.

use rcgen::{CertificateParams, date_time_ymd};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::{Connector, HttpOptions};
use super::server::{Authority, Server, raw, self_signed};
use super::{connector, options, post, send, text};

async fn refused(options: &HttpOptions, url: &str) -> String {
    let error = send(&connector(options), post(url, "x")).await.unwrap_err();
    assert!(error.never_sent(), "{error}");
    error.to_string()
}

#[tokio::test]
async fn a_certificate_of_ones_own_is_trusted_once_it_is_given() {
    let (pem, config) = self_signed();
    let server = Server::echo(Some(config)).await;
    let said = refused(&options(), &server.https("/")).await;
    assert_eq!(
        said,
        "the certificate of localhost is signed by nobody who is trusted here; if it is your own, add the \
         certificate of its authority as a root (`HttpOptions::root_certificates`, or the file SSL_CERT_FILE)"
    );
    let trusting = connector(&options().root_certificates(&pem));
    assert_eq!(text(send(&trusting, post(server.https("/"), "x")).await.unwrap()).await, "x");
}

#[tokio::test]
async fn the_roots_of_the_system_and_the_bundled_ones_do_not_know_it() {
    let (pem, config) = self_signed();
    let server = Server::echo(Some(config)).await;
    let all = options().system_roots(true).bundled_roots(true);
    assert!(refused(&all, &server.https("/")).await.contains("signed by nobody who is trusted"));
    let trusting = connector(&all.root_certificates(&pem));
    assert_eq!(text(send(&trusting, post(server.https("/"), "x")).await.unwrap()).await, "x");
}

#[tokio::test]
async fn addresses_can_be_in_certificates_too() {
    let authority = Authority::new();
    let server = Server::echo(Some(authority.server(&["127.0.0.1"], &["h2"]))).await;
    let trusting = options().root_certificates(&authority.pem);
    let url = format!("https://{}/", server.address);
    assert_eq!(text(send(&connector(&trusting), post(url, "x")).await.unwrap()).await, "x");
    assert_eq!(
        refused(&trusting, &server.https("/")).await,
        "the certificate that was shown is not for localhost; use the name that it is for"
    );
}

#[tokio::test]
async fn a_certificate_has_its_time() {
    let authority = Authority::new();
    let trusting = options().root_certificates(&authority.pem);
    for (from, to, says) in [(2000, 2001, "has expired"), (3000, 3001, "is not valid yet")] {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(to, 1, 1);
        let server = Server::echo(Some(authority.server_with(params, &[]))).await;
        let said = refused(&trusting, &server.https("/")).await;
        assert!(said.contains(says), "{said}");
    }
}

#[tokio::test]
async fn an_authority_is_no_server() {
    let authority = Authority::new();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let server = Server::echo(Some(authority.server_with(params, &[]))).await;
    let said = refused(&options().root_certificates(&authority.pem), &server.https("/")).await;
    assert!(said.contains("is one of an authority and none of a server"), "{said}");
}

#[tokio::test]
async fn plain_http_where_tls_was_expected() {
    let server = Server::echo(None).await;
    let (address, mut connections) = raw().await;
    tokio::spawn(async move {
        let mut stream = connections.recv().await.unwrap();
        let mut some = [0; 64];
        stream.read_exact(&mut some).await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    let expected = "localhost does not speak TLS at this port; if it speaks plain HTTP, write http:// instead of https://";
    let url = format!("https://localhost:{}/", address.port());
    assert_eq!(refused(&options(), &url).await, expected);
    // hyper may answer with a page, or close.
    let said = refused(&options(), &server.https("/")).await;
    assert!(said == expected || said.contains("during the TLS handshake"), "{said}");
}

#[tokio::test]
async fn a_connection_that_is_closed_in_the_handshake() {
    let (address, mut connections) = raw().await;
    tokio::spawn(async move {
        let mut stream = connections.recv().await.unwrap();
        let mut some = [0; 5];
        stream.read_exact(&mut some).await.unwrap();
    });
    let said = refused(&options(), &format!("https://{address}/")).await;
    assert!(said.contains("during the TLS handshake"), "{said}");
}

#[test]
fn options_that_cannot_be_used() {
    for (pem, says) in [
        ("", "a root certificate is missing"),
        ("nothing of that kind", "a root certificate is missing"),
        ("-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n", "is no PEM text"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "cannot be used as one"),
    ] {
        let error = Connector::new(&options().root_certificates(pem)).unwrap_err().to_string();
        assert!(error.contains(says), "{pem:?}: {error}");
    }
    let proxy = super::Proxy::Address("socks5://user:hunter2@p:1".into());
    let options = options().proxy(proxy);
    assert!(!format!("{options:?}").contains("hunter2"));
    let error = Connector::new(&options).unwrap_err().to_string();
    assert!(error.starts_with("the address of the proxy is no proxy that can be used: SOCKS"), "{error}");
}
