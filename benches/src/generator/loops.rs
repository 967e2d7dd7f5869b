//! The two ways in which requests follow each other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio::task::{JoinSet, yield_now};

use super::until::{Going, Until};
use crate::Result;

/// What sends one request after another over a connection of its own.
pub(super) trait Caller: Sized + Send + 'static {
    /// One request, sent and answered.
    fn call(&mut self) -> impl Future<Output = Result<Took>> + Send;

    /// Leaves the target as it was found.
    fn close(self) -> impl Future<Output = Result<()>> + Send;
}

/// When a request was sent, and when its answer had come to its end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Took {
    pub(super) started: Instant,
    pub(super) ended: Instant,
}

impl Took {
    pub(super) fn time(self) -> Duration {
        self.ended - self.started
    }
}

/// Opens all callers at once.
pub(super) async fn open<C, F>(count: usize, open: impl Fn() -> F) -> Result<Vec<C>>
where
    C: Caller,
    F: Future<Output = Result<C>> + Send + 'static,
{
    let mut opening = JoinSet::new();
    for _ in 0..count {
        opening.spawn(open());
    }
    all(opening).await
}

/// The closed loop: each caller sends when its last answer has come. Adds the latency of each.
pub(super) async fn closed<C: Caller>(
    callers: Vec<C>,
    until: Until,
    latencies: &mut Vec<Duration>,
) -> Result<Vec<C>> {
    let until = until.per(callers.len().max(1));
    let mut running = JoinSet::new();
    for mut caller in callers {
        running.spawn(async move {
            let mut latencies = Vec::new();
            let mut going = until.begin();
            let mut now = Instant::now();
            while going.is_on(now) {
                let took = caller.call().await?;
                latencies.push(took.time());
                now = took.ended;
            }
            Ok((caller, latencies))
        });
    }
    gather(running, latencies).await
}

/// The open loop: a request is due every `interval`, whatever became of those before it, and goes out over the caller that has
/// been free for longest. Its latency counts from when it was due, so that one slow answer is charged to every request that
/// had to wait behind it (no coordinated omission).
pub(super) async fn at_rate<C: Caller>(
    callers: Vec<C>,
    until: Until,
    interval: Duration,
    latencies: &mut Vec<Duration>,
) -> Result<Vec<C>> {
    let first = Instant::now();
    // A caller that is free waits in this queue, which is fair, and the one at its head for the moment.
    let schedule = Arc::new(Mutex::new(Schedule { due: first, interval, going: until.begin() }));
    let mut running = JoinSet::new();
    for mut caller in callers {
        let schedule = Arc::clone(&schedule);
        running.spawn(async move {
            let mut latencies = Vec::new();
            loop {
                let mut schedule = schedule.lock().await;
                let Some(due) = schedule.next() else { break };
                // Timers are good for a millisecond; the generator has its core for itself.
                while Instant::now() < due {
                    yield_now().await;
                }
                drop(schedule);
                let took = caller.call().await?;
                latencies.push(took.ended - due);
            }
            Ok((caller, latencies))
        });
    }
    gather(running, latencies).await
}

/// When requests are due.
struct Schedule {
    due: Instant,
    interval: Duration,
    going: Going,
}

impl Schedule {
    fn next(&mut self) -> Option<Instant> {
        let due = self.due;
        self.due += self.interval;
        self.going.is_on(due).then_some(due)
    }
}

type Done<C> = Result<(C, Vec<Duration>)>;

async fn gather<C: Caller>(running: JoinSet<Done<C>>, latencies: &mut Vec<Duration>) -> Result<Vec<C>> {
    let mut callers = Vec::with_capacity(running.len());
    for (caller, some) in all(running).await? {
        latencies.extend(some);
        callers.push(caller);
    }
    Ok(callers)
}

/// Waits for all tasks; the first failure drops the others.
async fn all<T: 'static>(mut tasks: JoinSet<Result<T>>) -> Result<Vec<T>> {
    let mut done = Vec::with_capacity(tasks.len());
    while let Some(task) = tasks.join_next().await {
        done.push(task??);
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers at once, but the first answer takes `pause`.
    struct Pausing {
        pause: Option<Duration>,
    }

    impl Caller for Pausing {
        async fn call(&mut self) -> Result<Took> {
            let started = Instant::now();
            let pause = self.pause.take().unwrap_or_default();
            while started.elapsed() < pause {
                yield_now().await;
            }
            Ok(Took { started, ended: Instant::now() })
        }

        async fn close(self) -> Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_pause_is_charged_to_all_who_waited_behind_it_in_the_open_loop() {
        let pause = Duration::from_millis(50);
        let one = || vec![Pausing { pause: Some(pause) }];
        let (mut closed_loop, mut open_loop) = (Vec::new(), Vec::new());
        closed(one(), Until::Answers(10), &mut closed_loop).await.unwrap();
        at_rate(one(), Until::Answers(10), Duration::from_millis(1), &mut open_loop).await.unwrap();
        assert_eq!((closed_loop.len(), open_loop.len()), (10, 10));
        assert!(closed_loop[0] >= pause);
        // The tenth was due 9 ms after the first, and could not be sent before the pause was over.
        let least = pause - Duration::from_millis(9);
        assert!(open_loop.iter().all(|time| *time >= least), "{open_loop:?}");
    }

    #[tokio::test]
    async fn requests_go_on_over_the_callers_that_are_free() {
        let pause = Duration::from_millis(50);
        let callers = vec![Pausing { pause: Some(pause) }, Pausing { pause: None }];
        let mut latencies = Vec::new();
        let callers =
            at_rate(callers, Until::Answers(20), Duration::from_micros(100), &mut latencies).await.unwrap();
        assert_eq!((callers.len(), latencies.len()), (2, 20));
    }
}
