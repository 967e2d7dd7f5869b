//! A macro on a free function.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};
use syn::{Attribute, Error, ItemFn, Path, Result, Type};

use crate::definition::{Definition, Form};
use crate::docs;
use crate::handler::{Handler, Input, Place};
use crate::options::{Kind, Options};

/// Makes something that can be registered out of a function, and that is called as before.
pub(crate) fn expand(kind: Kind, attribute: TokenStream, item: TokenStream) -> TokenStream {
    let mut function = match syn::parse2::<ItemFn>(item) {
        Ok(function) => function,
        Err(error) => {
            let why = format!("`#[{}]` goes on a function: {error}", kind.macro_name());
            return Error::new(error.span(), why).to_compile_error();
        }
    };
    match define(kind, attribute, &mut function) {
        Ok((definition, parameters)) if function.sig.asyncness.is_some() => {
            write_async(&definition, &parameters, function)
        }
        Ok((definition, parameters)) => write_blocking(&definition, &parameters, function),
        Err(error) => stub(kind, &function, &error),
    }
}

fn define(
    kind: Kind,
    attribute: TokenStream,
    function: &mut ItemFn,
) -> Result<(Definition, Vec<(Ident, Type)>)> {
    let doc = docs::description(&function.attrs);
    let handler = Handler::parse(kind, Place::Free, &mut function.sig)?;
    let parameters = handler.inputs.iter().enumerate();
    let parameters = parameters.map(|(at, input)| parameter(&handler.ident, at, input)).collect();
    let options = Options::parse(kind, attribute)?;
    Definition::new(kind, options, handler, doc).map(|definition| (definition, parameters))
}

/// A parameter of a function that only hands on what it gets. It must not hide the function it hands on to.
fn parameter(function: &Ident, at: usize, input: &Input) -> (Ident, Type) {
    match input {
        Input::Argument(argument) if argument.ident != *function => {
            (argument.ident.clone(), argument.ty.clone())
        }
        Input::Argument(argument) => (format_ident!("__{at}"), argument.ty.clone()),
        Input::Extractor(ty) => (format_ident!("__{at}"), (**ty).clone()),
    }
}

/// An async function stays a function. What it returns carries a type that makes its definition: so `Server::tool` finds it
/// by the type of the function alone, and the name is as free for variables and modules as that of any function.
fn write_async(definition: &Definition, parameters: &[(Ident, Type)], function: ItemFn) -> TokenStream {
    let ItemFn { attrs, vis, sig, block, .. } = function;
    let (outer, inner): (Vec<_>, Vec<_>) = attrs.into_iter().partition(is_outer);
    let krate = definition.krate();
    let ident = &sig.ident;
    let output = definition.output();
    let (names, types): (Vec<_>, Vec<_>) = parameters.iter().map(|(name, ty)| (name, ty)).unzip();
    let (_, _, made) = definition.form.into_names();
    let allowed = inner.iter().filter(|attribute| attribute.path().is_ident("allow"));
    let expression = definition.expression(&quote!(#ident));
    quote! {
        #(#outer)*
        #(#allowed)*
        #[allow(clippy::too_many_arguments)]
        #vis fn #ident(#(#names: #types),*)
            -> impl #krate::__private::Described<Definition = #krate::#made, Output = #output> + ::core::marker::Send
        {
            #(#inner)*
            #sig #block

            struct __Definition;

            #[automatically_derived]
            impl #krate::__private::Define for __Definition {
                type Definition = #krate::#made;

                fn define() -> Self::Definition { #expression }
            }

            #krate::__private::Running::<__Definition, _>::new(#ident(#(#names),*))
        }
    }
}

/// A function without `async` returns what it returns, so there is no place for a type beside it: it becomes a unit struct
/// that stands for the function pointer when it is called.
fn write_blocking(definition: &Definition, parameters: &[(Ident, Type)], function: ItemFn) -> TokenStream {
    let ItemFn { attrs, vis, sig, block, .. } = function;
    let (outer, inner): (Vec<_>, Vec<_>) = attrs.into_iter().partition(is_outer);
    let conditions: Vec<_> = outer.iter().filter(|attribute| attribute.path().is_ident("cfg")).collect();
    let krate = definition.krate();
    let ident = &sig.ident;
    let output = definition.output();
    let types = parameters.iter().map(|(_, ty)| ty);
    let pointer = quote!(fn(#(#types),*) -> #output);
    let (into, method, made) = definition.form.into_names();
    let expression = definition.expression(&quote!(#ident));
    quote! {
        #(#outer)*
        #[allow(non_camel_case_types)]
        #[derive(::core::clone::Clone, ::core::marker::Copy, ::core::fmt::Debug)]
        #vis struct #ident;

        #(#conditions)*
        const _: () = {
            #(#inner)*
            #sig #block

            #[automatically_derived]
            #[allow(clippy::type_complexity)]
            impl ::core::ops::Deref for #ident {
                type Target = #pointer;

                fn deref(&self) -> &Self::Target {
                    static FUNCTION: #pointer = #ident;
                    &FUNCTION
                }
            }

            #[automatically_derived]
            impl #krate::#into for #ident {
                fn #method(self) -> #krate::#made { #expression }
            }
        };
    }
}

/// Attributes of what is seen from outside; the others are of the function within.
fn is_outer(attribute: &Attribute) -> bool {
    let outer = ["cfg", "doc", "deprecated"];
    outer.iter().any(|name| attribute.path().is_ident(name))
}

/// What is left of a function that cannot be read: enough that the places where it is used say nothing more.
fn stub(kind: Kind, function: &ItemFn, error: &Error) -> TokenStream {
    let (vis, ident) = (&function.vis, &function.sig.ident);
    let krate: Path = syn::parse_quote!(::throughline);
    let error = error.to_compile_error();
    let mut forms = vec![Form::of(kind)];
    if kind == Kind::Resource {
        forms.push(Form::Template);
    }
    let impls = forms.into_iter().map(|form| {
        let (into, method, made) = form.into_names();
        quote! {
            #[automatically_derived]
            impl #krate::#into for #ident {
                fn #method(self) -> #krate::#made { ::core::unreachable!() }
            }
        }
    });
    quote! {
        #error
        #[allow(non_camel_case_types, dead_code, missing_docs)]
        #vis struct #ident;
        #(#impls)*
    }
}
