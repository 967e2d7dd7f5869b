//! Several questions at once.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{self, Poll};

use super::{Ask, AskError, Context, Question};

impl Context {
    /// Asks several questions at once and waits for all the answers: of a tuple of up to eight questions, an array or a
    /// list. A revision without sessions then puts them to the client together, in one round.
    ///
    /// It ends with the first error, for instance when the user declines; the other questions are taken back. To see each
    /// result, use `tokio::join!`, which asks at once just as well.
    ///
    /// ```
    /// use throughline::{Context, Result, tool};
    ///
    /// #[derive(serde::Deserialize, schemars::JsonSchema)]
    /// struct Dates { from: String, to: String }
    /// #[derive(serde::Deserialize, schemars::JsonSchema)]
    /// struct Seat { window: bool }
    ///
    /// /// Plans a flight.
    /// #[tool]
    /// async fn plan_flight(cx: Context) -> Result<String> {
    ///     let dates = cx.elicit::<Dates>("When?").key("dates");
    ///     let seat = cx.elicit::<Seat>("Where would you like to sit?").key("seat");
    ///     let (dates, seat) = cx.ask_all((dates, seat)).await?;
    ///     Ok(format!("{} to {}, window: {}", dates.from, dates.to, seat.window))
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// The first [`AskError`].
    ///
    /// # Drop behavior
    ///
    /// Dropping the future takes the questions back.
    pub async fn ask_all<A: AskAll>(&self, asks: A) -> Result<A::Answers, AskError> {
        asks.ask_all().await
    }
}

/// Several questions that can be asked at once. See [`Context::ask_all`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` are no questions that can be asked at once",
    note = "give a tuple of two to eight `Ask`s, or an array or `Vec` of `Ask`s"
)]
pub trait AskAll: Send {
    /// What they are answered with, in the same order.
    type Answers: Send;

    #[doc(hidden)]
    fn ask_all(self) -> impl Future<Output = Result<Self::Answers, AskError>> + Send;
}

impl<Q: Question> AskAll for Vec<Ask<Q>> {
    type Answers = Vec<Q::Answer>;

    async fn ask_all(self) -> Result<Self::Answers, AskError> {
        let mut waiting: Vec<Waiting<Q>> = self.into_iter().map(Waiting::new).collect();
        poll_fn(|cx| {
            let polled: Vec<_> = waiting.iter_mut().map(|waiting| waiting.poll(cx)).collect();
            all_there(polled)
        })
        .await?;
        Ok(waiting.into_iter().map(Waiting::take).collect())
    }
}

impl<Q: Question, const N: usize> AskAll for [Ask<Q>; N] {
    type Answers = [Q::Answer; N];

    async fn ask_all(self) -> Result<Self::Answers, AskError> {
        let mut waiting = self.map(Waiting::new);
        poll_fn(|cx| {
            let polled: Vec<_> = waiting.iter_mut().map(|waiting| waiting.poll(cx)).collect();
            all_there(polled)
        })
        .await?;
        Ok(waiting.map(Waiting::take))
    }
}

macro_rules! tuples {
    ($(($($question:ident $waiting:ident)*))*) => {$(
        impl<$($question: Question),*> AskAll for ($(Ask<$question>,)*) {
            type Answers = ($($question::Answer,)*);

            async fn ask_all(self) -> Result<Self::Answers, AskError> {
                let ($($waiting,)*) = self;
                let ($(mut $waiting,)*) = ($(Waiting::new($waiting),)*);
                poll_fn(|cx| all_there([$($waiting.poll(cx)),*])).await?;
                Ok(($($waiting.take(),)*))
            }
        }
    )*};
}

tuples! {
    (A a B b)
    (A a B b C c)
    (A a B b C c D d)
    (A a B b C c D d E e)
    (A a B b C c D d E e F f)
    (A a B b C c D d E e F f G g)
    (A a B b C c D d E e F f G g H h)
}

/// One of the questions.
enum Waiting<Q: Question> {
    Asked(Pin<Box<dyn Future<Output = Result<Q::Answer, AskError>> + Send>>),
    Answered(Q::Answer),
}

impl<Q: Question> Waiting<Q> {
    fn new(ask: Ask<Q>) -> Self {
        Self::Asked(ask.into_future())
    }

    fn poll(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), AskError>> {
        let Self::Asked(asked) = self else { return Poll::Ready(Ok(())) };
        let answer = std::task::ready!(asked.as_mut().poll(cx))?;
        *self = Self::Answered(answer);
        Poll::Ready(Ok(()))
    }

    fn take(self) -> Q::Answer {
        match self {
            Self::Answered(answer) => answer,
            Self::Asked(_) => unreachable!("all are answered when the wait ends"),
        }
    }
}

/// Ready when all are, or when one failed. All have been polled: each question is asked before any is awaited.
fn all_there(polled: impl IntoIterator<Item = Poll<Result<(), AskError>>>) -> Poll<Result<(), AskError>> {
    let mut all = Poll::Ready(Ok(()));
    for one in polled {
        match one {
            Poll::Ready(Ok(())) => {}
            failed @ Poll::Ready(Err(_)) => return failed,
            Poll::Pending => all = Poll::Pending,
        }
    }
    all
}
