use super::{InvalidScope, ScopeSet, Why, is_scope};

/// Rules of one hierarchy: more than a server has scopes, and few enough that to follow them is nothing next to a request.
pub(super) const MAX_RULES: usize = 256;

/// Which scopes include others: `files:write` may include `files:read`, and so whatever that includes. A server must take
/// this into account when it decides whether a token suffices
/// (<https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization#step-up-authorization-flow>).
///
/// ```
/// use throughline_proto::auth::{ScopeHierarchy, ScopeSet};
///
/// let hierarchy = ScopeHierarchy::new().implies("admin", "files:write")?.implies("files:write", "files:read")?;
/// let required = ScopeSet::of(["files:read", "mail:read"])?;
/// assert_eq!(hierarchy.missing(&ScopeSet::parse("admin")?, &required).to_string(), "mail:read");
/// # Ok::<(), throughline_proto::auth::InvalidScope>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScopeHierarchy {
    /// The broader scope and the narrower one that it includes.
    rules: Vec<(Box<str>, Box<str>)>,
}

impl ScopeHierarchy {
    /// No scope includes another.
    #[must_use]
    pub const fn new() -> ScopeHierarchy {
        ScopeHierarchy { rules: Vec::new() }
    }

    /// Whoever has the broader scope has the narrower one, too, and what that includes. Rules may form a circle: then its
    /// scopes are worth the same.
    ///
    /// # Errors
    ///
    /// When one of them is no scope, or it is more than the 256th rule.
    pub fn implies(mut self, broader: &str, narrower: &str) -> Result<ScopeHierarchy, InvalidScope> {
        if !is_scope(broader) || !is_scope(narrower) {
            return Err(InvalidScope(Why::Character));
        }
        if self.rules.len() == MAX_RULES {
            return Err(InvalidScope(Why::Rules));
        }
        self.rules.push((broader.into(), narrower.into()));
        Ok(self)
    }

    /// Those of the required scopes that nothing granted includes, in their order. Without rules, and when everything was
    /// granted by name, it allocates nothing.
    #[must_use]
    pub fn missing(&self, granted: &ScopeSet, required: &ScopeSet) -> ScopeSet {
        let mut missing = ScopeSet::new();
        for scope in required.iter().filter(|scope| !self.includes(granted, scope)) {
            missing.push(scope);
        }
        missing
    }

    /// Is this scope granted, by its own name or by that of a broader one?
    #[must_use]
    pub fn includes(&self, granted: &ScopeSet, scope: &str) -> bool {
        if granted.contains(scope) {
            return true;
        }
        if self.rules.is_empty() {
            return false;
        }
        // Upwards, from the scope to whatever includes it; each name once, so that a circle ends.
        let mut reached = vec![scope];
        let mut next = 0;
        while let Some(narrower) = reached.get(next).copied() {
            next += 1;
            for (broader, _) in self.rules.iter().filter(|(_, included)| **included == *narrower) {
                if granted.contains(broader) {
                    return true;
                }
                if !reached.contains(&&**broader) {
                    reached.push(broader);
                }
            }
        }
        false
    }
}
