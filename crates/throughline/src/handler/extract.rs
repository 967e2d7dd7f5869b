//! What a function may take beside its arguments.

use std::any::type_name;
use std::future::Future;

use http::request::Parts;
use serde::de::DeserializeOwned;
use throughline_proto::jsonrpc::{ErrorCode, reason};

use super::{Authorized, Context, Needs, Principal, SessionHandle};
use crate::error::{McpError, Result};

/// Something that a function under `#[tool]`, `#[prompt]` or `#[resource]` takes from its call instead of from the
/// client's arguments.
///
/// | parameter | what it is |
/// |---|---|
/// | [`Context`] | the way back to the client |
/// | [`State<S>`] | what the server shares, from [`Server::state`](super::Server::state) |
/// | [`Principal`] | who the client is proven to be; an error where nobody is |
/// | [`Authorized`] | the same with the scopes and the expiry of the request; an error where nobody is |
/// | [`SessionHandle`] | the session; an error where there is none |
/// | [`Parts`] | the head of the HTTP request |
/// | [`Meta<T>`] | the request's `_meta`, read into `T` |
/// | an `Option` of one of these | the same, and `None` instead of the error |
/// | any other type, marked `#[extract]` | your own implementation of this trait |
///
/// 1. Extractors run in the order of the parameters, before the function, in the call's own future. The first error
///    ends the call: a tool error, or the protocol error that it is ([`McpError`]).
/// 2. The future may be dropped at any await, when the client cancels.
/// 3. What is read from the call is declared in [`needs`](Extract::needs), or it may be missing.
///
/// ```
/// use throughline::{Context, Extract, McpError, Needs, Server, tool};
///
/// /// The language the client's user wants, from an HTTP header.
/// struct Language(String);
///
/// impl Extract for Language {
///     async fn extract(cx: &Context) -> throughline::Result<Self> {
///         let header = cx.http_parts().and_then(|parts| parts.headers.get("accept-language"));
///         let text = header.and_then(|value| value.to_str().ok()).unwrap_or("en");
///         Ok(Self(text.to_owned()))
///     }
///
///     fn needs(needs: &mut Needs) {
///         needs.http_parts();
///     }
/// }
///
/// /// Greets in the user's language.
/// #[tool]
/// async fn greet(name: String, #[extract] language: Language) -> String {
///     if language.0.starts_with("de") { format!("Hallo {name}!") } else { format!("Hello {name}!") }
/// }
///
/// let server = Server::new("demo", "1.0.0").tool(greet);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be taken from a call",
    label = "not an extractor",
    note = "an argument that the client gives must not be marked `#[extract]` and must not be named like an extractor (`Context`, `State<_>`, `Principal`, `Authorized`, `Parts`, `SessionHandle`, `Meta<_>`)",
    note = "for an extractor of your own, implement `throughline::Extract` for `{Self}`"
)]
pub trait Extract: Sized + Send {
    /// Takes it from a call.
    ///
    /// # Errors
    ///
    /// What the call is answered with instead of running the function.
    fn extract(cx: &Context) -> impl Future<Output = Result<Self>> + Send;

    /// Says what [`extract`](Extract::extract) reads from the call. Unless said otherwise, everything is kept, which
    /// costs a copy of the HTTP head for each call of the server.
    fn needs(needs: &mut Needs) {
        needs.everything();
    }
}

/// What the server shares with its handlers, from [`Server::state`](super::Server::state); a clone for each call.
///
/// A server without this state is not served: [`StreamableHttp::new`](crate::StreamableHttp::new) panics, and says which
/// tool takes it.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use throughline::{Server, State, tool};
///
/// /// Counts its calls.
/// #[tool]
/// async fn count(State(calls): State<Arc<AtomicU64>>) -> u64 {
///     calls.fetch_add(1, Ordering::Relaxed) + 1
/// }
///
/// let server = Server::new("counter", "1.0.0").state(Arc::new(AtomicU64::new(0))).tool(count);
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct State<S>(pub S);

/// The `_meta` of the request, read into `T`; `{}` is read where the request has none
/// ([`_meta`](https://modelcontextprotocol.io/specification/2025-11-25/basic#_meta)).
///
/// ```
/// use serde::Deserialize;
/// use throughline::{Meta, Server, tool};
///
/// #[derive(Deserialize)]
/// struct Trace {
///     #[serde(rename = "com.example/trace")]
///     id: Option<String>,
/// }
///
/// /// Says what the call is traced as.
/// #[tool]
/// async fn traced(Meta(trace): Meta<Trace>) -> String {
///     trace.id.unwrap_or_else(|| "not traced".into())
/// }
///
/// let server = Server::new("demo", "1.0.0").tool(traced);
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Meta<T>(pub T);

impl Extract for Context {
    async fn extract(cx: &Context) -> Result<Self> {
        Ok(cx.clone())
    }

    /// What a [`Context`] can give apart from the HTTP head.
    fn needs(needs: &mut Needs) {
        needs.meta();
    }
}

impl<S: Clone + Send + Sync + 'static> Extract for State<S> {
    async fn extract(cx: &Context) -> Result<Self> {
        cx.state().map(Self).ok_or_else(|| {
            let name = type_name::<S>();
            McpError::internal(format!(
                "the server has no state of type `{name}`; give it one with `Server::state`"
            ))
            .into()
        })
    }

    fn needs(needs: &mut Needs) {
        needs.state::<S>();
    }
}

impl<T: DeserializeOwned + Send> Extract for Meta<T> {
    async fn extract(cx: &Context) -> Result<Self> {
        match cx.meta() {
            Ok(meta) => Ok(Self(meta)),
            Err(error) => {
                Err(McpError::invalid_params(format!("`_meta` does not fit: {}", reason(&error))).into())
            }
        }
    }

    fn needs(needs: &mut Needs) {
        needs.meta();
    }
}

/// Extractors whose thing may be missing: the thing itself or an error, and an `Option` of it.
macro_rules! may_be_missing {
    ($($type:ty: |$cx:ident| $found:expr, $why:literal $(, $need:ident)?;)*) => {$(
        impl Extract for $type {
            async fn extract($cx: &Context) -> Result<Self> {
                $found.ok_or_else(|| McpError::new(ErrorCode::INVALID_REQUEST.0, $why).into())
            }

            fn needs(_needs: &mut Needs) {
                $(_needs.$need();)?
            }
        }

        impl Extract for Option<$type> {
            async fn extract($cx: &Context) -> Result<Self> {
                Ok($found)
            }

            fn needs(_needs: &mut Needs) {
                $(_needs.$need();)?
            }
        }
    )*};
}

may_be_missing! {
    Principal: |cx| cx.caller().principal().cloned(),
        "this needs to know who calls, and the server has no proof of it; send the credentials that it asks for";
    Authorized: |cx| cx.caller().authorized().cloned(),
        "this needs to know who calls, and the server has no proof of it; send the credentials that it asks for";
    SessionHandle: |cx| cx.session().cloned(),
        "this needs a session, and this server has none; it must not be served with `stateless_http`";
    Parts: |cx| cx.http_parts().cloned(),
        "this needs the head of an HTTP request, and this call did not come over HTTP", http_parts;
}
