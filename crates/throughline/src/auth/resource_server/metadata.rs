//! The metadata document as a service of its own.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use tower_service::Service;

use super::Authorization;
use super::answer::Document;
use crate::server::ResponseBody;

/// The metadata document of a resource as a service, for routers in which the lock sees only the requests of its own path. It
/// answers at whatever path it is mounted.
///
/// ```
/// use throughline::auth::Authorization;
///
/// # fn main() -> Result<(), throughline::auth::BadAuthorization> {
/// let lock = Authorization::builder("https://mcp.example.com/mcp").jwks("https://login.example.com").build()?;
/// let document = lock.metadata().expect("an authorization server is named");
/// assert_eq!(
///     document.paths(),
///     ["/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource"],
/// );
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct MetadataDocument(Document);

impl Authorization {
    /// The metadata document as a service of its own. `None` where no authorization server is named, as there is nothing to
    /// say then.
    ///
    /// It is needed only where the lock is around a part of a router: requests for the document must come to one of the two.
    pub fn metadata(&self) -> Option<MetadataDocument> {
        self.guard.document.clone().map(MetadataDocument)
    }
}

impl MetadataDocument {
    /// Where clients look for it: with the path of the resource, and without.
    pub fn paths(&self) -> &[String] {
        self.0.paths()
    }
}

impl<R> Service<Request<R>> for MetadataDocument {
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<R>) -> Self::Future {
        let response: Response<Bytes> = self.0.answer(request.method());
        ready(Ok(response.map(ResponseBody::full)))
    }
}
