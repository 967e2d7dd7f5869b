//! What the server asks, passed on to the host.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use throughline::McpError;
use throughline::jsonrpc::{self, ErrorObject, Raw, Request, RequestId, Response};
use throughline::model::CancelledParams;
use tokio::sync::oneshot;

use super::edit;
use super::out::Out;

/// The questions that wait for the host. Cheap to clone.
#[derive(Clone)]
pub(super) struct Questions(Arc<Shared>);

struct Shared {
    out: Out,
    next: AtomicU64,
    /// By the ids under which the host knows them.
    waiting: Mutex<HashMap<String, Waiting>>,
}

struct Waiting {
    /// The server's own id.
    asked_as: RequestId,
    answer: oneshot::Sender<Result<Raw, ErrorObject>>,
}

impl Questions {
    pub(super) fn new(out: Out) -> Self {
        Self(Arc::new(Shared { out, next: AtomicU64::new(1), waiting: Mutex::default() }))
    }

    /// Asks the host, and waits for its answer. When the future is dropped, the host is told that nobody waits any more.
    pub(super) async fn ask(self, request: Request) -> Result<Raw, McpError> {
        let id = format!("throughline-{}", self.0.next.fetch_add(1, Ordering::Relaxed));
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting { asked_as: request.id.detached(), answer };
        self.waiting(|all| all.insert(id.clone(), waiting));
        let _asked = Asked { questions: &self, id: &id };
        let params = request.params.unwrap_or_else(Raw::empty_object);
        let told = self.0.out.tell(|out| {
            let _ = jsonrpc::write_request(out, &name(&id), &request.method, &params);
        });
        if !told {
            // Nobody was asked, so nothing is taken back.
            self.waiting(|all| all.remove(&id));
            return Err(McpError::internal("the host does not read what it is sent; ask again later"));
        }
        match answered.await {
            Ok(outcome) => outcome.map_err(McpError::from),
            Err(_) => Err(McpError::internal("the host is gone")),
        }
    }

    /// The host answered. False when nobody asked.
    pub(super) fn answer(&self, response: Response) -> bool {
        let Some(RequestId::String(id)) = &response.id else { return false };
        match self.waiting(|all| all.remove(id.as_str())) {
            Some(waiting) => waiting.answer.send(response.outcome).is_ok(),
            None => false,
        }
    }

    /// The server takes a question back, in its own words.
    pub(super) fn withdraw(&self, params: Option<&Raw>) {
        let Some(params) = params else { return };
        let Ok(CancelledParams { request_id, .. }) = params.parse() else { return };
        let found = self.waiting(|all| {
            let id = all.iter().find(|(_, waiting)| waiting.asked_as == request_id)?.0.clone();
            all.remove(&id);
            Some(id)
        });
        let Some(id) = found else { return };
        let renamed = edit::with_id(params, &["requestId"], &name(&id));
        self.0.out.notify(|out| {
            let _ = jsonrpc::write_notification(out, "notifications/cancelled", renamed.as_ref());
        });
    }

    fn waiting<T>(&self, change: impl FnOnce(&mut HashMap<String, Waiting>) -> T) -> T {
        change(&mut self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn name(id: &str) -> RequestId {
    RequestId::String(id.to_owned().into())
}

/// A question that waits. Dropped before its answer, it is taken back.
struct Asked<'a> {
    questions: &'a Questions,
    id: &'a str,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if self.questions.waiting(|all| all.remove(self.id)).is_none() {
            return;
        }
        let params = CancelledParams::new(name(self.id));
        self.questions.0.out.notify(|out| {
            let _ = jsonrpc::write_notification(out, "notifications/cancelled", Some(&params));
        });
    }
}
