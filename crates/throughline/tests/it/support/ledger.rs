//! A server whose one tool works in many steps, and a ledger of what ran.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use throughline::{Context, Error, Server, tool};
use tokio::sync::watch;

/// What [`Ledger::server`]'s tool `work` is to do.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct Work {
    /// Who calls.
    pub(crate) owner: String,
    /// Its number: the id of the request.
    pub(crate) call: u64,
    /// How many progress notifications to send.
    pub(crate) steps: u64,
    /// Milliseconds between two of them.
    #[serde(default)]
    pub(crate) pause: u64,
    /// Spaces at the end of each message.
    #[serde(default)]
    pub(crate) pad: usize,
    /// Wait after each so many steps until the caller was seen to have them.
    #[serde(default)]
    pub(crate) wait_each: u64,
    /// Ask the client after so many steps.
    #[serde(default)]
    pub(crate) ask_after: u64,
}

/// What became of one call on the server's side.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Ran {
    /// How often it was begun.
    pub(crate) begun: usize,
    /// How often it came to its end.
    pub(crate) finished: usize,
    /// How often it was dropped before.
    pub(crate) dropped: usize,
}

/// Notes down every call. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Ledger(Arc<Mutex<Book>>);

#[derive(Default)]
struct Book {
    calls: BTreeMap<String, Entry>,
    /// The calls of each owner.
    running: BTreeMap<String, AtOnce>,
}

#[derive(Default)]
struct AtOnce {
    now: usize,
    most: usize,
}

#[derive(Default)]
struct Entry {
    ran: Ran,
    /// How many steps the caller has seen.
    seen: watch::Sender<u64>,
}

impl Ledger {
    /// How a call is named in its progress and its result.
    pub(crate) fn label(owner: &str, call: u64) -> String {
        format!("{owner}/{call}")
    }

    /// `work`: sends progress, and answers with its label.
    pub(crate) fn server(&self) -> Server {
        let ledger = self.clone();
        Server::new("ledger", "1").tool(tool("work", move |work: Work, cx: Context| {
            let running = ledger.begin(&work);
            let ledger = ledger.clone();
            async move {
                let label = Self::label(&work.owner, work.call);
                let message = format!("{label}{:pad$}", "", pad = work.pad);
                for step in 1..=work.steps {
                    cx.progress(step as f64).total(work.steps as f64).message(&message).await?;
                    if work.wait_each > 0 && step % work.wait_each == 0 {
                        ledger.until_seen(&label, step).await;
                    }
                    if work.pause > 0 {
                        tokio::time::sleep(Duration::from_millis(work.pause)).await;
                    }
                    if work.ask_after == step {
                        let roots = cx.roots().timeout(ASK_PATIENCE).await?;
                        let own = format!("file:///{}", work.call);
                        assert!(roots.len() == 1 && roots[0].uri.as_str() == own, "{label}: {roots:?}");
                    }
                }
                running.finish();
                Ok::<_, Error>(label)
            }
        }))
    }

    /// The caller has seen so many steps.
    pub(crate) fn saw(&self, label: &str, steps: u64) {
        let mut book = self.book();
        book.calls.entry(label.to_owned()).or_default().seen.send_if_modified(|seen| {
            let more = steps > *seen;
            *seen = steps.max(*seen);
            more
        });
    }

    /// The caller looks no more: the call need not wait for it.
    pub(crate) fn let_go(&self, label: &str) {
        self.saw(label, u64::MAX);
    }

    pub(crate) fn ran(&self, label: &str) -> Ran {
        self.book().calls.get(label).map(|entry| entry.ran).unwrap_or_default()
    }

    /// The most calls of an owner that ran at once.
    pub(crate) fn most_at_once(&self, owner: &str) -> usize {
        self.book().running.get(owner).map_or(0, |running| running.most)
    }

    async fn until_seen(&self, label: &str, steps: u64) {
        let mut seen = self.book().calls.entry(label.to_owned()).or_default().seen.subscribe();
        seen.wait_for(|seen| *seen >= steps).await.expect("the ledger is kept");
    }

    fn begin(&self, work: &Work) -> Running {
        let label = Self::label(&work.owner, work.call);
        let mut book = self.book();
        book.calls.entry(label.clone()).or_default().ran.begun += 1;
        let running = book.running.entry(work.owner.clone()).or_default();
        running.now += 1;
        running.most = running.most.max(running.now);
        drop(book);
        Running { ledger: self.clone(), owner: work.owner.clone(), label, finished: false }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap()
    }
}

/// A call that runs. Dropped, it is noted down as such.
struct Running {
    ledger: Ledger,
    owner: String,
    label: String,
    finished: bool,
}

impl Running {
    fn finish(mut self) {
        self.finished = true;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut book = self.ledger.book();
        let ran = &mut book.calls.get_mut(&self.label).expect("it was begun").ran;
        if self.finished {
            ran.finished += 1;
        } else {
            ran.dropped += 1;
        }
        book.running.get_mut(&self.owner).expect("it was begun").now -= 1;
    }
}

/// Longer than any network here is down.
const ASK_PATIENCE: Duration = Duration::from_secs(24 * 3600);
