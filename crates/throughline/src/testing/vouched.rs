//! An endpoint behind a lock that let everybody in as the same one.

use std::task::{Context, Poll};

use http::Request;
use tower_service::Service;

use crate::Authorized;

/// A service whose requests are all vouched for.
#[derive(Clone)]
pub(super) struct Vouched<S> {
    service: S,
    authorized: Authorized,
}

impl<S> Vouched<S> {
    pub(super) fn new(service: S, authorized: Authorized) -> Self {
        Self { service, authorized }
    }
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for Vouched<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        request.extensions_mut().insert(self.authorized.clone());
        self.service.call(request)
    }
}
