//! `--data`: where sessions are kept, so that they live on after a restart.

use std::fs;
use std::path::Path;

use throughline::store::Limits;
use throughline::{Restored, StreamableHttp};
use throughline_redb::RedbStore;

use crate::Stop;

/// Opens the store in this directory, which is made where it is not there.
pub(super) fn open(directory: &Path) -> Result<RedbStore, Stop> {
    make(directory).map_err(|error| {
        Stop::usage(format!(
            "error: --data: the directory {} cannot be made ({error}); give another.",
            directory.display()
        ))
    })?;
    RedbStore::open(directory.join(FILE), Limits::default())
        .map_err(|error| Stop::usage(format!("error: --data: {error}.")))
}

/// For its owner alone: what tools said is in it, and the ids of sessions.
fn make(directory: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

/// What others may do with a directory that was there before, if it is more than they should.
pub(super) fn warning(directory: &Path) -> Option<String> {
    #[cfg(unix)]
    if let Ok(about) = fs::metadata(directory)
        && std::os::unix::fs::PermissionsExt::mode(&about.permissions()) & 0o077 != 0
    {
        return Some(format!(
            "{} can be looked into by other users; take that away with: chmod 700 {}",
            directory.display(),
            directory.display()
        ));
    }
    #[cfg(not(unix))]
    let _ = directory;
    None
}

/// Goes on with the sessions that are kept, and says so in one line.
pub(super) async fn restore(endpoint: &StreamableHttp, directory: &Path) -> Result<String, Stop> {
    let restored = endpoint.restore().await.map_err(|error| {
        let why = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
        Stop::failure(format!(
            "error: --data: the sessions in {} cannot be read: {why}.",
            directory.display()
        ))
    })?;
    Ok(format!("Data: {}, {}\n", directory.display(), report(&restored)))
}

fn report(restored: &Restored) -> String {
    let many =
        |count: usize, one: &str, more: &str| format!("{count} {}", if count == 1 { one } else { more });
    let mut parts = vec![many(restored.sessions, "session goes on", "sessions go on")];
    for (count, one, more) in [
        (restored.calls_run_again, "interrupted call runs again", "interrupted calls run again"),
        (restored.calls_failed, "interrupted call failed", "interrupted calls failed"),
        (restored.sessions_without_room, "session had no room", "sessions had no room"),
        (restored.sessions_unreadable, "session cannot be read", "sessions cannot be read"),
    ] {
        if count > 0 {
            parts.push(many(count, one, more));
        }
    }
    parts.join(", ")
}

const FILE: &str = "throughline.redb";
