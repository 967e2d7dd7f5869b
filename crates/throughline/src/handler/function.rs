//! Functions that can be tools, prompts or resources.

use std::future::Future;
use std::marker::PhantomData;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use throughline_proto::jsonrpc::Raw;

use super::{Context, Extract, Needs, arguments, strings};

/// An async function or closure with up to one argument of your own type and up to one [`Context`].
///
/// | form | arguments |
/// |---|---|
/// | `async fn() -> R` | none |
/// | `async fn(Args) -> R` | the fields of `Args` |
/// | `async fn(Context) -> R` | none |
/// | `async fn(Args, Context) -> R` | the fields of `Args` |
///
/// `Args` is a struct with named fields that is `serde::Deserialize` and `schemars::JsonSchema`. `Marker` tells the
/// forms apart and is always inferred.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a handler",
    label = "not an async function of the right form",
    note = "write an async function or closure with at most one argument type (Deserialize + JsonSchema), followed by at most one `Context`"
)]
pub trait Function<Marker>: Send + Sync + 'static {
    /// What the function takes from the client.
    type Args: Arguments;
    /// What the function returns.
    type Output: 'static;
    /// The running function.
    type Future: Future<Output = Self::Output> + Send + 'static;

    /// Whether the function takes a [`Context`]. One that does not asks nothing, so it never runs twice.
    #[doc(hidden)]
    const HAS_CONTEXT: bool = true;

    /// What a call must have ready: all that a [`Context`] gives apart from the HTTP head, where the function takes one.
    #[doc(hidden)]
    fn needs() -> Needs {
        Needs::default()
    }

    /// Runs the function.
    fn invoke(&self, args: Self::Args, cx: Context) -> Self::Future;
}

/// What a [`Function`] takes from the client: nothing, or the fields of one type.
#[doc(hidden)]
pub trait Arguments: Sized + Send + 'static {
    /// The schema, an object; `what` names the function in the panic for a wrong type.
    fn schema(what: &str) -> Raw;
    /// Reads JSON.
    fn from_json(raw: &Raw) -> Result<Self, String>;
    /// Reads named texts: the variables of a template, the arguments of a prompt.
    fn from_strings(values: Vec<(String, String)>) -> Result<Self, String>;
}

/// No arguments.
#[doc(hidden)]
#[derive(Debug)]
pub struct NoArgs;

/// The fields of `A`.
#[doc(hidden)]
#[derive(Debug)]
pub struct Typed<A>(A);

impl Arguments for NoArgs {
    fn schema(_: &str) -> Raw {
        Raw::from_json(r#"{"type":"object","properties":{}}"#).expect("it is JSON")
    }

    fn from_json(raw: &Raw) -> Result<Self, String> {
        check_object(raw).map(|()| Self)
    }

    fn from_strings(_: Vec<(String, String)>) -> Result<Self, String> {
        Ok(Self)
    }
}

impl<A: DeserializeOwned + JsonSchema + Send + 'static> Arguments for Typed<A> {
    fn schema(what: &str) -> Raw {
        arguments::object_schema::<A>(what)
    }

    fn from_json(raw: &Raw) -> Result<Self, String> {
        check_object(raw)?;
        arguments::parse(raw).map(Self)
    }

    fn from_strings(values: Vec<(String, String)>) -> Result<Self, String> {
        strings::parse(values).map(Self)
    }
}

/// Arguments are named. (A struct could be read from a list, too.)
fn check_object(raw: &Raw) -> Result<(), String> {
    if raw.is_object() { Ok(()) } else { Err("the arguments do not fit: they must be an object".into()) }
}

/// Markers of the four forms.
#[doc(hidden)]
pub(super) mod form {
    use super::PhantomData;

    /// `fn()`
    #[derive(Debug)]
    pub struct Nothing;
    /// `fn(Context)`
    #[derive(Debug)]
    pub struct WithContext;
    /// `fn(Args)`
    #[derive(Debug)]
    pub struct WithArgs<A>(PhantomData<A>);
    /// `fn(Args, Context)`
    #[derive(Debug)]
    pub struct WithBoth<A>(PhantomData<A>);
}

fn context_needs() -> Needs {
    let mut needs = Needs::default();
    Context::needs(&mut needs);
    needs
}

impl<F, Fut> Function<form::Nothing> for F
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output: 'static> + Send + 'static,
{
    const HAS_CONTEXT: bool = false;
    type Args = NoArgs;
    type Output = Fut::Output;
    type Future = Fut;

    fn invoke(&self, _: NoArgs, _: Context) -> Fut {
        self()
    }
}

impl<F, Fut> Function<form::WithContext> for F
where
    F: Fn(Context) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: 'static> + Send + 'static,
{
    type Args = NoArgs;
    type Output = Fut::Output;
    type Future = Fut;

    fn needs() -> Needs {
        context_needs()
    }

    fn invoke(&self, _: NoArgs, cx: Context) -> Fut {
        self(cx)
    }
}

impl<F, Fut, A> Function<form::WithArgs<A>> for F
where
    F: Fn(A) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: 'static> + Send + 'static,
    A: DeserializeOwned + JsonSchema + Send + 'static,
{
    const HAS_CONTEXT: bool = false;
    type Args = Typed<A>;
    type Output = Fut::Output;
    type Future = Fut;

    fn invoke(&self, args: Typed<A>, _: Context) -> Fut {
        self(args.0)
    }
}

impl<F, Fut, A> Function<form::WithBoth<A>> for F
where
    F: Fn(A, Context) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: 'static> + Send + 'static,
    A: DeserializeOwned + JsonSchema + Send + 'static,
{
    type Args = Typed<A>;
    type Output = Fut::Output;
    type Future = Fut;

    fn needs() -> Needs {
        context_needs()
    }

    fn invoke(&self, args: Typed<A>, cx: Context) -> Fut {
        self(args.0, cx)
    }
}
