//! The code that makes a `ToolDef`, `PromptDef`, `ResourceDef` or `TemplateDef` of a function.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Error, Expr, ExprLit, Lit, LitStr, Path, Result, Type};

use crate::argument::{Argument, Limits, Preset, Unit};
use crate::handler::{Handler, Input};
use crate::options::{Hint, Kind, Options};
use crate::template;

/// A function with all that is said about it.
pub(crate) struct Definition {
    pub(crate) form: Form,
    /// The name that clients see.
    pub(crate) name: LitStr,
    options: Options,
    handler: Handler,
    description: Option<String>,
}

/// What it is in the end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Form {
    Tool,
    Prompt,
    Resource,
    Template,
}

impl Form {
    /// The form of a stub for a function that cannot be read.
    pub(crate) fn of(kind: Kind) -> Self {
        match kind {
            Kind::Tool | Kind::Server => Self::Tool,
            Kind::Prompt => Self::Prompt,
            Kind::Resource => Self::Resource,
        }
    }

    /// The function of the crate that makes one, which is also the method that registers it.
    pub(crate) fn function(self, span: Span) -> Ident {
        let name = match self {
            Self::Tool => "tool",
            Self::Prompt => "prompt",
            Self::Resource => "resource",
            Self::Template => "template",
        };
        Ident::new(name, span)
    }

    /// The trait of what can be registered, its method, and what that gives.
    pub(crate) fn into_names(self) -> (Ident, Ident, Ident) {
        let (upper, lower) = match self {
            Self::Tool => ("Tool", "tool"),
            Self::Prompt => ("Prompt", "prompt"),
            Self::Resource => ("Resource", "resource"),
            Self::Template => ("Template", "template"),
        };
        (format_ident!("Into{upper}"), format_ident!("into_{lower}"), format_ident!("{upper}Def"))
    }
}

impl Definition {
    pub(crate) fn new(kind: Kind, options: Options, handler: Handler, doc: Option<String>) -> Result<Self> {
        let name = options.name_or(&handler.ident)?;
        let form = match &options.uri {
            Some(uri) => check_variables(uri, &handler)?,
            None => Form::of(kind),
        };
        if form == Form::Template
            && let Some(size) = &options.size
        {
            return Err(Error::new_spanned(
                size,
                "the resources of a template differ in size; remove `size`",
            ));
        }
        let description = options.description.as_ref().map(LitStr::value).or(doc);
        Ok(Self { form, name, options, handler, description })
    }

    pub(crate) fn krate(&self) -> &Path {
        &self.options.krate
    }

    /// What the function returns.
    pub(crate) fn output(&self) -> &Type {
        &self.handler.output
    }

    /// The URI, or the name where there is none: what must be there once.
    pub(crate) fn key(&self) -> &LitStr {
        self.options.uri.as_ref().unwrap_or(&self.name)
    }

    /// An expression that makes it. `function` is the path of the function; a method is called on `this`, an `Arc` that
    /// is in scope.
    pub(crate) fn expression(&self, function: &TokenStream) -> TokenStream {
        let krate = &self.options.krate;
        let make = self.form.function(self.handler.ident.span());
        let name = &self.name;
        let uri = self.options.uri.iter();
        let arguments = (self.form != Form::Resource).then(|| self.arguments());
        let run = self.run(function);
        let settings = self.settings();
        quote! {{
            #arguments
            #krate::#make(#(#uri,)* #name, #run) #settings
        }}
    }

    /// The struct that the client's arguments are read into, with the functions that serde calls for it.
    fn arguments(&self) -> TokenStream {
        let krate = &self.options.krate;
        let path = |name: &str| {
            let name = Ident::new(name, Span::call_site());
            quote!(#krate::__private::#name).to_string()
        };
        let (serde, schemars) = (path("serde"), path("schemars"));
        let fields = self.handler.arguments().enumerate().map(|(at, argument)| field(krate, at, argument));
        let (fields, functions): (Vec<_>, Vec<_>) = fields.unzip();
        quote! {
            #[derive(#krate::__private::serde::Deserialize, #krate::__private::schemars::JsonSchema)]
            #[serde(crate = #serde, rename = "arguments", deny_unknown_fields)]
            #[schemars(crate = #schemars)]
            struct __Arguments { #(#fields)* }
            #(#functions)*
        }
    }

    /// The closure that the crate makes a tool, prompt, resource or template of.
    fn run(&self, function: &TokenStream) -> TokenStream {
        let krate = &self.options.krate;
        let local = |name: &str| Ident::new(name, Span::mixed_site());
        let (args, cx, this) = (local("args"), local("cx"), local("this"));
        let mut extracted = Vec::new();
        let mut given = Vec::new();
        for (at, input) in self.handler.inputs.iter().enumerate() {
            match input {
                Input::Argument(argument) => {
                    let field = &argument.ident;
                    given.push(quote!(#args.#field));
                }
                Input::Extractor(ty) => {
                    let name = local(&format!("extracted_{at}"));
                    extracted.push(quote_spanned! {ty.span()=>
                        let #name = <#ty as #krate::Extract>::extract(&#cx).await?;
                    });
                    given.push(quote!(#name));
                }
            }
        }
        let call = if self.handler.has_self {
            let method = &self.handler.ident;
            quote!(#this.#method(#(#given),*))
        } else {
            quote!(#function(#(#given),*))
        };
        let call = match (self.handler.is_async, self.handler.has_self) {
            (true, true) => quote!(async move { #call.await }),
            (true, false) => call,
            (false, _) => quote!(#krate::__private::blocking(move || #call)),
        };
        let body = if extracted.is_empty() {
            call
        } else {
            quote! {
                async move {
                    #(#extracted)*
                    ::core::result::Result::Ok::<_, #krate::Error>(#call.await)
                }
            }
        };
        let args = (self.form != Form::Resource).then(|| quote!(#args: __Arguments,));
        let cx = (!extracted.is_empty()).then(|| quote!(#cx: #krate::Context,));
        let share = self.handler.has_self.then(|| quote!(let #this = ::std::sync::Arc::clone(&#this);));
        // What is wrong with the output is said of this closure, so let it stand where the output does.
        quote_spanned!(self.handler.output.span()=> move |#args #cx| { #share #body })
    }

    /// The calls that say more about it.
    fn settings(&self) -> TokenStream {
        let krate = &self.options.krate;
        let options = &self.options;
        let mut settings = TokenStream::new();
        let extractors: Vec<_> = self.handler.extractors().collect();
        if !extractors.is_empty() {
            let needs =
                extractors.iter().map(|ty| quote_spanned!(ty.span()=> <#ty as #krate::Extract>::needs));
            settings.extend(quote!(.__extracting(&[#(#needs),*])));
        }
        for ability in &options.needs {
            let ability = &ability.0;
            settings.extend(quote!(.needs(#krate::Ability::#ability)));
        }
        if !options.scopes.is_empty() {
            let scopes = &options.scopes;
            settings.extend(quote!(.scopes([#(#scopes),*])));
        }
        if let Some(text) = &self.description {
            settings.extend(quote!(.description(#text)));
        }
        if let Some(title) = &options.title {
            settings.extend(quote!(.title(#title)));
        }
        if let Some(mime_type) = &options.mime_type {
            settings.extend(quote!(.mime_type(#mime_type)));
        }
        if let Some(size) = &options.size {
            settings.extend(quote!(.size(#size)));
        }
        if let Some(icons) = &options.icons {
            let icons = icons_of(krate, icons);
            settings.extend(quote!(.icons(#icons)));
        }
        if !options.hints.is_empty() {
            let hints = options.hints.iter().map(|(hint, on)| {
                let set = match hint {
                    Hint::ReadOnly => quote!(with_read_only_hint),
                    Hint::Destructive => quote!(with_destructive_hint),
                    Hint::Idempotent => quote!(with_idempotent_hint),
                    Hint::OpenWorld => quote!(with_open_world_hint),
                };
                quote!(.#set(#on))
            });
            settings.extend(quote!(.annotations(#krate::model::ToolAnnotations::new() #(#hints)*)));
        }
        if self.form == Form::Prompt {
            let names = self.handler.arguments().map(|argument| &argument.name);
            settings.extend(quote!(.__in_order(&[#(#names),*])));
        }
        for argument in self.handler.arguments() {
            if let Some(complete) = &argument.complete {
                let name = &argument.name;
                settings.extend(quote!(.complete(#name, #complete)));
            }
            if let Some(header) = &argument.header {
                let name = &argument.name;
                settings.extend(quote!(.header(#name, #header)));
            }
        }
        settings
    }
}

/// A field of the arguments, and the functions that serde calls for it.
fn field(krate: &Path, at: usize, argument: &Argument) -> (TokenStream, TokenStream) {
    let Argument { ident, name, ty, .. } = argument;
    let doc = argument.doc.iter();
    let mut functions = TokenStream::new();
    let mut serde = vec![quote!(rename = #name)];
    match &argument.default {
        // serde knows by itself that an `Option` may be missing, but not behind a function of ours.
        None if argument.is_checked() && argument.is_optional() => serde.push(quote!(default)),
        None => {}
        Some(Preset::Default) => serde.push(quote!(default)),
        Some(Preset::Value(value)) => {
            let function = format_ident!("__default_{at}");
            let path = function.to_string();
            serde.push(quote!(default = #path));
            let value = match &**value {
                Expr::Lit(ExprLit { lit: Lit::Str(_), .. }) => quote!(::core::convert::Into::into(#value)),
                value => quote!(#value),
            };
            functions.extend(quote!(fn #function() -> #ty { #value }));
        }
    }
    if argument.is_checked() {
        let function = format_ident!("__read_{at}");
        let path = function.to_string();
        serde.push(quote!(deserialize_with = #path));
        functions.extend(reader(krate, &function, argument));
    }
    let keywords = keywords(argument);
    let schema = (!keywords.is_empty()).then(|| quote!(#[schemars(extend(#(#keywords),*))]));
    let field = quote! {
        #(#[doc = #doc])*
        #[serde(#(#serde),*)]
        #schema
        #ident: #ty,
    };
    (field, functions)
}

/// A function that reads an argument and checks what its type alone does not: it runs where serde reads the field, so that
/// the error names the path.
fn reader(krate: &Path, function: &Ident, argument: &Argument) -> TokenStream {
    let ty = &argument.ty;
    let serde = quote!(#krate::__private::serde);
    let range = argument.range.as_ref().map(|limits| {
        let range = limits.expression();
        quote_spanned!(ty.span()=> #krate::__private::in_range(value, #range)?;)
    });
    let length = argument.length.as_ref().zip(argument.unit()).map(|(limits, unit)| {
        let range = limits.expression();
        match unit {
            Unit::Characters => {
                quote!(#krate::__private::in_length(value.chars().count(), "characters", #range)?;)
            }
            Unit::Items => quote!(#krate::__private::in_length(value.len(), "items", #range)?;),
        }
    });
    let check = if argument.is_optional() {
        quote!(if let ::core::option::Option::Some(value) = value { #range #length })
    } else {
        quote!(#range #length)
    };
    quote! {
        fn #function<'de, D: #serde::Deserializer<'de>>(deserializer: D) -> ::core::result::Result<#ty, D::Error> {
            #[allow(clippy::ptr_arg)]
            fn check(value: &#ty) -> ::core::result::Result<(), ::std::string::String> {
                #check
                ::core::result::Result::Ok(())
            }
            let value: #ty = #serde::Deserialize::deserialize(deserializer)?;
            check(&value).map_err(<D::Error as #serde::de::Error>::custom)?;
            ::core::result::Result::Ok(value)
        }
    }
}

/// The limits as JSON Schema says them.
fn keywords(argument: &Argument) -> Vec<TokenStream> {
    let mut keywords = Vec::new();
    if let Some(Limits { least, most, below }) = &argument.range {
        let most_word = if *below { "exclusiveMaximum" } else { "maximum" };
        keywords.extend(least.iter().map(|least| quote!("minimum" = #least)));
        keywords.extend(most.iter().map(|most| quote!(#most_word = #most)));
    }
    if let (Some(Limits { least, most, below }), Some(unit)) = (&argument.length, argument.unit()) {
        let (least_word, most_word) = match unit {
            Unit::Characters => ("minLength", "maxLength"),
            Unit::Items => ("minItems", "maxItems"),
        };
        keywords.extend(least.iter().map(|least| quote!(#least_word = #least)));
        keywords.extend(
            most.iter().map(|most| {
                if *below { quote!(#most_word = (#most) - 1) } else { quote!(#most_word = #most) }
            }),
        );
    }
    keywords
}

impl Limits {
    fn expression(&self) -> TokenStream {
        let Self { least, most, below } = self;
        match (least, most) {
            (least, Some(most)) if *below => quote!(#least..#most),
            (least, Some(most)) => quote!(#least..=#most),
            (least, None) => quote!(#least..),
        }
    }
}

/// Texts are addresses of icons; anything else is an expression for a `Vec<Icon>`.
fn icons_of(krate: &Path, icons: &Expr) -> TokenStream {
    if let Expr::Array(array) = icons
        && array.elems.iter().all(|icon| matches!(icon, Expr::Lit(ExprLit { lit: Lit::Str(_), .. })))
    {
        let icons = array.elems.iter();
        return quote!(::std::vec![#(#krate::model::Icon::new(#icons)),*]);
    }
    quote!(#icons)
}

/// The variables of the URI are the arguments of the function, and the other way round.
fn check_variables(uri: &LitStr, handler: &Handler) -> Result<Form> {
    let variables = template::variables(&uri.value())
        .map_err(|why| Error::new_spanned(uri, format!("this URI template {why}")))?;
    for argument in handler.arguments() {
        let name = argument.name.value();
        if !variables.contains(&name) {
            let why = format!(
                "the URI `{}` has no variable `{{{name}}}` for this argument; add it there, or mark an extractor with `#[extract]`",
                uri.value()
            );
            return Err(Error::new_spanned(&argument.name, why));
        }
    }
    if let Some(unread) =
        variables.iter().find(|name| !handler.arguments().any(|argument| argument.name.value() == **name))
    {
        let why = format!(
            "the function has no argument for the variable `{{{unread}}}`; add one: `{unread}: String`, or any type that is read from text"
        );
        return Err(Error::new_spanned(uri, why));
    }
    Ok(if variables.is_empty() { Form::Resource } else { Form::Template })
}
