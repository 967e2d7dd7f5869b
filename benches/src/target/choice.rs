//! Which targets are measured.

use std::io::Write as _;

use clap::Args;

use super::{BUILT_IN, Target, named};
use crate::{Result, peer};

#[derive(Args)]
pub(crate) struct Choice {
    /// Targets, in the order of their turns; the first is what the others are compared with. `all` stands for those that come
    /// with the lab and the peers (axum, rmcp, rmcp-nodelay, rmcp-events, npm, pypi), which are built or installed first
    #[arg(long, value_delimiter = ',', default_values = BUILT_IN)]
    targets: Vec<String>,
    /// A server of your own and the command that starts it; can be given several times
    #[arg(long = "target", value_name = "NAME=COMMAND")]
    own: Vec<String>,
}

impl Choice {
    /// The targets, ready to be started. One that cannot be made ready is named and left out, for the floor alone still
    /// says what the machine can do.
    ///
    /// # Errors
    ///
    /// When there is none of a name, or none is left.
    pub(crate) fn targets(&self) -> Result<Vec<Target>> {
        // Mistyped in a long command line, these should not take a build to be noticed.
        let own = self.own.iter().map(|given| peer::own(given)).collect::<Result<Vec<Target>>>()?;
        let mut found: Vec<Target> = Vec::new();
        for name in self.names() {
            let target = if peer::NAMES.contains(&name) { peer::prepare(name) } else { named(name) };
            match target {
                Ok(target) => found.push(target),
                Err(error) => writeln!(std::io::stderr(), "warning: {name} is left out: {error}")?,
            }
        }
        found.extend(own);
        if found.is_empty() { Err("none of the targets can be measured".into()) } else { Ok(found) }
    }

    /// Each name once, in the order given.
    fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for name in &self.targets {
            let meant: Vec<&str> =
                if name == "all" { BUILT_IN.into_iter().chain(peer::NAMES).collect() } else { vec![name] };
            for name in meant {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_stands_for_every_target_once() {
        let choice = Choice { targets: vec!["us".into(), "all".into()], own: Vec::new() };
        let names = choice.names();
        assert_eq!(names[..2], ["us", "floor"]);
        assert_eq!(names.len(), BUILT_IN.len() + peer::NAMES.len());
    }

    #[test]
    fn a_target_of_ones_own_comes_last_and_a_wrong_one_is_refused() {
        let targets = vec!["floor".into()];
        let choice = Choice { targets: targets.clone(), own: vec!["mine=./mine".into()] };
        let names: Vec<String> =
            choice.targets().unwrap().iter().map(|target| target.name().into()).collect();
        assert_eq!(names, ["floor", "mine"]);
        assert!(Choice { targets, own: vec!["mine".into()] }.targets().is_err());
    }
}
