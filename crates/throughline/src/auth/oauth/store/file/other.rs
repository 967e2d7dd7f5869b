//! A directory of the user's, and files in it, whose permissions are those of the user's profile.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::{envelope, failed};
use crate::auth::oauth::store::StoreError;

pub(super) struct Directory {
    path: PathBuf,
}

impl Directory {
    /// Opens it. `None`: it is not there.
    pub(super) fn open(path: &Path) -> Result<Option<Self>, StoreError> {
        match fs::metadata(path) {
            Ok(about) if about.is_dir() => Ok(Some(Self { path: path.to_owned() })),
            Ok(_) => Err(failed("opened", path, io::ErrorKind::NotADirectory.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("opened", path, error)),
        }
    }

    /// Opens it, and makes it first if it is not there.
    pub(super) fn create(path: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(path).map_err(|error| failed("created", path, error))?;
        Ok(Self { path: path.to_owned() })
    }

    /// Opens a file for reading, if it can be trusted. `None`: it is not there.
    pub(super) fn record(&self, name: &str) -> Result<Option<File>, StoreError> {
        let path = self.path.join(name);
        match fs::symlink_metadata(&path) {
            Ok(about) if !about.is_file() => {
                let shown = path.display();
                let why = format!("{shown} is not a regular file: delete it, and log in again");
                Err(StoreError::insecure(why))
            }
            Ok(about) if about.len() > envelope::MAX_BYTES as u64 => Err(super::damaged(&path)),
            Ok(_) => File::open(&path).map(Some).or_else(|error| match error.kind() {
                io::ErrorKind::NotFound => Ok(None),
                _ => Err(failed("opened", &path, error)),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("opened", &path, error)),
        }
    }

    /// Makes a file that must not be there.
    pub(super) fn create_file(&self, name: &str) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).open(self.path.join(name))
    }

    /// The file whose lock is taken. It is made if it is not there.
    pub(super) fn lock_file(&self, name: &str) -> Result<File, StoreError> {
        let path = self.path.join(name);
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        opened.map_err(|error| failed("opened", &path, error))
    }

    pub(super) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    /// The rename is journalled with the file.
    #[allow(clippy::unused_self, reason = "it is the same as on Unix")]
    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    /// The names of its files, some of them when there are more than `most`.
    pub(super) fn names(&self, most: usize) -> io::Result<Vec<String>> {
        let entries = fs::read_dir(&self.path)?.take(most);
        Ok(entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect())
    }
}
