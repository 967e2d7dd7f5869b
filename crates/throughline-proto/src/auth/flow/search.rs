use std::vec;

use bytes::Bytes;
use http::header::ACCEPT;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};

use super::error::{FlowError, FlowErrorKind};
use super::machine::Ground;
use super::said;
use super::step::{FetchRequest, FetchResponse, Purpose, Step};
use crate::client::redirect;

/// A document that is looked for at several addresses, one after the other.
pub(super) struct Search {
    purpose: Purpose,
    headers: HeaderMap,
    left: vec::IntoIter<Uri>,
    /// Where the last request went.
    asked: Uri,
    /// How many redirects led there.
    followed: u32,
    /// What spoke against the addresses so far: what weighs most, and of that the first, as it is the likeliest place.
    trouble: Option<FlowError>,
}

/// What an answer means.
pub(super) enum Hit {
    /// Here is something. If it is nothing that can be used, [`Search::pass`] goes on.
    Document(Bytes),
    /// Ask there next.
    Ask(Step),
    /// There is no address left. What spoke against those there were, if it was more than that nothing was there.
    Nothing(Option<FlowError>),
}

impl Search {
    /// A search at these addresses, which [`next`](Search::next) begins.
    pub(super) fn new(purpose: Purpose, addresses: Vec<Uri>) -> Search {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        Search {
            purpose,
            headers,
            left: addresses.into_iter(),
            asked: Uri::default(),
            followed: 0,
            trouble: None,
        }
    }

    /// One more header for all requests.
    pub(super) fn header(&mut self, name: HeaderName, value: HeaderValue) {
        self.headers.insert(name, value);
    }

    /// The address that was asked last.
    pub(super) fn asked(&self) -> &Uri {
        &self.asked
    }

    /// Goes on after an answer.
    pub(super) fn handle(&mut self, ground: &Ground, response: &FetchResponse) -> Hit {
        match redirect(response.status, &response.headers, &Method::GET, &self.asked, self.followed) {
            Ok(None) => {}
            Ok(Some(next)) => {
                self.followed += 1;
                return self.ask(ground, next);
            }
            Err(error) => {
                return self.pass(ground, FlowError::new(FlowErrorKind::Address, error.to_string()));
            }
        }
        if response.status.is_success() {
            if response.fits() {
                return Hit::Document(response.body.clone());
            }
            let why = format!("{} is too long to be metadata", said::address(&self.asked));
            return self.pass(ground, FlowError::new(FlowErrorKind::Metadata, why));
        }
        if response.status.is_server_error() || response.status == StatusCode::TOO_MANY_REQUESTS {
            let status = response.status.as_u16();
            let why =
                format!("{} answered with status {status}; try again later", said::address(&self.asked));
            return self.pass(ground, FlowError::new(FlowErrorKind::Unavailable, why));
        }
        self.next(ground)
    }

    /// Goes on after no answer.
    pub(super) fn unreachable(&mut self, ground: &Ground, reason: &str) -> Hit {
        let why = format!("{} cannot be reached ({reason}); try again later", said::address(&self.asked));
        self.pass(ground, FlowError::new(FlowErrorKind::Unavailable, why))
    }

    /// Goes on after an answer that is of no use.
    pub(super) fn pass(&mut self, ground: &Ground, trouble: FlowError) -> Hit {
        if self.trouble.as_ref().is_none_or(|known| weight(known) < weight(&trouble)) {
            self.trouble = Some(trouble);
        }
        self.next(ground)
    }

    /// Goes on at the next address that may be reached.
    pub(super) fn next(&mut self, ground: &Ground) -> Hit {
        self.followed = 0;
        match self.left.next() {
            Some(uri) => self.ask(ground, uri),
            None => Hit::Nothing(self.trouble.take()),
        }
    }

    fn ask(&mut self, ground: &Ground, uri: Uri) -> Hit {
        if let Err(refused) = ground.rule.check_uri(&uri) {
            return self.pass(ground, FlowError::new(FlowErrorKind::Address, refused.to_string()));
        }
        self.asked = uri.clone();
        Hit::Ask(Step::Fetch(FetchRequest {
            method: Method::GET,
            uri,
            headers: self.headers.clone(),
            body: Bytes::new(),
            purpose: self.purpose,
            rule: ground.rule.clone(),
        }))
    }
}

/// How much a trouble says: that a server cannot answer at present keeps from every conclusion, that a document is another's
/// tells more than that a page is none.
fn weight(trouble: &FlowError) -> u8 {
    match trouble.kind() {
        FlowErrorKind::Unavailable => 3,
        FlowErrorKind::IssuerMismatch => 2,
        FlowErrorKind::Address => 1,
        _ => 0,
    }
}
