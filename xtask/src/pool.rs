//! Work that is done side by side.

use crate::sh::Result;
use std::sync::Mutex;

/// Does the work of every item, `at_once` of them at the same moment, taken in order. A failure lets the others that have
/// begun end, and no worker of a failed item begins another.
pub(crate) fn side_by_side<I: Send, T: Send>(
    at_once: usize,
    items: impl IntoIterator<Item = I, IntoIter: Send>,
    work: impl Fn(I) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let left = Mutex::new(items.into_iter());
    let next = || left.lock().ok()?.next();
    std::thread::scope(|scope| {
        let worker = || std::iter::from_fn(next).map(&work).collect::<Result<Vec<T>>>();
        let workers: Vec<_> = (0..at_once).map(|_| scope.spawn(worker)).collect();
        let mut done = Vec::new();
        let mut failure = None;
        for worker in workers {
            match worker.join().unwrap_or_else(|_| Err("a worker's thread panicked".into())) {
                Ok(of_worker) => done.extend(of_worker),
                Err(message) => failure = failure.or(Some(message)),
            }
        }
        failure.map_or(Ok(done), Err)
    })
}

/// Does two things at the same moment. Both end; the first one's failure is told before the other's.
pub(crate) fn both(
    one: impl FnOnce() -> Result<()> + Send,
    other: impl FnOnce() -> Result<()>,
) -> Result<()> {
    std::thread::scope(|scope| {
        let one = scope.spawn(one);
        let other = other();
        one.join().map_err(|_| "a worker's thread panicked")?.and(other)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    #[test]
    fn so_many_work_at_the_same_moment_and_no_more() {
        // Both workers have to be there for either to go on.
        let meet = Barrier::new(2);
        let mut done = side_by_side(2, 0..6, |item| {
            meet.wait();
            Ok(item * 10)
        })
        .unwrap();
        done.sort_unstable();
        assert_eq!(done, [0, 10, 20, 30, 40, 50]);
    }

    #[test]
    fn a_failure_is_told_and_ends_its_worker() {
        let begun = Mutex::new(0);
        let failed = side_by_side(1, 0..9, |item| {
            *begun.lock().unwrap() += 1;
            if item == 2 { Err(format!("{item} is no good")) } else { Ok(()) }
        });
        assert_eq!(failed, Err("2 is no good".into()));
        assert_eq!(*begun.lock().unwrap(), 3);
    }

    #[test]
    fn both_end_and_the_first_failure_is_told() {
        let meet = Barrier::new(2);
        let wait = |result: Result<()>| {
            let meet = &meet;
            move || {
                meet.wait();
                result
            }
        };
        assert_eq!(both(wait(Ok(())), wait(Ok(()))), Ok(()));
        assert_eq!(both(wait(Ok(())), wait(Err("other".into()))), Err("other".into()));
        assert_eq!(both(wait(Err("one".into())), wait(Err("other".into()))), Err("one".into()));
    }
}
