//! Operations that a seed picks, on a store and on a model of what the laws allow.

mod budgets;
mod dice;
mod look;
mod model;
mod ops;
mod play;
mod shrink;

use crate::store::{EventStore, Limits};

pub(super) use self::dice::Dice;
use self::play::Play;
use self::shrink::shortest;

/// How many sequences of operations are tried, how long each is, and which ones.
///
/// ```
/// use throughline::store::laws::Plan;
///
/// let repeat = Plan { seed: 77, sequences: 1, ..Plan::default() };
/// assert_eq!((repeat.seed, repeat.steps), (77, 40));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Picks the operations of the first sequence; the next sequence has the next seed. A failure names the seed of the
    /// sequence that failed. Default 1.
    pub seed: u64,
    /// How many sequences are tried, each on a store of its own. Default 64: every operation meets every other one many
    /// times, and a store that writes to a disk is through in seconds.
    pub sequences: usize,
    /// How many operations a sequence has. Default 40.
    pub steps: usize,
}

impl Default for Plan {
    fn default() -> Self {
        Self { seed: 1, sequences: 64, steps: 40 }
    }
}

impl Plan {
    /// The default, with what the variables `THROUGHLINE_LAWS_SEED` and `THROUGHLINE_LAWS_SEQUENCES` say instead.
    ///
    /// # Panics
    ///
    /// When one of them is set and is no number.
    pub fn from_env() -> Self {
        let number = |name: &str| {
            let text = std::env::var(name).ok()?;
            Some(text.parse::<u64>().unwrap_or_else(|_| panic!("`{name}` must be a number, not `{text}`")))
        };
        let plan = Self::default();
        Self {
            seed: number("THROUGHLINE_LAWS_SEED").unwrap_or(plan.seed),
            sequences: number("THROUGHLINE_LAWS_SEQUENCES").map_or(plan.sequences, |number| number as usize),
            ..plan
        }
    }
}

/// Any sequence of operations: appends that go on, repeat, leave holes, come too late, are too large or are fenced; ends,
/// reads with any cursor and budget, watches, sweeps, releases and the forgetting of sessions, with budgets so small that
/// events are dropped all the time. After each operation the store is compared with a model of what the laws allow.
///
/// # Panics
///
/// When the store breaks a law, with the law and the shortest sequence of operations found that shows it.
pub async fn any_sequence<S: EventStore>(make: &impl AsyncFn(Limits) -> S, plan: Plan) {
    try_all(make, &async |store| store, false, plan).await;
}

/// [`any_sequence`] for a store that outlives its process, which is reopened among the other operations. `reopen` closes
/// it as a shutdown does and opens it again.
///
/// # Panics
///
/// When the store breaks a law, with the law and the shortest sequence of operations found that shows it.
pub async fn any_sequence_with_reopening<S: EventStore>(
    make: &impl AsyncFn(Limits) -> S,
    reopen: &impl AsyncFn(S) -> S,
    plan: Plan,
) {
    try_all(make, reopen, true, plan).await;
}

async fn try_all<S: EventStore>(
    make: &impl AsyncFn(Limits) -> S,
    reopen: &impl AsyncFn(S) -> S,
    reopens: bool,
    plan: Plan,
) {
    for number in 0..plan.sequences as u64 {
        let seed = plan.seed.wrapping_add(number);
        let play = Play::from_seed(&mut Dice::new(seed), plan.steps, reopens);
        if let Err(failure) = play.run(make, reopen, play::PATIENCE).await {
            let (play, failure) = shortest(play, failure, make, reopen).await;
            panic!(
                "law {}: {}\n\nThis shows it, the shortest sequence found with seed {seed} ({}):\n{}\n\
                 THROUGHLINE_LAWS_SEED={seed} THROUGHLINE_LAWS_SEQUENCES=1 repeats it.\n",
                failure.complaint.law,
                failure.complaint.what,
                play.budgets,
                failure.lines(),
            );
        }
    }
}
