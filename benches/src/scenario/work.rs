//! What is asked of a target, how it answers, and what it must offer for that.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What is asked of a target, and how it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(crate) struct Work {
    pub(crate) task: Task,
    pub(crate) way: Way,
    pub(crate) form: Form,
}

/// What the load consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Task {
    /// A call whose handler is ready at once
    Echo,
    /// A call whose handler yields once before it answers
    EchoLater,
    /// `echo` of 64 KiB
    Large,
    /// `tools/list` of 100 tools
    List,
    /// `echo` among 100 tools
    Among,
    /// A call that reports progress 1,000 times
    Progress,
    /// A GET that resumes behind the first of 1,000 events
    Replay,
    /// A session that is opened, used once and deleted
    Churn,
    /// A call of a sender whose token is verified, where the target has a lock
    Verified,
    /// A call whose tool asks the user: two requests, the second with the answer
    Rounds,
    /// A change that is told to every listening stream
    Listen,
    /// Sessions that do nothing
    Idle,
    /// Sessions that do nothing, each with an open GET stream
    IdleStreams,
    /// Calls in one session, first alone, then beside streams that nobody reads
    Canary,
}

/// How a call reaches its handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Way {
    /// In a session
    Session,
    /// In a revision that has sessions, without one
    Stateless,
    /// In a revision that has none
    Modern,
}

/// How a call is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Form {
    Json,
    Sse,
}

/// What a target may offer or lack; the table in `benches/README.md` says what each is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ability {
    Session,
    Stateless,
    Modern,
    Json,
    Sse,
    Later,
    Progress,
    Resume,
    Standalone,
    Tools,
    Large,
    Ask,
    Touch,
}

/// How many progress notifications a call sends, and so how many events there are to replay.
pub(crate) const EVENTS: usize = 1_000;

/// How many tools there are where there are many.
pub(crate) const TOOLS: usize = 100;

/// Bytes of the large argument.
pub(crate) const LARGE: usize = 64 * 1024;

pub(crate) const JSON: &str = "application/json";
pub(crate) const EVENT_STREAM: &str = "text/event-stream";

const WAYS: [Way; 3] = [Way::Session, Way::Stateless, Way::Modern];
const FORMS: [Form; 2] = [Form::Json, Form::Sse];

impl Work {
    pub(crate) const fn echo(way: Way, form: Form) -> Self {
        Self { task: Task::Echo, way, form }
    }

    pub(crate) const fn later(way: Way, form: Form) -> Self {
        Self { task: Task::EchoLater, way, form }
    }

    /// A task in a session that is always answered in the same form.
    pub(crate) const fn session(task: Task) -> Self {
        let form = match task {
            Task::Progress | Task::Replay | Task::Canary | Task::Idle | Task::IdleStreams => Form::Sse,
            _ => Form::Json,
        };
        Self { task, way: Way::Session, form }
    }

    /// A task without a session that is always answered in the same form.
    pub(crate) const fn modern(task: Task) -> Self {
        let form = if matches!(task, Task::Rounds | Task::Verified) { Form::Json } else { Form::Sse };
        Self { task, way: Way::Modern, form }
    }

    /// All there are.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let calls = WAYS.into_iter().flat_map(|way| {
            FORMS.into_iter().flat_map(move |form| [Self::echo(way, form), Self::later(way, form)])
        });
        let in_sessions = [
            Task::Large,
            Task::List,
            Task::Among,
            Task::Progress,
            Task::Replay,
            Task::Churn,
            Task::Verified,
            Task::Idle,
            Task::IdleStreams,
            Task::Canary,
        ];
        let modern = [Task::Progress, Task::Verified, Task::Rounds, Task::Listen];
        calls.chain(in_sessions.map(Self::session)).chain(modern.map(Self::modern))
    }

    /// What a target must offer.
    pub(crate) fn needs(self) -> Vec<Ability> {
        let way = match self.way {
            Way::Session => Ability::Session,
            Way::Stateless => Ability::Stateless,
            Way::Modern => Ability::Modern,
        };
        let form = match self.form {
            Form::Json => Ability::Json,
            Form::Sse => Ability::Sse,
        };
        let mut needs = vec![way];
        // A stream that only waits is one in either mode.
        if !matches!(self.task, Task::Idle | Task::IdleStreams | Task::Listen) {
            needs.push(form);
        }
        needs.extend_from_slice(match self.task {
            Task::Echo | Task::Churn | Task::Verified | Task::Idle => &[],
            Task::EchoLater => &[Ability::Later],
            Task::Large => &[Ability::Large],
            Task::List | Task::Among => &[Ability::Tools],
            Task::Progress | Task::Canary => &[Ability::Progress],
            Task::Replay => &[Ability::Progress, Ability::Resume],
            Task::Rounds => &[Ability::Ask],
            Task::Listen => &[Ability::Touch],
            Task::IdleStreams => &[Ability::Standalone],
        });
        needs
    }

    /// What one unit of its figures is.
    pub(crate) fn unit(self) -> &'static str {
        match self.task {
            Task::Progress | Task::Replay => "event",
            Task::Listen => "message",
            Task::Churn | Task::Idle | Task::IdleStreams => "session",
            _ => "request",
        }
    }

    /// How many units one answer counts as.
    pub(crate) fn units_per_answer(self) -> usize {
        match self.task {
            Task::Progress | Task::Replay => EVENTS,
            _ => 1,
        }
    }

    /// Whether the answer of a call is an event stream, and not one JSON body.
    pub(crate) fn is_stream(self) -> bool {
        self.form == Form::Sse
    }

    /// The media type of an answer.
    pub(crate) fn media_type(self) -> &'static str {
        if self.is_stream() { EVENT_STREAM } else { JSON }
    }

    /// How many tools the target must have; nothing where those it has anyway are enough.
    pub(crate) fn tools(self) -> Option<usize> {
        matches!(self.task, Task::List | Task::Among).then_some(TOOLS)
    }

    /// Whether memory is what it measures.
    pub(crate) fn is_memory(self) -> bool {
        matches!(self.task, Task::Idle | Task::IdleStreams)
    }
}

impl Form {
    /// The name used on a target's command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Sse => "sse",
        }
    }
}

impl Ability {
    /// The name used in `benches/README.md` and in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Stateless => "stateless",
            Self::Modern => "modern",
            Self::Json => "json",
            Self::Sse => "sse",
            Self::Later => "later",
            Self::Progress => "progress",
            Self::Resume => "resume",
            Self::Standalone => "standalone",
            Self::Tools => "tools",
            Self::Large => "large",
            Self::Ask => "ask",
            Self::Touch => "touch",
        }
    }
}

/// The name used on command lines and in tables.
impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.way, self.task) {
            (Way::Session, _) | (Way::Modern, Task::Rounds | Task::Listen) => "",
            (Way::Stateless, _) => "stateless-",
            (Way::Modern, _) => "modern-",
        })?;
        f.write_str(match self.task {
            Task::Echo => self.form.name(),
            Task::EchoLater => return write!(f, "{}-later", self.form.name()),
            Task::Large => "large",
            Task::List => "list-100",
            Task::Among => "among-100",
            Task::Progress => "progress",
            Task::Replay => "replay",
            Task::Churn => "churn",
            Task::Verified => "verified",
            Task::Rounds => "rounds",
            Task::Listen => "listen",
            Task::Idle => "idle",
            Task::IdleStreams => "idle-streams",
            Task::Canary => "canary",
        })
    }
}

impl FromStr for Work {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::all()
            .find(|work| work.to_string() == name)
            .ok_or_else(|| format!("there is no work named {name}"))
    }
}

impl From<Work> for String {
    fn from(work: Work) -> Self {
        work.to_string()
    }
}

impl TryFrom<String> for Work {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        name.parse()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_work_has_a_name_of_its_own_that_leads_back() {
        let names: HashSet<String> = Work::all().map(|work| work.to_string()).collect();
        assert_eq!(names.len(), Work::all().count());
        for work in Work::all() {
            assert_eq!(work.to_string().parse(), Ok(work));
        }
        assert_eq!(Work::later(Way::Modern, Form::Sse).to_string(), "modern-sse-later");
        assert_eq!("nothing".parse::<Work>(), Err("there is no work named nothing".to_owned()));
    }
}
