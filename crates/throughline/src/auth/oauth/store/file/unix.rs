//! A directory of the user's, and files in it that nobody else can read.
//!
//! It is opened once and everything happens relative to it, so that what was checked is what is used.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, Mode, OFlags};
use rustix::io::Errno;

use super::{envelope, failed};
use crate::auth::oauth::store::StoreError;

pub(super) struct Directory {
    fd: OwnedFd,
    path: PathBuf,
}

impl Directory {
    /// Opens it. `None`: it is not there.
    pub(super) fn open(path: &Path) -> Result<Option<Self>, StoreError> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let fd = match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(failed("opened", path, error.into())),
        };
        let directory = File::from(fd);
        let about = directory.metadata().map_err(|error| failed("opened", path, error))?;
        let shown = path.display();
        if about.uid() != rustix::process::geteuid().as_raw() {
            let why = format!("{shown} belongs to another user: name another directory for logins");
            return Err(StoreError::insecure(why));
        }
        if about.mode() & WRITABLE_BY_OTHERS != 0 {
            let why = format!(
                "others can write to {shown}: run `chmod 700` on it, or name another directory for logins"
            );
            return Err(StoreError::insecure(why));
        }
        Ok(Some(Self { fd: directory.into(), path: path.to_owned() }))
    }

    /// Opens it, and makes it first if it is not there.
    pub(super) fn create(path: &Path) -> Result<Self, StoreError> {
        if let Some(directory) = Self::open(path)? {
            return Ok(directory);
        }
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|error| failed("created", path, error))?;
        let gone = || failed("opened", path, io::ErrorKind::NotFound.into());
        Self::open(path)?.ok_or_else(gone)
    }

    /// Opens a file for reading, if it can be trusted. `None`: it is not there.
    pub(super) fn record(&self, name: &str) -> Result<Option<File>, StoreError> {
        let Some(file) = self.open_file(name, OFlags::RDONLY)? else { return Ok(None) };
        let path = self.path.join(name);
        let about = file.metadata().map_err(|error| failed("read", &path, error))?;
        let shown = path.display();
        if about.mode() & WRITABLE_BY_OTHERS != 0 {
            let why =
                format!("others can write to {shown}, so it cannot be trusted: delete it, and log in again");
            return Err(StoreError::insecure(why));
        }
        if about.mode() & READABLE_BY_OTHERS != 0 {
            let repaired = file.set_permissions(PermissionsExt::from_mode(0o600));
            repaired.map_err(|error| failed("kept from others", &path, error))?;
            tracing::warn!(path = %shown, "others could read a file with a login; now they cannot. Log out and in again");
        }
        if about.len() > envelope::MAX_BYTES as u64 {
            return Err(super::damaged(&path));
        }
        Ok(Some(file))
    }

    /// Makes a file that must not be there.
    pub(super) fn create_file(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.fd, name, flags, Mode::RUSR | Mode::WUSR)?.into())
    }

    /// The file whose lock is taken. It is made if it is not there.
    pub(super) fn lock_file(&self, name: &str) -> Result<File, StoreError> {
        let gone = || failed("opened", &self.path.join(name), io::ErrorKind::NotFound.into());
        self.open_file(name, OFlags::RDWR | OFlags::CREATE)?.ok_or_else(gone)
    }

    /// Opens a file of the user's that is no link and no pipe.
    fn open_file(&self, name: &str, flags: OFlags) -> Result<Option<File>, StoreError> {
        let path = self.path.join(name);
        let shown = path.display();
        // Opening a pipe would wait for its other end.
        let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&self.fd, name, flags, Mode::RUSR | Mode::WUSR) {
            Ok(fd) => File::from(fd),
            Err(Errno::NOENT) => return Ok(None),
            // FreeBSD says EMLINK.
            Err(Errno::LOOP | Errno::MLINK) => {
                let why = format!("{shown} is a link, which is not followed: delete it, and log in again");
                return Err(StoreError::insecure(why));
            }
            Err(error) => return Err(failed("opened", &path, error.into())),
        };
        let about = file.metadata().map_err(|error| failed("opened", &path, error))?;
        if !about.is_file() {
            let why = format!("{shown} is not a regular file: delete it, and log in again");
            return Err(StoreError::insecure(why));
        }
        if about.uid() != rustix::process::geteuid().as_raw() {
            let why = format!("{shown} belongs to another user: delete it, and log in again");
            return Err(StoreError::insecure(why));
        }
        Ok(Some(file))
    }

    pub(super) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.fd, from, &self.fd, to)?)
    }

    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.fd, name, AtFlags::empty())?)
    }

    /// Names are on the disk once the directory is.
    pub(super) fn sync(&self) -> io::Result<()> {
        match rustix::fs::fsync(&self.fd) {
            // Some file systems cannot, and need not.
            Ok(()) | Err(Errno::INVAL | Errno::NOTSUP) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The names of its files, some of them when there are more than `most`.
    pub(super) fn names(&self, most: usize) -> io::Result<Vec<String>> {
        let entries = Dir::read_from(&self.fd)?.take(most);
        let name = |entry: rustix::io::Result<rustix::fs::DirEntry>| {
            entry.ok()?.file_name().to_str().ok().map(str::to_owned)
        };
        Ok(entries.filter_map(name).collect())
    }
}

const WRITABLE_BY_OTHERS: u32 = 0o022;
const READABLE_BY_OTHERS: u32 = 0o055;
