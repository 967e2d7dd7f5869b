//! The process of a server that speaks over standard input and output
//! ([stdio](https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#stdio)).
//!
//! ```text
//!   ServerCommand --spawn--> Input    the server's standard input, until it is closed from either side
//!                            Output   its standard output, until the process has ended and nothing is left in the pipe
//!                            Child    the handle: close(), exited(); dropping it closes
//!
//!      supervisor (a task)   waits for the process to end, walks the ladder, ends what stays in the process group
//!      stderr (a task)       reads line by line: the log or a callback, and the last lines for an Exit
//! ```
//!
//! The ladder ([shutdown](https://modelcontextprotocol.io/specification/2025-11-25/basic/lifecycle#stdio)), each step with
//! a bounded wait:
//!
//! ```text
//!   end of input --wait--> TERM to the group --wait--> KILL to the group --wait--> over
//!         |                     |
//!         +--- the process ended +--> reported at once (Exit) --> TERM to what stays in the group --wait--> KILL --> over
//! ```
//!
//! The supervisor is a task of its own, so neither a dropped future nor a panic of whoever holds the [`Child`] stops it. It
//! ends with the runtime; then the group gets its KILL at once (`Group`).

mod command;
mod exit;
mod group;
mod pipes;
mod stderr;
mod supervisor;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};

pub use command::ServerCommand;
pub(crate) use command::SpawnError;
pub(crate) use exit::Exit;
pub(crate) use pipes::{Input, Output};

use crate::runtime;
use exit::Cause;
use pipes::{Draining, InputPipe};
use stderr::Tail;
use supervisor::Supervisor;

/// The process of a server and, on Unix, every process that it started and that stayed in its group.
///
/// # Drop behavior
///
/// As [`close`](Self::close), in the background. A runtime that is dropped too does not get to it: then the group is killed
/// at once.
pub(crate) struct Child {
    id: u32,
    ask: Ask,
    exited: Exited,
    /// Whether the ladder was walked to its end.
    over: watch::Receiver<bool>,
}

/// When a process ended, and why. Cheap to clone; every clone tells the same.
#[derive(Clone, Debug)]
pub(crate) struct Exited {
    program: Arc<str>,
    exit: watch::Receiver<Option<Exit>>,
}

/// How long each step of the ladder waits.
#[derive(Clone, Copy, Debug)]
struct Patience {
    /// From the end of input until TERM.
    input: Duration,
    /// From TERM until KILL.
    term: Duration,
    /// From KILL until nobody waits any more: what it does not end hangs in the kernel, and ends when that lets go.
    kill: Duration,
}

impl Patience {
    /// The same for each step.
    fn of(step: Duration) -> Self {
        Self { input: step, term: step, kill: GRACE }
    }
}

/// How long a step waits: what the official SDKs for TypeScript and Python wait too, so that servers are made for it.
const GRACE: Duration = Duration::from_secs(2);

/// Asks the supervisor to walk the ladder. The first cause is the one that counts.
#[derive(Clone, Debug)]
struct Ask(Arc<watch::Sender<Option<Cause>>>);

impl Ask {
    fn to_end(&self, cause: Cause) {
        self.0.send_if_modified(|asked| {
            let first = asked.is_none();
            asked.get_or_insert(cause);
            first
        });
    }
}

impl ServerCommand {
    /// Starts the process. Call it where a runtime runs.
    ///
    /// # Errors
    ///
    /// When the program cannot be started. One that starts and ends at once is told by [`Exited`].
    ///
    /// # Cancel safety
    ///
    /// It does not wait. Each of the three parts may be dropped: without `Input` the server reads the end of its input,
    /// without `Output` it cannot write, and without `Child` it is closed.
    pub(crate) fn spawn(&self) -> Result<(Input, Output, Child), SpawnError> {
        let (mut process, group) = self.start()?;
        let id = process.id().expect("nobody waited for the process yet");
        let program: Arc<str> = self.name().into();

        let input = InputPipe::new(process.stdin.take().expect("the input is a pipe"));
        let (output_ended, told_output) = oneshot::channel();
        let (stderr_ended, told_stderr) = oneshot::channel();
        let (asked, ask) = {
            let (sender, receiver) = watch::channel(None);
            (receiver, Ask(Arc::new(sender)))
        };
        let output =
            Output::new(process.stdout.take().expect("the output is a pipe"), told_output, ask.clone());

        let tail = Arc::new(Tail::default());
        let (drained, told_drained) = oneshot::channel();
        let errors = Draining::new(process.stderr.take().expect("standard error is a pipe"), told_stderr);
        runtime::spawn(stderr::read(
            errors,
            Arc::clone(&program),
            self.listener(),
            Arc::clone(&tail),
            drained,
        ));

        let (exit, told_exit) = watch::channel(None);
        let (over, told_over) = watch::channel(false);
        let supervisor = Supervisor {
            process,
            group,
            patience: self.patience(),
            program: Arc::clone(&program),
            input: Arc::clone(&input),
            asked,
            ended: vec![output_ended, stderr_ended],
            drained: told_drained,
            tail,
            exit,
            over,
        };
        runtime::spawn(supervisor.run());
        let exited = Exited { program, exit: told_exit };
        Ok((Input::new(input), output, Child { id, ask, exited, over: told_over }))
    }
}

impl Child {
    /// The id of the process; on Unix that of its group too.
    #[cfg(test)]
    fn id(&self) -> u32 {
        self.id
    }

    /// Tells when the process has ended.
    pub(crate) fn exited(&self) -> Exited {
        self.exited.clone()
    }

    /// Begins to close it, and does not wait.
    pub(crate) fn let_go(&self) {
        self.ask.to_end(Cause::Closed);
    }

    /// Ends the input of the server and, when that does not end it in time, the process and its group. Done when nothing
    /// of the group is left, or what is left cannot be ended. Write what is still to be written before: this cuts it off.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future only stops waiting: it goes on in the background.
    pub(crate) async fn close(&self) -> Exit {
        self.ask.to_end(Cause::Closed);
        // An error is the end of the supervisor.
        let mut over = self.over.clone();
        let _over = over.wait_for(|over| *over).await.is_ok();
        self.exited.wait().await
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.ask.to_end(Cause::Closed);
    }
}

impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child")
            .field("program", &self.exited.program)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Exited {
    /// Waits until the process has ended and its last words were read. What it started may still be there: it is being
    /// ended, and not waited for.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub(crate) async fn wait(&self) -> Exit {
        let mut exit = self.exit.clone();
        let told = exit.wait_for(Option::is_some).await.ok().and_then(|exit| exit.clone());
        told.unwrap_or_else(|| Exit::untold(&self.program))
    }

    /// How it ended, if it has.
    #[cfg(test)]
    fn now(&self) -> Option<Exit> {
        self.exit.borrow().clone()
    }
}
