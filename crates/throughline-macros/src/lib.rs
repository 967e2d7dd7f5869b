//! The macros of [`throughline`](https://docs.rs/throughline): use them from there.

mod argument;
mod definition;
mod docs;
mod function;
mod group;
mod handler;
mod options;
mod template;

use proc_macro::TokenStream;

use options::Kind;

/// Makes a tool of a function.
#[proc_macro_attribute]
pub fn tool(attribute: TokenStream, item: TokenStream) -> TokenStream {
    function::expand(Kind::Tool, attribute.into(), item.into()).into()
}

/// Makes a prompt of a function.
#[proc_macro_attribute]
pub fn prompt(attribute: TokenStream, item: TokenStream) -> TokenStream {
    function::expand(Kind::Prompt, attribute.into(), item.into()).into()
}

/// Makes a resource, or a resource template, of a function.
#[proc_macro_attribute]
pub fn resource(attribute: TokenStream, item: TokenStream) -> TokenStream {
    function::expand(Kind::Resource, attribute.into(), item.into()).into()
}

/// Registers methods of a type that share its value.
#[proc_macro_attribute]
pub fn server(attribute: TokenStream, item: TokenStream) -> TokenStream {
    group::expand(attribute.into(), item.into()).into()
}
