//! Our own target with its events on the disk: each is flushed before it is sent.

use std::fs;
use std::path::PathBuf;

use throughline::store::Limits;
use throughline_redb::RedbStore;
use tokio::net::TcpListener;

use super::{Settings, data_directory, us};
use crate::scenario::MAX_CONNECTIONS;
use crate::{LiveHeap, Result};

/// Serves until dropped, and leaves nothing on the disk.
///
/// # Errors
///
/// When the data cannot be kept, or the listener fails.
pub(super) async fn serve(listener: TcpListener, settings: Settings, heap: Option<LiveHeap>) -> Result<()> {
    let data = Data(data_directory()?);
    let store = RedbStore::open(data.0.join("throughline.redb"), Limits::default())?;
    let endpoint = us::builder(settings, heap).event_store(store).build();
    throughline::serve(listener, endpoint).max_connections(MAX_CONNECTIONS).await?;
    Ok(())
}

/// A directory that is gone once this is dropped.
struct Data(PathBuf);

impl Drop for Data {
    fn drop(&mut self) {
        // What stays lies beside the binary, where `cargo clean` finds it.
        let _ = fs::remove_dir_all(&self.0);
    }
}
