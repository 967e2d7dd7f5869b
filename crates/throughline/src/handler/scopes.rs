//! Which scopes a request needs, as it is said of what is registered.

use serde::Deserialize;
use throughline_proto::auth::ScopeSet;
use throughline_proto::jsonrpc::Str;
use throughline_proto::model::{CompleteParams, Reference, SubscriptionFilter};
use throughline_proto::stateless::ListenLimits;

use super::router::Tables;
use super::{Call, Caller, PromptDef, ResourceDef, Server, TemplateDef, ToolDef};

/// These scopes.
///
/// # Panics
///
/// When one of them is no scope: a mistake in the program.
pub(crate) fn scope_set<S: AsRef<str>>(scopes: impl IntoIterator<Item = S>) -> ScopeSet {
    let mut set = ScopeSet::new();
    for scope in scopes {
        let scope = scope.as_ref();
        if let Err(why) = set.insert(scope) {
            panic!("`{}` is no scope: {why}", scope.escape_debug());
        }
    }
    set
}

impl ToolDef {
    /// Whoever calls the tool needs all of these scopes, as a token grants them: without them a call is refused before a
    /// stream begins and before the function runs, with the status 403 and one challenge that names everything that the call
    /// needs, so that a client can ask its user and come back; one that nobody vouches for gets 401
    /// ([scope challenge](https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization#scope-challenge-handling)).
    /// Said twice, all of both are needed.
    ///
    /// What a caller may do is in the [`Authorized`](super::Authorized) of its request, which the layer in front of the endpoint
    /// checked; a broader scope may imply a narrower one. An endpoint that nothing vouches for its callers to refuses all
    /// calls of such a tool. The tool stays in the list, so that a client knows what it could ask for; see
    /// [`Server::list_permitted`]. Over stdio scopes are no question: there the client started the server.
    ///
    /// ```
    /// use throughline::{Server, tool};
    ///
    /// let server = Server::new("files", "1.0.0")
    ///     .tool(tool("remove", || async { "removed" }).scopes(["files:write"]));
    /// ```
    ///
    /// # Panics
    ///
    /// When one of them is no scope: visible ASCII without `"` and `\`.
    pub fn scopes<S: AsRef<str>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.scopes = self.scopes.union(&scope_set(scopes));
        self
    }
}

impl PromptDef {
    /// Whoever gets the prompt, or has its arguments completed, needs all of these scopes; see [`ToolDef::scopes`].
    ///
    /// # Panics
    ///
    /// When one of them is no scope.
    pub fn scopes<S: AsRef<str>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.scopes = self.scopes.union(&scope_set(scopes));
        self
    }
}

impl ResourceDef {
    /// Whoever reads the resource, or wants to hear of its updates, needs all of these scopes; see [`ToolDef::scopes`].
    ///
    /// # Panics
    ///
    /// When one of them is no scope.
    pub fn scopes<S: AsRef<str>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.scopes = self.scopes.union(&scope_set(scopes));
        self
    }
}

impl TemplateDef {
    /// Whoever reads a resource of the template, wants to hear of its updates, or has its variables completed, needs all of
    /// these scopes; see [`ToolDef::scopes`].
    ///
    /// # Panics
    ///
    /// When one of them is no scope.
    pub fn scopes<S: AsRef<str>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.scopes = self.scopes.union(&scope_set(scopes));
        self
    }
}

impl Server {
    /// Every request of this method needs all of these scopes, beside those of the tool, prompt or resource that it is for; see
    /// [`ToolDef::scopes`]. It may be any method: one of MCP, as `tools/list`, or one of your own.
    ///
    /// ```
    /// use throughline::Server;
    ///
    /// let server = Server::new("files", "1.0.0")
    ///     .method_scopes("resources/list", ["files:list"])
    ///     .method_scopes("com.example/search", ["files:search"])
    ///     .method("com.example/search", || async {});
    /// ```
    ///
    /// # Panics
    ///
    /// When one of them is no scope.
    #[must_use]
    pub fn method_scopes<S: AsRef<str>>(
        self,
        method: impl Into<Str>,
        scopes: impl IntoIterator<Item = S>,
    ) -> Self {
        let (method, scopes) = (method.into(), scope_set(scopes));
        self.wants_scopes_of(&scopes);
        self.change(|tables| {
            let known = tables.method_scopes.entry(method).or_default();
            *known = known.union(&scopes);
        });
        self
    }

    /// With `true`, lists leave out what the caller lacks the scopes for. Then a client learns of it only by calling it, which
    /// is refused as ever. Default: false, everything is listed, and a client can ask its user for what it needs.
    #[must_use]
    pub fn list_permitted(self, yes: bool) -> Self {
        self.change(|tables| tables.lists_permitted = yes);
        self
    }

    /// All scopes that anything registered here needs at the moment: for the metadata of the protected resource
    /// (`scopes_supported`).
    pub fn scopes(&self) -> ScopeSet {
        let tables = self.0.router.tables();
        let tools = tables.tools.iter().map(|tool| &tool.scopes);
        let prompts = tables.prompts.iter().map(|prompt| &prompt.scopes);
        let resources = tables.resources.iter().map(|resource| &resource.scopes);
        let templates = tables.templates.iter().map(|template| &template.scopes);
        let all = tools.chain(prompts).chain(resources).chain(templates);
        // In an order that is the same each time.
        let mut methods: Vec<_> = tables.method_scopes.iter().collect();
        methods.sort_unstable_by(|one, other| one.0.cmp(other.0));
        all.chain(methods.into_iter().map(|(_, scopes)| scopes))
            .fold(ScopeSet::new(), |known, scopes| known.union(scopes))
    }
}

/// What the engine reads of `resources/subscribe`, and nothing else: what it takes must not be overlooked here.
#[derive(Deserialize)]
struct Subscribed {
    uri: Str,
}

/// The same of `subscriptions/listen`.
#[derive(Deserialize)]
struct Listened {
    notifications: SubscriptionFilter,
}

impl Tables {
    /// What a request needs of its caller. What the caller may not see, or is not there, needs nothing, nor does what cannot be
    /// read or asks for more than may be asked: it is told so when it is called.
    pub(super) fn scopes(&self, call: &Call, caller: &Caller) -> ScopeSet {
        let of_method = self.method_scopes.get(&*call.method).cloned().unwrap_or_default();
        let of_target = match (&*call.method, call.target.as_deref()) {
            ("tools/call", Some(name)) => self.tool(name, caller).map(|tool| tool.scopes.clone()),
            ("prompts/get", Some(name)) => self.prompt(name, caller).map(|prompt| prompt.scopes.clone()),
            ("resources/read", Some(uri)) => self.scopes_of_resource(uri, caller),
            ("resources/subscribe", _) => {
                let params = call.params.parse::<Subscribed>().ok();
                params.and_then(|params| self.scopes_of_resource(&params.uri, caller))
            }
            ("subscriptions/listen", _) => {
                let uris = call.params.parse::<Listened>().ok();
                let uris = uris.map(|params| params.notifications.resource_subscriptions).unwrap_or_default();
                if uris.len() > ListenLimits::default().resources {
                    return of_method;
                }
                let scopes = uris.iter().filter_map(|uri| self.scopes_of_resource(uri, caller));
                Some(scopes.fold(ScopeSet::new(), |known, scopes| known.union(&scopes)))
            }
            ("completion/complete", _) => {
                call.params.parse::<CompleteParams>().ok().and_then(|params| match &params.reference {
                    Reference::Prompt(prompt) => {
                        self.prompt(&prompt.name, caller).map(|prompt| prompt.scopes.clone())
                    }
                    Reference::ResourceTemplate(resource) => {
                        let template = self.templates.get(&resource.uri);
                        let template = template.filter(|template| template.visibility.admits(caller));
                        template.map(|template| template.scopes.clone())
                    }
                    _ => None,
                })
            }
            _ => None,
        };
        match of_target {
            Some(scopes) if of_method.is_empty() => scopes,
            Some(scopes) => of_method.union(&scopes),
            None => of_method,
        }
    }

    fn scopes_of_resource(&self, uri: &str, caller: &Caller) -> Option<ScopeSet> {
        self.readable(uri, caller).map(|found| found.scopes().clone())
    }
}
