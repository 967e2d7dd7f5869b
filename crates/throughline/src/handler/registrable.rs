//! What can be registered with a server.

use std::sync::Arc;

use super::generated::Described;
use super::{PromptDef, ResourceDef, Server, TemplateDef, ToolDef};

/// A tool: a [`ToolDef`], or a function under `#[tool]`. `Marker` tells the two apart and is always inferred.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no tool",
    label = "not a tool",
    note = "put `#[tool]` on the function, or make a tool of it with `throughline::tool(\"name\", function)`"
)]
pub trait IntoTool<Marker = ()> {
    /// The tool, ready to be registered.
    fn into_tool(self) -> ToolDef;
}

/// A prompt: a [`PromptDef`], or a function under `#[prompt]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no prompt",
    label = "not a prompt",
    note = "put `#[prompt]` on the function, or make a prompt of it with `throughline::prompt(\"name\", function)`"
)]
pub trait IntoPrompt<Marker = ()> {
    /// The prompt, ready to be registered.
    fn into_prompt(self) -> PromptDef;
}

/// A resource: a [`ResourceDef`], or a function under `#[resource]` whose URI has no variables.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no resource",
    label = "not a resource",
    note = "put `#[resource(\"scheme://uri\")]` on the function, or use `throughline::resource(\"scheme://uri\", \"name\", function)`",
    note = "a resource whose URI has variables is a template: register it with `.template(..)`"
)]
pub trait IntoResource<Marker = ()> {
    /// The resource, ready to be registered.
    fn into_resource(self) -> ResourceDef;
}

/// A resource template: a [`TemplateDef`], or a function under `#[resource]` whose URI has variables.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no resource template",
    label = "not a resource template",
    note = "put `#[resource(\"scheme://{{variable}}\")]` on the function, or use `throughline::template(..)`",
    note = "a resource whose URI has no variables is registered with `.resource(..)`"
)]
pub trait IntoTemplate<Marker = ()> {
    /// The template, ready to be registered.
    fn into_template(self) -> TemplateDef;
}

/// Tools, prompts and resources that share a value: a type with `#[server]` on its `impl` block.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no tools, prompts or resources to register",
    label = "not a group of handlers",
    note = "put `#[server]` on an `impl {Self}` block and `#[tool]`, `#[prompt]` or `#[resource]` on its methods"
)]
pub trait Group: Send + Sync + 'static {
    /// Registers all of it.
    ///
    /// # Panics
    ///
    /// When a name is taken.
    #[must_use]
    fn register(self: Arc<Self>, server: Server) -> Server;

    /// The server that this alone would be, with nothing registered yet: name, version and instructions.
    fn describe() -> Server
    where
        Self: Sized;

    /// A server of this alone.
    ///
    /// # Panics
    ///
    /// When a name is taken.
    fn into_server(self) -> Server
    where
        Self: Sized,
    {
        Self::describe().with(self)
    }
}

impl IntoTool for ToolDef {
    fn into_tool(self) -> ToolDef {
        self
    }
}

impl IntoPrompt for PromptDef {
    fn into_prompt(self) -> PromptDef {
        self
    }
}

impl IntoResource for ResourceDef {
    fn into_resource(self) -> ResourceDef {
        self
    }
}

impl IntoTemplate for TemplateDef {
    fn into_template(self) -> TemplateDef {
        self
    }
}

impl<G: Group> Group for Arc<G> {
    fn register(self: Arc<Self>, server: Server) -> Server {
        G::register(Arc::clone(&*self), server)
    }

    fn describe() -> Server {
        G::describe()
    }
}

/// A function under a macro is told by what it returns: a future that knows its definition.
macro_rules! functions {
    ($(($($input:ident)*))*) => {$(
        registrable!(IntoTool into_tool ToolDef ($($input)*));
        registrable!(IntoPrompt into_prompt PromptDef ($($input)*));
        registrable!(IntoResource into_resource ResourceDef ($($input)*));
        registrable!(IntoTemplate into_template TemplateDef ($($input)*));
    )*};
}

macro_rules! registrable {
    ($trait:ident $method:ident $def:ident ($($input:ident)*)) => {
        impl<F, Fut, $($input),*> $trait<fn($($input),*)> for F
        where
            F: Fn($($input),*) -> Fut,
            Fut: Described<Definition = $def>,
        {
            fn $method(self) -> $def {
                Fut::definition()
            }
        }
    };
}

functions! {
    ()
    (A)
    (A B)
    (A B C)
    (A B C D)
    (A B C D E)
    (A B C D E G)
    (A B C D E G H)
    (A B C D E G H I)
    (A B C D E G H I J)
    (A B C D E G H I J K)
    (A B C D E G H I J K L)
    (A B C D E G H I J K L M)
}
