//! The task that sees a process to its end.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use super::Patience;
use super::exit::{Cause, Exit, How};
use super::group::Group;
use super::pipes::InputPipe;
use super::stderr::Tail;

/// What sees the process to its end. Dropped midway, with the runtime, it kills the group.
pub(super) struct Supervisor {
    pub(super) process: tokio::process::Child,
    pub(super) group: Group,
    pub(super) patience: Patience,
    pub(super) program: Arc<str>,
    pub(super) input: Arc<InputPipe>,
    pub(super) asked: watch::Receiver<Option<Cause>>,
    /// Tell who reads what the process writes that it writes no more.
    pub(super) ended: Vec<oneshot::Sender<()>>,
    /// Told when standard error was read to its end.
    pub(super) drained: oneshot::Receiver<()>,
    pub(super) tail: Arc<Tail>,
    pub(super) exit: watch::Sender<Option<Exit>>,
    pub(super) over: watch::Sender<bool>,
}

/// How far down the ladder it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Input,
    Term,
    Kill,
}

impl Supervisor {
    pub(super) async fn run(mut self) {
        let asked = tokio::select! {
            biased;
            how = How::of(&mut self.process) => Err(how),
            cause = asked(&mut self.asked) => Ok(cause),
        };
        let (how, cause, step) = match asked {
            Err(how) => (how, Cause::Itself, Step::Input),
            Ok(cause) => {
                let (how, step) = self.walk().await;
                // The output of a process that ends is closed a moment earlier: then it ended by itself.
                let by_itself = cause == Cause::ClosedOutput && step == Step::Input;
                (how, if by_itself { Cause::Itself } else { cause }, step)
            }
        };
        // Who waits to write learns that nobody reads, also where what stays of the group holds the pipe open.
        self.input.close();
        if step == Step::Input {
            self.group.term();
        }
        for ended in self.ended.drain(..) {
            // Nobody may be reading any more.
            let _nobody = ended.send(());
        }
        // An error is the end of the reader, as good as its word.
        let _drained = timeout(DRAINING, &mut self.drained).await;
        self.exit.send_replace(Some(Exit::new(&self.program, how, cause, self.tail.lines())));

        if step < Step::Kill && !self.group.gone(self.patience.term).await {
            tracing::warn!(program = %self.program, "killing what the server left behind: it ignores TERM");
            self.group.kill();
        }
        if !self.group.gone(self.patience.kill).await {
            tracing::warn!(
                program = %self.program,
                "processes of the server are left although they were killed; look for them in the process table"
            );
        }
        self.group.let_go();
        self.over.send_replace(true);
    }

    /// Ends the process: step by step, until it has.
    async fn walk(&mut self) -> (How, Step) {
        self.input.close();
        if let Ok(how) = timeout(self.patience.input, How::of(&mut self.process)).await {
            return (how, Step::Input);
        }
        if cfg!(unix) {
            tracing::debug!(program = %self.program, "the server goes on after the end of its input: sending TERM");
            self.group.term();
            if let Ok(how) = timeout(self.patience.term, How::of(&mut self.process)).await {
                return (how, Step::Term);
            }
        }
        tracing::warn!(program = %self.program, "killing the server: neither the end of its input nor TERM ended it");
        self.group.kill();
        // Where there are no groups this is what ends it; elsewhere it is dead already.
        let _dead = self.process.start_kill();
        let how = timeout(self.patience.kill, How::of(&mut self.process)).await;
        (how.unwrap_or(How::Unknown), Step::Kill)
    }
}

/// Waits until somebody wants the process to end.
async fn asked(asked: &mut watch::Receiver<Option<Cause>>) -> Cause {
    // An error: nobody is left who could ask.
    asked.wait_for(Option::is_some).await.ok().and_then(|cause| *cause).unwrap_or(Cause::Closed)
}

/// How long the last words of a process may take, from its pipe to the callback: they are there already, so this only
/// matters where the callback is slow.
const DRAINING: Duration = Duration::from_secs(1);
