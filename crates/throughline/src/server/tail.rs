//! Reads a stream from a place on, through replay and live alike: the body of an SSE response.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use throughline_proto::sse;

use super::stream::{Closing, Stream, Turn};
use crate::store::{Page, ReadBudget, ReadError, Soon, Watch};

type Reading = Pin<Box<dyn Future<Output = Result<Page, ReadError>> + Send>>;

/// A connection's place in a stream.
///
/// It only ever reads the log, so there is no hand-over between replay and live at which an event could be lost or
/// doubled.
///
/// # Drop behavior
///
/// The stream goes on, without a reader.
pub(crate) struct Tail {
    stream: Arc<Stream>,
    number: u64,
    after: u64,
    /// Sent before the first event: the priming event.
    head: BytesMut,
    watch: Option<Watch>,
    reading: Option<Reading>,
    /// The store takes its time for reads.
    reads_late: bool,
    /// Where events were dropped, go on with the oldest held: for a client that has no id yet that it could be told with.
    skips_gaps: bool,
    retry: Duration,
    done: bool,
}

impl Tail {
    /// A reader that has everything up to `after`; it takes over from the one before it.
    pub(crate) fn new(stream: Arc<Stream>, after: u64, retry: Duration) -> Self {
        let number = stream.attach(after);
        Self {
            stream,
            number,
            after,
            head: BytesMut::new(),
            watch: None,
            reading: None,
            reads_late: false,
            skips_gaps: false,
            retry,
            done: false,
        }
    }

    /// Begins with a priming event: its id lets the client resume before it saw any other
    /// ([sending messages](https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#sending-messages-to-the-server)).
    pub(crate) fn primed(mut self) -> Self {
        self.head.reserve(FIRST_FRAME);
        let id = self.stream.cursor(self.after).text();
        sse::write_prime(&mut self.head, id, Some(self.retry));
        self.skips_gaps = false;
        self
    }

    /// Goes on with the oldest event held where events were dropped before the first id was given.
    pub(crate) fn skipping_gaps(mut self) -> Self {
        self.skips_gaps = true;
        self
    }

    /// Who reads is no longer authorized: the connection closes once it has what was there, and its client, coming back with its
    /// last id and newer credentials, misses nothing. False for one that has no id yet that it could come back with.
    pub(crate) fn expire(&mut self) -> bool {
        let can_come_back = !self.skips_gaps || self.stream.is_standalone();
        if can_come_back {
            self.stream.close_own_reader(self.number, Closing::Retry(self.retry));
        }
        can_come_back
    }

    /// Whether the last piece was given.
    pub(crate) fn is_done(&self) -> bool {
        self.done && self.head.is_empty()
    }

    /// The next piece of the body. Everything that is there goes out in one frame, up to 64 KiB.
    pub(crate) fn poll_frame(&mut self, cx: &mut task::Context<'_>) -> Poll<Option<Bytes>> {
        if self.done {
            return Poll::Ready(None);
        }
        let closing = match self.stream.turn(self.number, cx) {
            Turn::Replaced => return self.finish(None),
            Turn::Close(closing, upto) if self.after >= upto => return self.finish(closing.retry()),
            Turn::Close(closing, _) => Some(closing),
            Turn::KeepAlive => {
                self.head.extend_from_slice(sse::KEEP_ALIVE);
                return Poll::Ready(Some(self.take_head()));
            }
            Turn::Read => None,
        };
        let page = self.poll_page(cx);
        if !matches!(&page, Poll::Ready(Ok(page)) if !page.events.is_empty())
            && let Some(direct) = self.go_around_store()
        {
            return direct;
        }
        match page {
            Poll::Ready(Ok(page)) if !page.events.is_empty() => Poll::Ready(Some(self.take(&page))),
            Poll::Ready(Ok(page)) if page.ended => self.finish(None),
            Poll::Ready(Ok(_)) | Poll::Pending => match closing {
                // What was there when it was decided is still being read.
                Some(_) if self.reading.is_some() && self.head.is_empty() => Poll::Pending,
                Some(_) if self.reading.is_some() => Poll::Ready(Some(self.take_head())),
                Some(closing) => self.finish(closing.retry()),
                None if self.head.is_empty() => Poll::Pending,
                None => Poll::Ready(Some(self.take_head())),
            },
            // Events were dropped while this connection was reading: it ends, and the client, coming back with its last
            // id, is told how many.
            Poll::Ready(Err(ReadError::Dropped(_))) => self.finish(Some(self.retry)),
            // It failed before it took anything: what comes goes around it, and wakes this reader.
            Poll::Ready(Err(ReadError::Unknown)) if closing.is_none() && self.stream.goes_around_store() => {
                if self.head.is_empty() {
                    return Poll::Pending;
                }
                Poll::Ready(Some(self.take_head()))
            }
            Poll::Ready(Err(ReadError::Unknown)) => self.finish(None),
            Poll::Ready(Err(error)) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the event store cannot be read; a stream is cut"
                );
                self.finish(Some(self.retry))
            }
        }
    }

    /// What goes around a store that failed; `None` when nothing does, and the log is all there is.
    fn go_around_store(&mut self) -> Option<Poll<Option<Bytes>>> {
        let direct = self.stream.take_direct(self.number);
        if !direct.is_empty() {
            self.head.extend_from_slice(&direct);
            return Some(Poll::Ready(Some(self.take_head())));
        }
        self.stream.is_over_directly().then(|| self.finish(None))
    }

    /// The next events. `Ok` with none, or pending: there are none yet, and `cx` is woken when there are.
    fn poll_page(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<Page, ReadError>> {
        if let Some(watch) = &self.watch {
            watch.register(cx.waker());
        }
        let mut is_known = false;
        loop {
            let page = match &mut self.reading {
                Some(reading) => match reading.as_mut().poll(cx) {
                    Poll::Ready(page) => page,
                    Poll::Pending => return Poll::Pending,
                },
                None => match self.read() {
                    Soon::Now(page) => page,
                    Soon::Later(reading) => {
                        self.reads_late = true;
                        self.reading = Some(reading);
                        continue;
                    }
                },
            };
            self.reading = None;
            match page {
                Err(ReadError::Dropped(gap)) if self.skips_gaps => {
                    self.after = gap.oldest.saturating_sub(1);
                    self.stream.skip(self.number, self.after);
                }
                // A stream that has no event yet is unknown to the store.
                Err(ReadError::Unknown) if self.stream.is_before_first() => {
                    if self.watching(cx) && !self.has_missed() {
                        return Poll::Pending;
                    }
                }
                // Its first event may have come between the read and the question.
                Err(ReadError::Unknown) if !is_known => is_known = true,
                Ok(page) if page.events.is_empty() && !page.ended => {
                    if self.watching(cx) && !self.has_missed() {
                        return Poll::Ready(Ok(page));
                    }
                }
                page => return Poll::Ready(page),
            }
        }
    }

    fn read(&self) -> Soon<Result<Page, ReadError>> {
        if self.reads_late {
            // What rang before is in the page.
            self.has_missed();
        }
        self.stream.store().read(self.stream.key(), self.after, ReadBudget::default())
    }

    /// Whether something came while a read was under way that took its time: its wake is used up by then.
    fn has_missed(&self) -> bool {
        self.reads_late && self.watch.as_ref().is_some_and(Watch::take_rung)
    }

    /// Watches from now on. False the first time: then the log must be read once more, for what came before the watch.
    /// A stream that is over by its first read never pays for one.
    fn watching(&mut self, cx: &task::Context<'_>) -> bool {
        if self.watch.is_some() {
            return true;
        }
        let watch = self.stream.store().watch(self.stream.key());
        watch.register(cx.waker());
        self.watch = Some(watch);
        false
    }

    fn take(&mut self, page: &Page) -> Bytes {
        let events = &page.events[..];
        self.skips_gaps = false;
        self.after = events.last().map_or(self.after, |event| event.seq);
        let frame = match events {
            [only] if self.head.is_empty() => self.frame_of(only),
            events => {
                self.head.reserve(events.iter().map(|event| event.frame.len()).sum());
                for event in events {
                    let frame = self.frame_of(event);
                    self.head.extend_from_slice(&frame);
                }
                self.take_head()
            }
        };
        self.stream.advance(self.number, events);
        if page.ended {
            self.done = true;
            self.stream.detach(self.number);
        }
        frame
    }

    /// The head, with its memory: a reader that waits for long holds none.
    fn take_head(&mut self) -> Bytes {
        std::mem::take(&mut self.head).freeze()
    }

    fn frame_of(&self, event: &crate::store::Event) -> Bytes {
        self.stream.take_oversize(self.number, event.seq).unwrap_or_else(|| event.frame.clone())
    }

    /// The last frame, with when to come back.
    fn finish(&mut self, retry: Option<Duration>) -> Poll<Option<Bytes>> {
        self.done = true;
        self.stream.detach(self.number);
        if let Some(retry) = retry {
            sse::write_retry(&mut self.head, retry);
        }
        Poll::Ready((!self.head.is_empty()).then(|| self.take_head()))
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.stream.detach(self.number);
    }
}

/// The priming event and a short response fit without growing.
const FIRST_FRAME: usize = 512;
