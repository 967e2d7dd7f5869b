//! What is measured: which work, over how many connections, at which pace, and what question that answers.

mod work;

use std::fmt;

use serde::{Deserialize, Serialize};

pub(crate) use work::{Ability, EVENT_STREAM, EVENTS, Form, JSON, LARGE, TOOLS, Task, Way, Work};

/// Connections one run may open at most.
pub(crate) const MAX_CONNECTIONS: usize = 100_000;

/// Requests one run may send at most; the generator keeps one latency (16 bytes) of each.
pub(crate) const MAX_REQUESTS: usize = 10_000_000;

/// One line of the table, for each target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Scenario {
    pub(crate) group: Group,
    pub(crate) work: Work,
    pub(crate) connections: usize,
    pub(crate) pace: Pace,
}

/// The question that a scenario helps to answer; the table has a part for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Group {
    Session,
    Stateless,
    Modern,
    Rate,
    Streams,
    Sizes,
    Verified,
    Memory,
    Neighbours,
}

/// When a request is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Pace {
    /// When the one before it on the same connection is answered.
    Closed,
    /// At a rate: a share of what this target answered in the closed loop.
    OwnRate,
    /// At a rate that is the same for all: a share of what the slowest target answered in the closed loop.
    SameRate,
}

/// The share of closed-loop throughput at which requests are due in the open loop: busy, and not yet overloaded.
pub(crate) const OPEN_SHARE: f64 = 0.7;

const fn closed(group: Group, work: Work, connections: usize) -> Scenario {
    Scenario { group, work, connections, pace: Pace::Closed }
}

const fn open(pace: Pace) -> Scenario {
    Scenario { group: Group::Rate, work: Work::echo(Way::Session, Form::Json), connections: 32, pace }
}

/// Everything the lab measures, in the order of its table: one connection shows latency, 32 show throughput.
/// `sessions`: how many are idle where sessions are.
pub(crate) fn all(sessions: usize) -> Vec<Scenario> {
    let mut all = Vec::new();
    for (group, way) in
        [(Group::Session, Way::Session), (Group::Stateless, Way::Stateless), (Group::Modern, Way::Modern)]
    {
        for form in [Form::Json, Form::Sse] {
            for work in [Work::echo(way, form), Work::later(way, form)] {
                for connections in [1, 32] {
                    all.push(closed(group, work, connections));
                }
            }
        }
    }
    all.extend([
        closed(Group::Modern, Work::modern(Task::Rounds), 1),
        closed(Group::Modern, Work::modern(Task::Rounds), 32),
        open(Pace::OwnRate),
        open(Pace::SameRate),
        closed(Group::Streams, Work::session(Task::Progress), 1),
        closed(Group::Streams, Work::modern(Task::Progress), 1),
        closed(Group::Streams, Work::session(Task::Replay), 1),
        closed(Group::Streams, Work::modern(Task::Listen), LISTENERS),
        closed(Group::Sizes, Work::session(Task::Churn), 1),
        closed(Group::Sizes, Work::session(Task::Churn), 32),
        closed(Group::Sizes, Work::session(Task::List), 32),
        closed(Group::Sizes, Work::session(Task::Among), 32),
        closed(Group::Sizes, Work::session(Task::Large), 32),
        closed(Group::Verified, Work::session(Task::Verified), 1),
        closed(Group::Verified, Work::session(Task::Verified), 32),
        closed(Group::Verified, Work::modern(Task::Verified), 32),
        closed(Group::Memory, Work::session(Task::Idle), sessions),
        closed(Group::Memory, Work::session(Task::IdleStreams), sessions),
        closed(Group::Neighbours, Work::session(Task::Canary), STALLED),
    ]);
    all
}

/// Streams that listen to one resource: as many as ours admits by default.
const LISTENERS: usize = 1_000;

/// Streams that nobody reads.
const STALLED: usize = 64;

impl Group {
    /// In the order of the table.
    pub(crate) const ALL: [Self; 9] = [
        Self::Session,
        Self::Stateless,
        Self::Modern,
        Self::Rate,
        Self::Streams,
        Self::Sizes,
        Self::Verified,
        Self::Memory,
        Self::Neighbours,
    ];

    /// The question.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Session => "What does a call cost in a session?",
            Self::Stateless => "What does it cost without sessions (stateless_http)?",
            Self::Modern => "What does it cost in the modern era?",
            Self::Rate => "How late are answers at a given rate?",
            Self::Streams => "How fast are long streams?",
            Self::Sizes => "What do short sessions, many tools and large arguments cost?",
            Self::Verified => "What does it cost to verify who sends a call?",
            Self::Memory => "What does an idle session hold?",
            Self::Neighbours => "Does a slow reader slow down its neighbours?",
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { work, connections, .. } = self;
        match (self.pace, work.task) {
            (Pace::Closed, Task::Idle | Task::IdleStreams) => write!(f, "{work}, {connections} sessions"),
            (Pace::Closed, Task::Canary) => write!(f, "{work}, {connections} stalled"),
            (Pace::Closed, _) => write!(f, "{work}, {connections} conn"),
            (Pace::OwnRate, _) => write!(f, "{work}, {connections} conn, own rate"),
            (Pace::SameRate, _) => write!(f, "{work}, {connections} conn, same rate"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_each_line_once_and_leaves_no_work_out() {
        let all = all(10_000);
        let mut names: Vec<String> = all.iter().map(ToString::to_string).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all.len());
        for work in Work::all() {
            assert!(all.iter().any(|scenario| scenario.work == work), "{work} is never measured");
        }
    }
}
