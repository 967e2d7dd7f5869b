//! `#[server]` on an `impl` block.

use std::collections::HashSet;

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{Error, FnArg, ImplItem, ImplItemFn, ItemImpl, Result};

use crate::argument::take;
use crate::definition::Definition;
use crate::docs;
use crate::handler::{Errors, Handler, Place, holds_word};
use crate::options::{Kind, Options};

/// Keeps the block, and makes a `Group` of its marked methods.
pub(crate) fn expand(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let mut block = match syn::parse2::<ItemImpl>(item) {
        Ok(block) => block,
        Err(error) => {
            let why = format!("`#[server]` goes on an `impl` block: {error}");
            return Error::new(error.span(), why).to_compile_error();
        }
    };
    let read = Options::parse(Kind::Server, attribute).and_then(|options| {
        let methods = methods(&options, &mut block)?;
        Ok((options, methods))
    });
    match read {
        Ok((options, methods)) => {
            let group = write(&options, &methods, &block);
            quote!(#block #group)
        }
        Err(error) => {
            strip(&mut block);
            stub(&block, &error)
        }
    }
}

/// The block, and enough that the places where it is registered say nothing more than what is wrong.
fn stub(block: &ItemImpl, error: &Error) -> TokenStream {
    let error = error.to_compile_error();
    let (generics, _, bounds) = block.generics.split_for_impl();
    let self_ty = &block.self_ty;
    quote! {
        #error
        #block
        #[automatically_derived]
        impl #generics ::throughline::Group for #self_ty #bounds {
            fn register(self: ::std::sync::Arc<Self>, _: ::throughline::Server) -> ::throughline::Server {
                ::core::unreachable!()
            }
            fn describe() -> ::throughline::Server { ::core::unreachable!() }
        }
    }
}

/// A marked method, with the conditions under which it is there.
struct Method {
    definition: Definition,
    conditions: Vec<syn::Attribute>,
    function: TokenStream,
}

fn methods(server: &Options, block: &mut ItemImpl) -> Result<Vec<Method>> {
    if let Some((path, _)) = &block.trait_ {
        let why = "`#[server]` goes on an `impl` block of the type itself, not of a trait for it";
        return Err(Error::new_spanned(path, why));
    }
    let mut errors = Errors::default();
    let mut methods = Vec::new();
    for item in &mut block.items {
        if let ImplItem::Fn(function) = item
            && let Some(Some(method)) = errors.note(method(server, function))
        {
            methods.push(method);
        }
    }
    let mut seen = HashSet::new();
    for method in &methods {
        let (form, key) = (method.definition.form, method.definition.key());
        let what = form.function(key.span());
        if method.conditions.is_empty() && !seen.insert((what.to_string(), key.value())) {
            let why = format!("the {what} `{}` is there twice; give each a name of its own", key.value());
            errors.note::<()>(Err(Error::new(key.span(), why)));
        }
    }
    errors.done()?;
    if methods.is_empty() {
        let why = "nothing is registered from this block; put `#[tool]`, `#[prompt]` or `#[resource(..)]` on its methods";
        return Err(Error::new_spanned(&block.self_ty, why));
    }
    Ok(methods)
}

/// Reads a method; `None` when it is not marked.
fn method(server: &Options, function: &mut ImplItemFn) -> Result<Option<Method>> {
    let marks = take(&mut function.attrs, |attribute| Kind::of_attribute(attribute.path()).is_some());
    let Some(mark) = marks.first() else { return Ok(None) };
    if let Some(second) = marks.get(1) {
        return Err(Error::new_spanned(second, "a method becomes one thing; keep one of these attributes"));
    }
    let kind = Kind::of_attribute(mark.path()).expect("it was chosen by that");
    let tokens = match &mark.meta {
        syn::Meta::Path(_) => TokenStream::new(),
        syn::Meta::List(list) => list.tokens.clone(),
        syn::Meta::NameValue(pair) => {
            let name = kind.macro_name();
            return Err(Error::new_spanned(&pair.value, format!("write `#[{name}(..)]`")));
        }
    };
    // Where nothing stands, an error has no place of its own.
    let nothing = tokens.is_empty();
    let mut options = Options::parse(kind, tokens)
        .map_err(|error| if nothing { Error::new_spanned(mark, error) } else { error })?;
    options.krate = server.krate.clone();
    let handler = Handler::parse(kind, Place::Method, &mut function.sig)?;
    for argument in handler.arguments() {
        if holds_word(argument.ty.to_token_stream(), "Self") {
            let why = "the type of an argument cannot say `Self`; write the name";
            return Err(Error::new_spanned(&argument.ty, why));
        }
    }
    let ident = &handler.ident;
    let path = quote!(Self::#ident);
    let conditions =
        function.attrs.iter().filter(|attribute| attribute.path().is_ident("cfg")).cloned().collect();
    let definition = Definition::new(kind, options, handler, docs::description(&function.attrs))?;
    Ok(Some(Method { definition, conditions, function: path }))
}

fn write(options: &Options, methods: &[Method], block: &ItemImpl) -> TokenStream {
    let krate = &options.krate;
    let (generics, _, bounds) = block.generics.split_for_impl();
    let self_ty = &block.self_ty;
    let this = proc_macro2::Ident::new("this", proc_macro2::Span::mixed_site());
    let registrations = methods.iter().map(|Method { definition, conditions, function }| {
        let register = definition.form.function(definition.name.span());
        let expression = definition.expression(function);
        quote! {
            #(#conditions)*
            let server = server.#register({
                let #this = ::std::sync::Arc::clone(&self);
                #expression
            });
        }
    });
    let name =
        options.name.as_ref().map_or_else(|| quote!(::core::env!("CARGO_PKG_NAME")), |name| quote!(#name));
    let version = options
        .version
        .as_ref()
        .map_or_else(|| quote!(::core::env!("CARGO_PKG_VERSION")), |version| quote!(#version));
    let instructions =
        options.instructions.as_ref().map(syn::LitStr::value).or_else(|| docs::description(&block.attrs));
    let instructions = instructions.iter();
    quote! {
        #[automatically_derived]
        impl #generics #krate::Group for #self_ty #bounds {
            fn register(self: ::std::sync::Arc<Self>, server: #krate::Server) -> #krate::Server {
                #(#registrations)*
                server
            }

            fn describe() -> #krate::Server {
                #krate::Server::new(#name, #version) #(.instructions(#instructions))*
            }
        }
    }
}

/// Takes our attributes away, so that a block with an error in it says nothing more than that.
fn strip(block: &mut ItemImpl) {
    for item in &mut block.items {
        let ImplItem::Fn(function) = item else { continue };
        take(&mut function.attrs, |attribute| Kind::of_attribute(attribute.path()).is_some());
        for input in &mut function.sig.inputs {
            if let FnArg::Typed(input) = input {
                take(&mut input.attrs, |attribute| {
                    attribute.path().is_ident("arg")
                        || attribute.path().is_ident("extract")
                        || docs::is_doc(attribute)
                });
            }
        }
    }
}
