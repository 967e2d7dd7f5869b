use crate::auth::ScopeSet;

/// The scope by which OpenID providers issue refresh tokens
/// ([OpenID Connect, 11](https://openid.net/specs/openid-connect-core-1_0.html#OfflineAccess)).
pub(super) const OFFLINE_ACCESS: &str = "offline_access";

/// What is known when scopes are chosen.
pub(super) struct Choice<'a> {
    /// Those of the challenge.
    pub(super) challenged: Option<&'a ScopeSet>,
    /// Those that the client's own settings name.
    pub(super) own: Option<&'a ScopeSet>,
    /// Those that the resource lists.
    pub(super) resource: Option<&'a ScopeSet>,
    /// Those that the authorization server lists.
    pub(super) server: Option<&'a ScopeSet>,
    /// Those that were asked for before, there and for this resource.
    pub(super) before: Option<&'a ScopeSet>,
    /// Whether a refresh token is wanted.
    pub(super) offline: bool,
}

impl Choice<'_> {
    /// The scopes to ask for; none: the parameter is left out, and the server's default counts.
    ///
    /// Those of the challenge count most; without them the client's own, or else all that the resource lists. What was asked
    /// for before is asked for again, as the new token takes the place of the old one.
    ///
    /// Specification:
    /// [scope selection strategy](https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization#scope-selection-strategy).
    pub(super) fn scopes(&self) -> ScopeSet {
        let none = ScopeSet::new();
        let some = |scopes: Option<&ScopeSet>| scopes.filter(|scopes| !scopes.is_empty()).cloned();
        let wanted = match (some(self.challenged), some(self.own)) {
            (Some(challenged), Some(own)) => own.union(&challenged),
            (Some(challenged), None) => challenged,
            (None, Some(own)) => own,
            (None, None) => some(self.resource).unwrap_or_default(),
        };
        let wanted = self.before.unwrap_or(&none).union(&wanted);
        self.with_offline_access(wanted)
    }

    /// `offline_access` is asked for only where the authorization server has it, whoever else lists it
    /// ([refresh tokens](https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization#refresh-tokens)).
    /// It is not asked for alone: that would take the place of the server's default.
    fn with_offline_access(&self, wanted: ScopeSet) -> ScopeSet {
        let offline = ScopeSet::parse(OFFLINE_ACCESS).expect("it is a scope");
        let others = wanted.difference(&offline);
        let listed = self.server.is_some_and(|scopes| scopes.contains(OFFLINE_ACCESS));
        let wanted = self.offline || wanted.contains(OFFLINE_ACCESS);
        if listed && wanted && !others.is_empty() { others.union(&offline) } else { others }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> ScopeSet {
        ScopeSet::parse(text).unwrap()
    }

    #[test]
    fn scopes_by_where_they_are_named() {
        // challenge, own, resource, server, before -> asked for (with a refresh token wanted)
        for (challenged, own, resource, server, before, asked) in [
            ("", "", "", "", "", ""),
            ("a", "", "b c", "", "", "a"),
            ("", "", "b c", "", "", "b c"),
            ("", "o", "b c", "", "", "o"),
            ("a", "o", "b c", "", "", "o a"),
            ("w", "", "p", "", "r", "r w"),
            ("", "", "", "", "r", "r"),
            ("a", "", "", "a offline_access", "", "a offline_access"),
            ("a", "", "", "a", "", "a"),
            ("a offline_access", "", "", "a", "", "a"),
            ("a offline_access", "", "", "", "", "a"),
            ("", "", "b offline_access", "offline_access", "", "b offline_access"),
            ("", "", "", "offline_access", "", ""),
            ("w", "", "", "offline_access", "r offline_access", "r w offline_access"),
            // Another authorization server no longer has it.
            ("w", "", "", "x", "r offline_access", "r w"),
        ] {
            let sets = [challenged, own, resource, server, before].map(set);
            let some = |at: usize| Some(&sets[at]).filter(|set| !set.is_empty());
            let choice = Choice {
                challenged: some(0),
                own: some(1),
                resource: some(2),
                server: some(3),
                before: some(4),
                offline: true,
            };
            assert_eq!(
                choice.scopes().as_str(),
                asked,
                "{challenged:?} {own:?} {resource:?} {server:?} {before:?}"
            );
        }
    }

    #[test]
    fn a_refresh_token_is_wanted_by_the_settings_or_by_a_scope() {
        let (server, own) = (set("a offline_access"), set("a offline_access"));
        let choice = |own| Choice {
            challenged: None,
            own,
            resource: Some(&server),
            server: Some(&server),
            before: None,
            offline: false,
        };
        assert_eq!(choice(Some(&own)).scopes(), own);
        assert_eq!(choice(None).scopes(), own);
        let plain = set("a");
        assert_eq!(choice(Some(&plain)).scopes(), plain);
    }
}
