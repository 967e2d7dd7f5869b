//! Any sequence of operations, failures and power cuts against a simple model: what was acknowledged is there, and nothing
//! else.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Append { session: u8, stream: u64, count: usize, again: usize, ends: bool, noted: bool },
    Mark { session: u8, stream: u64 },
    Save { session: u8, epoch: u64 },
    Forget { session: u8 },
    Sweep,
    Fail(Option<Fault>),
    Reopen,
    CutPower { luck: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let fault = prop_oneof![
        (0..12_u32).prop_map(Fault::Writes),
        Just(Fault::Grows),
        Just(Fault::Syncs),
        (0..12_u32).prop_map(|after| Fault::Panics { after, times: 1 })
    ];
    prop_oneof![
        12 => (0..3_u8, 0..3_u64, 0..4_usize, 0..2_usize, prop::bool::weighted(0.15), any::<bool>()).prop_map(
            |(session, stream, count, again, ends, noted)| Step::Append { session, stream, count, again, ends, noted }
        ),
        2 => (0..3_u8, 0..3_u64).prop_map(|(session, stream)| Step::Mark { session, stream }),
        3 => (0..3_u8, 0..3_u64).prop_map(|(session, epoch)| Step::Save { session, epoch }),
        1 => (0..3_u8).prop_map(|session| Step::Forget { session }),
        1 => Just(Step::Sweep),
        3 => prop::option::of(fault).prop_map(Step::Fail),
        1 => Just(Step::Reopen),
        2 => any::<u64>().prop_map(|luck| Step::CutPower { luck }),
    ]
}

/// What must be there.
#[derive(Clone, Debug, Default)]
struct Model {
    sessions: BTreeMap<u8, Session>,
    /// Counted up with each append, so that no two events are alike.
    appended: u64,
}

#[derive(Clone, Debug, Default)]
struct Session {
    epoch: u64,
    record: Option<String>,
    streams: BTreeMap<u64, Stream>,
    forgotten: bool,
}

#[derive(Clone, Debug, Default)]
struct Stream {
    events: Vec<Event>,
    ended: bool,
    note: Option<String>,
}

impl Model {
    fn kept(&self) -> Vec<KeptSession> {
        let saved =
            self.sessions.iter().filter_map(|(id, session)| Some((id, session, session.record.clone()?)));
        saved
            .map(|(id, session, record)| KeptSession {
                id: name(*id),
                epoch: Epoch(session.epoch),
                record: record.into(),
                streams: session
                    .streams
                    .iter()
                    .filter(|(_, stream)| !stream.ended)
                    .map(|(number, stream)| throughline::store::KeptStream {
                        stream: *number,
                        head: stream.events.len() as u64,
                        note: stream.note.clone().map(Bytes::from),
                    })
                    .collect(),
            })
            .collect()
    }
}

fn name(session: u8) -> SessionId {
    format!("session-{session}").into()
}

/// Compares everything, once the disk works.
async fn check(store: &RedbStore, model: &Model) -> Result<(), TestCaseError> {
    for (id, session) in &model.sessions {
        for number in 0..3 {
            let found = held(store, &StreamKey { session: name(*id), stream: number }).await;
            let due = session.streams.get(&number).map(|stream| (stream.events.clone(), stream.ended));
            prop_assert_eq!(found, due, "session {} stream {}", id, number);
        }
    }
    let count: usize = model.sessions.values().flat_map(|s| s.streams.values()).map(|s| s.events.len()).sum();
    prop_assert_eq!(store.usage().events, count);
    if let Ok(kept) = store.load().await {
        prop_assert_eq!(kept, model.kept());
    }
    Ok(())
}

async fn run(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let (disk, mut model) = (Disk::default(), Model::default());
    let mut store = open(&disk);
    // A failed change is undone with the first that succeeds after it: until then a power cut may leave it.
    let mut in_doubt = false;
    for step in steps {
        let mut failed = false;
        match step {
            Step::Append { session: id, stream: number, count, again, ends, noted } => {
                let session = model.sessions.entry(id).or_default();
                let before = session.streams.get(&number).cloned().unwrap_or_default();
                let at = StreamKey { session: name(id), stream: number };
                let mut events = before.events[before.events.len().saturating_sub(again)..].to_vec();
                for _ in 0..count {
                    model.appended += 1;
                    let seq = events.last().map_or(before.events.len() as u64, |event| event.seq) + 1;
                    events.push(event(seq, &format!("append {}", model.appended)));
                }
                let note = noted.then(|| Bytes::from(format!("note {}", model.appended)));
                let batch = Append { events: &events, ends, note: note.as_ref(), written: 0 };
                match store.append(&at, Epoch(session.epoch), batch).await {
                    Ok(()) => {
                        prop_assert!(!session.forgotten && (count == 0 || !before.ended));
                        let stream = session.streams.entry(number).or_default();
                        stream.events.extend(events.split_off(events.len() - count));
                        if !stream.ended && stream.note.is_none() {
                            stream.note = note.map(|note| String::from_utf8(note.to_vec()).unwrap());
                        }
                        stream.ended |= ends;
                    }
                    Err(AppendError::Ended) => prop_assert!(session.forgotten || before.ended),
                    Err(AppendError::Unavailable(_)) => failed = true,
                    Err(error) => prop_assert!(false, "{}", error),
                }
            }
            Step::Mark { session, stream } => {
                let known = model.sessions.get(&session);
                let Some((session, stream)) =
                    known.and_then(|s| Some((s, s.streams.get_key_value(&stream)?)))
                else {
                    continue;
                };
                let at = StreamKey { session: name(id_of(&model, session)), stream: *stream.0 };
                let written = stream.1.events.len() as u64;
                let mark = Append { written, ..Append::default() };
                prop_assert!(matches!(store.append(&at, Epoch(session.epoch), mark), Soon::Now(Ok(()))));
            }
            Step::Save { session: id, epoch } => {
                model.appended += 1;
                let record = format!("record {}", model.appended);
                let session = model.sessions.entry(id).or_default();
                match store.save(&name(id), Epoch(epoch), record.clone().into()).await {
                    Ok(()) => {
                        prop_assert!(!session.forgotten && epoch >= session.epoch);
                        (session.epoch, session.record) = (epoch, Some(record));
                    }
                    Err(AppendError::Ended) => prop_assert!(session.forgotten),
                    Err(AppendError::Fenced) => prop_assert!(epoch < session.epoch),
                    Err(AppendError::Unavailable(_)) => failed = true,
                    Err(error) => prop_assert!(false, "{}", error),
                }
            }
            Step::Forget { session } => match store.forget(&name(session)).await {
                Ok(()) => {
                    let gone = Session { forgotten: true, ..Session::default() };
                    model.sessions.insert(session, gone);
                }
                Err(_) => failed = true,
            },
            Step::Sweep => store.sweep(now()),
            Step::Fail(fault) => disk.fail(fault),
            Step::Reopen => {
                disk.fail(None);
                if in_doubt {
                    succeed(&store, &mut model).await;
                }
                store.close().await;
                store = open(&disk);
                check(&store, &model).await?;
                in_doubt = false;
            }
            Step::CutPower { luck } => {
                if in_doubt {
                    continue;
                }
                disk.cut_power(luck);
                store = open(&disk);
                check(&store, &model).await?;
            }
        }
        in_doubt |= failed;
    }
    disk.fail(None);
    succeed(&store, &mut model).await;
    check(&store, &model).await?;
    store.close().await;
    check(&open(&disk), &model).await
}

/// Writes something that leaves no trace, so that what failed before is undone.
async fn succeed(store: &RedbStore, model: &mut Model) {
    model.appended += 1;
    let other = format!("other-{}", model.appended);
    save(store, &other, "x").await.unwrap();
    store.forget(&other.as_str().into()).await.unwrap();
}

fn id_of(model: &Model, session: &Session) -> u8 {
    *model.sessions.iter().find(|(_, known)| std::ptr::eq(*known, session)).unwrap().0
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn what_was_acknowledged_is_there_and_nothing_else(steps in vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(run(steps))?;
    }
}
