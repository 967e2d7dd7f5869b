//! The one way to a client that has no streams: every message is a line, in the order in which they were sent.

use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{self, Poll, Waker};

use bytes::BytesMut;
use throughline_proto::jsonrpc;

use super::counters::Tally;
use super::stream::Weight;
use crate::handler::CallOver;
use crate::lock::Lock;

/// What waits to be written to a client, between everything that sends and the one writer.
///
/// A slow reader holds up only those who can wait: senders of notifications, while 256 lines or 256 KiB wait, and who
/// reads further requests, while 4 MiB do. Responses and questions are kept whatever the pace: the requests in flight
/// bound them. A broadcast can neither wait nor be kept, and is dropped and counted while 1 MiB waits.
pub(crate) struct Pipe {
    tally: Arc<Tally>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Whole lines that the writer has not taken.
    out: BytesMut,
    /// How many those are.
    lines: usize,
    /// How many bytes the writer has taken and not written.
    writing: usize,
    /// Nothing can be sent any more; what is there is still written.
    ended: bool,
    writer: Option<Waker>,
    /// Those who wait for the reader.
    waiting: Vec<Waker>,
}

impl Pipe {
    pub(crate) fn new(tally: Arc<Tally>) -> Arc<Self> {
        Arc::new(Self { tally, state: Mutex::default() })
    }

    /// Sends a notification once there is room. Pending wakes `cx` when that may be so.
    pub(crate) fn poll_send(
        &self,
        write: impl FnOnce(&mut BytesMut),
        cx: &task::Context<'_>,
    ) -> Poll<Result<(), CallOver>> {
        let mut state = self.state.locked();
        if state.ended {
            return Poll::Ready(Err(CallOver));
        }
        if state.lines >= MOST_LINES_BEHIND || state.unwritten() >= MOST_BYTES_BEHIND {
            state.wait(cx);
            return Poll::Pending;
        }
        push(state, write);
        Poll::Ready(Ok(()))
    }

    /// Sends at once, whatever the reader's pace. False when nothing can be sent any more.
    pub(crate) fn send(&self, weight: Weight, write: impl FnOnce(&mut BytesMut)) -> bool {
        let state = self.state.locked();
        if state.ended {
            return false;
        }
        if !weight.keep && state.unwritten() >= MOST_BYTES_DROPPABLE {
            self.tally.notifications_undeliverable.add_one();
            return true;
        }
        push(state, write);
        true
    }

    /// Ready when so little waits that further requests may be read, or nothing can be sent any more.
    pub(crate) fn poll_room(&self, cx: &task::Context<'_>) -> Poll<()> {
        let mut state = self.state.locked();
        if state.ended || state.unwritten() < MOST_BYTES_UNREAD {
            return Poll::Ready(());
        }
        state.wait(cx);
        Poll::Pending
    }

    /// Everything that is ready, for the one writer, in exchange for what it has written. False at the end.
    pub(crate) fn poll_take(&self, lines: &mut BytesMut, cx: &task::Context<'_>) -> Poll<bool> {
        lines.clear();
        if lines.capacity() > MOST_BYTES_DROPPABLE {
            // One large response is no reason to hold its memory for ever.
            *lines = BytesMut::new();
        }
        let mut state = self.state.locked();
        std::mem::swap(&mut state.out, lines);
        state.writing = lines.len();
        state.lines = 0;
        let taken = match (lines.is_empty(), state.ended) {
            (false, _) => Poll::Ready(true),
            (true, true) => Poll::Ready(false),
            (true, false) => {
                state.writer = Some(cx.waker().clone());
                Poll::Pending
            }
        };
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
        taken
    }

    /// Nothing can be sent any more. What is there is still written.
    pub(crate) fn end(&self) {
        let mut state = self.state.locked();
        state.ended = true;
        let wakers: Vec<Waker> =
            std::mem::take(&mut state.waiting).into_iter().chain(state.writer.take()).collect();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// The reader is gone, and what is there with it.
    pub(crate) fn break_off(&self) {
        let mut state = self.state.locked();
        state.out = BytesMut::new();
        state.writing = 0;
        drop(state);
        self.end();
    }
}

impl State {
    fn unwritten(&self) -> usize {
        self.out.len() + self.writing
    }

    fn wait(&mut self, cx: &task::Context<'_>) {
        if !self.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            self.waiting.push(cx.waker().clone());
        }
    }
}

/// Adds a line and wakes the writer.
fn push(mut state: MutexGuard<'_, State>, write: impl FnOnce(&mut BytesMut)) {
    let start = state.out.len();
    write(&mut state.out);
    if state.out.len() > start {
        jsonrpc::end_line(&mut state.out, start);
        state.lines += 1;
    }
    let writer = state.writer.take();
    drop(state);
    writer.into_iter().for_each(Waker::wake);
}

/// As far as the reader of a stream may be behind.
const MOST_LINES_BEHIND: usize = 256;
const MOST_BYTES_BEHIND: usize = 256 * 1024;
/// As much as a stream retains, where the oldest notifications would go.
const MOST_BYTES_DROPPABLE: usize = 1024 * 1024;
/// As long as one request may be.
const MOST_BYTES_UNREAD: usize = 4 * 1024 * 1024;

#[cfg(test)]
mod tests {
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
}
