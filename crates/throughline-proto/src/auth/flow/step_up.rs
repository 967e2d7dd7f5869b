use std::collections::VecDeque;

use crate::auth::{Challenge, ScopeSet};

/// How often more scopes are asked for, for one operation on one resource. With the login before them, a person is asked
/// three times at most.
const MOST_STEP_UPS: u32 = 2;

/// How often the same scopes are asked for again: the person may have left one out. Whoever asks a third time is not heard.
const MOST_REPEATS: u32 = 1;

/// Operations that are remembered; the oldest is forgotten first. A client that calls more tools than this, each refused
/// for its scopes, asks the person more often than it should, and not for ever.
const MOST_OPERATIONS: usize = 256;

/// Characters of an operation's name that count.
const MAX_NAME: usize = 256;

/// Decides on `insufficient_scope` (403): log in again for more, or give up. It remembers how often that was tried for each
/// resource and operation.
///
/// ```
/// use throughline_proto::auth::flow::{StepUp, StepUps};
/// use throughline_proto::auth::{Challenge, ScopeSet};
///
/// let mut step_ups = StepUps::new();
/// let asked_before = ScopeSet::parse("files:read")?;
/// let challenge = Challenge::bearer().with_scope(ScopeSet::parse("files:write")?);
/// let StepUp::LogIn { scopes } =
///     step_ups.decide("https://mcp.example.com/mcp", "tools/call write_file", &asked_before, &challenge)
/// else {
///     panic!("it is the first time")
/// };
/// assert_eq!(scopes.as_str(), "files:read files:write");
/// # Ok::<(), throughline_proto::auth::InvalidScope>(())
/// ```
///
/// Specification:
/// [step-up authorization flow](https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization#step-up-authorization-flow).
#[derive(Clone, Debug, Default)]
pub struct StepUps {
    tried: VecDeque<Tried>,
}

#[derive(Clone, Debug)]
struct Tried {
    resource: String,
    operation: String,
    times: u32,
}

/// What to do about a lack of scopes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepUp {
    /// Log in again, with the challenge in the [`LoginRequest`](super::LoginRequest) and what is held; the login will ask for
    /// these scopes at least. Then send the request again.
    LogIn {
        /// Those that were asked for before, and those of the challenge.
        scopes: ScopeSet,
    },
    /// Tell the caller: it was tried often enough, or the challenge names no scope to ask for.
    GiveUp,
}

impl StepUps {
    /// Nothing was tried yet.
    #[must_use]
    pub fn new() -> StepUps {
        StepUps::default()
    }

    /// What to do about this challenge, which came for an `operation` (the method, and the name of the tool, prompt or
    /// resource) on a `resource`. `requested` are the scopes of the login that is held ([`Login::requested`]). To be told to
    /// log in counts as a try.
    ///
    /// [`Login::requested`]: super::Login::requested
    #[must_use]
    pub fn decide(
        &mut self,
        resource: &str,
        operation: &str,
        requested: &ScopeSet,
        challenge: &Challenge,
    ) -> StepUp {
        let Some(needed) = challenge.scope.as_ref().filter(|scopes| !scopes.is_empty()) else {
            return StepUp::GiveUp;
        };
        let most = if needed.is_subset_of(requested) { MOST_REPEATS } else { MOST_STEP_UPS };
        let tried = self.tried(resource, operation);
        if tried.times >= most {
            return StepUp::GiveUp;
        }
        tried.times += 1;
        StepUp::LogIn { scopes: requested.union(needed) }
    }

    /// The operation succeeded: its tries are forgotten.
    pub fn succeeded(&mut self, resource: &str, operation: &str) {
        let operation = named(operation);
        self.tried.retain(|tried| tried.resource != resource || tried.operation != operation);
    }

    fn tried(&mut self, resource: &str, operation: &str) -> &mut Tried {
        let operation = named(operation);
        let known =
            self.tried.iter().position(|tried| tried.resource == resource && tried.operation == operation);
        let at = known.unwrap_or_else(|| {
            if self.tried.len() == MOST_OPERATIONS {
                self.tried.pop_front();
            }
            self.tried.push_back(Tried {
                resource: resource.to_owned(),
                operation: operation.to_owned(),
                times: 0,
            });
            self.tried.len() - 1
        });
        &mut self.tried[at]
    }
}

fn named(operation: &str) -> &str {
    operation.char_indices().nth(MAX_NAME).map_or(operation, |(end, _)| &operation[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> ScopeSet {
        ScopeSet::parse(text).unwrap()
    }

    #[test]
    fn it_is_tried_twice_for_each_resource_and_operation() {
        let mut step_ups = StepUps::new();
        let challenge = Challenge::bearer().with_scope(set("admin"));
        let mut decide = |resource: &str, operation: &str| {
            step_ups.decide(resource, operation, &set("read"), &challenge) != StepUp::GiveUp
        };
        assert!(decide("a", "x") && decide("a", "x"));
        assert!(!decide("a", "x"));
        assert!(decide("a", "y"), "another operation");
        assert!(decide("b", "x"), "another resource");
        assert!(!decide("a", "x"));
        step_ups.succeeded("a", "x");
        assert_eq!(
            step_ups.decide("a", "x", &set("read"), &challenge),
            StepUp::LogIn { scopes: set("read admin") }
        );
    }

    #[test]
    fn the_same_scopes_are_asked_for_again_once() {
        let challenge = Challenge::bearer().with_scope(set("admin"));
        // The login asked for it already, and got a token that does not do.
        let mut step_ups = StepUps::new();
        assert_ne!(step_ups.decide("a", "x", &set("admin"), &challenge), StepUp::GiveUp);
        assert_eq!(step_ups.decide("a", "x", &set("admin"), &challenge), StepUp::GiveUp);
        // It was asked for by a step-up.
        let mut step_ups = StepUps::new();
        assert_ne!(step_ups.decide("a", "x", &set("read"), &challenge), StepUp::GiveUp);
        assert_eq!(step_ups.decide("a", "x", &set("read admin"), &challenge), StepUp::GiveUp);
        // A server that asks for one after the other.
        let more = Challenge::bearer().with_scope(set("write"));
        assert_ne!(step_ups.decide("a", "x", &set("read admin"), &more), StepUp::GiveUp);
        assert_eq!(step_ups.decide("a", "x", &set("read admin write"), &more), StepUp::GiveUp);
    }

    #[test]
    fn without_scopes_there_is_nothing_to_ask_for() {
        let mut step_ups = StepUps::new();
        for challenge in [Challenge::bearer(), Challenge::bearer().with_scope(ScopeSet::new())] {
            assert_eq!(step_ups.decide("a", "x", &set("read"), &challenge), StepUp::GiveUp);
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut step_ups = StepUps::new();
        let challenge = Challenge::bearer().with_scope(set("admin"));
        for number in 0..1000 {
            let _ = step_ups.decide("a", &format!("{number} {}", "ü".repeat(1000)), &set(""), &challenge);
        }
        assert_eq!(step_ups.tried.len(), MOST_OPERATIONS);
        assert!(step_ups.tried.iter().all(|tried| tried.operation.chars().count() <= MAX_NAME));
    }
}
