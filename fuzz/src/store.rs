use std::fs;
use std::panic;
use std::path::PathBuf;
use std::sync::{Mutex, Once, OnceLock, PoisonError};

use bytes::Bytes;
use throughline::store::{Append, Epoch, Event, EventStore, Limits, ReadBudget, ReadError, StreamKey};
use throughline_redb::RedbStore;
use tokio::runtime::{Builder, Runtime};

use crate::input::Input;

/// The file of the durable store, damaged: it is refused, or what it holds is sound and the store goes on.
///
/// The input is a list of damages to a file that was written and closed in good order: where, and which bytes.
pub fn store(data: &[u8]) {
    // A panic that the store catches is no crash, and the fuzzer's own hook would end the process at once. One that gets here
    // ends it all the same.
    static HOOK: Once = Once::new();
    HOOK.call_once(|| panic::set_hook(Box::new(|why| eprintln!("{why}"))));
    let mut input = Input::new(data);
    let mut file = sound_file().to_vec();
    while !input.is_empty() {
        let how = input.byte();
        // Most of what matters is near the front, and all of it can be reached.
        let place = input.number() << (how % 6);
        let at = place % file.len().max(1);
        match how % 8 {
            6 => file.truncate(at),
            7 => file.extend_from_slice(&[how; 64]),
            _ => {
                for (byte, new) in file.iter_mut().skip(at).zip(input.piece()) {
                    *byte = *new;
                }
            }
        }
    }
    // One store at a time has the file.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let path = path("damaged");
    fs::write(&path, &file).expect("there is room");
    runtime().block_on(async {
        let Ok(store) = RedbStore::open(&path, Limits::default()) else { return };
        goes_on(&store).await;
        store.close().await;
    });
    let _ = fs::remove_file(&path);
}

/// Reads all there is, and writes on.
async fn goes_on(store: &RedbStore) {
    let sessions = store.sessions().expect("it keeps sessions");
    let Ok(kept) = sessions.load().await else { return };
    for session in kept {
        for stream in &session.streams {
            let key = StreamKey { session: session.id.clone(), stream: stream.stream };
            let mut after = 0;
            let head = loop {
                match store.read(&key, after, ReadBudget::default()).await {
                    Ok(page) => {
                        for event in page.events.iter() {
                            assert_eq!(event.seq, after + 1, "no hole and nothing twice");
                            after = event.seq;
                        }
                        if page.events.is_empty() {
                            break page.head;
                        }
                    }
                    Err(ReadError::Dropped(gap)) => {
                        assert!(gap.oldest > after + 1 && gap.count > 0, "honest: {gap:?} after {after}");
                        after = gap.oldest - 1;
                    }
                    Err(_) => break stream.head,
                }
            };
            assert!(head <= stream.head, "the head is the last");
            let Some(seq) = stream.head.checked_add(1) else { continue };
            let event = Event { seq, keep: true, frame: "data: more\n\n".into() };
            let _ = store.append(&key, session.epoch, Append { events: &[event], ..Append::default() }).await;
        }
        let _ = sessions.save(&session.id, Epoch(session.epoch.0.saturating_add(1)), "again".into()).await;
    }
    let usage = store.usage();
    assert!(usage.bytes <= Limits::default().store_bytes);
}

/// A file with two sessions: streams that run and that ended, with notes, and one that lost its first events.
fn sound_file() -> &'static [u8] {
    static FILE: OnceLock<Vec<u8>> = OnceLock::new();
    FILE.get_or_init(|| {
        let path = path("sound");
        let _ = fs::remove_file(&path);
        runtime().block_on(async {
            let store =
                RedbStore::open(&path, Limits { stream_events: 8, ..Limits::default() }).expect("a new file");
            for session in ["first", "second"] {
                let sessions = store.sessions().expect("it keeps sessions");
                sessions
                    .save(&session.into(), Epoch(1), format!("record of {session}").into())
                    .await
                    .expect("saved");
                for stream in 0..4 {
                    let key = StreamKey { session: session.into(), stream };
                    let events: Vec<_> = (1..=3 + 3 * stream)
                        .map(|seq| Event {
                            seq,
                            keep: seq % 3 == 0,
                            frame: format!("id: {seq}\ndata: {{}}\n\n").into(),
                        })
                        .collect();
                    let note = Bytes::from_static(b"{}");
                    let batch = Append { events: &events, written: 2, ends: stream == 2, note: Some(&note) };
                    store.append(&key, Epoch(1), batch).await.expect("appended");
                }
            }
            store.close().await;
        });
        let file = fs::read(&path).expect("it was written");
        let _ = fs::remove_file(&path);
        file
    })
}

/// In memory where the system has such a folder: each input is a whole file.
fn path(name: &str) -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    let folder = if memory.is_dir() { memory } else { std::env::temp_dir() };
    folder.join(format!("throughline-fuzz-{name}-{}.redb", std::process::id()))
}

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        Builder::new_multi_thread().worker_threads(1).enable_time().build().expect("a thread")
    })
}
