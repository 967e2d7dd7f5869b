//! A file that may not grow, as on a full disk: the operating system refuses, not a simulation.
//!
//! The test starts itself anew under a limit on the size of files.

use std::io::Write;
use std::path::Path;
use std::process::Command;

use rustix::process::{Resource, Rlimit, setrlimit};
use throughline::store::{
    Append, AppendError, Epoch, Event, EventStore, Limits, ReadBudget, ReadError, SessionStore, StreamKey,
};
use throughline_redb::RedbStore;

const FILE: &str = "THROUGHLINE_FULL_FILE";

/// Runs a program whose files may have 2 MiB, until it allows itself more; what is beyond is an error and no signal.
const LIMITED: &str = r#"trap "" XFSZ; ulimit -S -f 4096; exec "$0" "$@""#;

fn limits() -> Limits {
    const MOST: usize = 1 << 40;
    Limits { store_bytes: MOST, session_bytes: MOST, session_ended_streams: MOST, ..Limits::default() }
}

fn key(stream: u64) -> StreamKey {
    StreamKey { session: "session".into(), stream }
}

fn event(stream: u64, text: &str) -> Event {
    let frame = format!("data: {stream} {}\n\n", text.repeat(2_000));
    Event { seq: 1, keep: true, frame: frame.into() }
}

async fn append(store: &RedbStore, stream: u64, text: &str) -> Result<(), AppendError> {
    let events = [event(stream, text)];
    store.append(&key(stream), Epoch(0), Append { events: &events, ..Append::default() }).await
}

/// Every stream up to the last has what was acknowledged, and there is none after it.
async fn check(store: &RedbStore, last: u64) {
    for stream in 1..=last {
        let page = store.read(&key(stream), 0, ReadBudget::default()).await.unwrap();
        assert_eq!(*page.events, [event(stream, "kept")]);
    }
    let next = store.read(&key(last + 1), 0, ReadBudget::default()).await;
    assert!(matches!(next, Err(ReadError::Unknown)), "what was refused is there: {next:?}");
}

#[test]
fn a_full_disk_refuses_appends_and_keeps_what_was_acknowledged() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    if let Some(file) = std::env::var_os(FILE) {
        return runtime.block_on(fill(Path::new(&file)));
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("throughline.redb");
    let output = Command::new("sh")
        .args(["-c", LIMITED])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "full::a_full_disk_refuses_appends_and_keeps_what_was_acknowledged", "--nocapture"])
        .env(FILE, &file)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    let last = told.lines().find_map(|line| line.strip_prefix("> ")).unwrap().parse().unwrap();
    runtime.block_on(async {
        let store = RedbStore::open(&file, limits()).unwrap();
        check(&store, last).await;
        assert_eq!(store.load().await.unwrap()[0].record, "record");
    });
}

/// The process whose file may not grow: it says how many streams were acknowledged.
async fn fill(file: &Path) {
    let store = RedbStore::open(file, limits()).unwrap();
    store.save(&"session".into(), Epoch(0), "record".into()).await.unwrap();
    let mut last = 0;
    let refused = loop {
        match append(&store, last + 1, "kept").await {
            Ok(()) => last += 1,
            Err(error) => break error,
        }
        assert!(last < 10_000, "the file grew without end");
    };
    assert!(last > 10, "the disk was full at {last}");
    let full = |error| match error {
        AppendError::Unavailable(cause) => assert_eq!(cause.to_string(), "the disk is full; make room"),
        error => panic!("{error}"),
    };
    full(refused);
    check(&store, last).await;
    full(append(&store, last + 1, "lost").await.unwrap_err());
    check(&store, last).await;

    setrlimit(Resource::Fsize, Rlimit { current: None, maximum: None }).unwrap();
    // It looks again after half a second.
    while let Err(error) = append(&store, last + 1, "kept").await {
        full(error);
    }
    last += 1;
    check(&store, last).await;
    store.close().await;
    std::io::stdout().write_all(format!("\n> {last}\n").as_bytes()).unwrap();
}
