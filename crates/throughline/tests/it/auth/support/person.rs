//! A person with a browser, who looks where it is sent.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::Request;
use http::header::{HOST, LOCATION};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use throughline::auth::oauth::{LoginPage, LoginPrompt, LoginVisit, PromptError, Redirect};
use throughline::store::Soon;
use tokio::net::TcpStream;

use crate::support::Gate;

/// Logs in at once wherever it is asked to. Clones are the same person.
#[derive(Clone, Default)]
pub(crate) struct Person(Arc<State>);

#[derive(Default)]
struct State {
    visits: AtomicUsize,
    /// Waits here before the page is opened.
    gate: Mutex<Option<Gate>>,
    declines: Mutex<bool>,
    is_away: Mutex<bool>,
}

impl Person {
    /// How often the person was asked so far.
    pub(crate) fn visits(&self) -> usize {
        self.0.visits.load(Ordering::Relaxed)
    }

    /// From now on the person waits at this gate first.
    pub(crate) fn waits_at(&self, gate: &Gate) {
        *self.0.gate.lock().unwrap() = Some(gate.clone());
    }

    /// Whether the person lets the time for the login pass.
    pub(crate) fn stays_away(&self, is_away: bool) {
        *self.0.is_away.lock().unwrap() = is_away;
    }

    /// From now on the person does not want to.
    pub(crate) fn declines(&self) {
        *self.0.declines.lock().unwrap() = true;
    }
}

impl LoginPrompt for Person {
    fn ready(&self, _: Option<&str>) -> Soon<Result<Box<dyn LoginVisit>, PromptError>> {
        Soon::now(Ok(Box::new(Visit(self.clone()))))
    }
}

struct Visit(Person);

impl LoginVisit for Visit {
    fn redirect_uri(&self) -> &str {
        // Nobody listens there: the redirect is read, not followed.
        "http://127.0.0.1:1/callback"
    }

    fn visit(self: Box<Self>, page: LoginPage) -> Soon<Result<Redirect, PromptError>> {
        let person = (*self).0;
        Soon::later(async move {
            person.0.visits.fetch_add(1, Ordering::Relaxed);
            let gate = person.0.gate.lock().unwrap().clone();
            if let Some(gate) = gate {
                gate.pass().await;
            }
            if *person.0.is_away.lock().unwrap() {
                return Err(PromptError::timed_out());
            }
            if *person.0.declines.lock().unwrap() {
                return Err(PromptError::declined("nobody wants to log in; try again when somebody does"));
            }
            Redirect::new(browse(page.address()).await)
        })
    }
}

/// Opens a page; gives where the browser is sent to.
pub(crate) async fn browse(address: &str) -> String {
    let uri: http::Uri = address.parse().unwrap();
    let authority = uri.authority().unwrap().as_str().to_owned();
    let stream = TcpStream::connect(&authority).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let path = uri.path_and_query().unwrap().as_str();
    let request = Request::get(path).header(HOST, authority).body(Empty::<Bytes>::new()).unwrap();
    let response = sender.send_request(request).await.unwrap();
    connection.abort();
    assert_eq!(response.status(), 302, "the page sends nobody anywhere");
    response.headers()[LOCATION].to_str().unwrap().to_owned()
}
