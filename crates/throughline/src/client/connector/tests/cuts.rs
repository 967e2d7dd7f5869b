//! What is lost, and what is known of it.

use std::time::Duration;

use http::{Method, Response};
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::server::{Answer, Authority, Endless, Server, answer, raw};
use super::{causes, connector, options, post, request, send, text};

/// Reads a request to its end, which is `ping`.
async fn read(stream: &mut TcpStream) {
    let mut seen = Vec::new();
    while !seen.ends_with(b"ping") {
        assert_ne!(stream.read_buf(&mut seen).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn nobody_listens() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = send(&connector(&options()), post(format!("http://{free}/"), "x")).await.unwrap_err();
    assert!(error.never_sent());
    assert!(!error.is_connect_timeout());
    assert!(
        causes(&error).starts_with(&format!(
            "nothing listens at {free}; is the server running, and is the port right?: "
        ))
    );
}

/// A label has at most 63 bytes, so this one is refused without asking the network.
#[tokio::test]
async fn a_name_that_does_not_exist() {
    let name = "x".repeat(64);
    let error = send(&connector(&options()), post(format!("http://{name}/"), "x")).await.unwrap_err();
    assert!(error.never_sent());
    assert!(error.to_string().starts_with(&format!("the name `{name}` cannot be resolved")), "{error}");
}

#[tokio::test]
async fn an_address_that_is_none() {
    for url in ["/mcp", "ftp://127.0.0.1/", "http://user:hunter2@127.0.0.1/"] {
        let error = send(&connector(&options()), post(url, "x")).await.unwrap_err();
        assert!(error.never_sent());
        assert_eq!(error.to_string(), "the address is none of an http or https server");
    }
}

#[tokio::test]
async fn a_cut_before_the_response() {
    let (address, mut connections) = raw().await;
    tokio::spawn(async move {
        let mut stream = connections.recv().await.unwrap();
        read(&mut stream).await;
    });
    let error = send(&connector(&options()), post(format!("http://{address}/"), "ping")).await.unwrap_err();
    assert!(!error.never_sent(), "it may have run");
    assert_eq!(error.to_string(), format!("the connection to {address} was lost before the response came"));
}

/// The request is written to a connection that carried others: it may have run, so it is not sent again.
#[tokio::test]
async fn a_cut_on_a_connection_that_was_used_before() {
    let (address, mut connections) = raw().await;
    let server = tokio::spawn(async move {
        let mut stream = connections.recv().await.unwrap();
        read(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        read(&mut stream).await;
        drop(stream);
        connections
    });
    let connector = connector(&options());
    let url = format!("http://{address}/");
    send(&connector, post(&url, "ping")).await.unwrap();
    let error = send(&connector, post(&url, "ping")).await.unwrap_err();
    assert!(!error.never_sent());
    assert!(server.await.unwrap().try_recv().is_err(), "there is no other connection");
}

#[tokio::test]
async fn a_cut_within_the_response() {
    let (address, mut connections) = raw().await;
    tokio::spawn(async move {
        let mut stream = connections.recv().await.unwrap();
        read(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await.unwrap();
    });
    let response = send(&connector(&options()), post(format!("http://{address}/"), "ping")).await.unwrap();
    let error = response.into_body().collect().await.unwrap_err();
    assert!(!error.never_sent());
    assert_eq!(error.to_string(), format!("the connection to {address} was lost within the response"));
}

#[tokio::test]
async fn what_is_no_http() {
    let (address, mut connections) = raw().await;
    tokio::spawn(async move {
        while let Some(mut stream) = connections.recv().await {
            stream.write_all(b"220 mail.example.com ESMTP\r\n").await.unwrap();
            read(&mut stream).await;
        }
    });
    let error = send(&connector(&options()), post(format!("http://{address}/"), "ping")).await.unwrap_err();
    assert!(
        error.to_string().ends_with("ended before the request was sent")
            || error.to_string().contains("is no HTTP"),
        "{error}"
    );
    let (address, mut connections) = raw().await;
    tokio::spawn(async move {
        let mut stream = connections.recv().await.unwrap();
        read(&mut stream).await;
        // What a TLS server says to a plain request: an alert.
        stream.write_all(&[21, 3, 3, 0, 2, 2, 70]).await.unwrap();
    });
    let error = send(&connector(&options()), post(format!("http://{address}/"), "ping")).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "what {address} answered is no HTTP; check the port, and whether the address must begin with https://"
        )
    );
}

#[tokio::test]
async fn headers_are_bounded() {
    let server = Server::start(None, |request| async move {
        let size: usize = request.uri().path()[1..].parse().unwrap();
        let mut answer = answer("done");
        answer.headers_mut().insert("x-long", "x".repeat(size).parse().unwrap());
        answer
    })
    .await;
    let connector = connector(&options());
    let response = send(&connector, post(server.http("/60000"), "x")).await.unwrap();
    assert_eq!(text(response).await, "done");
    let error = send(&connector, post(server.http("/70000"), "x")).await.unwrap_err();
    assert_eq!(error.to_string(), format!("{} answered with headers of more than 64 KiB", server.address));
    assert!(!error.never_sent());
}

#[tokio::test]
async fn headers_are_bounded_over_http_2() {
    let authority = Authority::new();
    let server = Server::start(Some(authority.server(&["localhost"], &["h2"])), |request| async move {
        let size: usize = request.uri().path()[1..].parse().unwrap();
        let mut answer = answer("done");
        answer.headers_mut().insert("x-long", "x".repeat(size).parse().unwrap());
        answer
    })
    .await;
    let connector = connector(&options().root_certificates(&authority.pem));
    let response = send(&connector, post(server.https("/60000"), "x")).await.unwrap();
    assert_eq!(text(response).await, "done");
    let error = send(&connector, post(server.https("/70000"), "x")).await;
    assert!(!error.unwrap_err().never_sent());
}

/// A handler that does not answer, and tells when it is given up.
async fn silent(_told: mpsc::UnboundedSender<()>) -> Answer {
    std::future::pending().await
}

#[tokio::test]
async fn giving_up_a_body_or_a_request_ends_it_at_the_server() {
    let authority = Authority::new();
    for tls in [None, Some(authority.server(&["localhost"], &["h2"]))] {
        let secure = tls.is_some();
        let (gone, mut told) = mpsc::unbounded_channel();
        let (came, mut coming) = mpsc::unbounded_channel();
        let server = Server::start(tls, move |request| {
            let (gone, silently) = (gone.clone(), request.uri().path() == "/silent");
            came.send(gone.downgrade()).unwrap();
            async move { if silently { silent(gone).await } else { Endless::answer(&gone) } }
        })
        .await;
        let url = |path| if secure { server.https(path) } else { server.http(path) };
        let connector = connector(&options().root_certificates(&authority.pem));
        // How many hold the sender besides the server's handler.
        let held = |weak: &mpsc::WeakUnboundedSender<()>| weak.strong_count() - 1;

        let mut body = send(&connector, request(Method::GET, url("/stream"), "")).await.unwrap().into_body();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "first");
        let holders = coming.recv().await.unwrap();
        assert_eq!(held(&holders), 1);
        drop(body);
        while held(&holders) > 0 {
            tokio::task::yield_now().await;
        }

        let calling = tokio::spawn({
            let (connector, url) = (connector.clone(), url("/silent"));
            async move { send(&connector, post(url, "x")).await }
        });
        coming.recv().await.unwrap();
        while held(&holders) == 0 {
            tokio::task::yield_now().await;
        }
        calling.abort();
        while held(&holders) > 0 {
            tokio::task::yield_now().await;
        }
        assert!(told.try_recv().is_err());
        // HTTP/1.1 has no other way than to close the connection; HTTP/2 goes on with it.
        drop(send(&connector, request(Method::GET, url("/stream"), "")).await.unwrap());
        assert_eq!(server.connections(), if secure { 1 } else { 3 });
    }
}

/// Over HTTP/2 a server can say that it did not look at a request.
#[tokio::test]
async fn a_refused_stream_was_never_sent_and_another_reset_may_have_been() {
    let authority = Authority::new();
    let (address, mut connections) = raw().await;
    let tls = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(authority.server(&["localhost"], &["h2"])));
    tokio::spawn(async move {
        let stream = tls.accept(connections.recv().await.unwrap()).await.unwrap();
        let mut connection = h2::server::handshake(stream).await.unwrap();
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            match request.uri().path() {
                "/refused" => respond.send_reset(h2::Reason::REFUSED_STREAM),
                "/broken" => respond.send_reset(h2::Reason::INTERNAL_ERROR),
                _ => drop(respond.send_response(Response::new(()), true).unwrap()),
            }
        }
    });
    let connector = connector(&options().root_certificates(&authority.pem));
    let url = |path| format!("https://localhost:{}{path}", address.port());
    let error = send(&connector, post(url("/refused"), "x")).await.unwrap_err();
    assert!(error.never_sent());
    assert!(error.to_string().contains("before it looked at it"), "{error}");
    let error = send(&connector, post(url("/broken"), "x")).await.unwrap_err();
    assert!(!error.never_sent());
    assert!(send(&connector, post(url("/"), "x")).await.is_ok());
}

/// A shutdown of HTTP/2 ends no request: the next goes over another connection.
#[tokio::test]
async fn a_server_that_goes_away_is_come_back_to() {
    let authority = Authority::new();
    let (address, mut connections) = raw().await;
    let tls = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(authority.server(&["localhost"], &["h2"])));
    let (count, mut counted) = tokio::sync::watch::channel(0);
    tokio::spawn(async move {
        while let Some(stream) = connections.recv().await {
            count.send_modify(|count| *count += 1);
            let mut connection = h2::server::handshake(tls.accept(stream).await.unwrap()).await.unwrap();
            while let Some(Ok((_, mut respond))) = connection.accept().await {
                respond.send_response(Response::new(()), true).unwrap();
                connection.graceful_shutdown();
            }
        }
    });
    let connector = connector(&options().root_certificates(&authority.pem));
    for _ in 0..20 {
        let response = send(&connector, post(format!("https://localhost:{}/", address.port()), "x")).await;
        if let Err(error) = response {
            assert!(error.never_sent(), "{}", causes(&error));
        }
    }
    assert!(*counted.borrow_and_update() > 1);
}

/// Nothing is closed and nothing comes any more, as when a cable is pulled out.
#[tokio::test]
async fn a_server_that_falls_silent_within_an_http_2_stream_is_noticed() {
    let authority = Authority::new();
    let (address, mut connections) = raw().await;
    let tls = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(authority.server(&["localhost"], &["h2"])));
    let (silence, silent) = tokio::sync::oneshot::channel::<()>();
    tokio::spawn(async move {
        let stream = tls.accept(connections.recv().await.unwrap()).await.unwrap();
        let mut connection = h2::server::handshake(stream).await.unwrap();
        let (_, mut respond) = connection.accept().await.unwrap().unwrap();
        let _body = respond.send_response(Response::new(()), false).unwrap();
        tokio::select! {
            _ = connection.accept() => {}
            _ = silent => {}
        }
        std::future::pending::<()>().await;
    });
    let connector = connector(&options().root_certificates(&authority.pem));
    let url = format!("https://localhost:{}/", address.port());
    let response = send(&connector, request(Method::GET, url, "")).await.unwrap();
    silence.send(()).unwrap();
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    // The clock is virtual: this ends when the client gives up, and hangs if it does not.
    let error = response.into_body().collect().await.unwrap_err();
    assert!(error.to_string().contains("was lost within the response"), "{}", causes(&error));
    assert!((30..=40).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_accepts_and_says_nothing() {
    let (address, _connections) = raw().await;
    let began = tokio::time::Instant::now();
    let connector = connector(&options().connect_timeout(Duration::from_secs(3)));
    let error = send(&connector, post(format!("https://{address}/"), "x")).await.unwrap_err();
    assert!(error.never_sent() && error.is_connect_timeout());
    assert!(error.to_string().starts_with(&format!("no connection to {address} within 3s: ")), "{error}");
    assert_eq!(began.elapsed().as_secs(), 3);
}
