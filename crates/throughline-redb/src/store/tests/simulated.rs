//! A disk that fails when told to, and loses power.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use redb::{Database, StorageBackend};

use crate::disk::{Source, build};
use crate::error::Failure;

/// A disk with one file on it. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// What would be there after a power cut.
    flushed: Vec<u8>,
    /// What was written since, in order.
    pending: Vec<Change>,
    now: Vec<u8>,
    fault: Option<Fault>,
    /// Counted up when the power is cut: what was opened before is gone.
    boot: u64,
    syncs: u64,
}

#[derive(Clone, Debug)]
enum Change {
    Write(u64, Vec<u8>),
    SetLen(u64),
}

/// What fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// There is no room to write, after so many writes more.
    Writes(u32),
    /// The file cannot grow.
    Grows,
    /// What was written cannot be flushed, though it can be read.
    Syncs,
    /// The engine panics when it writes or flushes: after so many times more, and then so many times.
    Panics { after: u32, times: u32 },
}

impl Disk {
    /// From now on this fails, or nothing.
    pub(super) fn fail(&self, fault: Option<Fault>) {
        self.lock().fault = fault;
    }

    /// Another disk with the same on it.
    pub(super) fn copy(&self) -> Self {
        let now = self.lock().now.clone();
        Self(Arc::new(Mutex::new(State { flushed: now.clone(), now, ..State::default() })))
    }

    /// How many flushes there were.
    pub(super) fn syncs(&self) -> u64 {
        self.lock().syncs
    }

    /// How long the file is.
    pub(super) fn len(&self) -> usize {
        self.lock().now.len()
    }

    /// Cuts the power. Of what was not flushed, each change is there or not, as the bits of `luck` say.
    pub(super) fn cut_power(&self, mut luck: u64) {
        let mut state = self.lock();
        let mut file = std::mem::take(&mut state.flushed);
        for change in std::mem::take(&mut state.pending) {
            luck = luck.rotate_left(1);
            if luck & 1 == 1 {
                change.apply(&mut file);
            }
        }
        (state.flushed, state.now) = (file.clone(), file);
        state.boot += 1;
        state.fault = None;
    }

    /// Changes a byte of the file, as a failing disk does.
    pub(super) fn flip(&self, at: usize) {
        let mut state = self.lock();
        state.now[at] ^= 0x55;
        state.flushed = state.now.clone();
    }

    /// Cuts the file off.
    pub(super) fn truncate(&self, len: usize) {
        let mut state = self.lock();
        state.now.truncate(len);
        state.flushed = state.now.clone();
    }

    pub(super) fn source(&self) -> Box<dyn Source> {
        Box::new(Plugged { disk: self.clone(), boot: self.lock().boot })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl Change {
    fn apply(&self, file: &mut Vec<u8>) {
        match self {
            Self::SetLen(len) => file.resize(*len as usize, 0),
            Self::Write(at, data) => {
                let end = *at as usize + data.len();
                file.resize(file.len().max(end), 0);
                file[*at as usize..end].copy_from_slice(data);
            }
        }
    }
}

/// The disk as one process sees it. The process is gone when the power is cut: its threads live on in a test, and must not
/// open the file again beside the next one's.
struct Plugged {
    disk: Disk,
    boot: u64,
}

impl Source for Plugged {
    fn open(&self) -> Result<(Database, bool), Failure> {
        let file = OpenFile { disk: self.disk.clone(), boot: self.boot };
        drop(file.state()?);
        build(|builder| builder.create_with_backend(file))
    }

    fn patience(&self) -> Duration {
        Duration::ZERO
    }
}

#[derive(Debug)]
struct OpenFile {
    disk: Disk,
    boot: u64,
}

impl OpenFile {
    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.disk.lock();
        if state.boot == self.boot { Ok(state) } else { Err(io::Error::other("the power was cut")) }
    }

    /// The state before a write or a flush.
    fn writing(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state()?;
        match &mut state.fault {
            Some(Fault::Panics { after: 0, times }) => {
                *times -= 1;
                if *times == 0 {
                    state.fault = None;
                }
                // Without the lock, which would be poisoned.
                drop(state);
                panic!("the disk is haunted");
            }
            Some(Fault::Panics { after, .. }) => *after -= 1,
            _ => {}
        }
        Ok(state)
    }

    fn change(&self, state: &mut State, change: Change) {
        change.apply(&mut state.now);
        state.pending.push(change);
    }
}

impl StorageBackend for OpenFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state()?.now.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state()?;
        let found = state.now.get(offset as usize..offset as usize + out.len());
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.writing()?;
        if state.fault == Some(Fault::Grows) && len > state.now.len() as u64 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.change(&mut state, Change::SetLen(len));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.writing()?;
        if state.fault == Some(Fault::Syncs) {
            return Err(io::Error::other("the disk does not answer"));
        }
        let State { flushed, pending, .. } = &mut *state;
        pending.drain(..).for_each(|change| change.apply(flushed));
        state.syncs += 1;
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.writing()?;
        match &mut state.fault {
            Some(Fault::Writes(0)) => return Err(io::ErrorKind::StorageFull.into()),
            Some(Fault::Writes(left)) => *left -= 1,
            _ => {}
        }
        self.change(&mut state, Change::Write(offset, data.to_vec()));
        Ok(())
    }
}
