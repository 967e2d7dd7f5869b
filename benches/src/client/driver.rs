//! A client as a child process.

use std::ffi::OsString;
use std::time::Instant;

use super::{Run, is_modern};
use crate::Result;
use crate::process::{Conversation, Pinning, RunningTarget, proc};
use crate::scenario::{Task, Work};

/// A client that can be started.
pub(super) struct Client {
    name: String,
    command: Vec<OsString>,
}

/// How much one run does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Amount {
    pub(super) count: u64,
    pub(super) warm_up: u64,
}

/// A client that has warmed up.
pub(super) struct Warm {
    child: Conversation,
    amount: Amount,
    connections: u64,
}

/// `rmcp` is left as it comes, `rmcp-pooled` has a reqwest that keeps its connections.
pub(super) const NAMES: [&str; 3] = ["us", "rmcp", "rmcp-pooled"];

impl Client {
    /// The client of this name, built where it is another's.
    ///
    /// # Errors
    ///
    /// When there is none of this name, or it cannot be built.
    pub(super) fn prepare(name: &str) -> Result<Self> {
        let command = match name {
            "us" => vec![std::env::current_exe()?.into_os_string(), "drive".into()],
            "rmcp" | "rmcp-pooled" => vec![crate::peer::rust("peer-rmcp-client")?],
            _ => {
                return Err(format!("there is no client named {name}: there are {}", NAMES.join(", ")).into());
            }
        };
        Ok(Self { name: name.to_owned(), command })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Starts it against a server and waits until it is warm.
    ///
    /// # Errors
    ///
    /// When it fails.
    pub(super) fn start(
        &self,
        server: &RunningTarget,
        work: Work,
        amount: Amount,
        pinning: Pinning,
        under: &[OsString],
    ) -> Result<Warm> {
        let mut words = under.to_vec();
        words.extend_from_slice(&self.command);
        words.push(server.address.to_string().into());
        words.extend(["--count".into(), amount.count.to_string().into()]);
        words.extend(["--warm-up".into(), amount.warm_up.to_string().into()]);
        words.extend((work.task == Task::Progress).then(|| "--progress".into()));
        words.extend(is_modern(work).then(|| "--modern".into()));
        words.extend((self.name == "rmcp-pooled").then(|| "--pooled".into()));
        let child = Conversation::start(words, pinning)?;
        let connections = told(&child.hear()?, "warm")?;
        Ok(Warm { child, amount, connections })
    }
}

impl Warm {
    /// Has it do its work, and reads what that took.
    ///
    /// # Errors
    ///
    /// When it fails.
    pub(super) fn finish(mut self) -> Result<Run> {
        let pid = self.child.pid();
        let (started, before) = (Instant::now(), proc::cpu(pid)?);
        self.child.go_on()?;
        let connections = told(&self.child.hear()?, "done")?;
        let (took, after) = (started.elapsed(), proc::cpu(pid)?);
        let units = self.amount.count;
        let run = Run {
            seconds: took.as_secs_f64(),
            units,
            cpu_us_per_unit: (after - before).as_secs_f64() * 1e6 / units as f64,
            connections: self.connections,
            connections_more: connections.saturating_sub(self.connections),
            own_bytes: proc::anonymous(pid)?,
            peak_bytes: proc::most_resident(pid)?,
        };
        self.child.end()?;
        Ok(run)
    }
}

/// The number behind a word.
fn told(line: &str, word: &str) -> Result<u64> {
    let number = line.trim().strip_prefix(word).and_then(|rest| rest.trim().parse().ok());
    number.ok_or_else(|| format!("a client was to say `{word} NUMBER`, and said {line:?}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_says_is_a_word_and_a_number() {
        assert_eq!(told("warm 2\n", "warm").unwrap(), 2);
        for other in ["", "warm\n", "done 2\n", "warm two\n"] {
            told(other, "warm").unwrap_err();
        }
    }

    #[test]
    fn an_unknown_client_is_refused_with_the_names_that_there_are() {
        let error = Client::prepare("them").err().unwrap().to_string();
        assert_eq!(error, "there is no client named them: there are us, rmcp, rmcp-pooled");
    }
}
