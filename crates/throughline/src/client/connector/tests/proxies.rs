//! Through a proxy.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use super::super::HttpOptions;
use super::server::{Authority, Server, raw};
use super::{Proxy, connector, options, post, send, text};

/// A proxy that tells the heads that it reads, and passes everything on to one server.
async fn proxy(to: SocketAddr, tls: Option<ServerConfig>) -> (SocketAddr, mpsc::UnboundedReceiver<String>) {
    let (address, mut connections) = raw().await;
    let (heads, receiver) = mpsc::unbounded_channel();
    let tls = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
    tokio::spawn(async move {
        while let Some(stream) = connections.recv().await {
            let (heads, tls) = (heads.clone(), tls.clone());
            tokio::spawn(async move {
                match tls {
                    Some(tls) => pass(tls.accept(stream).await.unwrap(), to, heads).await,
                    None => pass(stream, to, heads).await,
                }
            });
        }
    });
    (address, receiver)
}

async fn pass(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    to: SocketAddr,
    heads: mpsc::UnboundedSender<String>,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let text = String::from_utf8(head.clone()).unwrap();
    let tunnel = text.starts_with("CONNECT");
    let refused = text.contains("proxy-authorization: Basic d3Jvbmc6");
    heads.send(text).unwrap();
    if refused {
        stream.write_all(b"HTTP/1.1 407 No\r\ncontent-length: 3\r\n\r\nNo!").await.unwrap();
        return;
    }
    let mut server = TcpStream::connect(to).await.unwrap();
    if tunnel {
        stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
    } else {
        server.write_all(&head).await.unwrap();
    }
    let _ = tokio::io::copy_bidirectional(&mut stream, &mut server).await;
}

fn through(address: SocketAddr, user: &str) -> HttpOptions {
    options().proxy(Proxy::Address(format!("http://{user}{address}")))
}

#[tokio::test]
async fn https_goes_through_a_tunnel() {
    let authority = Authority::new();
    let server = Server::echo(Some(authority.server(&["localhost"], &["h2"]))).await;
    let (address, mut heads) = proxy(server.address, None).await;
    let connector = connector(&through(address, "me:secret@").root_certificates(&authority.pem));
    for _ in 0..10 {
        let response = send(&connector, post(server.https("/"), "x")).await.unwrap();
        assert_eq!(response.headers()["x-version"], "HTTP/2.0");
        assert_eq!(text(response).await, "x");
    }
    let host = format!("localhost:{}", server.address.port());
    assert_eq!(
        heads.recv().await.unwrap(),
        format!("CONNECT {host} HTTP/1.1\r\nhost: {host}\r\nproxy-authorization: Basic bWU6c2VjcmV0\r\n\r\n"),
    );
    assert!(heads.try_recv().is_err(), "one tunnel");
}

#[tokio::test]
async fn http_tells_the_proxy_the_whole_address() {
    let server = Server::echo(None).await;
    let (address, mut heads) = proxy(server.address, None).await;
    let connector = connector(&through(address, "me:secret@"));
    for _ in 0..10 {
        let request = post("http://example.com/mcp?a=b", "x");
        assert_eq!(text(send(&connector, request).await.unwrap()).await, "x");
    }
    let head = heads.recv().await.unwrap();
    assert!(head.starts_with("POST http://example.com/mcp?a=b HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nhost: example.com\r\n"), "{head}");
    assert!(head.contains("\r\nproxy-authorization: Basic bWU6c2VjcmV0\r\n"), "{head}");
    assert!(heads.try_recv().is_err(), "one connection");
}

#[tokio::test]
async fn the_proxy_may_speak_tls_itself() {
    let authority = Authority::new();
    let server = Server::echo(Some(authority.server(&["localhost"], &["h2"]))).await;
    let (address, mut heads) =
        proxy(server.address, Some(authority.server(&["127.0.0.1"], &["h2", "http/1.1"]))).await;
    let options =
        options().proxy(Proxy::Address(format!("https://{address}"))).root_certificates(&authority.pem);
    let response = send(&connector(&options), post(server.https("/"), "x")).await.unwrap();
    assert_eq!(text(response).await, "x");
    assert!(heads.recv().await.unwrap().starts_with("CONNECT "));
}

#[tokio::test]
async fn a_proxy_that_refuses() {
    let server = Server::echo(None).await;
    let (address, _heads) = proxy(server.address, None).await;
    let connector = connector(&through(address, "wrong:word@"));
    for url in ["http://example.com/", "https://example.com/"] {
        let error = send(&connector, post(url, "x")).await.unwrap_err();
        assert!(error.never_sent(), "{url}");
        assert_eq!(
            error.to_string(),
            format!(
                "the proxy {address} wants other credentials; write them into its address \
                 (http://user:password@{address})"
            )
        );
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_proxy_that_knows_no_such_server_or_answers_nonsense() {
    for (answer, says) in [
        ("HTTP/1.1 502 Bad Gateway\r\n\r\n", "refused to connect to example.com:443 (502 Bad Gateway)"),
        ("HTTP/1.1 200 OK\r\n\r\nearly", "sent bytes into the tunnel"),
        ("220 mail\r\n\r\n", "gave no answer that can be understood"),
        ("", "gave no answer that can be understood"),
    ] {
        let (address, mut connections) = raw().await;
        tokio::spawn(async move {
            let mut stream = connections.recv().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                stream.read_buf(&mut head).await.unwrap();
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        let error =
            send(&connector(&through(address, "")), post("https://example.com/", "x")).await.unwrap_err();
        assert!(error.never_sent());
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[tokio::test]
async fn a_proxy_that_is_not_there() {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for url in ["http://example.com/", "https://example.com/"] {
        let error = send(&connector(&through(free, "")), post(url, "x")).await.unwrap_err();
        assert!(error.never_sent());
        assert!(error.to_string().starts_with(&format!("nothing listens at the proxy {free}")), "{error}");
    }
}
