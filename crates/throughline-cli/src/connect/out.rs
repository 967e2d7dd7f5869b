//! Standard output: every message a line, written by one task.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::BytesMut;
use throughline::jsonrpc;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// Where lines for the host go. Cheap to clone.
#[derive(Clone)]
pub(super) struct Out(Arc<Shared>);

struct Shared {
    waiting: Mutex<Waiting>,
    more: Notify,
    taken: Notify,
}

#[derive(Default)]
struct Waiting {
    lines: BytesMut,
    /// What the server says of itself while the session is being opened: it comes after that.
    held: Option<BytesMut>,
    dropped: u64,
    ended: bool,
}

impl Waiting {
    fn is_full(&self) -> bool {
        self.lines.len() + self.held.as_ref().map_or(0, BytesMut::len) >= MOST_WAITING
    }
}

impl Out {
    /// Opens the way to a writer, and the task that writes. It ends when the writer takes nothing more.
    pub(super) fn open(writer: impl AsyncWrite + Unpin + Send + 'static) -> (Self, JoinHandle<()>) {
        let out =
            Self(Arc::new(Shared { waiting: Mutex::default(), more: Notify::new(), taken: Notify::new() }));
        let writing = tokio::spawn(write(out.clone(), writer));
        (out, writing)
    }

    /// Sends the answer to a request of the host.
    pub(super) fn answer(&self, write: impl FnOnce(&mut BytesMut)) {
        let mut waiting = self.waiting();
        if !waiting.ended {
            write_line(&mut waiting.lines, write);
        }
        drop(waiting);
        self.0.more.notify_one();
    }

    /// Sends what the server says of itself, and must arrive. False when so much waits for the host already that nothing more
    /// is taken.
    pub(super) fn tell(&self, write: impl FnOnce(&mut BytesMut)) -> bool {
        let mut waiting = self.waiting();
        if waiting.ended || waiting.is_full() {
            return false;
        }
        let Waiting { lines, held, .. } = &mut *waiting;
        write_line(held.as_mut().unwrap_or(lines), write);
        drop(waiting);
        self.0.more.notify_one();
        true
    }

    /// Sends a notification. A host that does not read loses some, when much waits for it already.
    pub(super) fn notify(&self, write: impl FnOnce(&mut BytesMut)) {
        if self.tell(write) {
            return;
        }
        let mut waiting = self.waiting();
        waiting.dropped += 1;
        let dropped = waiting.dropped;
        if !waiting.ended && dropped.is_power_of_two() {
            drop(waiting);
            tracing::warn!(dropped, "the host does not read: notifications for it are dropped");
        }
    }

    /// What the server says of itself waits from now on, until [`release`](Self::release).
    pub(super) fn hold(&self) {
        self.waiting().held.get_or_insert_default();
    }

    /// The host is ready to hear from the server.
    pub(super) fn release(&self) {
        let mut waiting = self.waiting();
        if let Some(held) = waiting.held.take() {
            waiting.lines.unsplit(held);
            drop(waiting);
            self.0.more.notify_one();
        }
    }

    /// Waits until the host has read enough to be asked for more.
    pub(super) async fn room(&self) {
        loop {
            let mut taken = pin!(self.0.taken.notified());
            // From here on, so that nothing is missed between the look and the wait.
            taken.as_mut().enable();
            if self.has_room() {
                return;
            }
            taken.await;
        }
    }

    fn has_room(&self) -> bool {
        let waiting = self.waiting();
        waiting.ended || waiting.lines.len() < MOST_WAITING
    }

    /// Nothing more is sent; what waits is written.
    pub(super) fn end(&self) {
        self.release();
        self.waiting().ended = true;
        self.0.more.notify_one();
        self.0.taken.notify_waiters();
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn write_line(lines: &mut BytesMut, write: impl FnOnce(&mut BytesMut)) {
    let start = lines.len();
    write(lines);
    if lines.len() > start {
        jsonrpc::end_line(lines, start);
    }
}

async fn write(out: Out, mut writer: impl AsyncWrite + Unpin) {
    loop {
        let (lines, ended) = {
            let mut waiting = out.waiting();
            (std::mem::take(&mut waiting.lines), waiting.ended)
        };
        out.0.taken.notify_waiters();
        if lines.is_empty() {
            if ended {
                return;
            }
            out.0.more.notified().await;
            continue;
        }
        if let Err(error) = write_all(&mut writer, &lines).await {
            tracing::debug!(%error, "the host reads no more");
            return out.end();
        }
    }
}

async fn write_all(writer: &mut (impl AsyncWrite + Unpin), lines: &[u8]) -> std::io::Result<()> {
    writer.write_all(lines).await?;
    writer.flush().await
}

/// Where the answer to a request goes: on a line of its own, or into that of its batch.
#[derive(Clone)]
pub(super) enum Reply {
    Line(Out),
    Batch(Arc<Batch>),
}

/// The answers to a batch: one line, when all are there.
pub(super) struct Batch {
    out: Out,
    answers: Mutex<BytesMut>,
}

impl Reply {
    pub(super) fn to_batch(out: &Out) -> Self {
        Self::Batch(Arc::new(Batch { out: out.clone(), answers: Mutex::default() }))
    }

    pub(super) fn send(&self, write: impl FnOnce(&mut BytesMut)) {
        match self {
            Self::Line(out) => out.answer(write),
            Self::Batch(batch) => {
                let mut answers = batch.answers.lock().unwrap_or_else(PoisonError::into_inner);
                let before = if answers.is_empty() { b"[" } else { b"," };
                answers.extend_from_slice(before);
                write(&mut answers);
            }
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        let answers = self.answers.get_mut().unwrap_or_else(PoisonError::into_inner);
        if !answers.is_empty() {
            answers.extend_from_slice(b"]");
            self.out.answer(|out| out.extend_from_slice(answers));
        }
    }
}

/// Far more than a host that reads leaves unread. The host is asked for no more then, so that answers are bounded by it and by
/// the calls in flight; and nothing more is taken from the server that is no answer.
const MOST_WAITING: usize = 4 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    fn write(text: &'static str) -> impl FnOnce(&mut BytesMut) {
        |out| out.extend_from_slice(text.as_bytes())
    }

    #[tokio::test]
    async fn what_the_server_says_waits_for_the_session() {
        let (mut reader, writer) = tokio::io::duplex(1024);
        let (out, writing) = Out::open(writer);
        out.hold();
        assert!(out.tell(write("question")));
        out.notify(write("note"));
        out.answer(write("opened"));
        out.release();
        out.notify(write("later"));
        let batch = Reply::to_batch(&out);
        batch.send(write("1"));
        batch.clone().send(write("2"));
        drop(batch);
        out.end();
        out.notify(write("too late"));
        writing.await.expect("it wrote");
        let mut all = String::new();
        reader.read_to_string(&mut all).await.expect("text");
        assert_eq!(all, "opened\nquestion\nnote\nlater\n[1,2]\n");
    }

    #[tokio::test]
    async fn a_host_that_does_not_read_is_told_no_more_and_asked_for_no_more() {
        let (reader, writer) = tokio::io::duplex(16);
        let (out, writing) = Out::open(writer);
        let line = |out: &mut BytesMut| out.resize(out.len() + MOST_WAITING / 8, b'x');
        let mut told = 0;
        // The writer holds some, and the same again may wait.
        while out.tell(line) {
            told += 1;
            tokio::task::yield_now().await;
        }
        assert!((8..=16).contains(&told), "{told}");
        out.notify(line);
        out.answer(write("kept"));
        let room = tokio::spawn({
            let out = out.clone();
            async move { out.room().await }
        });
        tokio::task::yield_now().await;
        assert!(!room.is_finished());
        drop(reader);
        writing.await.expect("it ends with its reader");
        room.await.expect("nobody waits for a host that is gone");
        assert!(!out.tell(write("nobody hears it")));
    }
}
