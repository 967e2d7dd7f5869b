//! An argument that the client gives: a parameter of the function, and its `#[arg(..)]`.

use proc_macro2::Span;
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::spanned::Spanned;
use syn::{
    Attribute, Error, Expr, ExprLit, ExprRange, ExprUnary, GenericArgument, Ident, Lit, LitStr, Pat, PatType,
    Path, PathArguments, RangeLimits, Result, Token, Type, UnOp,
};

use crate::docs;
use crate::options::Kind;

/// One argument.
pub(crate) struct Argument {
    pub(crate) ident: Ident,
    /// What the client calls it.
    pub(crate) name: LitStr,
    pub(crate) ty: Type,
    pub(crate) doc: Option<String>,
    pub(crate) default: Option<Preset>,
    pub(crate) range: Option<Limits>,
    pub(crate) length: Option<Limits>,
    pub(crate) complete: Option<Path>,
    /// The `Mcp-Param-` header that carries it too.
    pub(crate) header: Option<LitStr>,
}

/// What an argument is when the client leaves it out.
pub(crate) enum Preset {
    /// `#[arg(default)]`
    Default,
    /// `#[arg(default = ..)]`
    Value(Box<Expr>),
}

/// The least and the most a value may be; one of them at least.
#[derive(Default)]
pub(crate) struct Limits {
    pub(crate) least: Option<Expr>,
    pub(crate) most: Option<Expr>,
    /// `most` itself is not allowed any more.
    pub(crate) below: bool,
}

impl Argument {
    /// Reads a parameter; its attributes that are ours are taken away.
    pub(crate) fn parse(kind: Kind, input: &mut PatType) -> Result<Self> {
        let Pat::Ident(pattern) = &*input.pat else {
            let why = "the client needs a name for this argument: write `name: Type` (only extractors may be patterns)";
            return Err(Error::new_spanned(&input.pat, why));
        };
        check_type(&input.ty)?;
        let ident = pattern.ident.clone();
        let mut argument = Self {
            name: LitStr::new(&ident.unraw().to_string(), ident.span()),
            ident,
            ty: (*input.ty).clone(),
            doc: docs::description(&input.attrs),
            default: None,
            range: None,
            length: None,
            complete: None,
            header: None,
        };
        for attribute in take(&mut input.attrs, |attribute| attribute.path().is_ident("arg")) {
            attribute.parse_args_with(|input: ParseStream<'_>| argument.options(kind, input))?;
        }
        input.attrs.retain(|attribute| !docs::is_doc(attribute));
        argument.check()?;
        Ok(argument)
    }

    fn options(&mut self, kind: Kind, input: ParseStream<'_>) -> Result<()> {
        while !input.is_empty() {
            let key = input.call(Ident::parse_any)?;
            self.option(kind, &key, input)?;
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(())
    }

    fn option(&mut self, kind: Kind, key: &Ident, input: ParseStream<'_>) -> Result<()> {
        let word = key.to_string();
        let twice = || Error::new(key.span(), format!("`{word}` is given twice; keep one"));
        match word.as_str() {
            "default" => {
                let preset = if input.peek(Token![=]) {
                    input.parse::<Token![=]>()?;
                    Preset::Value(input.parse()?)
                } else {
                    Preset::Default
                };
                self.default.replace(preset).map_or(Ok(()), |_| Err(twice()))
            }
            "doc" => {
                self.doc = Some(text(key, input)?.value());
                Ok(())
            }
            "rename" => {
                self.name = text(key, input)?;
                if self.name.value().is_empty() {
                    return Err(Error::new(
                        self.name.span(),
                        "an argument needs a name; write at least one letter",
                    ));
                }
                Ok(())
            }
            "range" | "length" => {
                let limits = limits(key, input)?;
                let place = if word == "range" { &mut self.range } else { &mut self.length };
                place.replace(limits).map_or(Ok(()), |_| Err(twice()))
            }
            "min" | "max" => {
                input.parse::<Token![=]>()?;
                let limits = self.range.get_or_insert_default();
                let place = if word == "min" { &mut limits.least } else { &mut limits.most };
                place.replace(input.parse()?).map_or(Ok(()), |_| Err(twice()))
            }
            "complete" if kind != Kind::Tool => {
                input.parse::<Token![=]>()?;
                self.complete.replace(input.parse()?).map_or(Ok(()), |_| Err(twice()))
            }
            "complete" => {
                let why = "only the arguments of prompts and the variables of resource templates are completed; remove `complete`";
                Err(Error::new(key.span(), why))
            }
            "header" if kind == Kind::Tool => {
                let name = text(key, input)?;
                self.header.replace(name).map_or(Ok(()), |_| Err(twice()))
            }
            "header" => {
                let why = "only the arguments of tools are carried in headers; remove `header`";
                Err(Error::new(key.span(), why))
            }
            _ => {
                let why = format!(
                    "`#[arg]` has no option `{word}`; it has `default`, `doc`, `rename`, `range`, `min`, `max`, `length`, `complete` and `header`"
                );
                Err(Error::new(key.span(), why))
            }
        }
    }

    /// What can be known to be wrong before the program runs.
    fn check(&self) -> Result<()> {
        for limits in self.range.iter().chain(&self.length) {
            let (least, most) =
                (limits.least.as_ref().and_then(number), limits.most.as_ref().and_then(number));
            if let (Some(least), Some(most)) = (least, most)
                && (least > most || (limits.below && least >= most))
            {
                return Err(Error::new(limits.span(), "nothing lies in this range; swap its ends"));
            }
        }
        if self.length.is_some() && self.unit().is_none() {
            let why = "`length` limits texts and lists: the type must be `String` or `Vec<_>`, or an `Option` of one; `range` limits numbers";
            return Err(Error::new_spanned(&self.ty, why));
        }
        if let (Some(limits), Some(Preset::Value(value))) = (&self.range, &self.default)
            && let Some(number) = number(value)
            && !limits.contain(number)
        {
            return Err(Error::new(
                value.span(),
                "this default is out of the argument's own range; change one of them",
            ));
        }
        self.header.as_ref().map_or(Ok(()), |header| self.check_header(header))
    }

    /// A header carries a text, an integer or a boolean; of a type of the user's own, its schema tells when it is registered
    /// (<https://modelcontextprotocol.io/specification/2026-07-28/server/tools#x-mcp-header>).
    fn check_header(&self, header: &LitStr) -> Result<()> {
        let name = header.value();
        if name.is_empty() || !name.bytes().all(is_token) {
            let why = "this cannot be the name of a header: use letters, digits and `-`, as in `header = \"Region\"`; `Mcp-Param-` is put before it";
            return Err(Error::new(header.span(), why));
        }
        let ty = inner_of(&self.ty, "Option").unwrap_or(&self.ty);
        if last_segment(ty, &["Vec", "f32", "f64"]).is_some() {
            let why = "a header carries a text, an integer or a boolean, which this type is not; remove `header` or change the type";
            return Err(Error::new_spanned(&self.ty, why));
        }
        Ok(())
    }

    /// Whether code of ours checks the value.
    pub(crate) fn is_checked(&self) -> bool {
        self.range.is_some() || self.length.is_some()
    }

    pub(crate) fn is_optional(&self) -> bool {
        inner_of(&self.ty, "Option").is_some()
    }

    /// What `length` counts, where the type has a length.
    pub(crate) fn unit(&self) -> Option<Unit> {
        let ty = inner_of(&self.ty, "Option").unwrap_or(&self.ty);
        match last_segment(ty, &["String", "Vec"])? {
            "String" => Some(Unit::Characters),
            "Vec" => Some(Unit::Items),
            _ => None,
        }
    }
}

/// What `length` counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Unit {
    Characters,
    Items,
}

impl Limits {
    fn span(&self) -> Span {
        let expr = self.least.as_ref().or(self.most.as_ref());
        expr.map_or_else(Span::call_site, Spanned::span)
    }

    fn contain(&self, value: f64) -> bool {
        let least = self.least.as_ref().and_then(number).is_none_or(|least| value >= least);
        let most = self.most.as_ref().and_then(number);
        least && most.is_none_or(|most| if self.below { value < most } else { value <= most })
    }
}

/// Whether a parameter of this type is taken from the call and not from the client: decided by its last name alone.
pub(crate) fn is_extractor(ty: &Type) -> bool {
    if let Some(inner) = inner_of(ty, "Option") {
        return is_extractor(inner);
    }
    let Type::Path(path) = peeled(ty) else { return false };
    let Some(last) = path.path.segments.last() else { return false };
    let generic = matches!(last.arguments, PathArguments::AngleBracketed(_));
    match last.ident.to_string().as_str() {
        "Context" | "Principal" | "Authorized" | "Parts" | "SessionHandle" | "Session" => !generic,
        "State" | "Meta" => generic,
        _ => false,
    }
}

/// The attributes that are taken away because they are ours.
pub(crate) fn take(attributes: &mut Vec<Attribute>, ours: impl Fn(&Attribute) -> bool) -> Vec<Attribute> {
    let (taken, kept) = std::mem::take(attributes).into_iter().partition(ours);
    *attributes = kept;
    taken
}

/// The type without parentheses, also those that other macros put around it and nobody sees.
fn peeled(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => peeled(&group.elem),
        Type::Paren(paren) => peeled(&paren.elem),
        ty => ty,
    }
}

/// The `T` of a `name<T>`.
fn inner_of<'a>(ty: &'a Type, name: &str) -> Option<&'a Type> {
    let Type::Path(path) = peeled(ty) else { return None };
    let last = path.path.segments.last().filter(|last| last.ident == name)?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    match arguments.args.first()? {
        GenericArgument::Type(inner) => Some(inner),
        _ => None,
    }
}

/// The last name of a type, where it is one of these.
fn last_segment<'a>(ty: &Type, names: &[&'a str]) -> Option<&'a str> {
    let Type::Path(path) = peeled(ty) else { return None };
    let last = &path.path.segments.last()?.ident;
    names.iter().copied().find(|name| last == name)
}

/// What the name of a header is made of ([tokens](https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2)).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Types that no argument can have, with what to write instead.
fn check_type(ty: &Type) -> Result<()> {
    let why = match peeled(ty) {
        Type::Reference(reference) => match &*reference.elem {
            Type::Path(path) if path.path.is_ident("str") => {
                "an argument is read from the request and owned by the function: take a `String`"
            }
            Type::Slice(_) => {
                "an argument is read from the request and owned by the function: take a `Vec<_>`"
            }
            _ => "an argument is read from the request and owned by the function: take it without `&`",
        },
        Type::ImplTrait(_) => {
            "the type of an argument makes its schema: name one type instead of `impl Trait`"
        }
        Type::Ptr(_) | Type::FnPtr(_) => {
            "no client can send this; take a type that is `Deserialize` and `JsonSchema`"
        }
        _ => return Ok(()),
    };
    Err(Error::new_spanned(ty, why))
}

/// `= "text"`
fn text(key: &Ident, input: ParseStream<'_>) -> Result<LitStr> {
    if !input.peek(Token![=]) || !input.peek2(LitStr) {
        return Err(Error::new(key.span(), format!("`{key}` needs a text: write `{key} = \"..\"`")));
    }
    input.parse::<Token![=]>()?;
    input.parse()
}

/// `= 1..=10`, and the like
fn limits(key: &Ident, input: ParseStream<'_>) -> Result<Limits> {
    let write = || format!("`{key}` needs a range: write `{key} = 1..=10`, `{key} = 1..` or `{key} = ..=10`");
    if !input.peek(Token![=]) {
        return Err(Error::new(key.span(), write()));
    }
    input.parse::<Token![=]>()?;
    let expr: Expr = input.parse()?;
    match expr {
        Expr::Range(ExprRange { start, limits, end, .. }) if start.is_some() || end.is_some() => Ok(Limits {
            least: start.map(|start| *start),
            below: end.is_some() && matches!(limits, RangeLimits::HalfOpen(_)),
            most: end.map(|end| *end),
        }),
        other => Err(Error::new_spanned(&other, write())),
    }
}

/// The value of a number that stands there as such.
fn number(expr: &Expr) -> Option<f64> {
    match expr {
        Expr::Lit(ExprLit { lit: Lit::Int(int), .. }) => int.base10_digits().parse().ok(),
        Expr::Lit(ExprLit { lit: Lit::Float(float), .. }) => float.base10_digits().parse().ok(),
        Expr::Unary(ExprUnary { op: UnOp::Neg(_), expr, .. }) => number(expr).map(|number| -number),
        _ => None,
    }
}
