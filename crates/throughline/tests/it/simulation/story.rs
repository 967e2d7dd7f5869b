//! What readers saw in one run, and whether it may be so.

use std::fmt::Write as _;

use throughline::revision::Revision;
use tokio::time::Instant;

use super::Step;
use crate::support::reader::{Fate, Record, check_session};
use crate::support::{Ledger, Ran};

/// What came of one seed.
pub(super) struct Story {
    /// Everything that every reader saw, and when.
    pub(super) text: String,
    pub(super) total: Total,
}

/// What happened, counted.
#[derive(Debug, Default)]
pub(super) struct Total {
    pub(super) answered: usize,
    pub(super) unknown: usize,
    pub(super) gone_sessions: usize,
    pub(super) resumes: usize,
    pub(super) losses: usize,
    pub(super) numbers: usize,
    pub(super) detached: u64,
    pub(super) cancelled: usize,
    pub(super) restarts: usize,
    pub(super) virtual_seconds: u64,
}

impl Total {
    pub(super) fn add(&mut self, story: &Story) {
        let of = &story.total;
        self.answered += of.answered;
        self.unknown += of.unknown;
        self.gone_sessions += of.gone_sessions;
        self.resumes += of.resumes;
        self.losses += of.losses;
        self.numbers += of.numbers;
        self.detached += of.detached;
        self.cancelled += of.cancelled;
        self.restarts += of.restarts;
        self.virtual_seconds += of.virtual_seconds;
    }

    pub(super) fn assert_that_it_means_something(&self) {
        assert!(self.answered > 3 * self.unknown && self.unknown > 0, "{self:?}");
        assert!(self.resumes > self.answered / 3, "connections broke often enough: {self:?}");
        assert!(self.losses > 0 && self.detached > 0, "retention and stalled readers were met: {self:?}");
        assert!(self.gone_sessions > 0 && self.restarts > 0 && self.cancelled > 0, "{self:?}");
    }
}

/// What one session of a client saw, or a client of the modern era.
pub(super) struct Told {
    pub(super) owner: String,
    pub(super) revision: Revision,
    pub(super) began: Instant,
    pub(super) calls: Vec<(Step, u64, Option<Record>)>,
    pub(super) standalone: Option<Record>,
    pub(super) resumes: usize,
    pub(super) closed: u16,
}

/// Checks all that was seen, and what ran.
pub(super) fn check(told: &[Told], ledger: &Ledger, restarted: bool) -> Result<Total, String> {
    let mut total = Total::default();
    for session in told {
        let owner = &session.owner;
        if session.closed != 204 && session.closed != 404 {
            return Err(format!("{owner}: DELETE was answered with {}", session.closed));
        }
        total.resumes += session.resumes;
        let mut records: Vec<Record> = Vec::new();
        for (step, id, record) in &session.calls {
            let label = Ledger::label(owner, *id);
            let ran = ledger.ran(&label);
            if ran.begun > 1 || ran.finished + ran.dropped != ran.begun {
                return Err(format!("{label}: {ran:?}"));
            }
            let Some(record) = record else {
                if ran.finished > 0 {
                    return Err(format!("{label}: it outlived its client"));
                }
                total.cancelled += ran.dropped;
                continue;
            };
            if session.revision.is_modern() {
                record.check_modern_work(&label, step.steps)?;
            } else {
                record.check_work(&label, step.steps)?;
            }
            match record.fate {
                Fate::Answered if ran == (Ran { begun: 1, finished: 1, dropped: 0 }) => total.answered += 1,
                Fate::Unknown => total.unknown += 1,
                Fate::SessionGone if restarted => total.gone_sessions += 1,
                _ => return Err(format!("{label}: {ran:?}\n{record}")),
            }
            total.losses += record.losses.len();
            records.push(record.clone());
        }
        if let Some(standalone) = &session.standalone {
            standalone.check_numbers()?;
            match standalone.fate {
                Fate::Left => {}
                Fate::SessionGone if restarted => {}
                _ => return Err(format!("{owner}: standalone\n{standalone}")),
            }
            total.numbers += standalone.messages().count();
            total.losses += standalone.losses.len();
            records.push(standalone.clone());
        }
        check_session(&records)?;
    }
    Ok(total)
}

/// All that was seen in words that are the same whenever the same happened: without the tag in the ids, which is random.
pub(super) fn tell(told: &[Told]) -> String {
    let mut text = String::new();
    for session in told {
        let calls = session.calls.iter().map(|(_, id, record)| (*id, record.as_ref()));
        for (id, record) in calls.chain(session.standalone.as_ref().map(|record| (0, Some(record)))) {
            let fate = record.map(|record| (&record.fate, record.connections));
            let _ = writeln!(text, "{} {id} {fate:?}", session.owner);
            for seen in record.iter().flat_map(|record| &record.seen) {
                let at = seen.at.duration_since(session.began).as_millis();
                let place = seen.id.as_deref().map_or("", |id| id.split_once('-').expect("a tag").1);
                let _ = writeln!(text, " {at} {} {place} {}", seen.connection, seen.message);
            }
        }
    }
    text
}
