//! The server that most programs want: lists of tools, prompts and resources.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde::Serialize;
use throughline_proto::jsonrpc::{Notification, Raw, Str};
use throughline_proto::model::{Implementation, ResourceUpdatedParams};
use throughline_proto::session::Offer;

use super::router::Router;
use super::{
    Call, Context, Handler, Peers, PromptDef, Reply, ResourceDef, SessionHandle, SessionInfo, TemplateDef,
    ToolDef,
};
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
pub struct Server(Arc<Inner>);

struct Inner {
    info: Implementation,
    instructions: Mutex<Option<Str>>,
    page_size: AtomicUsize,
    router: Router,
    peers: Mutex<Vec<Peers>>,
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
            page_size: AtomicUsize::new(PAGE_SIZE),
            router: Router::default(),
            peers: Mutex::default(),
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

    /// Registers a tool.
    ///
    /// # Panics
    ///
    /// When the name is taken or not allowed: mistakes in the program. While serving, use
    /// [`add_tool`](Self::add_tool).
    #[must_use]
    pub fn tool(self, tool: ToolDef) -> Self {
        self.add_tool(tool).unwrap_or_else(|misuse| panic!("{misuse}"));
        self
    }

    /// Registers a prompt.
    ///
    /// # Panics
    ///
    /// When the name is taken or not allowed.
    #[must_use]
    pub fn prompt(self, prompt: PromptDef) -> Self {
        self.add_prompt(prompt).unwrap_or_else(|misuse| panic!("{misuse}"));
        self
    }

    /// Registers a resource.
    ///
    /// # Panics
    ///
    /// When the URI is taken.
    #[must_use]
    pub fn resource(self, resource: ResourceDef) -> Self {
        self.add_resource(resource).unwrap_or_else(|misuse| panic!("{misuse}"));
        self
    }

    /// Registers a resource template. A URI that fits several is read by the one registered first.
    ///
    /// # Panics
    ///
    /// When the template is taken.
    #[must_use]
    pub fn template(self, template: TemplateDef) -> Self {
        self.add_template(template).unwrap_or_else(|misuse| panic!("{misuse}"));
        self
    }

    /// Adds a tool while serving, and tells all sessions that the list changed.
    ///
    /// # Errors
    ///
    /// When the name is taken or not allowed; nothing is changed then.
    pub fn add_tool(&self, tool: ToolDef) -> Result<(), Misuse> {
        check_name("tool", tool.name())?;
        let name = tool.tool.name.clone();
        self.insert("tool", name, "notifications/tools/list_changed", |tables, name| {
            tables.tools.insert(name, tool)
        })
    }

    /// Adds a prompt while serving, and tells all sessions that the list changed.
    ///
    /// # Errors
    ///
    /// When the name is taken or not allowed; nothing is changed then.
    pub fn add_prompt(&self, prompt: PromptDef) -> Result<(), Misuse> {
        check_name("prompt", &prompt.prompt.name)?;
        let name = prompt.prompt.name.clone();
        self.insert("prompt", name, "notifications/prompts/list_changed", |tables, name| {
            tables.prompts.insert(name, prompt)
        })
    }

    /// Adds a resource while serving, and tells all sessions that the list changed.
    ///
    /// # Errors
    ///
    /// When the URI is taken; nothing is changed then.
    pub fn add_resource(&self, resource: ResourceDef) -> Result<(), Misuse> {
        let uri = resource.resource.uri.clone();
        self.insert("resource", uri, "notifications/resources/list_changed", |tables, uri| {
            tables.resources.insert(uri, resource)
        })
    }

    /// Adds a resource template while serving, and tells all sessions that the list changed.
    ///
    /// # Errors
    ///
    /// When the template is taken; nothing is changed then.
    pub fn add_template(&self, template: TemplateDef) -> Result<(), Misuse> {
        let uri = template.template.uri_template.clone();
        self.insert("resource template", uri, "notifications/resources/list_changed", |tables, uri| {
            tables.templates.insert(uri, template)
        })
    }

    /// Removes a tool while serving, and tells all sessions. Calls that run go on. False when there is no such tool.
    pub fn remove_tool(&self, name: &str) -> bool {
        self.remove("notifications/tools/list_changed", |tables| tables.tools.remove(name))
    }

    /// Removes a prompt while serving, and tells all sessions. False when there is no such prompt.
    pub fn remove_prompt(&self, name: &str) -> bool {
        self.remove("notifications/prompts/list_changed", |tables| tables.prompts.remove(name))
    }

    /// Removes a resource while serving, and tells all sessions. False when there is no such resource.
    pub fn remove_resource(&self, uri: &str) -> bool {
        self.remove("notifications/resources/list_changed", |tables| tables.resources.remove(uri))
    }

    /// Removes a resource template while serving, and tells all sessions. False when there is no such template.
    pub fn remove_template(&self, uri_template: &str) -> bool {
        self.remove("notifications/resources/list_changed", |tables| tables.templates.remove(uri_template))
    }

    /// Tells every session that subscribed to this resource that it changed; how many those are.
    pub fn resource_updated(&self, uri: &str) -> usize {
        let params = Raw::new(&ResourceUpdatedParams::new(uri.to_owned())).expect("its parameters are JSON");
        self.broadcast(Some(uri), &|_| true, "notifications/resources/updated", Some(&params))
    }

    /// Sends a notification of your own to all sessions; how many those are.
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
        choose: impl Fn(&SessionInfo<'_>) -> bool,
        method: &str,
        params: &impl Serialize,
    ) -> Result<usize, serde_json::Error> {
        let params = Raw::new(params)?;
        Ok(self.broadcast(None, &choose, method, Some(&params)))
    }

    fn insert(
        &self,
        what: &'static str,
        name: Str,
        changed: &str,
        insert: impl FnOnce(&mut super::router::Tables, Str) -> bool,
    ) -> Result<(), Misuse> {
        let taken = name.clone();
        if !self.0.router.change(|tables| insert(tables, name)) {
            return Err(Misuse(format!(
                "the {what} `{taken}` is registered already; give each {what} a name of its own"
            )));
        }
        self.broadcast(None, &|_| true, changed, None);
        Ok(())
    }

    fn remove(&self, changed: &str, remove: impl FnOnce(&mut super::router::Tables) -> bool) -> bool {
        let removed = self.0.router.change(remove);
        if removed {
            self.broadcast(None, &|_| true, changed, None);
        }
        removed
    }

    fn broadcast(
        &self,
        resource: Option<&str>,
        choose: &dyn Fn(&SessionInfo<'_>) -> bool,
        method: &str,
        params: Option<&Raw>,
    ) -> usize {
        let peers = self.0.peers.locked().clone();
        peers.iter().map(|peers| peers.broadcast(resource, choose, method, params)).sum()
    }
}

impl Handler for Server {
    fn offer(&self) -> Offer {
        Offer {
            info: self.0.info.clone(),
            capabilities: self.0.router.capabilities(),
            instructions: self.0.instructions.locked().clone(),
        }
    }

    fn call(&self, call: Call, cx: Context) -> Reply {
        let page_size = self.0.page_size.load(Ordering::Relaxed);
        self.0.router.call(call, cx, page_size)
    }

    fn notified(&self, _: Notification, _: Option<&SessionHandle>) {}

    fn attach(&self, peers: Peers) {
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

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Misuse {}

/// Names as the specification wants them
/// ([tool names](https://modelcontextprotocol.io/specification/2025-11-25/server/tools#tool-names)).
fn check_name(what: &str, name: &str) -> Result<(), Misuse> {
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
