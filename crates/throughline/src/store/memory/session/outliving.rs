//! What a session takes in from a store that outlives the process, and tells it.

use std::time::Instant;

use throughline_proto::log::{Budget, Log};

use super::{EndedQueue, GONE, Session, Stream};
use crate::store::memory::{RestoredSession, StreamStanding};
use crate::store::{AppendError, Epoch, Limits, StreamKey};

impl Session {
    /// A session as it was kept, within the budgets of its streams. Its ended streams must be [queued](Self::queue) next,
    /// and the session [settled](Self::settle_restored).
    pub(in crate::store::memory) fn restored(
        from: RestoredSession,
        limits: &Limits,
    ) -> Result<(Self, Vec<(Instant, u64)>), AppendError> {
        let mut session = Self { epoch: from.epoch, kept: from.kept, ..Self::new(from.id) };
        let budget = Budget { events: limits.stream_events, bytes: limits.stream_bytes };
        let (mut ends, mut streams) = (Vec::new(), from.streams);
        streams.sort_by_key(|stream| stream.stream);
        for stream in streams {
            let mut log = Log::restored(stream.events, stream.head, stream.ended)?;
            if session.streams.back().is_some_and(|last| last.number == stream.stream) {
                return Err(AppendError::Gap);
            }
            let written = stream.written.min(log.head());
            log.trim(budget, written);
            match stream.ended {
                // A stream without events that ended before anything was appended is given up as well: all that is
                // left to tell of either is its head.
                Some(_) if log.is_empty() => {
                    if session.gone.len() == GONE {
                        session.gone.pop_front();
                    }
                    session.gone.push_back((stream.stream, log.head()));
                    continue;
                }
                Some(ended) => ends.push((ended, stream.stream)),
                None => {}
            }
            session.bytes += log.bytes();
            session.streams.push_back(Stream { number: stream.stream, log, written, place: None });
        }
        Ok((session, ends))
    }

    /// Puts an ended stream into the queue. Streams come in the order of their ends.
    pub(in crate::store::memory) fn queue(&mut self, number: u64, ended: Instant, queue: &EndedQueue) {
        let Ok(index) = self.find(number) else { return };
        let stream = &mut self.streams[index];
        let at = StreamKey { session: self.id.clone(), stream: number };
        stream.place = Some(queue.insert(at, ended, stream.written == stream.log.head()));
        self.ends.push_back(number);
    }

    /// Brings a restored session into its budgets.
    pub(in crate::store::memory) fn settle_restored(&mut self, limits: &Limits, queue: &EndedQueue) {
        self.settle(limits, queue);
    }

    pub(in crate::store::memory) fn epoch(&self) -> Epoch {
        self.epoch
    }

    pub(in crate::store::memory) fn keep(&mut self, epoch: Epoch) {
        self.epoch = self.epoch.max(epoch);
        self.kept = true;
    }

    pub(in crate::store::memory) fn stream(&self, number: u64) -> Option<StreamStanding> {
        match self.find(number) {
            Ok(index) => {
                let Stream { log, .. } = &self.streams[index];
                Some(StreamStanding {
                    head: log.head(),
                    ended: log.ended().is_some(),
                    lost: log.lost(),
                    oldest_droppable: log.oldest(false),
                    oldest_kept: log.oldest(true),
                })
            }
            Err(_) => self.head_of_gone(number).map(|head| StreamStanding {
                head,
                ended: true,
                lost: head,
                oldest_droppable: head + 1,
                oldest_kept: head + 1,
            }),
        }
    }

    /// Marks a stream as written, if it is there.
    pub(in crate::store::memory) fn mark_written(&mut self, number: u64, written: u64, queue: &EndedQueue) {
        let Ok(index) = self.find(number) else { return };
        let stream = &mut self.streams[index];
        stream.written = stream.written.max(written.min(stream.log.head()));
        let all_written = stream.written == stream.log.head();
        if let Some(place) = &mut stream.place
            && all_written
            && !place.written
        {
            queue.promote(place);
        }
    }
}
