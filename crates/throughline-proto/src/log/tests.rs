use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn event(seq: u64, keep: bool) -> Event {
    // Frames of different lengths, so that byte budgets cut at different places.
    Event { seq, keep, frame: Bytes::from(vec![b'x'; (seq % 7) as usize * 10]) }
}

fn notifications(seqs: std::ops::RangeInclusive<u64>) -> Vec<Event> {
    seqs.map(|seq| event(seq, false)).collect()
}

fn seqs(page: &Page) -> Vec<u64> {
    page.events.iter().map(|event| event.seq).collect()
}

fn log_of(kept: &[u64], through: u64) -> Log {
    let mut log = Log::new();
    let events: Vec<_> = (1..=through).map(|seq| event(seq, kept.contains(&seq))).collect();
    log.append(&events).unwrap();
    log
}

fn events(events: usize) -> Budget {
    Budget { events, bytes: usize::MAX }
}

const ALL: ReadBudget = ReadBudget { events: usize::MAX, bytes: usize::MAX };

#[test]
fn appends_contiguous_batches_once() {
    let mut log = Log::new();
    assert_eq!(log.append(&[]), Ok(0));
    let cost: usize = notifications(1..=3).iter().map(Event::cost).sum();
    assert_eq!(log.append(&notifications(1..=3)), Ok(cost));
    assert_eq!(log.append(&notifications(1..=3)), Ok(0), "the same batch again adds nothing");
    assert_eq!(log.append(&notifications(3..=4)), Ok(event(4, false).cost()), "an overlap adds what is new");
    assert_eq!((log.head(), log.len(), log.bytes()), (4, 4, cost + event(4, false).cost()));

    assert_eq!(log.append(&notifications(6..=6)), Err(AppendError::Gap));
    assert_eq!(log.append(&notifications(0..=5)), Err(AppendError::Gap));
    assert_eq!(log.append(&[event(5, false), event(7, false)]), Err(AppendError::Gap));
    assert_eq!(log.append(&[event(4, false), event(4, false)]), Err(AppendError::Gap));
    assert_eq!((log.head(), log.len()), (4, 4), "a refused batch leaves nothing");
}

#[test]
fn an_ended_log_refuses_what_is_new_only() {
    let now = Instant::now();
    let mut log = log_of(&[2], 2);
    log.end(now);
    log.end(now + Duration::from_secs(1));
    assert_eq!(log.ended(), Some(now), "ending again does not move the end");
    assert_eq!(log.append(&[event(1, false), event(2, true)]), Ok(0));
    assert_eq!(log.append(&notifications(2..=3)), Err(AppendError::Ended));
    assert!(!log.read(0, ReadBudget { events: 1, ..ALL }).unwrap().ended, "the page does not reach the end");
    assert!(log.read(0, ALL).unwrap().ended);
    assert_eq!(log.read(2, ALL), Ok(Page { events: Events::default(), head: 2, ended: true }));
}

#[test]
fn a_page_keeps_its_budget_and_has_one_event_at_least() {
    let log = log_of(&[3], 20);
    let page = |events, bytes| seqs(&log.read(2, ReadBudget { events, bytes }).unwrap());
    assert_eq!(page(3, usize::MAX), [3, 4, 5]);
    assert_eq!(page(0, 0), [3], "one event is always returned");
    assert_eq!(page(usize::MAX, 70), [3, 4], "frames of 30 and 40 bytes");
    assert_eq!(page(usize::MAX, 69), [3]);
    assert_eq!(log.read(21, ALL), Err(ReadError::Ahead { head: 20 }));
}

#[test]
fn drops_written_before_unwritten_and_notifications_first() {
    // 1 n, 2 R, 3 n | 4 n, 5 n, 6 R, 7 n; written through 3, as in the picture of the module.
    let left = |keep: usize| {
        let mut log = log_of(&[2, 6], 7);
        log.trim(events(keep), 3);
        assert_eq!(log.len(), keep);
        (1..=7).filter(|seq| log.read(seq - 1, ALL).is_ok()).collect::<Vec<_>>()
    };
    assert_eq!(left(6), [2, 3, 4, 5, 6, 7]);
    assert_eq!(left(5), [2, 4, 5, 6, 7]);
    assert_eq!(left(4), [4, 5, 6, 7]);
    assert_eq!(left(3), [5, 6, 7]);
    assert_eq!(left(1), [6]);
    assert!(left(0).is_empty());
}

#[test]
fn says_what_was_lost() {
    let mut log = log_of(&[2, 6], 7);
    log.trim(events(3), 0);
    // Held are 2, 6 and 7.
    assert_eq!(log.read(0, ALL), Err(ReadError::Dropped(Dropped { oldest: 2, count: 1 })));
    assert_eq!(seqs(&log.read(1, ALL).unwrap()), [2], "the page stops before the hole");
    assert_eq!(log.read(2, ALL), Err(ReadError::Dropped(Dropped { oldest: 6, count: 3 })));
    assert_eq!(log.read(4, ALL), Err(ReadError::Dropped(Dropped { oldest: 6, count: 1 })));
    assert_eq!(seqs(&log.read(5, ALL).unwrap()), [6, 7]);
    assert_eq!(log.first_gap(0), Ok(Some(Dropped { oldest: 2, count: 1 })));
    assert_eq!(log.first_gap(1), Ok(Some(Dropped { oldest: 6, count: 3 })));
    assert_eq!(log.first_gap(1).unwrap().unwrap().first(), 3);
    assert_eq!(log.first_gap(5), Ok(None));
    assert_eq!(log.first_gap(8), Err(ReadError::Ahead { head: 7 }));
    log.trim(events(0), 0);
    assert_eq!(log.read(4, ALL), Err(ReadError::Dropped(Dropped { oldest: 8, count: 3 })));
    assert_eq!(log.read(7, ALL), Ok(Page { events: Events::default(), head: 7, ended: false }));
}

#[test]
fn an_empty_log_is_small_and_a_trimmed_one_gives_its_memory_back() {
    assert!(size_of::<Log>() <= 128, "a log takes {} bytes", size_of::<Log>());
    let mut log = log_of(&[], 8_192);
    log.trim(events(10), 8_192);
    assert!(log.droppable.capacity() <= 64, "{} places for 10 events", log.droppable.capacity());
}

#[test]
fn a_page_can_be_walked_by_value() {
    for count in [0, 1, 5] {
        let page = log_of(&[2], count).read(0, ALL).unwrap();
        let walked = page.events.clone().into_iter();
        assert_eq!(walked.len() as u64, count);
        assert_eq!(walked.collect::<Events>(), page.events);
    }
}

/// What a log ought to do, written without care for speed.
#[derive(Default)]
struct Model {
    events: Vec<(Event, bool)>,
    ended: bool,
}

impl Model {
    fn held(&self) -> impl Iterator<Item = &Event> {
        self.events.iter().filter(|(_, held)| *held).map(|(event, _)| event)
    }

    fn is_held(&self, seq: u64) -> bool {
        self.events[seq as usize - 1].1
    }

    fn head(&self) -> u64 {
        self.events.len() as u64
    }

    fn append(&mut self, batch: &[Event]) -> Result<usize, AppendError> {
        let mut grown = self.events.clone();
        for (index, event) in batch.iter().enumerate() {
            let out_of_line = index > 0 && event.seq != batch[index - 1].seq + 1;
            if event.seq == 0 || out_of_line || event.seq > grown.len() as u64 + 1 {
                return Err(AppendError::Gap);
            }
            if event.seq == grown.len() as u64 + 1 {
                grown.push((event.clone(), true));
            }
        }
        if self.ended && grown.len() > self.events.len() {
            return Err(AppendError::Ended);
        }
        let added = grown[self.events.len()..].iter().map(|(event, _)| event.cost()).sum();
        self.events = grown;
        Ok(added)
    }

    fn trim(&mut self, budget: Budget, written: u64) -> usize {
        let mut freed = 0;
        while self.held().count() > budget.events
            || self.held().map(Event::cost).sum::<usize>() > budget.bytes
        {
            let rank = |event: &Event| (event.seq > written, event.keep, event.seq);
            let victim = self.held().min_by_key(|event| rank(event)).unwrap().seq;
            self.events[victim as usize - 1].1 = false;
            freed += self.events[victim as usize - 1].0.cost();
        }
        freed
    }

    fn hole_at(&self, first: u64) -> Dropped {
        let oldest = (first..=self.head()).find(|seq| self.is_held(*seq)).unwrap_or(self.head() + 1);
        Dropped { oldest, count: oldest - first }
    }

    fn read(&self, after: u64, max: ReadBudget) -> Result<Page, ReadError> {
        if after > self.head() {
            return Err(ReadError::Ahead { head: self.head() });
        }
        if after < self.head() && !self.is_held(after + 1) {
            return Err(ReadError::Dropped(self.hole_at(after + 1)));
        }
        let mut events: Vec<Event> = Vec::new();
        for (event, held) in &self.events[after as usize..] {
            let bytes: usize = events.iter().map(|event| event.frame.len()).sum();
            let full = events.len() >= max.events || bytes + event.frame.len() > max.bytes;
            if !held || (full && !events.is_empty()) {
                break;
            }
            events.push(event.clone());
        }
        let ended = self.ended && after + events.len() as u64 == self.head();
        Ok(Page { events: events.into_iter().collect(), head: self.head(), ended })
    }

    fn first_gap(&self, after: u64) -> Result<Option<Dropped>, ReadError> {
        if after > self.head() {
            return Err(ReadError::Ahead { head: self.head() });
        }
        Ok((after + 1..=self.head()).find(|seq| !self.is_held(*seq)).map(|seq| self.hole_at(seq)))
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// Appends a batch that starts this far from the next sequence, with a hole in it or not.
    Append {
        offset: i64,
        keeps: Vec<bool>,
        hole: bool,
    },
    Trim {
        events: usize,
        bytes: usize,
        written: u64,
    },
    End,
}

fn step() -> impl Strategy<Value = Step> {
    let offset = prop_oneof![8 => Just(0_i64), 1 => -5..4_i64];
    prop_oneof![
        8 => (offset, vec(any::<bool>(), 0..8), prop::bool::weighted(0.05))
            .prop_map(|(offset, keeps, hole)| Step::Append { offset, keeps, hole }),
        4 => (0..40_usize, 0..4_000_usize, 0..80_u64)
            .prop_map(|(events, bytes, written)| Step::Trim { events, bytes, written }),
        1 => Just(Step::End),
    ]
}

proptest! {
    #[test]
    fn behaves_as_the_model(steps in vec(step(), 1..40), max in (0..6_usize, 0..200_usize)) {
        let now = Instant::now();
        let (mut log, mut model) = (Log::new(), Model::default());
        for step in steps {
            match step {
                Step::Append { offset, keeps, hole } => {
                    let start = (model.head() + 1).saturating_add_signed(offset);
                    let batch: Vec<_> = keeps.iter().enumerate()
                        .map(|(i, keep)| event(start + i as u64 + u64::from(hole && i > 2), *keep))
                        .collect();
                    prop_assert_eq!(log.append(&batch), model.append(&batch));
                }
                Step::Trim { events, bytes, written } => {
                    let budget = Budget { events, bytes };
                    prop_assert_eq!(log.trim(budget, written), model.trim(budget, written));
                }
                Step::End => {
                    log.end(now);
                    model.ended = true;
                }
            }
            prop_assert_eq!(log.head(), model.head());
            prop_assert_eq!(log.len(), model.held().count());
            prop_assert_eq!(log.bytes(), model.held().map(Event::cost).sum::<usize>());
            prop_assert_eq!(log.ended().is_some(), model.ended);
            for after in 0..=model.head() + 1 {
                for max in [ALL, ReadBudget { events: max.0, bytes: max.1 }] {
                    prop_assert_eq!(log.read(after, max), model.read(after, max), "read after {}", after);
                }
                prop_assert_eq!(log.first_gap(after), model.first_gap(after), "gap after {}", after);
            }
        }
    }
}

/// What a log still holds.
fn held(log: &Log) -> Vec<Event> {
    let (mut found, mut after) = (Vec::new(), 0);
    while after < log.head() {
        match log.read(after, ALL) {
            Ok(page) => {
                after = page.events.last().unwrap().seq;
                found.extend(page.events);
            }
            Err(ReadError::Dropped(dropped)) => after = dropped.oldest - 1,
            Err(error) => panic!("{error}"),
        }
    }
    found
}

#[test]
fn a_log_is_restored_only_from_ascending_events() {
    for seqs in [&[0][..], &[2, 2], &[3, 1]] {
        let events = seqs.iter().map(|seq| event(*seq, false));
        assert_eq!(Log::restored(events, 9, None).unwrap_err(), AppendError::Gap, "{seqs:?}");
    }
    let gone = Log::restored([], 4, Some(Instant::now())).unwrap();
    assert_eq!(gone.read(2, ALL), Err(ReadError::Dropped(Dropped { oldest: 5, count: 2 })));
    assert!(gone.read(4, ALL).unwrap().ended);
}

proptest! {
    #[test]
    fn a_restored_log_is_the_log_that_it_was(
        kept in vec(any::<bool>(), 0..40),
        (budget, written) in (0_usize..40, 0_u64..40),
        ends in any::<bool>(),
        later in 1_u64..4,
    ) {
        let mut log = Log::new();
        let all: Vec<_> = (1..).zip(&kept).map(|(seq, keep)| event(seq, *keep)).collect();
        log.append(&all).unwrap();
        log.trim(events(budget), written);
        let end = ends.then(Instant::now);
        end.into_iter().for_each(|now| log.end(now));

        let mut restored = Log::restored(held(&log), log.head(), end).unwrap();
        let next: Vec<_> = (log.head() + 1..).take(later as usize).map(|seq| event(seq, seq % 2 == 0)).collect();
        prop_assert_eq!(log.append(&next), restored.append(&next));
        log.trim(events(budget), written);
        restored.trim(events(budget), written);
        prop_assert_eq!((log.head(), log.bytes(), log.len()), (restored.head(), restored.bytes(), restored.len()));
        prop_assert_eq!((log.ended(), log.lost()), (restored.ended(), restored.lost()));
        for keep in [false, true] {
            prop_assert_eq!(log.oldest(keep), restored.oldest(keep));
            let oldest = held(&log).into_iter().find(|event| event.keep == keep);
            prop_assert_eq!(log.oldest(keep), oldest.map_or(log.head() + 1, |event| event.seq));
        }
        for after in 0..=log.head() {
            prop_assert_eq!(log.read(after, ALL), restored.read(after, ALL));
            prop_assert_eq!(log.first_gap(after), restored.first_gap(after));
        }
    }
}
