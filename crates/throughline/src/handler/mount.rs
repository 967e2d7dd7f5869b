//! Servers in servers.

use std::sync::{Arc, Weak};

use throughline_proto::jsonrpc::Str;

use super::entry::{Entry, Kind};
use super::server::{Inner, check_name};
use super::{Misuse, Server};
use crate::lock::Lock;

/// Where a server is mounted.
pub(super) struct Mounted {
    pub(super) prefix: Str,
    pub(super) parent: Weak<Inner>,
}

impl Server {
    /// Takes in what another server has: its tools and prompts as `prefix.name`, its resources and resource templates
    /// under the URIs that they have.
    ///
    /// What is added to `other` or removed from it later, is added here or removed as well, and the sessions of this server
    /// are told, as they are of [`resource_updated`](Server::resource_updated) and
    /// [`notify_all`](Server::notify_all) of `other`. Calls go straight to the function: a mounted tool costs what one of
    /// this server's own does. Its handlers keep the [states](Server::state) that `other` has when it is mounted. The
    /// instructions of `other`, its own methods and notifications, and layers around it stay behind.
    ///
    /// The separator is a dot because the names of tools have no slash
    /// ([tool names](https://modelcontextprotocol.io/specification/2025-11-25/server/tools#tool-names)).
    ///
    /// ```
    /// use throughline::{Server, tool};
    ///
    /// let clock = Server::new("clock", "1.0.0").tool(tool("now", || async { "noon" }));
    /// let server = Server::new("demo", "1.0.0").mount("clock", clock.clone());
    /// // The tool is `clock.now`, and this one will be `clock.later`:
    /// clock.add_tool(tool("later", || async { "evening" }))?;
    /// # Ok::<(), throughline::Misuse>(())
    /// ```
    ///
    /// # Panics
    ///
    /// When a name or URI is taken or not allowed, or when `other` is this server or has it mounted. While serving, use
    /// [`add_mount`](Server::add_mount).
    #[must_use]
    pub fn mount(self, prefix: impl Into<Str>, other: Server) -> Self {
        self.add_mount(prefix, &other).unwrap_or_else(|misuse| panic!("{misuse}"));
        self
    }

    /// Mounts a server while serving, and tells all sessions which lists changed. See [`mount`](Server::mount).
    ///
    /// # Errors
    ///
    /// When a name or URI is taken or not allowed, or when `other` is this server or has it mounted; nothing is changed
    /// then.
    pub fn add_mount(&self, prefix: impl Into<Str>, other: &Server) -> Result<(), Misuse> {
        let prefix = prefix.into();
        check_name("mounted server", &prefix)?;
        if self.is_within(other) {
            return Err(Misuse::new(format!(
                "the server mounted as `{prefix}` is this server or has it mounted; mount it only one way"
            )));
        }
        // Held until it is known to `other` as well, so that nothing that is added to it meanwhile is missed. Locks are
        // always taken from the mounted server to the one that it is mounted in.
        let mut mounted_in = other.0.mounted_in.locked();
        let tables = other.0.router.tables();
        let mut kinds: Vec<Kind> = Vec::new();
        let mut put: Vec<(Kind, Str)> = Vec::new();
        for entry in Entry::all(&tables) {
            let entry = entry.mounted(&prefix, &tables.states);
            let (kind, name) = (entry.kind(), entry.name().clone());
            if let Err(misuse) = self.put(entry) {
                for (kind, name) in put {
                    self.take_out(kind, &name);
                }
                return Err(misuse);
            }
            put.push((kind, name));
            if !kinds.iter().any(|known| known.list_changed() == kind.list_changed()) {
                kinds.push(kind);
            }
        }
        mounted_in.retain(|mounted| mounted.parent.strong_count() > 0);
        mounted_in.push(Mounted { prefix, parent: Arc::downgrade(&self.0) });
        drop(mounted_in);
        kinds.into_iter().for_each(|kind| self.announce(kind));
        Ok(())
    }

    /// Registers something here and wherever this server is mounted, or nowhere.
    pub(super) fn put(&self, entry: Entry) -> Result<(), Misuse> {
        let (kind, name) = (entry.kind(), entry.name().clone());
        self.check(&entry)?;
        let mounted_in = self.0.mounted_in.locked();
        if !self.change(|tables| entry.clone().insert(tables)) {
            let what = kind.what();
            return Err(Misuse::new(format!(
                "the {what} `{name}` is registered already; give each {what} a name of its own"
            )));
        }
        let states = Arc::clone(&self.0.router.tables().states);
        for (at, mounted) in mounted_in.iter().enumerate() {
            let Some(parent) = mounted.parent.upgrade().map(Server) else { continue };
            if let Err(misuse) = parent.put(entry.clone().mounted(&mounted.prefix, &states)) {
                take_out_of(&mounted_in[..at], kind, &name);
                self.change(|tables| kind.remove(tables, &name));
                return Err(misuse);
            }
        }
        Ok(())
    }

    /// Removes something here and wherever this server is mounted. False when it is not here.
    pub(super) fn take_out(&self, kind: Kind, name: &str) -> bool {
        let mounted_in = self.0.mounted_in.locked();
        let removed = self.change(|tables| kind.remove(tables, name));
        if removed {
            take_out_of(&mounted_in, kind, name);
        }
        removed
    }

    /// The servers that this one is mounted in.
    pub(super) fn parents(&self) -> Vec<Server> {
        let mounted_in = self.0.mounted_in.locked();
        mounted_in.iter().filter_map(|mounted| mounted.parent.upgrade().map(Server)).collect()
    }

    /// Whether this server is `other` or is mounted in it, over however many servers.
    fn is_within(&self, other: &Server) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.parents().iter().any(|parent| parent.is_within(other))
    }
}

fn take_out_of(mounted_in: &[Mounted], kind: Kind, name: &str) {
    for mounted in mounted_in {
        if let Some(parent) = mounted.parent.upgrade().map(Server) {
            parent.take_out(kind, &kind.mounted_name(&mounted.prefix, name));
        }
    }
}
