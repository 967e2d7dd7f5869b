use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

use serde_json::{Value, json};
use throughline_proto::jsonrpc::RequestId;
use throughline_proto::model::{PromptsCapability, ResourcesCapability, ServerCapabilities, ToolsCapability};
use throughline_proto::revision::Revision;
use throughline_proto::stateless::ListenLimits;

use super::*;
use crate::handler::Authorized;

/// Counts how often it was woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn listening(id: i64, filter: &Value) -> Listening {
    let offered = ServerCapabilities::new()
        .with_tools(ToolsCapability { list_changed: true })
        .with_prompts(PromptsCapability { list_changed: true })
        .with_resources(ResourcesCapability { list_changed: true, subscribe: true });
    let params = Raw::new(&json!({ "notifications": filter })).unwrap();
    Listening::open(&RequestId::Number(id), Some(&params), &offered, &ListenLimits::default()).unwrap()
}

fn caller(subject: Option<&str>) -> Caller {
    Caller::new(
        Revision::V2026_07_28,
        None,
        subject.map(|subject| Authorized::new(Principal::new("it", subject))).into(),
    )
}

fn all() -> Value {
    json!({"toolsListChanged": true, "promptsListChanged": true, "resourcesListChanged": true})
}

/// A connection that is polled by hand.
struct Connection {
    seat: Seat,
    woken: Arc<Woken>,
}

impl Connection {
    fn open(
        listeners: &Arc<Listeners>,
        id: i64,
        filter: &Value,
        subject: Option<&str>,
    ) -> Result<Self, Refusal> {
        let seat = listeners.open(listening(id, filter), caller(subject))?;
        Ok(Self { seat, woken: Arc::default() })
    }

    /// One that has read its acknowledgment and waits.
    fn ready(listeners: &Arc<Listeners>, id: i64, filter: &Value) -> Self {
        let connection = Self::open(listeners, id, filter, None).expect("there is room");
        assert_eq!(connection.read(), ["acknowledged"]);
        connection
    }

    fn poll(&self) -> Poll<Option<Bytes>> {
        let waker = Waker::from(Arc::clone(&self.woken));
        self.seat.poll_frame(&task::Context::from_waker(&waker))
    }

    /// What the messages are about that are there now: the method's part that tells, or `result`.
    fn read(&self) -> Vec<String> {
        let mut read = Vec::new();
        while let Poll::Ready(Some(frame)) = self.poll() {
            let frame = String::from_utf8(frame.to_vec()).unwrap();
            if frame == ":\n" {
                read.push("keep-alive".to_owned());
                continue;
            }
            for event in frame.split_terminator("\n\n") {
                let message: Value = serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap();
                let method = message["method"].as_str().unwrap_or("/result");
                let name =
                    method.split('/').find(|part| !matches!(*part, "notifications" | "subscriptions" | ""));
                read.push(name.unwrap().to_owned());
            }
        }
        read
    }

    fn woken(&self) -> usize {
        self.woken.0.swap(0, Ordering::SeqCst)
    }
}

fn everybody(_: &PeerInfo<'_>) -> bool {
    true
}

#[tokio::test(start_paused = true)]
async fn a_change_reaches_those_who_asked_and_are_chosen() {
    let listeners = Listeners::new(10, 10);
    let tools = Connection::ready(&listeners, 1, &json!({"toolsListChanged": true}));
    let prompts = Connection::ready(&listeners, 1, &json!({"promptsListChanged": true}));
    let motd = Connection::ready(&listeners, 1, &json!({"resourceSubscriptions": ["demo://motd"]}));
    let hers =
        Connection::open(&listeners, 2, &json!({"resourceSubscriptions": ["demo://motd"]}), Some("her"))
            .unwrap();
    assert_eq!(hers.read(), ["acknowledged"]);

    assert_eq!(listeners.broadcast(Change::Tools, &everybody), 1);
    assert_eq!((tools.woken(), prompts.woken(), motd.woken()), (1, 0, 0));
    assert_eq!(listeners.broadcast(Change::Resource("demo://other"), &everybody), 0);
    let offered = RefCell::new(0);
    let only_her = |peer: &PeerInfo<'_>| {
        *offered.borrow_mut() += 1;
        assert!(peer.session.is_none(), "it has no session");
        peer.caller.principal().is_some_and(|principal| &*principal.subject == "her")
    };
    assert_eq!(listeners.broadcast(Change::Resource("demo://motd"), &only_her), 1);
    assert_eq!(*offered.borrow(), 2, "only those subscribed are asked about");
    assert_eq!((motd.woken(), hers.woken()), (0, 1));
    assert_eq!(tools.read(), ["tools"]);
    assert_eq!(prompts.read(), Vec::<String>::new());
    assert_eq!(hers.read(), ["resources"]);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_read_holds_each_change_once_and_is_woken_once() {
    let listeners = Listeners::new(10, 10);
    let unread = Connection::ready(&listeners, 1, &all());
    for _ in 0..10_000 {
        for change in [Change::Tools, Change::Prompts, Change::Resources] {
            assert_eq!(listeners.broadcast(change, &everybody), 1, "it will be told, once");
        }
    }
    assert_eq!(unread.woken(), 1, "nobody waits any more after the first");
    let Poll::Ready(Some(frame)) = unread.poll() else { panic!("something to read") };
    assert_eq!(frame.iter().filter(|byte| **byte == b'\n').count(), 3 * 2);
    assert!(unread.poll().is_pending());
}

#[tokio::test(start_paused = true)]
async fn a_change_before_the_first_read_comes_after_the_acknowledgment() {
    let listeners = Listeners::new(10, 10);
    let connection = Connection::open(&listeners, 1, &all(), None).unwrap();
    assert_eq!(listeners.broadcast(Change::Prompts, &everybody), 1);
    assert_eq!(connection.read(), ["acknowledged", "prompts"]);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_hear_of_one_change() {
    let listeners = Listeners::new(1000, 10);
    let connections: Vec<Connection> =
        (0..1000).map(|id| Connection::ready(&listeners, id, &all())).collect();
    assert_eq!(listeners.broadcast(Change::Tools, &everybody), 1000);
    for connection in &connections {
        assert_eq!(connection.woken(), 1);
        assert_eq!(connection.read(), ["tools"]);
    }
}

#[tokio::test(start_paused = true)]
async fn room_is_bounded_and_free_again_when_a_connection_is_lost() {
    let refused = |taken: Result<Connection, Refusal>| {
        let refusal = taken.err().expect("there is no room");
        assert!(refusal.retry_after().is_some());
        format!("{} {}", refusal.status().as_u16(), refusal.message())
    };
    let listeners = Listeners::new(4, 2);
    let hers = [1, 2].map(|id| Connection::open(&listeners, id, &all(), Some("her")).unwrap());
    assert_eq!(
        refused(Connection::open(&listeners, 3, &all(), Some("her"))),
        "503 You listen 2 times already, as often as you may. End one of those, or ask for more in one request."
    );
    // The same id, of another connection, and nobody in particular.
    let _his = Connection::open(&listeners, 1, &all(), Some("his")).unwrap();
    let nobodys = Connection::open(&listeners, 1, &all(), None).unwrap();
    let full = "503 As many clients listen for changes as the server can take. Try again later.";
    assert_eq!(refused(Connection::open(&listeners, 4, &all(), None)), full);
    assert_eq!(listeners.len(), 4);
    drop(hers);
    drop(nobodys);
    assert_eq!(listeners.len(), 1);
    let again = [1, 2].map(|id| Connection::open(&listeners, id, &all(), Some("her")));
    assert!(again.iter().all(Result::is_ok));
    let _last = Connection::open(&listeners, 5, &all(), None).unwrap();
    assert_eq!(refused(Connection::open(&listeners, 6, &all(), None)), full);
    drop((again, _last, _his));
    let state = listeners.state.locked();
    assert!(state.all.is_empty() && state.of_each.is_empty(), "nothing is kept of who is gone");
}

#[tokio::test(start_paused = true)]
async fn at_the_end_each_is_told_what_waits_and_answered_and_no_more_are_taken() {
    let listeners = Listeners::new(10, 10);
    let (idle, busy, new) = (
        Connection::ready(&listeners, 1, &all()),
        Connection::ready(&listeners, 2, &all()),
        Connection::open(&listeners, 3, &all(), None).unwrap(),
    );
    busy.woken();
    listeners.broadcast(Change::Tools, &everybody);
    let info = Raw::from_json(r#"{"name":"it","version":"1"}"#).unwrap();
    listeners.end_gracefully(Some(&info));
    assert_eq!(idle.woken(), 1);
    assert_eq!(listeners.broadcast(Change::Tools, &everybody), 0, "nobody is told any more");
    assert_eq!(idle.read(), ["tools", "result"]);
    assert_eq!(busy.read(), ["tools", "result"]);
    assert_eq!(new.read(), ["acknowledged", "tools", "result"]);
    for connection in [&idle, &busy, &new] {
        assert!(connection.seat.is_over());
        assert_eq!(connection.poll(), Poll::Ready(None));
    }
    let refusal = Connection::open(&listeners, 4, &all(), None).err().unwrap();
    assert_eq!(refusal.kind(), RefusalKind::Draining);
}

#[tokio::test(start_paused = true)]
async fn what_is_taken_back_ends_with_a_word_and_nobody_else_does() {
    let listeners = Listeners::new(10, 10);
    let hers = Connection::open(&listeners, 1, &all(), Some("her")).unwrap();
    let his = Connection::open(&listeners, 1, &all(), Some("his")).unwrap();
    assert_eq!((hers.read(), his.read()), (vec!["acknowledged".into()], vec!["acknowledged".into()]));
    listeners.broadcast(Change::Tools, &everybody);
    let is_her =
        |peer: &PeerInfo<'_>| peer.caller.principal().is_some_and(|principal| &*principal.subject == "her");
    let why = Str::from("You were logged out.");
    assert_eq!(listeners.end_forced(&is_her, &why), 1);
    assert_eq!(listeners.end_forced(&is_her, &why), 0, "it has ended already");
    assert_eq!(hers.read(), ["cancelled"], "what waited is not told");
    assert_eq!(hers.poll(), Poll::Ready(None));
    assert_eq!(his.read(), ["tools"]);
    assert!(his.poll().is_pending());
}

#[tokio::test(start_paused = true)]
async fn what_its_client_took_back_is_over_at_once() {
    let listeners = Listeners::new(10, 10);
    let connection = Connection::ready(&listeners, 1, &all());
    listeners.broadcast(Change::Tools, &everybody);
    let canceller = connection.seat.canceller();
    assert!(!canceller.is_over());
    connection.woken();
    assert!(connection.read().len() == 1 && connection.poll().is_pending());
    listeners.broadcast(Change::Tools, &everybody);
    canceller.cancel();
    assert!(canceller.is_over() && connection.woken() == 1);
    assert_eq!(connection.poll(), Poll::Ready(None), "what waited is not told, and no end either");
    drop(connection);
    assert!(canceller.is_over());
    assert_eq!(listeners.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn quiet_connections_are_kept_alive_and_those_that_take_nothing_given_up() {
    let keep_alive = Duration::from_secs(15);
    let listeners = Listeners::new(10, 10);
    let (quiet, unread) = (
        Connection::ready(&listeners, 1, &all()),
        Connection::ready(&listeners, 2, &json!({"toolsListChanged": true})),
    );
    let tick = async |seconds| {
        tokio::time::advance(Duration::from_secs(seconds)).await;
        listeners.handle_tick(runtime::now(), keep_alive)
    };
    assert_eq!(tick(14).await, 0);
    assert_eq!(quiet.read(), Vec::<String>::new());
    assert_eq!(tick(1).await, 0);
    assert_eq!((quiet.woken(), unread.woken()), (1, 1));
    assert_eq!(quiet.read(), ["keep-alive"]);
    assert_eq!(unread.read(), ["keep-alive"]);
    listeners.broadcast(Change::Tools, &everybody);
    assert_eq!(quiet.read(), ["tools"]);
    // Ten seconds after a tick has seen it waiting.
    assert_eq!(tick(1).await, 0);
    assert_eq!(tick(9).await, 0);
    listeners.broadcast(Change::Tools, &everybody);
    assert_eq!(tick(1).await, 1);
    assert_eq!(tick(1).await, 0, "once");
    assert_eq!(listeners.broadcast(Change::Tools, &everybody), 1);
    assert_eq!(unread.read(), ["cancelled"]);
    assert_eq!(unread.poll(), Poll::Ready(None));
    assert_eq!(quiet.read(), ["tools"]);
    for _ in 0..100 {
        assert_eq!(listeners.handle_tick(runtime::now() + keep_alive, Duration::ZERO), 0);
    }
    assert!(quiet.poll().is_pending(), "zero never writes one");
}
