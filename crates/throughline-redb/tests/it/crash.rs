//! Killed at any moment, the store has everything that it acknowledged.
//!
//! The test starts itself anew as the process to kill: it appends, saves and forgets as fast as it can and prints what was
//! acknowledged, each time in one write. The parent kills it at random moments, opens the file and compares.
//!
//! `THROUGHLINE_CRASHES` says how often (default 20).

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use throughline::store::{
    Append, Epoch, Event, EventStore, KeptSession, Limits, ReadBudget, ReadError, SessionStore, StreamKey,
};
use throughline_redb::RedbStore;

const FILE: &str = "THROUGHLINE_CRASH_FILE";
const LIFE: &str = "THROUGHLINE_CRASH_LIFE";
const WRITERS: u64 = 8;
const LIVES: u64 = 5;

/// What must be found: how far each stream came, whether it ended, and the record of each session.
#[derive(Debug, Default)]
struct Acknowledged {
    heads: BTreeMap<(u64, u64), (u64, bool)>,
    records: BTreeMap<u64, u64>,
    forgotten: Vec<u64>,
    /// How many lines were read.
    lines: usize,
}

impl Acknowledged {
    fn take(&mut self, line: &str) {
        let words: Vec<u64> = line.split(' ').skip(1).map(|word| word.parse().unwrap()).collect();
        self.lines += 1;
        match (line.as_bytes()[0], &words[..]) {
            (b'a', [session, stream, head]) => self.heads.entry((*session, *stream)).or_default().0 = *head,
            (b'e', [session, stream]) => self.heads.entry((*session, *stream)).or_default().1 = true,
            (b's', [session, record]) => drop(self.records.insert(*session, *record)),
            (b'f', [session]) => {
                self.heads.retain(|(known, _), _| known != session);
                self.records.remove(session);
                self.forgotten.push(*session);
            }
            _ => panic!("what is {line:?}?"),
        }
    }
}

/// Nothing is dropped for want of room, so that everything can be compared.
fn limits() -> Limits {
    const MOST: usize = 1 << 40;
    Limits { store_bytes: MOST, session_bytes: MOST, session_ended_streams: MOST, ..Limits::default() }
}

/// The round after which a session is forgotten, if it is one of those: one in four.
fn last_round(session: u64) -> Option<u64> {
    (session % 4 == 3).then_some(4)
}

fn session(number: u64) -> String {
    format!("session-{number}")
}

/// Every event says where it belongs, so that one that moved or changed is seen.
fn event(session: u64, stream: u64, seq: u64) -> Event {
    let length = (session * 31 + stream * 7 + seq * 13) % 700;
    let text = format!("data: {session} {stream} {seq} {}\n\n", "x".repeat(length as usize));
    Event { seq, keep: seq.is_multiple_of(3), frame: text.into() }
}

#[test]
fn killed_at_any_moment_it_has_what_it_acknowledged() {
    if let Some(file) = std::env::var_os(FILE) {
        return write_until_killed(Path::new(&file), std::env::var(LIFE).unwrap().parse().unwrap());
    }
    let crashes = std::env::var("THROUGHLINE_CRASHES").map_or(20, |count| count.parse().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let (mut acknowledged, mut lines) = (Acknowledged::default(), 0);
    let mut luck = 0x9e37_79b9_7f4a_7c15_u64;
    for life in 0..crashes {
        // Several lives with a file each, so that opening it does not take longer with every one.
        let file = directory.path().join(format!("{}.redb", life / LIVES));
        if life % LIVES == 0 {
            lines += std::mem::take(&mut acknowledged).lines;
        }
        luck = luck.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // Killed when so many lines were read: at any place between two flushes, and in the middle of one.
        crash(&file, life, 1 + (luck >> 33) % 200, &mut acknowledged);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(check(&file, &acknowledged, life));
    }
    assert!(lines + acknowledged.lines > crashes as usize, "the processes did nothing");
}

fn crash(file: &Path, life: u64, lines: u64, acknowledged: &mut Acknowledged) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::killed_at_any_moment_it_has_what_it_acknowledged", "--nocapture", "-q"])
        .env(FILE, file)
        .env(LIFE, life.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .map(Killed)
        .unwrap();
    let mut output = BufReader::new(child.0.stdout.take().unwrap());
    let mut line = String::new();
    let mut left = lines;
    loop {
        line.clear();
        // After the kill, what it had printed before is read to the end.
        let read = output.read_line(&mut line).unwrap();
        if read == 0 {
            break;
        }
        let Some(told) = line.strip_prefix("> ").and_then(|line| line.strip_suffix('\n')) else { continue };
        acknowledged.take(told);
        left = left.saturating_sub(1);
        if left == 0 {
            child.0.kill().unwrap();
        }
    }
    let status = child.0.wait().unwrap();
    assert!(!status.success() && left == 0, "life {life} ended by itself: {status}");
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn check(file: &Path, acknowledged: &Acknowledged, life: u64) {
    let store = RedbStore::open(file, limits()).unwrap();
    let kept = store.load().await.unwrap();
    let find = |number| kept.iter().find(|kept| kept.id.as_str() == session(number));
    // Forgotten, and killed before it could say so.
    let gone = |number: u64| {
        let last = last_round(number).and_then(|round| acknowledged.heads.get(&(number, round)));
        find(number).is_none() && last.is_some_and(|(head, _)| *head == 12)
    };
    for ((number, stream), (head, ended)) in
        acknowledged.heads.iter().filter(|((number, _), _)| !gone(*number))
    {
        let at = StreamKey { session: session(*number).as_str().into(), stream: *stream };
        let (events, is_ended) = held(&store, &at).await;
        assert!(events.len() as u64 >= *head, "life {life}: {at:?} has {} of {head}", events.len());
        for (found, seq) in events.iter().zip(1..) {
            assert_eq!(*found, event(*number, *stream, seq), "life {life}");
        }
        assert!(is_ended || !ended, "life {life}: the end of {at:?} is gone");
        let kept = find(*number).and_then(|kept| kept.streams.iter().find(|kept| kept.stream == *stream));
        assert_eq!(kept.is_some(), !is_ended, "life {life}: {at:?}");
        if let Some(kept) = kept {
            assert_eq!(kept.head, events.len() as u64);
            assert_eq!(kept.note.as_deref(), Some(format!("note {number} {stream}").as_bytes()));
        }
    }
    for (number, record) in acknowledged.records.iter().filter(|(number, _)| !gone(**number)) {
        let found = find(*number).map(record_of);
        assert!(found >= Some(*record), "life {life}: session {number} has {found:?} and not {record}");
    }
    for number in &acknowledged.forgotten {
        assert!(find(*number).is_none(), "life {life}: session {number} is back");
        let at = StreamKey { session: session(*number).as_str().into(), stream: 0 };
        let read = store.read(&at, 0, ReadBudget::default()).await;
        assert!(matches!(read, Err(ReadError::Unknown)), "life {life}: {at:?} is back");
    }
    store.close().await;
}

fn record_of(kept: &KeptSession) -> u64 {
    std::str::from_utf8(&kept.record).unwrap().parse().unwrap()
}

async fn held(store: &RedbStore, at: &StreamKey) -> (Vec<Event>, bool) {
    let mut found = Vec::new();
    loop {
        match store.read(at, found.len() as u64, ReadBudget::default()).await {
            Ok(page) => {
                let ended = page.ended;
                let is_last = page.head == found.len() as u64 + page.events.len() as u64;
                found.extend(page.events);
                if is_last {
                    return (found, ended);
                }
            }
            Err(error) => panic!("{at:?} after {}: {error}", found.len()),
        }
    }
}

/// The process that is killed.
fn write_until_killed(file: &Path, life: u64) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    runtime.block_on(async {
        let store = RedbStore::open(file, limits()).unwrap();
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| tokio::spawn(write(store.clone(), life * WRITERS + writer, life)))
            .collect();
        for writer in writers {
            writer.await.unwrap();
        }
    });
}

fn tell(what: String) {
    // One write, so that a kill leaves a whole line or none.
    std::io::stdout().write_all(format!("> {what}\n").as_bytes()).unwrap();
}

async fn write(store: RedbStore, number: u64, life: u64) {
    let id = session(number).as_str().into();
    for round in 0.. {
        store.save(&id, Epoch(life), round.to_string().into()).await.unwrap();
        tell(format!("s {number} {round}"));
        let at = StreamKey { session: id.clone(), stream: round };
        let note = format!("note {number} {round}").into();
        let mut head = 0;
        for size in [1, 3, 1, 7] {
            let events: Vec<_> = (head + 1..=head + size).map(|seq| event(number, round, seq)).collect();
            let batch = Append { events: &events, written: head, note: Some(&note), ..Append::default() };
            store.append(&at, Epoch(life), batch).await.unwrap();
            head += size;
            tell(format!("a {number} {round} {head}"));
            store.append(&at, Epoch(life), Append { written: head, ..Append::default() }).await.unwrap();
        }
        if round % 3 > 0 {
            store.end(&at, Epoch(life)).await.unwrap();
            tell(format!("e {number} {round}"));
        }
        if last_round(number) == Some(round) {
            store.forget(&id).await.unwrap();
            tell(format!("f {number}"));
            return;
        }
    }
}
