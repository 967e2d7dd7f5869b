//! Questions under way, each asked once however many wait for its answer.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex};

use foldhash::fast::RandomState;
use tokio::sync::watch;

use super::verified::Print;
use crate::lock::Lock;
use crate::runtime;

/// Questions about tokens that are under way. Bounded in number.
pub(super) struct Flights<V> {
    under_way: UnderWay<V>,
    most: usize,
}

type UnderWay<V> = Arc<Mutex<HashMap<Print, watch::Receiver<Option<V>>, RandomState>>>;

impl<V: Clone + Send + Sync + 'static> Flights<V> {
    pub(super) fn new(most: usize) -> Self {
        Self { under_way: Arc::default(), most }
    }

    /// The answer to the question about this token: the one that is under way, or a new one. `None` when too many are, or
    /// when it came to no end.
    ///
    /// It runs as a task of its own: it goes on when whoever asked is gone, for the others.
    pub(super) async fn join<F>(&self, token: Print, ask: impl FnOnce() -> F) -> Option<V>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut answer = {
            let mut under_way = self.under_way.locked();
            match under_way.get(&token) {
                Some(answer) => answer.clone(),
                None if under_way.len() >= self.most => return None,
                None => {
                    let (sender, answer) = watch::channel(None);
                    under_way.insert(token, answer.clone());
                    let landing = Landing { under_way: Arc::clone(&self.under_way), token };
                    let asking = ask();
                    let _ = runtime::spawn(async move {
                        let answer = asking.await;
                        drop(landing);
                        sender.send_replace(Some(answer));
                    });
                    answer
                }
            }
        };
        answer.wait_for(Option::is_some).await.ok()?.clone()
    }
}

/// Takes the question away when it has an answer, or came to no end.
struct Landing<V> {
    under_way: UnderWay<V>,
    token: Print,
}

impl<V> Drop for Landing<V> {
    fn drop(&mut self) {
        self.under_way.locked().remove(&self.token);
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn many_who_wait_for_one_answer_ask_once() {
        let flights = Arc::new(Flights::new(1));
        let (answer, answered) = oneshot::channel();
        let (asked, mut was_asked) = watch::channel(0);
        let first = tokio::spawn({
            let flights = Arc::clone(&flights);
            async move {
                let ask = || {
                    asked.send_modify(|times| *times += 1);
                    async move { answered.await.unwrap() }
                };
                flights.join(Print(1), ask).await
            }
        });
        was_asked.wait_for(|times| *times == 1).await.unwrap();
        let others: Vec<_> = (0..50)
            .map(|_| {
                let flights = Arc::clone(&flights);
                tokio::spawn(async move { flights.join(Print(1), || async { unreachable!() }).await })
            })
            .collect();
        assert_eq!(flights.join(Print(2), || async { 0 }).await, None, "one is as many as there may be");
        tokio::task::yield_now().await;
        answer.send(7).unwrap();
        assert_eq!(first.await.unwrap(), Some(7));
        for other in others {
            assert_eq!(other.await.unwrap(), Some(7));
        }
        assert_eq!(flights.join(Print(2), || async { 8 }).await, Some(8), "there is room again");
    }

    #[tokio::test]
    async fn a_question_that_panics_holds_nobody_up() {
        let flights = Flights::<u8>::new(1);
        assert_eq!(flights.join(Print(1), || async { panic!("on purpose") }).await, None);
        assert_eq!(flights.join(Print(1), || async { 1 }).await, Some(1));
    }

    #[tokio::test]
    async fn whoever_asked_may_go() {
        let flights = Arc::new(Flights::new(1));
        let (answer, answered) = oneshot::channel();
        let mut first = Box::pin(flights.join(Print(1), || async move { answered.await.unwrap() }));
        assert!(
            std::future::poll_fn(|cx| std::task::Poll::Ready(first.as_mut().poll(cx).is_pending())).await
        );
        drop(first);
        let second = tokio::spawn({
            let flights = Arc::clone(&flights);
            async move { flights.join(Print(1), || async { 0 }).await }
        });
        tokio::task::yield_now().await;
        answer.send(5).unwrap();
        assert_eq!(second.await.unwrap(), Some(5));
    }
}
