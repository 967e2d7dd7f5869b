//! What the code of the macros calls, besides the public interface.

use std::fmt::Display;
use std::future::Future;
use std::marker::PhantomData;
use std::ops::{Bound, RangeBounds};
use std::pin::Pin;
use std::task::{self, Poll};

use pin_project_lite::pin_project;

use crate::runtime;

/// What an async function under a macro returns: its future, which knows what the function is to a server.
#[diagnostic::on_unimplemented(
    message = "this function is no tool, prompt or resource",
    note = "put `#[tool]`, `#[prompt]` or `#[resource(..)]` on the function"
)]
pub trait Described: Future {
    /// A `ToolDef`, for instance.
    type Definition;

    /// Makes it.
    fn definition() -> Self::Definition;
}

/// What makes a definition: a type that the macro writes.
pub trait Define {
    /// A `ToolDef`, for instance.
    type Definition;

    /// Makes it.
    fn define() -> Self::Definition;
}

pin_project! {
    /// A future together with the type that makes its function's definition.
    pub struct Running<D, F> {
        #[pin]
        future: F,
        define: PhantomData<fn() -> D>,
    }
}

impl<D: Define, F: Future> Running<D, F> {
    /// Nothing is added to the future but its type.
    pub fn new(future: F) -> Self {
        Self { future, define: PhantomData }
    }
}

impl<D, F: Future> Future for Running<D, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<F::Output> {
        self.project().future.poll(cx)
    }
}

impl<D: Define, F: Future> Described for Running<D, F> {
    type Definition = D::Definition;

    fn definition() -> D::Definition {
        D::define()
    }
}

impl<D, F> std::fmt::Debug for Running<D, F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").finish_non_exhaustive()
    }
}

/// Runs a function without `async` where it may block. One that waits for its turn is taken back when this is dropped;
/// one that runs goes on.
pub async fn blocking<R: Send + 'static>(function: impl FnOnce() -> R + Send + 'static) -> R {
    let span = tracing::Span::current();
    match runtime::blocking(move || span.in_scope(function)).await {
        Ok(output) => output,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// A number, as far as `#[arg(range = ..)]` is concerned.
#[diagnostic::on_unimplemented(
    message = "`range`, `min` and `max` limit numbers, and `{Self}` is none",
    label = "not a number",
    note = "use `length` for texts and lists; check anything else in the type's own `Deserialize`"
)]
pub trait Number: PartialOrd + Display {}

macro_rules! numbers {
    ($($type:ty)*) => {$(impl Number for $type {})*};
}

numbers!(i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize f32 f64);

/// Whether a number is in its range; else a sentence that says what was expected.
///
/// # Errors
///
/// That sentence.
pub fn in_range<T: Number>(value: &T, range: impl RangeBounds<T>) -> Result<(), String> {
    if range.contains(value) { Ok(()) } else { Err(outside(value, &range)) }
}

/// Whether a text or list is as long as it may be; else a sentence that says what was expected. A text is measured in
/// characters, as JSON Schema does.
///
/// # Errors
///
/// That sentence.
pub fn in_length(length: usize, unit: &str, range: impl RangeBounds<usize>) -> Result<(), String> {
    if range.contains(&length) {
        Ok(())
    } else {
        Err(outside(&format_args!("a length of {length} {unit}"), &range))
    }
}

#[cold]
fn outside<T: Display>(value: &dyn Display, range: &impl RangeBounds<T>) -> String {
    let from = match range.start_bound() {
        Bound::Included(least) => format!("at least {least}"),
        Bound::Excluded(least) => format!("more than {least}"),
        Bound::Unbounded => String::new(),
    };
    let to = match range.end_bound() {
        Bound::Included(most) => format!("at most {most}"),
        Bound::Excluded(most) => format!("less than {most}"),
        Bound::Unbounded => String::new(),
    };
    let and = if from.is_empty() || to.is_empty() { "" } else { " and " };
    format!("{value} is out of range, expected {from}{and}{to}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_out_of_range_is_told_the_range() {
        assert_eq!(in_range(&5, 1..=5), Ok(()));
        assert_eq!(in_range(&6, 1..=5), Err("6 is out of range, expected at least 1 and at most 5".into()));
        assert_eq!(in_range(&1.0, ..1.0), Err("1 is out of range, expected less than 1".into()));
        assert_eq!(in_range(&f64::NAN, 0.0..), Err("NaN is out of range, expected at least 0".into()));
        assert_eq!(
            in_length(3, "items", ..=2),
            Err("a length of 3 items is out of range, expected at most 2".into())
        );
    }
}
