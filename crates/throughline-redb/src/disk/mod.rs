//! The file: opened, written in transactions, and opened again when it failed.
//!
//! ```text
//!   Open ── a transaction fails ──> Failed { what must be undone } ── opened again and undone ──> Open
//! ```
//!
//! After a failed flush nobody knows whether the transaction is in the file. Those who waited for it are told that it
//! failed, so it must not be there later: what it would have changed is remembered and put back with the first transaction
//! after the file was opened again. Putting back what was never changed changes nothing.
//!
//! A panic of the engine is such a failure. One that panics again and again is left alone in the end.

mod keys;
mod load;
mod rows;
mod source;
mod tables;
mod tidy;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use redb::{Database, Durability, ReadableDatabase, TableError};
use throughline::store::{KeptSession, MemoryStore};

pub(crate) use self::load::{Loaded, wall_clock};
pub(crate) use self::rows::StreamRow;
#[cfg(test)]
pub(crate) use self::source::build;
pub(crate) use self::source::{FileSource, Source};
pub(crate) use self::tables::Tables;
use self::tables::{FORMAT, META, Undo};
pub(crate) use self::tidy::Pass;
use crate::error::Failure;

/// The file of a store.
pub(crate) struct Disk {
    source: Box<dyn Source>,
    state: State,
    /// The bytes of all events in the file, counted with `Event::cost`.
    bytes: u64,
    /// How many times the engine panicked since a transaction succeeded.
    panics: u32,
}

enum State {
    Open(Database),
    Failed { cause: Failure, undo: Vec<Undo>, tried: Instant },
}

impl Disk {
    /// Opens the file, or makes it, and reads all of it.
    pub(crate) fn open(source: Box<dyn Source>, now: Instant) -> Result<(Self, Loaded), Failure> {
        let (database, loaded) = unpanicked(|| Self::open_and_load(&*source, now)).unwrap_or_else(Err)?;
        Ok((Self { source, state: State::Open(database), bytes: loaded.bytes, panics: 0 }, loaded))
    }

    fn open_and_load(source: &dyn Source, now: Instant) -> Result<(Database, Loaded), Failure> {
        let (mut database, repaired) = source.open()?;
        if !repaired && !database.check_integrity()? {
            tracing::warn!(
                "the event store was damaged and has been repaired; what was written last may be missing"
            );
        }
        check_format(&database)?;
        let loaded = load::load(&database, now)?;
        Ok((database, loaded))
    }

    /// How many bytes of events the file has that the memory store dropped.
    pub(crate) fn garbage(&self, memory: &MemoryStore) -> u64 {
        self.bytes.saturating_sub(memory.bytes() as u64)
    }

    /// The sessions that have a record.
    pub(crate) fn sessions(&self, memory: &MemoryStore) -> Result<Vec<KeptSession>, Failure> {
        match &self.state {
            State::Open(database) => unpanicked(|| load::kept(database, memory)).unwrap_or_else(Err),
            State::Failed { cause, .. } => Err(cause.clone()),
        }
    }

    /// Runs one transaction: when this returns without an error, everything that `change` did is on the disk; with one,
    /// nothing of it is, or will be as soon as the disk works again.
    pub(crate) fn transact(
        &mut self,
        memory: &MemoryStore,
        now: Instant,
        change: impl FnOnce(&mut Tables<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        self.recover(memory, now)?;
        let State::Open(database) = &self.state else { unreachable!("it was just recovered") };
        let mut undo = Vec::new();
        let outcome = unpanicked(|| transact(database, &mut undo, change));
        match counted(&mut self.panics, outcome) {
            Ok(bytes) => {
                self.panics = 0;
                self.bytes = self.bytes.saturating_add_signed(bytes);
                Ok(())
            }
            Err(cause) => {
                tracing::error!(%cause, "the event store cannot be written");
                // The engine refuses everything after a failure, until the file is opened again.
                let failed = State::Failed { cause: cause.clone(), undo, tried: now };
                let broken = std::mem::replace(&mut self.state, failed);
                // What panicked once may do so again while it is closed.
                let _ = unpanicked(|| drop(broken));
                Err(cause)
            }
        }
    }

    /// Opens the file again after a failure.
    fn recover(&mut self, memory: &MemoryStore, now: Instant) -> Result<(), Failure> {
        let State::Failed { cause, undo, tried } = &mut self.state else { return Ok(()) };
        if self.panics >= MOST_PANICS || now.saturating_duration_since(*tried) < self.source.patience() {
            return Err(cause.clone());
        }
        *tried = now;
        let reopen = || -> Result<_, Failure> {
            let (database, _) = self.source.open()?;
            transact(&database, &mut Vec::new(), |tables| tables.undo(undo, memory))?;
            let bytes = load::bytes(&database)?;
            Ok((database, bytes))
        };
        match counted(&mut self.panics, unpanicked(reopen)) {
            Ok((database, bytes)) => {
                tracing::info!("the event store can be written again");
                self.bytes = bytes;
                self.state = State::Open(database);
                Ok(())
            }
            Err(failed) => {
                *cause = failed.clone();
                Err(failed)
            }
        }
    }
}

/// Does something with the engine; an error says that it panicked.
///
/// What it may leave half done is the database, which is opened again, and the list of what to undo, which is as long as
/// the changes that were begun.
fn unpanicked<T>(work: impl FnOnce() -> T) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| Failure::panicked(&*payload))
}

/// Counts a panic as a failure, and says so when it is the last one that is put up with.
fn counted<T>(panics: &mut u32, outcome: Result<Result<T, Failure>, Failure>) -> Result<T, Failure> {
    outcome.unwrap_or_else(|cause| {
        *panics += 1;
        Err(if *panics < MOST_PANICS { cause } else { cause.for_good() })
    })
}

/// Runs one transaction and returns by how many bytes of events the file grew.
fn transact(
    database: &Database,
    undo: &mut Vec<Undo>,
    change: impl FnOnce(&mut Tables<'_>) -> Result<(), Failure>,
) -> Result<i64, Failure> {
    let mut transaction = database.begin_write()?;
    // The default, written down because law 1 hangs on it.
    transaction.set_durability(Durability::Immediate).expect("no savepoint was made");
    let mut tables = Tables::open(&transaction, undo)?;
    change(&mut tables)?;
    let (bytes, changed) = (tables.bytes(), tables.changed());
    drop(tables);
    if changed {
        transaction.commit()?;
    }
    Ok(bytes)
}

/// Refuses a file of another format, and writes ours into a new one.
fn check_format(database: &Database) -> Result<(), Failure> {
    let reading = database.begin_read()?;
    match reading.open_table(META) {
        Ok(meta) => match meta.get("format")?.map(|format| format.value()) {
            Some(FORMAT) => return Ok(()),
            Some(found) if found > FORMAT => return Err(Failure::newer(found, FORMAT)),
            _ => return Err(Failure::damaged("its format is not written in it")),
        },
        Err(TableError::TableDoesNotExist(_)) if reading.list_tables()?.next().is_none() => {}
        Err(TableError::TableDoesNotExist(_)) => {
            return Err(Failure::damaged("it is a database of another program"));
        }
        Err(error) => return Err(error.into()),
    }
    drop(reading);
    let transaction = database.begin_write()?;
    transaction.open_table(META)?.insert("format", FORMAT)?;
    // Made now, so that a reader finds them.
    Tables::open(&transaction, &mut Vec::new())?;
    transaction.commit()?;
    Ok(())
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

/// How long after a failure the file is opened again: a full disk does not get room from one append to the next, and
/// opening a file that was not closed reads all of it.
const PATIENCE: Duration = Duration::from_millis(500);

/// After so many panics, with no transaction between them that succeeded, the file is not opened again: that reads all of
/// it each time, and the next process may have a better file or engine.
const MOST_PANICS: u32 = 8;
