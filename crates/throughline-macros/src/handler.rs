//! A function, read as what it takes and gives.

use std::collections::HashSet;

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::spanned::Spanned;
use syn::{
    Error, FnArg, Ident, PatType, ReceiverKind, Result, ReturnType, Safety, Signature, Type, parse_quote,
};

use crate::argument::{Argument, is_extractor, take};
use crate::options::Kind;

/// A function that becomes a tool, prompt or resource.
pub(crate) struct Handler {
    pub(crate) ident: Ident,
    pub(crate) is_async: bool,
    /// It is a method of a shared value (`&self`).
    pub(crate) has_self: bool,
    /// Its parameters after `self`.
    pub(crate) inputs: Vec<Input>,
    pub(crate) output: Type,
}

/// What a parameter is.
pub(crate) enum Input {
    /// The client gives it.
    Argument(Box<Argument>),
    /// The call gives it.
    Extractor(Box<Type>),
}

/// Where the function stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Place {
    Free,
    Method,
}

impl Handler {
    /// Reads a signature; the attributes of its parameters that are ours are taken away.
    pub(crate) fn parse(kind: Kind, place: Place, signature: &mut Signature) -> Result<Self> {
        let name = kind.macro_name();
        check_signature(name, place, signature)?;
        let mut handler = Self {
            ident: signature.ident.clone(),
            is_async: signature.asyncness.is_some(),
            has_self: false,
            inputs: Vec::new(),
            output: match &signature.output {
                ReturnType::Default => parse_quote!(()),
                ReturnType::Type(_, ty) => (**ty).clone(),
            },
        };
        let mut errors = Errors::default();
        for input in &mut signature.inputs {
            let read = match input {
                FnArg::Typed(input) => Input::parse(kind, input).map(|input| handler.inputs.push(input)),
                FnArg::Receiver(receiver) if place == Place::Method => {
                    handler.has_self = true;
                    match &receiver.kind {
                        ReceiverKind::Reference(_, _, None) => Ok(()),
                        _ => Err(Error::new_spanned(&receiver, SHARED_SELF)),
                    }
                }
                FnArg::Receiver(receiver) => Err(Error::new(
                    receiver.span(),
                    format!(
                        "a method becomes a {name} in an `impl` block that has `#[server]` on it; put `#[server]` there"
                    ),
                )),
            };
            errors.note(read);
        }
        errors.note(handler.check_names());
        errors.done().map(|()| handler)
    }

    pub(crate) fn arguments(&self) -> impl Iterator<Item = &Argument> {
        self.inputs.iter().filter_map(|input| match input {
            Input::Argument(argument) => Some(&**argument),
            Input::Extractor(_) => None,
        })
    }

    pub(crate) fn extractors(&self) -> impl Iterator<Item = &Type> {
        self.inputs.iter().filter_map(|input| match input {
            Input::Argument(_) => None,
            Input::Extractor(ty) => Some(&**ty),
        })
    }

    fn check_names(&self) -> Result<()> {
        let mut seen = HashSet::new();
        let mut headers = HashSet::new();
        for argument in self.arguments() {
            if let Some(header) = &argument.header
                && !headers.insert(header.value().to_ascii_lowercase())
            {
                let why = format!("two arguments are carried in the header `{}`; rename one", header.value());
                return Err(Error::new(header.span(), why));
            }
            if !seen.insert(argument.name.value()) {
                let why = format!("two arguments are named `{}`; rename one", argument.name.value());
                return Err(Error::new_spanned(&argument.name, why));
            }
        }
        Ok(())
    }
}

impl Input {
    fn parse(kind: Kind, input: &mut PatType) -> Result<Self> {
        let marked = take(&mut input.attrs, |attribute| attribute.path().is_ident("extract"));
        if marked.is_empty() && !is_extractor(&input.ty) {
            return Argument::parse(kind, input).map(|argument| Self::Argument(Box::new(argument)));
        }
        for mark in &marked {
            mark.meta.require_path_only()?;
        }
        if let Some(attribute) = take(&mut input.attrs, |attribute| attribute.path().is_ident("arg")).first()
        {
            let why =
                "this parameter is taken from the call, not from the client's arguments; remove `#[arg]`";
            return Err(Error::new_spanned(attribute, why));
        }
        input.attrs.retain(|attribute| !crate::docs::is_doc(attribute));
        Ok(Self::Extractor(input.ty.clone()))
    }
}

fn check_signature(name: &str, place: Place, signature: &Signature) -> Result<()> {
    if let Some(first) = signature.generics.params.first() {
        let why = format!("a {name} has one form, so its function cannot be generic; name the types");
        return Err(Error::new_spanned(first, why));
    }
    if let Some(constness) = &signature.constness {
        return Err(Error::new(constness.span, format!("a {name} cannot be `const`; remove the word")));
    }
    if !matches!(signature.safety, Safety::Default) {
        let why = format!("a {name} is called by clients and cannot ask them to be careful; remove `unsafe`");
        return Err(Error::new(signature.fn_token.span, why));
    }
    if let Some(abi) = &signature.abi {
        return Err(Error::new_spanned(abi, format!("a {name} is a plain Rust function; remove `extern`")));
    }
    if place == Place::Free
        && let ReturnType::Type(_, ty) = &signature.output
        && holds_word(ty.to_token_stream(), "impl")
    {
        return Err(Error::new_spanned(ty, format!("a {name} has a type of its own; name what it returns")));
    }
    Ok(())
}

/// Whether a word stands anywhere in these tokens.
pub(crate) fn holds_word(tokens: TokenStream, word: &str) -> bool {
    tokens.into_iter().any(|token| match token {
        proc_macro2::TokenTree::Group(group) => holds_word(group.stream(), word),
        proc_macro2::TokenTree::Ident(ident) => ident == word,
        _ => false,
    })
}

/// All that is wrong, so that it is said at once.
#[derive(Default)]
pub(crate) struct Errors(Option<Error>);

impl Errors {
    /// What went well, or `None`.
    pub(crate) fn note<T>(&mut self, result: Result<T>) -> Option<T> {
        match (result, &mut self.0) {
            (Ok(value), _) => return Some(value),
            (Err(error), Some(errors)) => errors.combine(error),
            (Err(error), none) => *none = Some(error),
        }
        None
    }

    pub(crate) fn done(self) -> Result<()> {
        self.0.map_or(Ok(()), Err)
    }
}

const SHARED_SELF: &str = "many calls run at once and share the value: take `&self`, and keep what changes behind a `Mutex` or an atomic";
