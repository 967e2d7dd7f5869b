//! What stands in the parentheses of `#[tool(..)]`, `#[prompt(..)]`, `#[resource(..)]` and `#[server(..)]`.

use std::collections::HashSet;

use proc_macro2::{Span, TokenStream};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Error, Expr, Ident, LitBool, LitInt, LitStr, Path, Result, Token, parenthesized, parse_quote};

/// What a function becomes, or that it is an `impl` block of such.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Tool,
    Prompt,
    Resource,
    Server,
}

impl Kind {
    pub(crate) fn macro_name(self) -> &'static str {
        match self {
            Self::Tool => "tool",
            Self::Prompt => "prompt",
            Self::Resource => "resource",
            Self::Server => "server",
        }
    }

    fn known(self) -> &'static [&'static str] {
        match self {
            Self::Tool => &[
                "name",
                "title",
                "description",
                "icons",
                "read_only",
                "destructive",
                "idempotent",
                "open_world",
                "needs",
                "scopes",
                "crate",
            ],
            Self::Prompt => &["name", "title", "description", "icons", "needs", "scopes", "crate"],
            Self::Resource => {
                &["name", "title", "description", "icons", "mime_type", "size", "needs", "scopes", "crate"]
            }
            Self::Server => &["name", "version", "instructions", "crate"],
        }
    }

    /// The kind that an attribute on a method asks for. The path may be qualified.
    pub(crate) fn of_attribute(path: &Path) -> Option<Self> {
        let last = &path.segments.last()?.ident;
        [Self::Tool, Self::Prompt, Self::Resource].into_iter().find(|kind| last == kind.macro_name())
    }
}

/// The options, each at most once.
pub(crate) struct Options {
    pub(crate) krate: Path,
    pub(crate) name: Option<LitStr>,
    pub(crate) version: Option<LitStr>,
    pub(crate) title: Option<LitStr>,
    pub(crate) description: Option<LitStr>,
    pub(crate) instructions: Option<LitStr>,
    pub(crate) icons: Option<Expr>,
    pub(crate) hints: Vec<(Hint, LitBool)>,
    pub(crate) needs: Vec<Ability>,
    pub(crate) scopes: Vec<LitStr>,
    pub(crate) uri: Option<LitStr>,
    pub(crate) mime_type: Option<LitStr>,
    pub(crate) size: Option<LitInt>,
}

/// A hint about what a tool does to the world.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Hint {
    ReadOnly,
    Destructive,
    Idempotent,
    OpenWorld,
}

/// A variant of `throughline::Ability`, at the place that names it.
pub(crate) struct Ability(pub(crate) Ident);

const HINTS: [(&str, Hint); 4] = [
    ("read_only", Hint::ReadOnly),
    ("destructive", Hint::Destructive),
    ("idempotent", Hint::Idempotent),
    ("open_world", Hint::OpenWorld),
];

const ABILITIES: [(&str, &str); 5] = [
    ("sampling", "Sampling"),
    ("sampling_tools", "SamplingTools"),
    ("elicitation", "Elicitation"),
    ("elicitation_url", "ElicitationUrl"),
    ("roots", "Roots"),
];

impl Options {
    pub(crate) fn parse(kind: Kind, tokens: TokenStream) -> Result<Self> {
        (|input: ParseStream<'_>| Self::read(kind, input)).parse2(tokens)
    }

    fn read(kind: Kind, input: ParseStream<'_>) -> Result<Self> {
        let mut options = Self {
            krate: parse_quote!(::throughline),
            name: None,
            version: None,
            title: None,
            description: None,
            instructions: None,
            icons: None,
            hints: Vec::new(),
            needs: Vec::new(),
            scopes: Vec::new(),
            uri: None,
            mime_type: None,
            size: None,
        };
        if kind == Kind::Resource {
            if !input.peek(LitStr) {
                let why = "`#[resource]` needs the URI: write `#[resource(\"scheme://path\")]`, with variables like `{name}` for a template";
                return Err(Error::new(input.span(), why));
            }
            options.uri = Some(input.parse()?);
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        let mut seen = HashSet::new();
        while !input.is_empty() {
            let key = input.call(Ident::parse_any)?;
            let word = key.unraw().to_string();
            if !kind.known().contains(&word.as_str()) {
                let (name, known) = (kind.macro_name(), kind.known().join("`, `"));
                return Err(Error::new(
                    key.span(),
                    format!("`#[{name}]` has no option `{word}`; it has `{known}`"),
                ));
            }
            if !seen.insert(word.clone()) {
                return Err(Error::new(key.span(), format!("`{word}` is given twice; keep one")));
            }
            options.set(&word, key.span(), input)?;
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        options.check()?;
        Ok(options)
    }

    fn set(&mut self, word: &str, at: Span, input: ParseStream<'_>) -> Result<()> {
        if let Some((_, hint)) = HINTS.iter().find(|(name, _)| *name == word) {
            self.hints.push((*hint, flag(at, input)?));
            return Ok(());
        }
        match word {
            "name" => self.name = Some(text(word, at, input)?),
            "version" => self.version = Some(text(word, at, input)?),
            "title" => self.title = Some(text(word, at, input)?),
            "description" => self.description = Some(text(word, at, input)?),
            "instructions" => self.instructions = Some(text(word, at, input)?),
            "mime_type" => self.mime_type = Some(text(word, at, input)?),
            "size" => {
                input.parse::<Token![=]>()?;
                self.size = Some(input.parse()?);
            }
            "icons" => {
                input.parse::<Token![=]>()?;
                self.icons = Some(input.parse()?);
            }
            "crate" => {
                input.parse::<Token![=]>()?;
                self.krate = if input.peek(LitStr) {
                    input.parse::<LitStr>()?.parse()?
                } else {
                    input.call(Path::parse_mod_style)?
                };
            }
            "scopes" => self.scopes = scopes(at, input)?,
            _ => self.needs = abilities(at, input)?,
        }
        Ok(())
    }

    /// What no option can say alone.
    fn check(&self) -> Result<()> {
        let set = |hint: Hint| self.hints.iter().find(|(other, on)| *other == hint && on.value());
        if let (Some(_), Some((_, on))) = (set(Hint::ReadOnly), set(Hint::Destructive)) {
            let why = "a tool that is `read_only` changes nothing, so it cannot be `destructive`; keep one of the two";
            return Err(Error::new(on.span(), why));
        }
        Ok(())
    }

    /// The name that the client sees, and where it is written.
    pub(crate) fn name_or(&self, ident: &Ident) -> Result<LitStr> {
        let name = match &self.name {
            Some(name) => name.clone(),
            None => LitStr::new(&ident.unraw().to_string(), ident.span()),
        };
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'/');
        let text = name.value();
        if (1..=128).contains(&text.len()) && text.bytes().all(allowed) {
            return Ok(name);
        }
        let why = if self.name.is_some() {
            "a name is 1 to 128 letters, digits, `_`, `-`, `.` or `/`"
        } else {
            "this cannot be the name that clients see: names are 1 to 128 letters, digits, `_`, `-`, `.` or `/`; choose one with `name = \"..\"`"
        };
        Err(Error::new_spanned(&name, why))
    }
}

/// `= "text"`
fn text(word: &str, at: Span, input: ParseStream<'_>) -> Result<LitStr> {
    if !input.peek(Token![=]) || !input.peek2(LitStr) {
        return Err(Error::new(at, format!("`{word}` needs a text: write `{word} = \"..\"`")));
    }
    input.parse::<Token![=]>()?;
    input.parse()
}

/// Nothing, `= true` or `= false`
fn flag(at: Span, input: ParseStream<'_>) -> Result<LitBool> {
    if !input.peek(Token![=]) {
        return Ok(LitBool::new(true, at));
    }
    input.parse::<Token![=]>()?;
    input.parse()
}

/// `(sampling, roots)`
fn abilities(at: Span, input: ParseStream<'_>) -> Result<Vec<Ability>> {
    if !input.peek(syn::token::Paren) {
        return Err(Error::new(at, "`needs` names abilities of the client: write `needs(sampling)`"));
    }
    let inner;
    parenthesized!(inner in input);
    let words = Punctuated::<Ident, Token![,]>::parse_terminated(&inner)?;
    words.into_iter().map(ability).collect()
}

fn ability(word: Ident) -> Result<Ability> {
    match ABILITIES.iter().find(|(name, _)| word == name) {
        Some((_, variant)) => Ok(Ability(Ident::new(variant, word.span()))),
        None => {
            let known: Vec<_> = ABILITIES.iter().map(|(name, _)| *name).collect();
            let why = format!("clients have no ability `{word}`; there are `{}`", known.join("`, `"));
            Err(Error::new(word.span(), why))
        }
    }
}

/// `("files:read", "files:write")`
fn scopes(at: Span, input: ParseStream<'_>) -> Result<Vec<LitStr>> {
    let why = "`scopes` names what a token must grant, as texts: write `scopes(\"files:read\")`";
    if !input.peek(syn::token::Paren) {
        return Err(Error::new(at, why));
    }
    let inner;
    parenthesized!(inner in input);
    if inner.is_empty() {
        return Err(Error::new(at, why));
    }
    let mut scopes: Vec<LitStr> = Vec::new();
    while !inner.is_empty() {
        if !inner.peek(LitStr) {
            return Err(Error::new(inner.span(), why));
        }
        let scope: LitStr = inner.parse()?;
        check_scope(&scope)?;
        if scopes.iter().any(|known| known.value() == scope.value()) {
            return Err(Error::new(
                scope.span(),
                format!("the scope `{}` is given twice; keep one", scope.value()),
            ));
        }
        scopes.push(scope);
        if !inner.is_empty() {
            inner.parse::<Token![,]>()?;
        }
    }
    Ok(scopes)
}

/// `scope-token` of <https://www.rfc-editor.org/rfc/rfc6749#section-3.3>.
fn check_scope(scope: &LitStr) -> Result<()> {
    let text = scope.value();
    let why = match text.as_str() {
        "" => "a scope is not empty; leave it out",
        text if text.contains(' ') => {
            "a scope has no space; write each as a text of its own: `scopes(\"a\", \"b\")`"
        }
        text if text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\')) => {
            return Ok(());
        }
        _ => "a scope is visible ASCII without `\"` and `\\`",
    };
    Err(Error::new(scope.span(), why))
}
