//! At which rate requests are due in the open loop.

use std::collections::HashMap;

use crate::Result;
use crate::generator::Measured;
use crate::scenario::{OPEN_SHARE, Pace, Scenario};
use crate::target::Target;

/// What targets answered in the closed loop, and the rates that follow from that.
pub(super) struct Paces {
    /// The same for all, where the user said one.
    given: Option<f64>,
    /// Answers per second in the closed loop, by scenario and target.
    answered: HashMap<(String, String), f64>,
    /// Of the slowest target that takes part in the scenario at hand.
    slowest: Option<f64>,
}

impl Paces {
    pub(super) fn new(given: Option<f64>) -> Self {
        Self { given, answered: HashMap::new(), slowest: None }
    }

    /// Remembers what a target answered in the closed loop.
    pub(super) fn learn(&mut self, scenario: Scenario, target: &Target, per_second: f64) {
        if scenario.pace == Pace::Closed {
            self.answered.insert(key(scenario, target), per_second);
        }
    }

    /// Makes sure that a target's closed loop is known, by `run`ning it once where it was not measured.
    ///
    /// # Errors
    ///
    /// When the run fails.
    pub(super) fn know(
        &mut self,
        scenario: Scenario,
        target: &Target,
        run: impl Fn(Scenario, &Target) -> Result<Measured>,
    ) -> Result<()> {
        let key = key(scenario, target);
        if scenario.pace != Pace::Closed && self.given.is_none() && !self.answered.contains_key(&key) {
            let measured = run(Scenario { pace: Pace::Closed, ..scenario }, target)?;
            self.answered.insert(key, measured.units as f64 / measured.seconds);
        }
        Ok(())
    }

    /// Finds the slowest of the targets that take part in a scenario.
    pub(super) fn agree<'a>(&mut self, scenario: Scenario, targets: impl Iterator<Item = &'a Target>) {
        self.slowest = targets
            .filter_map(|target| self.answered.get(&key(scenario, target)).copied())
            .min_by(f64::total_cmp);
    }

    /// Requests per second that are due; nothing in the closed loop.
    pub(super) fn rate(&self, scenario: Scenario, target: &Target) -> Option<f64> {
        let answered = match scenario.pace {
            Pace::Closed => return None,
            _ if self.given.is_some() => return self.given,
            Pace::OwnRate => self.answered.get(&key(scenario, target)).copied(),
            Pace::SameRate => self.slowest,
        };
        answered.map(|per_second| (per_second * OPEN_SHARE).round().max(1.0))
    }
}

fn key(scenario: Scenario, target: &Target) -> (String, String) {
    (Scenario { pace: Pace::Closed, ..scenario }.to_string(), target.name().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario;
    use crate::target::named;

    #[test]
    fn rates_are_shares_of_what_was_answered() {
        let (floor, us) = (named("floor").unwrap(), named("us").unwrap());
        let own = *scenario::all(1).iter().find(|scenario| scenario.pace == Pace::OwnRate).unwrap();
        let same = Scenario { pace: Pace::SameRate, ..own };
        let closed = Scenario { pace: Pace::Closed, ..own };
        let mut paces = Paces::new(None);
        paces.learn(closed, &floor, 1_000.0);
        // Ours was not measured: it is run once.
        let run = |_: Scenario, _: &Target| Ok(Measured { units: 500, seconds: 1.0, ..Measured::default() });
        paces.know(own, &floor, |_, _| Err("it is known".into())).unwrap();
        paces.know(own, &us, run).unwrap();
        paces.agree(own, [&floor, &us].into_iter());
        assert_eq!((paces.rate(own, &floor), paces.rate(own, &us)), (Some(700.0), Some(350.0)));
        assert_eq!((paces.rate(same, &floor), paces.rate(same, &us)), (Some(350.0), Some(350.0)));
        assert_eq!(paces.rate(closed, &us), None);
        let given = Paces::new(Some(42.0));
        assert_eq!(given.rate(same, &us), Some(42.0));
    }
}
