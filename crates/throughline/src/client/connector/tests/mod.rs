//! The connector against real servers on loopback.

mod cuts;
mod proxies;
mod redirects;
mod reuse;
mod server;
mod tls;

use std::error::Error;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use tower_service::Service;

use super::super::line::{NeverSent, RequestBody};
use super::{Connector, HttpError, HttpOptions, NetworkBody, Proxy};

/// Nothing of the machine: no variables, and no roots but those that a test gives.
fn options() -> HttpOptions {
    HttpOptions::new().proxy(Proxy::Off).system_roots(false).bundled_roots(false)
}

fn connector(options: &HttpOptions) -> Connector {
    Connector::new(options).unwrap()
}

fn post(url: impl AsRef<str>, body: impl Into<Bytes>) -> Request<RequestBody> {
    request(Method::POST, url, body)
}

fn request(method: Method, url: impl AsRef<str>, body: impl Into<Bytes>) -> Request<RequestBody> {
    Request::builder().method(method).uri(url.as_ref()).body(RequestBody::new(body)).unwrap()
}

/// Sends a request; its error is the connector's own, and the service says the same of it.
async fn send(
    connector: &Connector,
    request: Request<RequestBody>,
) -> Result<Response<NetworkBody>, HttpError> {
    connector.clone().call(request).await.map_err(|error| {
        let told = error.is::<NeverSent>();
        let own = match error.downcast::<NeverSent>() {
            Ok(never_sent) => never_sent.0,
            Err(error) => error,
        };
        let own = *own.downcast::<HttpError>().expect("its own");
        assert_eq!(own.never_sent(), told, "{own}");
        own
    })
}

/// The whole body of a response as text.
async fn text(response: Response<NetworkBody>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// An error, and all that is underneath.
fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
