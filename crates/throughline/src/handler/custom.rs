//! Methods and notifications that MCP does not define.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use serde::Serialize;
use throughline_proto::jsonrpc::{Notification, Raw, Str};
use throughline_proto::model::Answer;
use throughline_proto::revision::Revision;

use super::function::{Arguments, Function};
use super::state::States;
use super::{Call, Context, Json, Misuse, Needs, Outcome, Reply, Server};
use crate::error::{Error, McpError};
use crate::runtime;

/// What the function of a custom method may return: the members of the result as [`Json`], nothing at all, raw JSON, an
/// [`Answer`], or a `Result` of these. An [`McpError`] is sent as it is, another error as an internal one (-32603).
///
/// A result of MCP is an object ([messages](https://modelcontextprotocol.io/specification/2025-11-25/basic#messages)):
/// another value is an internal error.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is nothing a custom method can return",
    note = "return `Json<T>`, `()`, `Raw`, `Answer`, or a `Result` of these"
)]
pub trait IntoMethodResult {
    /// The result as it goes to the client.
    ///
    /// # Errors
    ///
    /// A protocol error that is sent instead.
    fn into_method_result(self) -> Outcome;
}

impl IntoMethodResult for () {
    fn into_method_result(self) -> Outcome {
        Ok(Answer::Empty)
    }
}

impl IntoMethodResult for Answer {
    fn into_method_result(self) -> Outcome {
        Ok(self)
    }
}

impl IntoMethodResult for Raw {
    fn into_method_result(self) -> Outcome {
        if self.is_object() {
            Ok(Answer::Custom(self))
        } else {
            Err(McpError::internal("the result of a method must be an object"))
        }
    }
}

impl<T: Serialize> IntoMethodResult for Json<T> {
    fn into_method_result(self) -> Outcome {
        Raw::new(&self.0)
            .map_err(|error| McpError::internal(format!("the result cannot be JSON: {error}")))?
            .into_method_result()
    }
}

impl<T: IntoMethodResult, E: Into<Error>> IntoMethodResult for Result<T, E> {
    fn into_method_result(self) -> Outcome {
        self.map_err(super::answer::protocol_error)?.into_method_result()
    }
}

impl Server {
    /// Registers a method of your own: `params` are the arguments of the function, which has the forms of any
    /// [`Function`].
    ///
    /// Name it after a domain of yours, for instance `com.example/search`, so that no later revision of MCP takes the name.
    /// Its context can do what that of a tool can.
    ///
    /// ```
    /// use schemars::JsonSchema;
    /// use serde::{Deserialize, Serialize};
    /// use throughline::{Json, Server};
    ///
    /// #[derive(Deserialize, JsonSchema)]
    /// struct Search { text: String }
    /// #[derive(Serialize)]
    /// struct Found { hits: Vec<String> }
    ///
    /// let server = Server::new("demo", "1.0.0")
    ///     .method("com.example/search", |search: Search| async move { Json(Found { hits: vec![search.text] }) });
    /// ```
    ///
    /// # Panics
    ///
    /// When the name is taken, by this server or by MCP.
    #[must_use]
    pub fn method<Marker, F>(self, name: impl Into<Str>, function: F) -> Self
    where
        F: Function<Marker, Output: IntoMethodResult>,
    {
        let name = name.into();
        let known = |revision: &Revision| revision.client_request(&name).is_some();
        let checked = check_method("method", &name, Revision::ALL.iter().any(known));
        let custom = CustomMethod::new(function);
        let registered = checked.and_then(|()| {
            self.change(|tables| insert_new(&mut tables.methods, "method", name.clone(), custom))
        });
        registered.unwrap_or_else(|misuse| panic!("{misuse}"));
        self
    }

    /// Registers a function for a notification of your own, or for `notifications/roots/list_changed` and
    /// `notifications/initialized`. What it returns is dropped, and an error goes to the log.
    ///
    /// Each notification runs as a task of its own: several run at a time and in no order, and 1,024 at most; further
    /// ones are dropped, and the log says so. What the function sends belongs to no call and goes to the session's
    /// standalone stream.
    ///
    /// ```
    /// use throughline::{Context, Server};
    ///
    /// let server = Server::new("demo", "1.0.0").notification("notifications/roots/list_changed", |cx: Context| async move {
    ///     println!("{:?}", cx.roots().await?);
    ///     Ok::<_, throughline::Error>(())
    /// });
    /// ```
    ///
    /// # Panics
    ///
    /// When the name is taken, by this server or by MCP for a notification that the library itself acts on.
    #[must_use]
    pub fn notification<Marker, F>(self, name: impl Into<Str>, function: F) -> Self
    where
        F: Function<Marker, Output: IntoMethodResult>,
    {
        let name = name.into();
        let acted_on = matches!(&*name, "notifications/cancelled" | "notifications/progress");
        let checked = check_method("notification", &name, acted_on);
        let custom = CustomMethod::new(function);
        let registered = checked.and_then(|()| {
            self.change(|tables| insert_new(&mut tables.notifications, "notification", name.clone(), custom))
        });
        registered.unwrap_or_else(|misuse| panic!("{misuse}"));
        self
    }
}

/// A function for a method or a notification.
#[derive(Clone)]
pub(crate) struct CustomMethod {
    run: Run,
    needs: Needs,
}

type Run = Arc<dyn Fn(&Raw, Context) -> Reply + Send + Sync>;

impl CustomMethod {
    fn new<Marker, F>(function: F) -> Self
    where
        F: Function<Marker, Output: IntoMethodResult>,
    {
        let run = move |params: &Raw, cx: Context| match F::Args::from_json(params) {
            Ok(args) => {
                let future = function.invoke(args, cx);
                Reply::later(async move { future.await.into_method_result() })
            }
            Err(misfit) => Reply::Ready(Err(McpError::invalid_params(misfit))),
        };
        Self { run: Arc::new(run), needs: F::needs() }
    }

    pub(crate) fn run(&self, call: &Call, cx: Context, states: &Arc<States>) -> Reply {
        match self.needs.prepare(&cx, states, call) {
            Ok(()) => (self.run)(&call.params, cx),
            Err(error) => Reply::Ready(Err(error)),
        }
    }

    /// Runs the function for a notification, as a task of its own.
    pub(crate) fn hear(
        &self,
        notification: Notification,
        cx: Context,
        states: &Arc<States>,
        heard: &Arc<AtomicUsize>,
    ) {
        let method = notification.method;
        let place = Place::take(heard);
        let Some(place) = place else {
            tracing::warn!(
                %method,
                limit = MOST_HEARD,
                "a notification was dropped: as many as may run at a time are still being handled"
            );
            return;
        };
        let call = Call {
            method: method.clone(),
            target: None,
            arguments: None,
            cursor: None,
            params: notification.params.unwrap_or_else(Raw::empty_object),
        };
        let reply = catch_unwind(AssertUnwindSafe(|| self.run(&call, cx, states)));
        let report = move |outcome: std::thread::Result<Outcome>| match outcome {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(%method, %error, "a notification could not be handled"),
            Err(_) => tracing::error!(%method, "the handler of a notification panicked"),
        };
        match reply {
            Ok(Reply::Ready(outcome)) => report(Ok(outcome)),
            Err(panic) => report(Err(panic)),
            Ok(Reply::Later(mut running)) => drop(runtime::spawn(async move {
                let _place = place;
                let outcome =
                    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(cx))) {
                        Ok(Poll::Pending) => Poll::Pending,
                        Ok(Poll::Ready(outcome)) => Poll::Ready(Ok(outcome)),
                        Err(panic) => Poll::Ready(Err(panic)),
                    });
                report(outcome.await);
            })),
        }
    }
}

/// A place among the notifications that are being handled.
///
/// # Drop behavior
///
/// The place is free again.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(heard: &Arc<AtomicUsize>) -> Option<Self> {
        let before = heard.fetch_add(1, Ordering::Relaxed);
        let place = Self(Arc::clone(heard));
        (before < MOST_HEARD).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn insert_new(
    table: &mut std::collections::HashMap<Str, CustomMethod>,
    what: &str,
    name: Str,
    custom: CustomMethod,
) -> Result<(), Misuse> {
    match table.entry(name) {
        std::collections::hash_map::Entry::Vacant(free) => {
            free.insert(custom);
            Ok(())
        }
        std::collections::hash_map::Entry::Occupied(taken) => Err(Misuse::new(format!(
            "the {what} `{}` is registered already; give each {what} a name of its own",
            taken.key()
        ))),
    }
}

/// Names that begin with `rpc.` are reserved (<https://www.jsonrpc.org/specification#request_object>).
fn check_method(what: &str, name: &str, is_mcps: bool) -> Result<(), Misuse> {
    if is_mcps {
        return Err(Misuse::new(format!(
            "`{name}` is a {what} of MCP, which the library answers; name yours after a domain, such as `com.example/{name}`"
        )));
    }
    if name.is_empty() || name.len() > LONGEST_NAME || name.starts_with("rpc.") {
        return Err(Misuse::new(format!(
            "`{name}` is no name for a {what}; use 1 to {LONGEST_NAME} bytes that do not begin with `rpc.`"
        )));
    }
    Ok(())
}

/// Notifications that are handled at a time: no client that means well comes near it, and a flood holds at most a
/// thousand small tasks.
const MOST_HEARD: usize = 1024;

/// As long as the name of a tool may be, and room for a domain before it.
const LONGEST_NAME: usize = 256;
