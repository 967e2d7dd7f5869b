//! Redirects stay at their origin.

use http::{HeaderValue, Method, StatusCode};
use http_body_util::BodyExt;

use super::server::{Server, answer};
use super::{connector, options, post, request, send, text};

/// Redirects with the status that the path says to what the query says, and tells otherwise what it got.
async fn server() -> Server {
    Server::start(None, |request| async move {
        let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
        if let Ok(status) = path[1..].parse::<u16>() {
            let mut moved = answer("elsewhere");
            *moved.status_mut() = StatusCode::from_u16(status).unwrap();
            moved.headers_mut().insert("location", query.parse().unwrap());
            return moved;
        }
        let about = format!("{} {} {:?} ", request.method(), path, request.headers().get("authorization"));
        let body = request.into_body().collect().await.unwrap().to_bytes();
        answer(about + std::str::from_utf8(&body).unwrap())
    })
    .await
}

#[tokio::test]
async fn within_an_origin_everything_is_kept() {
    let server = server().await;
    let connector = connector(&options());
    for status in [301, 302, 307, 308] {
        let mut request = post(server.http(&format!("/{status}?/here")), "body");
        request.headers_mut().insert("authorization", HeaderValue::from_static("secret"));
        let response = send(&connector, request).await.unwrap();
        assert_eq!(text(response).await, "POST /here Some(\"secret\") body");
    }
    let chain = server.http("/307?/307?/307?/307?/307?/here");
    assert_eq!(text(send(&connector, post(chain, "body")).await.unwrap()).await, "POST /here None body");
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn nothing_is_sent_to_another_origin() {
    let (server, other) = (server().await, server().await);
    let to = other.http("/here?token=hunter2");
    let error =
        send(&connector(&options()), post(server.http(&format!("/307?{to}")), "body")).await.unwrap_err();
    assert!(error.is_redirect() && !error.never_sent());
    assert_eq!(
        error.to_string(),
        format!(
            "`{}` redirects (307) to `{}`, which is another origin, so nothing was sent there; connect to that \
             address itself if you trust it",
            server.http("/307"),
            other.http("/here"),
        )
    );
    assert_eq!(other.connections(), 0);
}

#[tokio::test]
async fn a_circle_and_see_other_are_errors() {
    let server = server().await;
    let connector = connector(&options());
    let error =
        send(&connector, post(server.http("/307?/307?/307?/307?/307?/307?/here"), "")).await.unwrap_err();
    assert!(error.is_redirect(), "{error}");
    let error = send(&connector, post(server.http("/303?/here"), "body")).await.unwrap_err();
    assert!(error.to_string().contains("answered a POST with 303"), "{error}");
    let seen = send(&connector, request(Method::GET, server.http("/303?/here"), "")).await.unwrap();
    assert_eq!(text(seen).await, "GET /here None ");
}

#[tokio::test]
async fn other_statuses_come_through() {
    let server = server().await;
    let response = send(&connector(&options()), post(server.http("/300?/here"), "")).await.unwrap();
    assert_eq!(response.status(), 300);
}
