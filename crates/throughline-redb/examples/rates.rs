//! How many appends a second the store does, beside how often the disk flushes a page at all.
//!
//! `cargo run --release -p throughline-redb --example rates [DIRECTORY]`. The directory decides which disk is measured.

#![allow(clippy::print_stdout, reason = "it is a program that prints a table")]

use std::error::Error;
use std::io::{Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::time::Duration;

use throughline::store::{Append, Epoch, Event, EventStore, Limits, MemoryStore, StreamKey};
use throughline_redb::RedbStore;
use tokio::time::Instant;

const LENGTH: Duration = Duration::from_secs(3);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let root = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let directory = tempfile::tempdir_in(root)?;
    println!("{:>10.0} fdatasync of 4 KiB per second", flushes(&directory)?);
    for writers in [1, 8, 32, 256] {
        let path = directory.path().join(format!("{writers}.redb"));
        let store = RedbStore::open(&path, Limits::default())?;
        println!("{:>10.0} appends per second, {writers} waiting writers", appends(&store, writers).await);
        store.close().await;
    }
    println!(
        "{:>10.0} appends per second, 32 writers, in memory",
        appends(&MemoryStore::default(), 32).await
    );
    Ok(())
}

/// Overwrites one page again and again, as a database does with its header.
fn flushes(directory: &tempfile::TempDir) -> std::io::Result<f64> {
    let mut file = std::fs::File::create(directory.path().join("page"))?;
    file.write_all(&[0; 1024 * 1024])?;
    file.sync_all()?;
    let (start, mut count) = (Instant::now(), 0);
    while start.elapsed() < LENGTH {
        file.seek(SeekFrom::Start(4096 * (count % 256)))?;
        file.write_all(&[1; 4096])?;
        file.sync_data()?;
        count += 1;
    }
    Ok(count as f64 / start.elapsed().as_secs_f64())
}

/// Each writer has a session and a stream of its own, and appends one event of 200 bytes when the last one is done.
async fn appends<S: EventStore + Clone>(store: &S, writers: u64) -> f64 {
    let start = Instant::now();
    let tasks: Vec<_> = (0..writers)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                let at = StreamKey { session: format!("session-{writer}-of-some-length").into(), stream: 1 };
                let mut seq = 0;
                while start.elapsed() < LENGTH {
                    seq += 1;
                    let event = Event { seq, keep: false, frame: vec![b'x'; 200].into() };
                    let batch = Append { events: &[event], written: seq - 1, ..Append::default() };
                    store.append(&at, Epoch(0), batch).await.map_err(|error| error.to_string())?;
                }
                Ok::<_, String>(seq)
            })
        })
        .collect();
    let mut count = 0;
    for task in tasks {
        match task.await {
            Ok(Ok(appended)) => count += appended,
            failed => println!("a writer failed: {failed:?}"),
        }
    }
    count as f64 / start.elapsed().as_secs_f64()
}
