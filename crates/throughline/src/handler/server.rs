//! The server that most programs want: lists of tools, prompts and resources.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use http::HeaderMap;
use serde::Serialize;
use throughline_proto::auth::ScopeSet;
use throughline_proto::jsonrpc::{Notification, Raw, Str};
use throughline_proto::model::{Implementation, ResourceUpdatedParams, ToolAnnotations};
use throughline_proto::session::Offer;

use super::entry::{Entry, Kind};
use super::mount::Mounted;
use super::router::{Router, Tables};
use super::{
    Call, Caller, Context, Group, Handler, IntoPrompt, IntoResource, IntoTemplate, IntoTool, PeerInfo, Peers,
    Reply,
};
use crate::error::McpError;
use crate::lock::Lock;

/// A server: its name, and its tools, prompts and resources.
///
/// Build it, then give it to a front door such as [`StreamableHttp`](crate::StreamableHttp). It is cheap to clone, and
/// every clone is the same server: keep one to add tools while serving, or to tell clients that something changed.
///
/// ```
/// use schemars::JsonSchema;
/// use serde::Deserialize;
/// use throughline::{Server, resource, tool};
///
/// #[derive(Deserialize, JsonSchema)]
/// struct Add { a: i64, b: i64 }
///
/// let server = Server::new("demo", "1.0.0")
///     .instructions("Adds things.")
///     .tool(tool("add", |args: Add| async move { args.a + args.b }).description("Adds two integers."))
///     .resource(resource("demo://motd", "motd", || async { "Have a nice day." }));
/// ```
///
/// # Drop behavior
///
/// A front door keeps the server alive.
#[derive(Clone)]
pub struct Server(pub(super) Arc<Inner>);

pub(super) struct Inner {
    info: Implementation,
    instructions: Mutex<Option<Str>>,
    pub(super) extensions: Mutex<BTreeMap<Str, Raw>>,
    page_size: AtomicUsize,
    pub(super) router: Router,
    /// Whether anything that was ever registered reads the head of its HTTP request.
    http_parts: AtomicBool,
    /// Whether anything that was ever registered can refuse a call before it runs.
    refuses: AtomicBool,
    /// Whether anything that was ever registered needs scopes.
    wants_scopes: AtomicBool,
    peers: Mutex<Vec<Peers>>,
    /// The servers that show what this one has as their own.
    pub(super) mounted_in: Mutex<Vec<Mounted>>,
    /// How many notifications are being handled.
    heard: Arc<AtomicUsize>,
}

impl Server {
    /// A server with nothing registered.
    pub fn new(name: impl Into<Str>, version: impl Into<Str>) -> Self {
        Self::describe(Implementation::new(name, version))
    }

    /// A server that says more about itself: title, description, icons, web site.
    pub fn describe(info: Implementation) -> Self {
        Self(Arc::new(Inner {
            info,
            instructions: Mutex::default(),
            extensions: Mutex::default(),
            page_size: AtomicUsize::new(PAGE_SIZE),
            router: Router::default(),
            http_parts: AtomicBool::new(false),
            refuses: AtomicBool::new(false),
            wants_scopes: AtomicBool::new(false),
            peers: Mutex::default(),
            mounted_in: Mutex::default(),
            heard: Arc::default(),
        }))
    }

    /// How to use the server, for the client's model.
    #[must_use]
    pub fn instructions(self, text: impl Into<Str>) -> Self {
        *self.0.instructions.locked() = Some(text.into());
        self
    }

    /// How many entries a page of a list has at most; 250 unless set.
    ///
    /// # Panics
    ///
    /// When `entries` is 0.
    #[must_use]
    pub fn page_size(self, entries: usize) -> Self {
        assert!(entries > 0, "a page holds at least one entry");
        self.0.page_size.store(entries, Ordering::Relaxed);
        self
    }

    /// Shares a value with the handlers: they take a clone of it with [`State<S>`](super::State) or
    /// [`Context::state`]. A second value of the same type takes the place of the first.
    #[must_use]
    pub fn state<S: Clone + Send + Sync + 'static>(self, state: S) -> Self {
        self.0.router.change(|tables| Arc::make_mut(&mut tables.states).insert(state));
        self
    }

    /// Registers the tools, prompts and resources of a value whose `impl` block is under `#[server]`.
    ///
    /// # Panics
    ///
    /// When a name is taken.
    #[must_use]
    pub fn with(self, group: impl Group) -> Self {
        Arc::new(group).register(self)
    }

    /// Registers a tool.
    ///
    /// # Panics
    ///
    /// When the name is taken or not allowed, or a [header](super::ToolDef::header) cannot carry its argument: mistakes in the
    /// program. While serving, use [`add_tool`](Self::add_tool).
    #[must_use]
    pub fn tool<Marker>(self, tool: impl IntoTool<Marker>) -> Self {
        self.add_tool(tool).unwrap_or_else(|misuse| panic!("{misuse}"));
        self
    }

    /// Registers a prompt.
    ///
    /// # Panics
    ///
    /// When the name is taken or not allowed.
    #[must_use]
    pub fn prompt<Marker>(self, prompt: impl IntoPrompt<Marker>) -> Self {
        self.add_prompt(prompt).unwrap_or_else(|misuse| panic!("{misuse}"));
        self
    }

    /// Registers a resource.
    ///
    /// # Panics
    ///
    /// When the URI is taken.
    #[must_use]
    pub fn resource<Marker>(self, resource: impl IntoResource<Marker>) -> Self {
        self.add_resource(resource).unwrap_or_else(|misuse| panic!("{misuse}"));
        self
    }

    /// Registers a resource template. A URI that fits several is read by the one registered first.
    ///
    /// # Panics
    ///
    /// When the template is taken.
    #[must_use]
    pub fn template<Marker>(self, template: impl IntoTemplate<Marker>) -> Self {
        self.add_template(template).unwrap_or_else(|misuse| panic!("{misuse}"));
        self
    }

    /// Adds a tool while serving, and tells all sessions that the list changed.
    ///
    /// # Errors
    ///
    /// When the name is taken or not allowed, or a [header](super::ToolDef::header) cannot carry its argument; nothing is changed
    /// then.
    pub fn add_tool<Marker>(&self, tool: impl IntoTool<Marker>) -> Result<(), Misuse> {
        let mut tool = tool.into_tool();
        tool.finish()?;
        self.add(Entry::Tool(tool))
    }

    /// Adds a prompt while serving, and tells all sessions that the list changed.
    ///
    /// # Errors
    ///
    /// When the name is taken or not allowed; nothing is changed then.
    pub fn add_prompt<Marker>(&self, prompt: impl IntoPrompt<Marker>) -> Result<(), Misuse> {
        self.add(Entry::Prompt(prompt.into_prompt()))
    }

    /// Adds a resource while serving, and tells all sessions that the list changed.
    ///
    /// # Errors
    ///
    /// When the URI is taken; nothing is changed then.
    pub fn add_resource<Marker>(&self, resource: impl IntoResource<Marker>) -> Result<(), Misuse> {
        self.add(Entry::Resource(resource.into_resource()))
    }

    /// Adds a resource template while serving, and tells all sessions that the list changed.
    ///
    /// # Errors
    ///
    /// When the template is taken; nothing is changed then.
    pub fn add_template<Marker>(&self, template: impl IntoTemplate<Marker>) -> Result<(), Misuse> {
        self.add(Entry::Template(template.into_template()))
    }

    /// Removes a tool while serving, and tells all sessions. Calls that run go on. False when there is no such tool.
    pub fn remove_tool(&self, name: &str) -> bool {
        self.remove(Kind::Tool, name)
    }

    /// Removes a prompt while serving, and tells all sessions. False when there is no such prompt.
    pub fn remove_prompt(&self, name: &str) -> bool {
        self.remove(Kind::Prompt, name)
    }

    /// Removes a resource while serving, and tells all sessions. False when there is no such resource.
    pub fn remove_resource(&self, uri: &str) -> bool {
        self.remove(Kind::Resource, uri)
    }

    /// Removes a resource template while serving, and tells all sessions. False when there is no such template.
    pub fn remove_template(&self, uri_template: &str) -> bool {
        self.remove(Kind::Template, uri_template)
    }

    /// Tells every client that subscribed to this resource or listens for it that it changed; how many those are. Who may
    /// not see it hears nothing.
    pub fn resource_updated(&self, uri: &str) -> usize {
        let params = Raw::new(&ResourceUpdatedParams::new(uri.to_owned())).expect("its parameters are JSON");
        let tables = self.0.router.tables();
        let may_know = |peer: &PeerInfo<'_>| tables.shows_resource(uri, peer.caller);
        self.broadcast(Some(uri), &may_know, "notifications/resources/updated", Some(&params))
    }

    /// Sends a notification of your own to all sessions; how many those are. Clients of the modern era have none, and are
    /// sent only what they asked for.
    ///
    /// # Errors
    ///
    /// When the parameters cannot be JSON.
    pub fn notify_all(&self, method: &str, params: &impl Serialize) -> Result<usize, serde_json::Error> {
        self.notify_where(|_| true, method, params)
    }

    /// Sends a notification of your own to the sessions that `choose` takes; how many those are.
    ///
    /// # Errors
    ///
    /// When the parameters cannot be JSON.
    pub fn notify_where(
        &self,
        choose: impl Fn(&PeerInfo<'_>) -> bool,
        method: &str,
        params: &impl Serialize,
    ) -> Result<usize, serde_json::Error> {
        let params = Raw::new(params)?;
        Ok(self.broadcast(None, &choose, method, Some(&params)))
    }

    pub(super) fn change<R>(&self, change: impl FnOnce(&mut Tables) -> R) -> R {
        self.0.router.change(change)
    }

    /// Whether it may be registered. While serving, what is added must find its state; before that, the state may be
    /// given later.
    pub(super) fn check(&self, entry: &Entry) -> Result<(), Misuse> {
        let (what, needs) = (entry.kind().what(), entry.needs());
        if entry.kind().has_name() {
            check_name(what, entry.name())?;
        }
        self.0.http_parts.fetch_or(needs.wants_http_parts(), Ordering::Relaxed);
        self.0.refuses.fetch_or(entry.can_refuse(), Ordering::Relaxed);
        self.wants_scopes_of(entry.scopes());
        if self.0.peers.locked().is_empty() {
            return Ok(());
        }
        match needs.missing_state(&self.0.router.tables().states) {
            Some(state) => Err(Misuse(format!(
                "the {what} takes `State<{state}>`, and the server has no such state; give it one with `Server::state`"
            ))),
            None => Ok(()),
        }
    }

    /// From now on requests are asked for their scopes.
    pub(super) fn wants_scopes_of(&self, scopes: &ScopeSet) {
        self.0.wants_scopes.fetch_or(!scopes.is_empty(), Ordering::Relaxed);
    }

    fn add(&self, entry: Entry) -> Result<(), Misuse> {
        let kind = entry.kind();
        self.put(entry)?;
        self.announce(kind);
        Ok(())
    }

    fn remove(&self, kind: Kind, name: &str) -> bool {
        let removed = self.take_out(kind, name);
        if removed {
            self.announce(kind);
        }
        removed
    }

    /// Tells all sessions that a list changed.
    pub(super) fn announce(&self, kind: Kind) {
        self.broadcast(None, &|_| true, kind.list_changed(), None);
    }

    fn broadcast(
        &self,
        resource: Option<&str>,
        choose: &dyn Fn(&PeerInfo<'_>) -> bool,
        method: &str,
        params: Option<&Raw>,
    ) -> usize {
        let peers = self.0.peers.locked().clone();
        let own: usize = peers.iter().map(|peers| peers.broadcast(resource, choose, method, params)).sum();
        let parents = self.parents();
        own + parents.iter().map(|parent| parent.broadcast(resource, choose, method, params)).sum::<usize>()
    }
}

impl Handler for Server {
    fn offer(&self) -> Offer {
        Offer {
            info: self.0.info.clone(),
            capabilities: self.0.router.capabilities().with_extensions(self.0.extensions.locked().clone()),
            instructions: self.0.instructions.locked().clone(),
            cache: self.0.router.tables().list_cache.of_everybody(),
        }
    }

    fn call(&self, call: Call, cx: Context) -> Reply {
        let page_size = self.0.page_size.load(Ordering::Relaxed);
        self.0.router.call(call, cx, page_size)
    }

    fn admit(&self, call: &Call, caller: &Caller, headers: Option<&HeaderMap>) -> Result<(), McpError> {
        if self.0.refuses.load(Ordering::Relaxed) {
            self.0.router.admit(call, caller, headers)
        } else {
            Ok(())
        }
    }

    fn wants_scopes(&self) -> bool {
        self.0.wants_scopes.load(Ordering::Relaxed)
    }

    fn scopes(&self, call: &Call, caller: &Caller) -> ScopeSet {
        self.0.router.tables().scopes(call, caller)
    }

    fn notified(&self, notification: Notification, cx: Context) {
        let tables = self.0.router.tables();
        if let Some(custom) = tables.notifications.get(&notification.method) {
            custom.hear(notification, cx, &tables.states, &self.0.heard);
        }
    }

    fn knows(&self, method: &str, target: Option<&str>) -> bool {
        let tables = self.0.router.tables();
        match (method, target) {
            ("tools/call", Some(name)) => tables.tools.get(name).is_some(),
            ("prompts/get", Some(name)) => tables.prompts.get(name).is_some(),
            _ => tables.methods.contains_key(method),
        }
    }

    fn annotations(&self, tool: &str) -> Option<ToolAnnotations> {
        self.0.router.tables().tools.get(tool)?.tool.annotations.clone()
    }

    fn wants_http_parts(&self) -> bool {
        self.0.http_parts.load(Ordering::Relaxed)
    }

    /// # Panics
    ///
    /// When something registered takes a [`State`](super::State) that the server does not have.
    fn attach(&self, peers: Peers) {
        if let Some((what, name, state)) = self.0.router.missing_state() {
            panic!(
                "the {what} `{name}` takes `State<{state}>`, and the server has no such state; give it one with `Server::state`"
            );
        }
        let mut all = self.0.peers.locked();
        all.retain(|peers| !peers.is_gone());
        all.push(peers);
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("info", &self.0.info).finish_non_exhaustive()
    }
}

/// Something is registered wrongly; the message says how to do it right.
#[derive(Clone, Debug)]
pub struct Misuse(String);

impl Misuse {
    pub(super) fn new(sentence: String) -> Self {
        Self(sentence)
    }
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Misuse {}

/// Names as the specification wants them
/// ([tool names](https://modelcontextprotocol.io/specification/2025-11-25/server/tools#tool-names)).
pub(super) fn check_name(what: &str, name: &str) -> Result<(), Misuse> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'/');
    if (1..=128).contains(&name.len()) && name.bytes().all(allowed) {
        return Ok(());
    }
    Err(Misuse(format!(
        "`{name}` is no name for a {what}; use 1 to 128 letters, digits, `_`, `-`, `.` or `/`"
    )))
}

/// Most servers have fewer tools than this, so that their clients need one request; a page of this size stays far below
/// a body's limit.
const PAGE_SIZE: usize = 250;
