//! The thread that owns the file.
//!
//! ```text
//!   jobs ──> [ all that wait ] ──> stage: each decided after those before it ──> one transaction, one flush
//!                                                                                    │ failed: nobody saw anything
//!                                                                                    v
//!                           those who waited are told  <──  the memory store, whose readers are woken
//! ```

mod job;
mod marks;
mod orphans;
mod stage;

use std::thread;
use std::time::Instant;

use throughline::store::{Append, AppendError, EventStore, MemoryStore, Soon};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;

pub(crate) use self::job::{Answer, Batch, Job, Message, What};
pub(crate) use self::marks::Marks;
pub(crate) use self::orphans::Orphans;
use self::stage::{Changes, Stage};
use crate::disk::{Disk, Pass};
use crate::error::Failure;

/// Writes what it is sent, in groups.
pub(crate) struct Writer {
    pub(crate) disk: Disk,
    pub(crate) memory: MemoryStore,
    pub(crate) marks: std::sync::Arc<Marks>,
    pub(crate) messages: UnboundedReceiver<Message>,
    pub(crate) pass: Option<Pass>,
    /// How many streams were made since the last pass.
    pub(crate) streams: usize,
    pub(crate) orphans: Orphans,
}

/// What came in since the last group.
#[derive(Default)]
struct Group {
    jobs: Vec<Job>,
    bytes: usize,
    tidy: bool,
    loads: Vec<oneshot::Sender<Result<Vec<throughline::store::KeptSession>, Failure>>>,
    close: Option<Option<oneshot::Sender<()>>>,
}

impl Writer {
    /// Starts the thread. It ends when it is told to close, or when nobody can send it anything any more.
    pub(crate) fn start(self) -> std::io::Result<()> {
        thread::Builder::new().name("throughline-redb".into()).spawn(move || self.run()).map(drop)
    }

    fn run(mut self) {
        loop {
            let group = self.gather();
            let closes = group.close.is_some();
            self.write(group.jobs, group.tidy || closes, closes);
            for waiter in group.loads {
                let _ = waiter.send(self.disk.sessions(&self.memory));
            }
            if let Some(waiter) = group.close {
                // What is still sent is refused: its answer is dropped with the queue.
                drop(self);
                let _ = waiter.map(|waiter| waiter.send(()));
                return;
            }
        }
    }

    /// Waits for a message and takes all that are there, up to the budgets of one transaction.
    fn gather(&mut self) -> Group {
        let mut group = Group::default();
        // A pass goes on without being asked.
        let first = if self.pass.is_some() { self.messages.try_recv().ok() } else { None };
        let first = match (first, &self.pass) {
            (None, None) => match self.messages.blocking_recv() {
                Some(message) => Some(message),
                None => {
                    group.close = Some(None);
                    return group;
                }
            },
            (first, _) => first,
        };
        let mut next = first;
        while let Some(message) = next {
            match message {
                Message::Job(job) => {
                    group.bytes += job.what.cost();
                    group.jobs.push(job);
                }
                Message::Tidy => {
                    group.tidy = true;
                    if let Some(now) = self.marks.take_sweep() {
                        group.jobs.extend(self.forget_orphans(now));
                    }
                }
                Message::Load(waiter) => group.loads.push(waiter),
                Message::Close(waiter) => {
                    group.close = Some(Some(waiter));
                    break;
                }
            }
            let full = group.jobs.len() >= GROUP_JOBS || group.bytes >= GROUP_BYTES;
            next = if full { None } else { self.messages.try_recv().ok() };
        }
        group
    }

    /// Writes a group, and tells everyone what became of it. The last one removes everything that was dropped, so that a store
    /// that was closed is opened as it was.
    fn write(&mut self, jobs: Vec<Job>, tidy: bool, is_last: bool) {
        let now = tokio::time::Instant::now().into_std();
        let largest = self.memory.limits().largest_event();
        let mut stage = Stage::new(&self.memory, largest);
        let decided: Vec<_> = jobs.into_iter().map(|job| (stage.accept(&job.what), job)).collect();

        let marks = self.marks.take(tidy);
        if is_last {
            self.pass = None;
        }
        self.begin_pass(tidy);
        let pass = self.pass.as_mut();
        let changes = decided.iter().any(|(outcome, _)| matches!(outcome, Ok(changes) if changes.any()));
        let mut passed = false;
        let written = if changes || pass.is_some() || !marks.is_empty() {
            let all = is_last || self.disk.garbage(&self.memory) > 4 * threshold(&self.memory);
            let budget = if all { (i64::MAX, usize::MAX) } else { (PASS_BYTES, PASS_STREAMS) };
            let memory = &self.memory;
            self.disk.transact(memory, now, |tables| {
                // First, while the file has what the memory store has.
                if let Some(pass) = pass {
                    passed = pass.advance(tables, memory, budget)?;
                }
                for (what, changes) in
                    decided.iter().filter_map(|(outcome, job)| Some((&job.what, outcome.as_ref().ok()?)))
                {
                    stage::write(tables, what, changes)?;
                }
                marks.iter().try_for_each(|(at, written)| {
                    tables.change_stream(at, |row| {
                        let newer = row.written < *written;
                        row.written = row.written.max(*written);
                        newer
                    })
                })
            })
        } else {
            Ok(())
        };
        if passed || written.is_err() {
            self.pass = None;
        }
        if written.is_err() {
            self.marks.put_back(marks);
        }
        for (outcome, job) in decided {
            if let (Err(_), Answer::None, What::Forget(id)) = (&written, &job.answer, &job.what) {
                self.orphans.put_back(id.clone());
            }
            let outcome = match (&written, outcome) {
                (Err(cause), _) => Err(AppendError::Unavailable(Box::new(cause.clone()))),
                (Ok(()), Ok(changes)) => self.apply(job.what, &changes),
                (Ok(()), Err(refused)) => Err(refused),
            };
            job.answer.send(outcome);
        }
    }

    /// Makes visible what is in the file.
    fn apply(&mut self, what: What, changes: &Changes) -> Result<(), AppendError> {
        match what {
            What::Append(Batch { at, epoch, events, written, ends, now, .. }) => {
                self.streams += usize::from(changes.starts);
                self.orphans.adopt(&at.session);
                if written > 0 {
                    self.marks.note(&at, written);
                }
                let batch = Append { events: &events, written, ends, note: None };
                self.memory.append_at(&at, epoch, batch, now)
            }
            What::Save { session, epoch, .. } => {
                self.orphans.adopt(&session);
                self.memory.keep(&session, epoch)
            }
            What::Forget(session) => match self.memory.forget(&session) {
                Soon::Now(outcome) => outcome.map_err(AppendError::Unavailable),
                Soon::Later(_) => unreachable!("the memory store never waits"),
            },
        }
    }

    /// Forgets some sessions that nobody else will.
    fn forget_orphans(&mut self, now: Instant) -> impl Iterator<Item = Job> + use<> {
        let expired = self.orphans.take_expired(now);
        expired.into_iter().map(|id| Job { what: What::Forget(id), answer: Answer::None, _share: None })
    }

    /// Starts to look for what can be removed, when that is worth it.
    fn begin_pass(&mut self, asked: bool) {
        let garbage = self.disk.garbage(&self.memory);
        let due = garbage > threshold(&self.memory) || self.streams > PASS_NEW_STREAMS;
        if self.pass.is_none() && (due || asked && garbage > 0) {
            self.pass = Some(Pass::default());
            self.streams = 0;
        }
    }
}

/// How many bytes may be in the file that the memory store has dropped, before somebody looks for them.
fn threshold(memory: &MemoryStore) -> u64 {
    (memory.limits().store_bytes as u64 / 16).max(1024 * 1024)
}

/// What goes into one transaction at most: its memory and the time that the last in it waits for the first are bounded.
const GROUP_JOBS: usize = 1_024;
const GROUP_BYTES: usize = 8 * 1024 * 1024;

/// What a pass removes or looks at in one transaction, while appends wait for it: a few milliseconds.
const PASS_BYTES: i64 = 4 * 1024 * 1024;
const PASS_STREAMS: usize = 512;

/// Streams leave a row of some 100 bytes behind when they are given up, until a pass finds that nobody remembers them.
const PASS_NEW_STREAMS: usize = 16_384;
