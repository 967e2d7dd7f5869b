//! Requests of the modern era: each is served by itself, beside the session if there is one
//! ([stdio](https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/stdio)).

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use throughline_proto::http::{Refusal, RefusalKind};
use throughline_proto::jsonrpc::{ErrorObject, MetaOutline, Outline, Request, RequestId};
use throughline_proto::session::Refused;

use crate::handler::{Caller, Handler, Principal, Standing};
use crate::lock::Lock;
use crate::runtime;
use crate::server::calls::Calls;
use crate::server::exchange::{Exchange, Mode, ModernExchange};
use crate::server::listen::{Canceller, Listeners, Seat};
use crate::server::modern::{Begun, Modern, Step, run};
use crate::server::pipe::Pipe;

/// The requests of one client that belong to no session.
pub(super) struct ModernDesk {
    modern: Arc<Modern>,
    pipe: Arc<Pipe>,
    listeners: Arc<Listeners>,
    /// The tasks that write what listeners are told.
    telling: Calls,
    /// By id, so that the client can take them back. Those that are over leave when another comes.
    in_flight: Mutex<HashMap<RequestId, InFlight>>,
    /// How many there may be.
    most: usize,
}

enum InFlight {
    Call(Arc<ModernExchange>),
    Listen(Canceller),
}

impl ModernDesk {
    pub(super) fn new(modern: Arc<Modern>, pipe: Arc<Pipe>, most: usize) -> Self {
        Self {
            modern,
            pipe,
            // The requests in flight bound them: they are some of those.
            listeners: Listeners::new(usize::MAX, usize::MAX),
            telling: Calls::default(),
            in_flight: Mutex::default(),
            most,
        }
    }

    pub(super) fn listeners(&self) -> &Listeners {
        &self.listeners
    }

    /// Whether a request with this id has no answer yet.
    pub(super) fn is_in_flight(&self, id: &RequestId) -> bool {
        self.in_flight.locked().get(id).is_some_and(|request| !request.is_over())
    }

    /// Takes a request in. What it asks for may run on as a task.
    ///
    /// # Errors
    ///
    /// Why it is refused.
    pub(super) async fn request(
        &self,
        handler: &dyn Handler,
        request: &Request,
        outline: &Outline<'_>,
        meta: &MetaOutline<'_>,
        principal: Option<Principal>,
        calls: &Calls,
    ) -> Result<(), ErrorObject> {
        self.admit(&request.id)?;
        let permit = || calls.permit(usize::MAX).ok_or_else(|| Refusal::new(RefusalKind::RequestsFull));
        let begun = self.modern.begin(request, outline, meta, Standing::local(principal), None, permit);
        let Begun { revision, log_level, step } = begun.map_err(|refusal| refusal.error())?;
        if let Step::Listen(caller) = step {
            return self.listen(handler, request, caller).map_err(|refusal| refusal.error());
        }
        self.modern.meet(handler);
        let (modern, pipe) = (Arc::clone(&self.modern), Arc::clone(&self.pipe));
        let id = request.id.detached();
        let request = Request { id: id.clone(), ..request.clone() };
        let exchange = ModernExchange::new(modern, request, revision, log_level, Mode::Pipe, Some(pipe));
        match step {
            Step::Discover(caller) => {
                exchange.settle(0, Some(&id), self.modern.discover(handler, caller.principal()));
            }
            Step::Call(admitted) => run(handler, &exchange, admitted, None, None).await,
            Step::Listen(_) => unreachable!("who listens was answered above"),
        }
        if !exchange.is_done() {
            self.in_flight.locked().insert(id, InFlight::Call(exchange));
        }
        Ok(())
    }

    /// A place among the requests in flight.
    fn admit(&self, id: &RequestId) -> Result<(), ErrorObject> {
        let mut in_flight = self.in_flight.locked();
        in_flight.retain(|_, request| !request.is_over());
        if in_flight.contains_key(id) {
            return Err(Refused::DuplicateId.error());
        }
        if in_flight.len() >= self.most {
            let why = format!(
                "{} requests are in flight, as many as may be; await the answer of one, or take one back",
                self.most
            );
            return Err(Refusal::new(RefusalKind::RequestsFull).with_message(why).error());
        }
        Ok(())
    }

    fn listen(&self, handler: &dyn Handler, request: &Request, caller: Caller) -> Result<(), Refusal> {
        let listening = self.modern.listening(handler, request)?;
        let seat = self.listeners.open(listening, caller)?;
        let listen = InFlight::Listen(seat.canceller());
        self.in_flight.locked().insert(request.id.detached(), listen);
        let permit = self.telling.permit(usize::MAX);
        let pipe = Arc::clone(&self.pipe);
        runtime::spawn(async move {
            tell(&seat, &pipe).await;
            drop((seat, permit));
        });
        Ok(())
    }

    /// The client takes a request back: nothing is sent for it any more. False when none with this id waits for its answer.
    pub(super) fn cancel(&self, id: &RequestId) -> bool {
        let mut in_flight = self.in_flight.locked();
        // A handler that looks for cancellation may go on: it keeps its place until it ends.
        let call = match in_flight.get(id) {
            Some(InFlight::Call(exchange)) => Some(Arc::clone(exchange)),
            _ => None,
        };
        let listen = if call.is_none() { in_flight.remove(id) } else { None };
        drop(in_flight);
        match (call, listen) {
            (Some(exchange), _) => exchange.cancel(),
            (None, Some(InFlight::Listen(canceller))) => canceller.cancel(),
            _ => false,
        }
    }

    /// The server ends: calls that still run are dropped and answered so, and who listens is answered.
    pub(super) fn end(&self) {
        let in_flight = std::mem::take(&mut *self.in_flight.locked());
        for request in in_flight.values() {
            if let InFlight::Call(exchange) = request {
                exchange.drop_call();
            }
        }
        self.listeners.end_gracefully(self.modern.extras().server_info.as_ref());
    }

    /// Ends when everything that listeners are told is on its way.
    pub(super) async fn finished(&self) {
        self.telling.finished().await;
    }
}

impl InFlight {
    fn is_over(&self) -> bool {
        match self {
            InFlight::Call(exchange) => exchange.is_done(),
            InFlight::Listen(canceller) => canceller.is_over(),
        }
    }
}

/// Writes what a listener is told, at the pace at which the client reads.
async fn tell(seat: &Seat, pipe: &Pipe) {
    while poll_fn(|cx| seat.poll_next(cx)).await {
        // There may be no room for long, and who takes it back does not wait for that.
        let sent = poll_fn(|cx| match seat.poll_over(cx) {
            Poll::Ready(()) => Poll::Ready(Ok(())),
            Poll::Pending => pipe.poll_send(|out| seat.write_next(out), cx),
        });
        if sent.await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use serde_json::{Value, json};
    use throughline_proto::jsonrpc::{Raw, meta_outline, outline};
    use throughline_proto::revision::Revision;
    use throughline_proto::stateless::KeyRing;

    use super::*;
    use crate::handler::{Context, Server, tool};
    use crate::server::counters::Tally;
    use crate::server::era::Era;

    /// A desk with places for two, whose client does not read.
    struct Tester {
        desk: ModernDesk,
        server: Server,
        calls: Calls,
    }

    impl Tester {
        fn new(server: Server) -> Self {
            let tally = Arc::<Tally>::default();
            let modern = Modern::new(Era::Hybrid, Arc::new(KeyRing::new([7; 32])), Arc::clone(&tally));
            Self { desk: ModernDesk::new(modern, Pipe::new(tally), 2), server, calls: Calls::default() }
        }

        async fn request(&self, id: i64, method: &'static str, mut params: Value) -> Result<(), ErrorObject> {
            params["_meta"] = json!({
                "io.modelcontextprotocol/protocolVersion": Revision::LATEST.date(),
                "io.modelcontextprotocol/clientCapabilities": {},
            });
            let params = Some(Raw::new(&params).unwrap());
            let request = Request { id: RequestId::Number(id), method: method.into(), params };
            let outline = outline(request.params.as_ref()).unwrap();
            let meta = meta_outline(outline.meta).unwrap();
            self.desk.request(&self.server, &request, &outline, &meta, None, &self.calls).await
        }

        fn cancel(&self, id: i64) -> bool {
            self.desk.cancel(&RequestId::Number(id))
        }
    }

    #[tokio::test]
    async fn who_listens_and_takes_it_back_leaves_nothing_though_nobody_reads() {
        let tester = Tester::new(Server::new("t", "1").tool(tool("a", || async { "a" })));
        for id in 0..1_000 {
            let filter = json!({ "notifications": { "toolsListChanged": true } });
            tester.request(id, "subscriptions/listen", filter).await.expect("there is room");
            tokio::task::yield_now().await;
            assert!(tester.cancel(id));
            tokio::task::yield_now().await;
        }
        assert_eq!(tester.desk.listeners.len(), 0);
        assert_eq!(tester.desk.telling.running(), 0);
    }

    #[tokio::test]
    async fn a_call_that_was_taken_back_has_its_place_until_it_ends() {
        let tester = Tester::new(Server::new("t", "1").tool(tool("goes_on", |cx: Context| async move {
            assert!(!cx.is_cancelled(), "who looks is not dropped");
            pending::<&'static str>().await
        })));
        let call = || json!({ "name": "goes_on", "arguments": {} });
        for id in 0..2 {
            tester.request(id, "tools/call", call()).await.expect("there is room");
            assert!(tester.cancel(id));
            assert!(!tester.cancel(id), "it was taken back already");
        }
        let error = tester.request(2, "tools/call", call()).await.unwrap_err();
        assert!(error.message.starts_with("2 requests are in flight"), "{}", error.message);
        assert_eq!(tester.calls.running(), 2);
    }

    #[tokio::test]
    async fn what_is_over_is_not_taken_back() {
        let tester = Tester::new(Server::new("t", "1").tool(tool("late", || async {
            tokio::task::yield_now().await;
            "late"
        })));
        tester.request(1, "tools/call", json!({ "name": "late", "arguments": {} })).await.unwrap();
        tester.calls.finished().await;
        // A session may have this id by now: the cancellation is for its request.
        assert!(!tester.desk.is_in_flight(&RequestId::Number(1)) && !tester.cancel(1));
    }
}
