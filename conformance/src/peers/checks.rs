//! A line for each check.

use std::fmt;
use std::future::Future;
use std::time::Duration;

/// Why a check failed.
pub(crate) type Failure = Box<dyn std::error::Error>;
pub(crate) type Checked<T = ()> = Result<T, Failure>;

/// A check that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(60);

/// The checks of one run.
#[derive(Default)]
pub(crate) struct Checks {
    failed: usize,
}

impl Checks {
    /// Makes a check and prints how it went. `None` when it failed.
    pub(crate) async fn make<T>(&mut self, name: &str, check: impl Future<Output = Checked<T>>) -> Option<T> {
        let outcome = match tokio::time::timeout(LIMIT, check).await {
            Ok(outcome) => outcome,
            Err(_) => Err(format!("it had not ended after {} s", LIMIT.as_secs()).into()),
        };
        match outcome {
            Ok(value) => {
                println!("ok {name}");
                Some(value)
            }
            Err(error) => {
                // A line each.
                println!("FAIL {name}: {}", error.to_string().replace('\n', " "));
                self.failed += 1;
                None
            }
        }
    }

    pub(crate) fn all_passed(&self) -> bool {
        self.failed == 0
    }
}

/// What it is must be what is wanted.
pub(crate) fn same<T: PartialEq<U> + fmt::Debug, U: fmt::Debug>(what: &str, is: T, wanted: U) -> Checked {
    if is == wanted { Ok(()) } else { Err(format!("{what}: it is {is:?}, not {wanted:?}").into()) }
}

pub(crate) fn holds(what: &str, is_so: bool) -> Checked {
    if is_so { Ok(()) } else { Err(format!("{what}: it is not so").into()) }
}
