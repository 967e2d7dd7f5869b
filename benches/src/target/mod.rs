//! Servers that are put under load. Each is a program behind the contract in `benches/README.md`; those that come with the
//! lab are one file each.

mod choice;
mod durable;
mod floor;
mod locked;
pub(crate) mod serve;
mod us;

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

pub(crate) use choice::Choice;
pub(crate) use locked::Key;

use crate::Result;
use crate::scenario::{Ability, Form, Task, Way, Work};

/// A server under load.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    name: String,
    about: String,
    program: Program,
    /// Works that need all of these abilities are left out, and why.
    lacks: Vec<(Vec<Ability>, String)>,
    only: Option<fn(Work) -> bool>,
    is_durable: bool,
}

#[derive(Debug, Clone)]
enum Program {
    /// This binary, with the name of the target.
    BuiltIn(serve::BuiltIn),
    /// A program and its first arguments.
    Foreign(Vec<OsString>),
}

/// How a target is to serve; each is also an argument of its command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) answers: Form,
    pub(crate) is_stateless: bool,
    /// How many tools there are in all; nothing: only those that the load calls.
    pub(crate) tools: Option<usize>,
}

impl Settings {
    pub(crate) fn of(work: Work) -> Self {
        Self { answers: work.form, is_stateless: work.way == Way::Stateless, tools: work.tools() }
    }

    fn arguments(self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec!["--answers".into(), self.answers.name().into()];
        if self.is_stateless {
            arguments.push("--stateless".into());
        }
        if let Some(tools) = self.tools {
            arguments.extend(["--tools".into(), tools.to_string().into()]);
        }
        arguments
    }
}

impl Target {
    fn built_in(name: &str, about: &str, which: serve::BuiltIn) -> Self {
        Self {
            name: name.to_owned(),
            about: about.to_owned(),
            program: Program::BuiltIn(which),
            lacks: Vec::new(),
            only: None,
            is_durable: false,
        }
    }

    /// A program that keeps the contract: `command` is the program and its first arguments, `about` one line for the legend.
    pub(crate) fn program(name: &str, about: &str, command: Vec<OsString>) -> Self {
        Self {
            name: name.to_owned(),
            about: about.to_owned(),
            program: Program::Foreign(command),
            lacks: Vec::new(),
            only: None,
            is_durable: false,
        }
    }

    /// Leaves the target out of everything that needs all of these abilities, and says why.
    #[must_use]
    pub(crate) fn lacks(mut self, abilities: &[Ability], reason: &str) -> Self {
        self.lacks.push((abilities.to_vec(), reason.to_owned()));
        self
    }

    /// Measures the target in these works alone; it is no line of the others.
    #[must_use]
    pub(crate) fn only(mut self, is_of: fn(Work) -> bool) -> Self {
        self.only = Some(is_of);
        self
    }

    /// Whether it flushes to the disk before it answers.
    pub(crate) fn is_durable(&self) -> bool {
        self.is_durable
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn about(&self) -> &str {
        &self.about
    }

    /// Whether it comes with the lab: then a run that fails is a fault, and nothing to leave out.
    pub(crate) fn is_built_in(&self) -> bool {
        matches!(self.program, Program::BuiltIn(_))
    }

    /// Whether it is a line of this work at all.
    pub(crate) fn takes_part_in(&self, work: Work) -> bool {
        // Without a lock of the lab's nothing is verified: others would be measured in `json` once more.
        self.only.map_or(self.is_built_in() || work.task != Task::Verified, |is_of| is_of(work))
    }

    /// Why it cannot do this work; nothing when it can.
    pub(crate) fn missing(&self, work: Work) -> Option<String> {
        let needs = work.needs();
        let (abilities, reason) = self
            .lacks
            .iter()
            .find(|(abilities, _)| abilities.iter().all(|ability| needs.contains(ability)))?;
        let names: Vec<&str> = abilities.iter().map(|ability| ability.name()).collect();
        Some(format!("no {}: {reason}", names.join(" with ")))
    }

    /// The words that start it. `counts_heap`: where the target can, in a build whose allocator counts.
    ///
    /// # Errors
    ///
    /// When this binary cannot be found.
    pub(crate) fn command(&self, work: Work, counts_heap: bool) -> Result<Vec<OsString>> {
        let mut words = match &self.program {
            Program::BuiltIn(which) => {
                let lab = if counts_heap { counting_lab()? } else { std::env::current_exe()? };
                vec![lab.into_os_string(), "target".into(), which.name().into()]
            }
            Program::Foreign(command) => command.clone(),
        };
        words.extend(Settings::of(work).arguments());
        Ok(words)
    }
}

/// The binary whose allocator counts, beside this one.
fn counting_lab() -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name("throughline-benches-heap");
    if path.is_file() {
        Ok(path)
    } else {
        Err("the build that counts heap bytes is missing: `cargo xtask bench` builds it, as does `cargo build --release -p throughline-benches`".into())
    }
}

/// Whether something is kept on the way to the answer: events, or a session.
fn keeps_something(work: Work) -> bool {
    let has_events = matches!(work.task, Task::Echo | Task::EchoLater | Task::Progress | Task::Replay);
    work.way == Way::Session && (work.task == Task::Churn || (has_events && work.form == Form::Sse))
}

/// A new directory on the disk that this binary is on; that of temporary files may be in memory, where nothing is flushed.
///
/// # Errors
///
/// When it cannot be made.
pub(crate) fn data_directory() -> Result<PathBuf> {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    let path = std::env::current_exe()?
        .with_file_name(format!("throughline-benches-data-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&path)
        .map_err(|error| format!("could not make the directory {}: {error}", path.display()))?;
    Ok(path)
}

/// The names of the targets that come with the lab, in the order of their turns.
pub(crate) const BUILT_IN: [&str; 6] = ["floor", "floor-8k", "us", "us-durable", "us-es256", "us-rs256"];

/// The target of this name, ready to be started.
///
/// # Errors
///
/// When there is none of this name.
pub(crate) fn named(name: &str) -> Result<Target> {
    Ok(match name {
        "floor" => Target::built_in(
            name,
            "bare hyper, the least that answers correctly",
            serve::BuiltIn::Floor { coalesces: false },
        ),
        "floor-8k" => Target::built_in(
            name,
            "the floor, events that are ready coalesced into frames of 8 KiB",
            serve::BuiltIn::Floor { coalesces: true },
        )
        .only(|work| work.task == Task::Progress),
        "us" => Target::built_in(name, "throughline, all defaults, events in memory", serve::BuiltIn::Us),
        "us-durable" => Target {
            is_durable: true,
            ..Target::built_in(
                name,
                "throughline, each event on the disk before it is sent (throughline-redb)",
                serve::BuiltIn::UsDurable,
            )
            .only(keeps_something)
        },
        "us-es256" | "us-rs256" => {
            let (about, key) = match name {
                "us-es256" => ("throughline behind `Authorization`, a JWT signed with ES256", Key::Es256),
                _ => ("throughline behind `Authorization`, a JWT signed with RS256", Key::Rs256),
            };
            Target::built_in(name, about, serve::BuiltIn::UsLocked(key))
                .only(|work| work.task == Task::Verified)
        }
        _ => {
            return Err(format!("there is no target named {name}: there are {}", BUILT_IN.join(", ")).into());
        }
    })
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_become_arguments() {
        let target = Target::program("x", "", vec!["/bin/x".into(), "serve".into()]);
        let command = |work: &str| target.command(work.parse().unwrap(), false).unwrap();
        assert_eq!(command("json"), ["/bin/x", "serve", "--answers", "json"]);
        assert_eq!(command("stateless-sse"), ["/bin/x", "serve", "--answers", "sse", "--stateless"]);
        assert_eq!(command("list-100"), ["/bin/x", "serve", "--answers", "json", "--tools", "100"]);
    }

    #[test]
    fn what_is_lacking_is_missing_where_it_is_needed_alone() {
        let target = Target::program("x", "", Vec::new())
            .lacks(&[Ability::Resume], "it keeps no events")
            .lacks(&[Ability::Session, Ability::Json], "it streams there");
        let missing = |work: &str| target.missing(work.parse().unwrap());
        assert_eq!(missing("replay").as_deref(), Some("no resume: it keeps no events"));
        assert_eq!(missing("progress"), None);
        assert_eq!(missing("json").as_deref(), Some("no session with json: it streams there"));
        assert_eq!((missing("sse"), missing("modern-json")), (None, None));
    }

    #[test]
    fn every_built_in_target_is_found_by_its_name() {
        for name in BUILT_IN {
            assert_eq!(named(name).unwrap().name(), name);
        }
        named("them").unwrap_err();
    }
}
