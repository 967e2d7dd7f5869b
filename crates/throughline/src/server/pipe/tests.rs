use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

use super::*;

/// Counts how often it was woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

struct Tester {
    pipe: Arc<Pipe>,
    tally: Arc<Tally>,
    woken: Arc<Woken>,
    waker: Waker,
}

impl Tester {
    fn new() -> Self {
        let tally = Arc::<Tally>::default();
        let woken = Arc::<Woken>::default();
        let waker = Waker::from(Arc::clone(&woken));
        Self { pipe: Pipe::new(Arc::clone(&tally)), tally, woken, waker }
    }

    fn cx(&self) -> task::Context<'_> {
        task::Context::from_waker(&self.waker)
    }

    fn note(&self, bytes: usize) -> Poll<Result<(), CallOver>> {
        self.pipe.poll_send(|out| out.extend_from_slice(&vec![b'x'; bytes]), &self.cx())
    }

    fn send(&self, weight: Weight, bytes: usize) -> bool {
        self.pipe.send(weight, |out| out.extend_from_slice(&vec![b'x'; bytes]))
    }

    fn dropped(&self) -> u64 {
        self.tally.snapshot().notifications_undeliverable
    }

    fn woken(&self) -> usize {
        self.woken.0.swap(0, Ordering::SeqCst)
    }
}

#[test]
fn senders_wait_by_lines_and_by_bytes_and_are_woken_when_there_is_room() {
    for (bytes, fit) in [(1, 256), (4 * 1024, 64)] {
        let tester = Tester::new();
        for _ in 0..fit {
            assert_eq!(tester.note(bytes), Poll::Ready(Ok(())));
        }
        assert_eq!(tester.note(bytes), Poll::Pending);
        assert_eq!(tester.woken(), 0);
        assert!(tester.send(Weight::KEPT, bytes), "what cannot wait is kept");
        let mut lines = BytesMut::new();
        assert_eq!(tester.pipe.poll_take(&mut lines, &tester.cx()), Poll::Ready(true));
        assert_eq!(lines.iter().filter(|byte| **byte == b'\n').count(), fit + 1);
        assert_eq!(tester.woken(), 1);
        // What is being written counts until it is.
        let waits = bytes > 1;
        assert_eq!(tester.note(bytes).is_pending(), waits);
        let _ = tester.pipe.poll_take(&mut lines, &tester.cx());
        assert_eq!(tester.woken(), usize::from(waits));
        assert_eq!(tester.note(bytes), Poll::Ready(Ok(())));
    }
}

#[test]
fn broadcasts_are_dropped_and_counted_when_too_much_waits() {
    let tester = Tester::new();
    assert!(tester.send(Weight::KEPT, MOST_BYTES_DROPPABLE - 2));
    assert!(tester.send(Weight::DROPPABLE, 0) && tester.send(Weight::DROPPABLE, 1));
    assert_eq!(tester.dropped(), 0);
    assert!(tester.send(Weight::DROPPABLE, 1));
    assert_eq!(tester.dropped(), 1);
    assert!(tester.send(Weight::response(true), 1));
    let mut lines = BytesMut::new();
    assert_eq!(tester.pipe.poll_take(&mut lines, &tester.cx()), Poll::Ready(true));
    assert_eq!(lines.len(), MOST_BYTES_DROPPABLE - 1 + 2 + 2);
}

#[test]
fn reading_waits_until_the_answers_are_written() {
    let tester = Tester::new();
    assert!(tester.send(Weight::KEPT, MOST_BYTES_UNREAD - 2));
    assert!(tester.pipe.poll_room(&tester.cx()).is_ready());
    assert!(tester.send(Weight::KEPT, 0) && tester.send(Weight::KEPT, 1));
    assert!(tester.pipe.poll_room(&tester.cx()).is_pending());
    let mut lines = BytesMut::new();
    assert_eq!(tester.pipe.poll_take(&mut lines, &tester.cx()), Poll::Ready(true));
    assert!(tester.pipe.poll_room(&tester.cx()).is_pending(), "it is not written yet");
    tester.woken();
    assert!(tester.pipe.poll_take(&mut lines, &tester.cx()).is_pending());
    assert_eq!(tester.woken(), 1);
    assert!(tester.pipe.poll_room(&tester.cx()).is_ready());
    assert!(lines.capacity() < MOST_BYTES_UNREAD, "its memory is given back");
}

#[test]
fn a_message_is_one_line_whatever_is_in_it() {
    let tester = Tester::new();
    tester.pipe.send(Weight::KEPT, |out| out.extend_from_slice(b"{\r\n}"));
    tester.pipe.send(Weight::KEPT, |_| {});
    let mut lines = BytesMut::new();
    assert_eq!(tester.pipe.poll_take(&mut lines, &tester.cx()), Poll::Ready(true));
    assert_eq!(lines, "{  }\n");
}

#[test]
fn after_the_end_the_rest_is_written_and_after_a_break_nothing() {
    for breaks in [false, true] {
        let tester = Tester::new();
        while tester.note(1).is_ready() {}
        assert!(tester.send(Weight::KEPT, 1));
        if breaks {
            tester.pipe.break_off();
        } else {
            tester.pipe.end();
        }
        assert_eq!(tester.woken(), 1, "who waited hears of it");
        assert_eq!(tester.note(1), Poll::Ready(Err(CallOver)));
        assert!(!tester.send(Weight::KEPT, 1));
        assert!(tester.pipe.poll_room(&tester.cx()).is_ready());
        let mut lines = BytesMut::new();
        let first = tester.pipe.poll_take(&mut lines, &tester.cx());
        assert_eq!(first, Poll::Ready(!breaks));
        assert_eq!(lines.len(), if breaks { 0 } else { 257 * 2 });
        assert_eq!(tester.pipe.poll_take(&mut lines, &tester.cx()), Poll::Ready(false));
    }
}

#[tokio::test]
async fn the_writer_is_woken_by_what_comes() {
    let pipe = Pipe::new(Arc::default());
    let writer = Arc::clone(&pipe);
    let taken = tokio::spawn(async move {
        let mut lines = BytesMut::new();
        let mut all = Vec::new();
        while poll_fn(|cx| writer.poll_take(&mut lines, cx)).await {
            all.extend_from_slice(&lines);
        }
        all
    });
    for _ in 0..3 {
        tokio::task::yield_now().await;
        assert!(pipe.send(Weight::KEPT, |out| out.extend_from_slice(b"1")));
    }
    tokio::task::yield_now().await;
    pipe.end();
    assert_eq!(taken.await.unwrap(), b"1\n1\n1\n");
}

/// A pipe of events that shares a backlog of so many bytes.
fn events(most: usize) -> (Tester, Arc<Backlog>) {
    let backlog = Backlog::of_server(2 * most);
    let tester = Tester::new();
    let pipe = Pipe::of_events(Arc::clone(&tester.tally), Arc::clone(&backlog));
    (Tester { pipe, ..tester }, backlog)
}

impl Tester {
    fn piece(&self) -> Poll<Option<Bytes>> {
        self.pipe.poll_piece(&self.cx())
    }
}

#[tokio::test(start_paused = true)]
async fn messages_are_events_of_their_type() {
    let (tester, _) = events(1 << 20);
    tester.pipe.send_event("endpoint", b"/messages");
    tester.pipe.send(Weight::KEPT, |out| out.extend_from_slice(b"{}"));
    tester.pipe.send(Weight::KEPT, |_| {});
    tester.pipe.send(Weight::KEPT, |out| out.extend_from_slice(b"{\n}"));
    tester.pipe.end_with_retry(Duration::from_secs(1));
    let all = "event: endpoint\ndata: /messages\n\nevent: message\ndata: {}\n\nevent: message\ndata: {\ndata: }\n\nretry: 1000\n\n";
    assert_eq!(tester.piece(), Poll::Ready(Some(Bytes::from(all))));
    assert!(tester.pipe.is_over());
    assert_eq!(tester.piece(), Poll::Ready(None));
}

#[tokio::test(start_paused = true)]
async fn one_whose_reader_is_gone_is_not_told_when_to_come_back() {
    let (tester, _) = events(1 << 20);
    tester.pipe.break_off();
    tester.pipe.end_with_retry(Duration::from_secs(1));
    assert_eq!(tester.piece(), Poll::Ready(None));
}

#[tokio::test(start_paused = true)]
async fn a_large_message_leaves_in_pieces_and_counts_until_it_is_written() {
    let (tester, backlog) = events(8 << 20);
    assert!(tester.send(Weight::KEPT, MOST_BYTES_UNREAD));
    assert!(!tester.pipe.has_room() && tester.pipe.poll_room(&tester.cx()).is_pending());
    let mut pieces = 0;
    let mut all = 0;
    while let Poll::Ready(Some(piece)) = tester.piece() {
        assert!(piece.len() <= PIECE);
        pieces += 1;
        all += piece.len();
        // Until it is exchanged for the next one it is not written.
        assert!(!backlog.is_full());
    }
    assert!(all > MOST_BYTES_UNREAD && pieces == all.div_ceil(PIECE));
    assert!(tester.pipe.has_room());
    assert!(tester.woken() > 0, "who waited for room hears of it");
}

#[tokio::test(start_paused = true)]
async fn pipes_share_a_backlog_and_give_their_part_back() {
    let (first, backlog) = events(100_000);
    let second = Tester {
        pipe: Pipe::of_events(Arc::clone(&first.tally), Arc::clone(&backlog)),
        woken: Arc::clone(&first.woken),
        tally: Arc::clone(&first.tally),
        waker: first.waker.clone(),
    };
    assert!(first.send(Weight::KEPT, 200_000));
    assert!(backlog.is_full());
    // Who has nothing in it may send, and then waits like the other.
    assert!(second.note(1).is_ready() && second.note(1).is_pending());
    assert!(first.note(1).is_pending() && !first.pipe.has_room());
    assert!(second.send(Weight::DROPPABLE, 1));
    assert_eq!(second.dropped(), 1);
    // A reader that reads gets on, whatever the other does.
    assert!(second.piece().is_ready() && second.piece().is_pending());
    assert!(second.note(1).is_ready());
    // What is lost with a connection is given back, also what was being written.
    assert!(first.piece().is_ready());
    first.pipe.break_off();
    assert!(!backlog.is_full());
    drop(second);
    drop(first);
    backlog.add(100_000);
    assert!(!backlog.is_full(), "nothing is left of either");
}

#[tokio::test(start_paused = true)]
async fn a_quiet_stream_is_kept_alive_and_one_that_is_not_read_is_noticed() {
    let (tester, _) = events(1 << 20);
    let keep_alive = Duration::from_secs(15);
    let start = runtime::now();
    assert!(tester.piece().is_pending());
    assert!(tester.pipe.handle_tick(start + Duration::from_secs(14), keep_alive));
    assert!(tester.pipe.handle_tick(start + Duration::from_secs(99), Duration::ZERO));
    assert_eq!(tester.woken(), 0);
    assert!(tester.pipe.handle_tick(start + keep_alive, keep_alive));
    assert_eq!(tester.woken(), 1);
    assert_eq!(tester.piece(), Poll::Ready(Some(Bytes::from_static(sse::KEEP_ALIVE))));

    assert!(tester.send(Weight::KEPT, 2 * PIECE));
    assert!(tester.pipe.handle_tick(start, keep_alive));
    assert!(tester.pipe.handle_tick(start + Duration::from_secs(9), keep_alive));
    // It takes a part of it: it reads, if slowly.
    assert!(tester.piece().is_ready());
    assert!(tester.pipe.handle_tick(start + Duration::from_secs(11), keep_alive));
    assert!(tester.pipe.handle_tick(start + Duration::from_secs(20), keep_alive));
    assert!(!tester.pipe.handle_tick(start + Duration::from_secs(21), keep_alive));
}
