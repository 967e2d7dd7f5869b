//! The operations, how they are picked, and how each is made simpler.

use crate::store::{Limits, ReadBudget};

use super::dice::Dice;

/// One operation. Places that depend on what was done before are found when it is played, so an operation means something
/// in every sequence.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Op {
    Append(Batch),
    End { at: Place, claim: Claim },
    Read { at: Place, after: u64, max: ReadBudget },
    FirstGap { at: Place, after: u64 },
    Watch { at: Place },
    Unwatch { number: usize },
    Forget { session: usize },
    Release { session: usize },
    Sweep { past_retention: bool },
    Reopen,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Place {
    pub(super) session: usize,
    pub(super) stream: u64,
}

/// With which epoch a writer comes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Claim {
    Current,
    Newer,
    Older,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Batch {
    pub(super) at: Place,
    pub(super) claim: Claim,
    pub(super) start: Start,
    pub(super) sizes: Vec<Size>,
    /// How many of all events are still to be written, from the last one back; `None` tells nothing.
    pub(super) unwritten: Option<u64>,
    pub(super) ends: bool,
}

/// Where a batch starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Start {
    /// Right after the last event.
    Next,
    /// With the last so many events once more.
    Again(u64),
    /// After a hole.
    Hole,
    /// With an event that is followed by itself.
    Twice,
    /// At sequence 0, which no event has.
    Zero,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Size {
    pub(super) keep: bool,
    /// What follows the place in the frame, in bytes; `None` is more than any budget allows.
    pub(super) bytes: Option<usize>,
}

/// Small budgets, those that are not `None`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Budgets {
    pub(super) store_bytes: Option<usize>,
    pub(super) session_bytes: Option<usize>,
    pub(super) session_ended_streams: Option<usize>,
    pub(super) stream_bytes: Option<usize>,
    pub(super) stream_events: Option<usize>,
}

pub(super) const SESSIONS: usize = 3;
pub(super) const STREAMS: u64 = 4;

impl Op {
    pub(super) fn pick(dice: &mut Dice, reopens: bool) -> Self {
        let at = Place { session: dice.below(SESSIONS as u64) as usize, stream: dice.below(STREAMS) };
        let claim = match dice.below(20) {
            0 => Claim::Newer,
            1 => Claim::Older,
            _ => Claim::Current,
        };
        match dice.below(100) {
            0..50 => Self::Append(Batch::pick(dice, at, claim)),
            50..57 => Self::End { at, claim },
            57..70 => {
                let max = ReadBudget { events: dice.below(5) as usize, bytes: dice.below(300) as usize };
                Self::Read { at, after: dice.below(64), max }
            }
            70..76 => Self::FirstGap { at, after: dice.below(64) },
            76..84 => Self::Watch { at },
            84..87 => Self::Unwatch { number: dice.below(8) as usize },
            87..89 => Self::Forget { session: at.session },
            89..92 => Self::Release { session: at.session },
            92..96 => Self::Sweep { past_retention: dice.percent(50) },
            _ if reopens => Self::Reopen,
            _ => Self::Append(Batch::pick(dice, at, claim)),
        }
    }

    /// The same with less in it, the boldest step first.
    pub(super) fn simpler(&self) -> Vec<Self> {
        match self {
            Self::Append(batch) => batch.simpler().into_iter().map(Self::Append).collect(),
            Self::End { at, claim } if *claim != Claim::Current => {
                vec![Self::End { at: *at, claim: Claim::Current }]
            }
            Self::Read { at, after, max } => {
                let all = ReadBudget { events: usize::MAX, bytes: usize::MAX };
                let mut simpler = Vec::new();
                if *after > 0 {
                    simpler.push(Self::Read { at: *at, after: 0, max: *max });
                }
                if *max != all {
                    simpler.push(Self::Read { at: *at, after: *after, max: all });
                }
                simpler
            }
            Self::FirstGap { at, after: 1.. } => vec![Self::FirstGap { at: *at, after: 0 }],
            _ => Vec::new(),
        }
    }
}

impl Batch {
    fn pick(dice: &mut Dice, at: Place, claim: Claim) -> Self {
        let start = match dice.below(24) {
            0..3 => Start::Again(1 + dice.below(3)),
            3 => Start::Hole,
            4 => Start::Twice,
            5 => Start::Zero,
            _ => Start::Next,
        };
        let count = dice.below(5);
        let sizes = (0..count)
            .map(|_| Size {
                keep: dice.percent(35),
                bytes: (!dice.percent(1)).then(|| dice.below(80) as usize),
            })
            .collect();
        let unwritten = dice.percent(60).then(|| dice.below(4));
        Self { at, claim, start, sizes, unwritten, ends: dice.percent(12) }
    }

    fn simpler(&self) -> Vec<Self> {
        let mut simpler = Vec::new();
        if !self.sizes.is_empty() {
            let mut fewer = self.clone();
            fewer.sizes.pop();
            simpler.push(fewer);
        }
        if self.claim != Claim::Current {
            simpler.push(Self { claim: Claim::Current, ..self.clone() });
        }
        if self.start != Start::Next {
            simpler.push(Self { start: Start::Next, ..self.clone() });
        }
        if self.ends {
            simpler.push(Self { ends: false, ..self.clone() });
        }
        if self.unwritten.is_some() {
            simpler.push(Self { unwritten: None, ..self.clone() });
        }
        let plain = Size { keep: false, bytes: Some(0) };
        for (index, size) in self.sizes.iter().enumerate() {
            let part = Size { bytes: Some(0), ..*size };
            for less in [plain, part].into_iter().filter(|less| less != size) {
                let mut batch = self.clone();
                batch.sizes[index] = less;
                simpler.push(batch);
            }
        }
        simpler
    }
}

impl Budgets {
    pub(super) fn pick(dice: &mut Dice) -> Self {
        let mut small =
            |least: u64, end: u64| dice.percent(45).then(|| (least + dice.below(end - least)) as usize);
        Self {
            store_bytes: small(300, 3_000),
            session_bytes: small(200, 2_000),
            session_ended_streams: small(0, 3),
            stream_bytes: small(200, 900),
            stream_events: small(1, 7),
        }
    }

    pub(super) fn limits(&self) -> Limits {
        let all = Limits::default();
        Limits {
            store_bytes: self.store_bytes.unwrap_or(all.store_bytes),
            session_bytes: self.session_bytes.unwrap_or(all.session_bytes),
            session_ended_streams: self.session_ended_streams.unwrap_or(all.session_ended_streams),
            stream_bytes: self.stream_bytes.unwrap_or(all.stream_bytes),
            stream_events: self.stream_events.unwrap_or(all.stream_events),
            ..all
        }
    }

    /// The same with one budget less.
    pub(super) fn simpler(&self) -> Vec<Self> {
        let without = [
            Self { store_bytes: None, ..self.clone() },
            Self { session_bytes: None, ..self.clone() },
            Self { session_ended_streams: None, ..self.clone() },
            Self { stream_bytes: None, ..self.clone() },
            Self { stream_events: None, ..self.clone() },
        ];
        without.into_iter().filter(|budgets| budgets != self).collect()
    }
}

impl std::fmt::Display for Budgets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let named = [
            ("store_bytes", self.store_bytes),
            ("session_bytes", self.session_bytes),
            ("session_ended_streams", self.session_ended_streams),
            ("stream_bytes", self.stream_bytes),
            ("stream_events", self.stream_events),
        ];
        let set: Vec<_> =
            named.iter().filter_map(|(name, value)| value.map(|value| format!("`{name}` {value}"))).collect();
        match &set[..] {
            [] => f.write_str("budgets by default"),
            set => write!(f, "budgets by default but {}", set.join(", ")),
        }
    }
}
