//! Resource templates: resources whose URI has variables.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use throughline_proto::auth::ScopeSet;
use throughline_proto::jsonrpc::Str;
use throughline_proto::model::{self, Annotations, CacheHints, Icon};

use super::cache::Keeping;
use super::completion::{Completer, Completing, completer};
use super::function::{Arguments, Function};
use super::visibility::Visibility;
use super::{Ability, Caller, Context, IntoResourceResult, Needs, Reply, input};
use crate::error::McpError;

/// A resource template, ready to be registered: made by [`template`].
#[derive(Clone)]
pub struct TemplateDef {
    pub(crate) template: model::ResourceTemplate,
    pub(crate) pattern: Pattern,
    pub(crate) run: Arc<dyn Fn(Match<'_>, Context) -> Reply + Send + Sync>,
    pub(crate) completers: BTreeMap<String, Completer>,
    pub(crate) needs: Needs,
    pub(crate) visibility: Visibility,
    /// What its callers need.
    pub(crate) scopes: ScopeSet,
    pub(super) cache: Option<CacheHints>,
}

/// A URI that fits a template.
pub(crate) struct Match<'a> {
    pub(crate) uri: &'a str,
    pub(crate) mime_type: Option<Str>,
    pub(crate) values: Vec<(String, String)>,
    pub(super) keeping: Keeping,
}

/// Makes a resource template of a [`Function`]. The variables of the URI template are the fields of its argument type:
/// `{name}` stands for one path segment, `{+name}` for any text (RFC 6570, levels 1 and 2 as far as they can be read
/// back).
///
/// ```
/// use schemars::JsonSchema;
/// use serde::Deserialize;
/// use throughline::template;
///
/// #[derive(Deserialize, JsonSchema)]
/// struct Row { table: String, id: u64 }
///
/// let rows = template("db://{table}/{id}", "row", |row: Row| async move { format!("row {} of {}", row.id, row.table) })
///     .mime_type("text/plain");
/// ```
///
/// # Panics
///
/// When the URI template has an unclosed, empty or repeated variable, or two that touch.
pub fn template<Marker, F>(uri_template: impl Into<Str>, name: impl Into<Str>, function: F) -> TemplateDef
where
    F: Function<Marker, Output: IntoResourceResult>,
{
    let uri_template = uri_template.into();
    let pattern =
        Pattern::new(&uri_template).unwrap_or_else(|why| panic!("the URI template `{uri_template}` {why}"));
    let (function, variables) = (Arc::new(function), Arc::new(pattern.clone()));
    let run = move |matched: Match<'_>, cx: Context| match F::Args::from_strings(matched.values) {
        Ok(args) => {
            let (uri, mime_type, keeping) = (matched.uri.to_owned(), matched.mime_type, matched.keeping);
            let again = F::HAS_CONTEXT.then(|| (cx.clone(), Arc::clone(&variables), Arc::clone(&function)));
            let future = function.invoke(args, cx);
            Reply::later(async move {
                let outcome = keeping.say(future.await.into_resource_answer(&uri, mime_type.as_ref()));
                let Some((cx, variables, function)) = again else { return outcome };
                input::answer(cx, outcome, move |cx| {
                    let values = variables.matches(&uri).expect("it fitted before");
                    let args = F::Args::from_strings(values).map_err(McpError::invalid_params)?;
                    let future = function.invoke(args, cx);
                    let (uri, mime_type) = (uri.clone(), mime_type.clone());
                    Ok(async move {
                        keeping.say(future.await.into_resource_answer(&uri, mime_type.as_ref()))
                    })
                })
                .await
            })
        }
        Err(misfit) => Reply::Ready(Err(McpError::invalid_params(misfit))),
    };
    TemplateDef {
        template: model::ResourceTemplate::new(uri_template, name),
        pattern,
        run: Arc::new(run),
        completers: BTreeMap::new(),
        needs: F::needs(),
        visibility: Visibility::default(),
        scopes: ScopeSet::new(),
        cache: None,
    }
}

impl TemplateDef {
    /// The client must have declared this ability; a call of one that did not is refused before the function runs.
    pub fn needs(mut self, ability: Ability) -> Self {
        self.needs.ability(ability);
        self
    }

    /// Hides the template and the resources it stands for from all callers but those that `admits` takes, as
    /// [`ToolDef::visible_to`](super::ToolDef::visible_to) does. Others hear of no update of them either.
    pub fn visible_to(mut self, admits: impl Fn(&Caller) -> bool + Send + Sync + 'static) -> Self {
        self.visibility.narrow(admits);
        self
    }

    /// The needs of its extractors take the place of what was thought of its context.
    #[doc(hidden)]
    pub fn __extracting(mut self, extractors: &[fn(&mut Needs)]) -> Self {
        self.needs = Needs::default();
        extractors.iter().for_each(|declare| declare(&mut self.needs));
        self
    }

    /// What the resources are.
    pub fn description(mut self, text: impl Into<Str>) -> Self {
        self.template.description = Some(text.into());
        self
    }

    /// A name for people.
    pub fn title(mut self, text: impl Into<Str>) -> Self {
        self.template.title = Some(text.into());
        self
    }

    /// The media type of the contents, where all have the same.
    pub fn mime_type(mut self, mime_type: impl Into<Str>) -> Self {
        self.template.mime_type = Some(mime_type.into());
        self
    }

    /// For whom the resources are and how much they matter.
    pub fn annotations(mut self, annotations: Annotations) -> Self {
        self.template.annotations = Some(annotations);
        self
    }

    /// Icons to show.
    pub fn icons(mut self, icons: Vec<Icon>) -> Self {
        self.template.icons = icons;
        self
    }

    /// Suggests values for a variable.
    pub fn complete<F, Fut>(mut self, variable: impl Into<String>, suggest: F) -> Self
    where
        F: Fn(Completing) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Vec<String>> + Send + 'static,
    {
        self.completers.insert(variable.into(), completer(suggest));
        self
    }
}

impl std::fmt::Debug for TemplateDef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TemplateDef").field("template", &self.template).finish_non_exhaustive()
    }
}

/// A URI template that can be read backwards: literals with variables between them.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    Literal(String),
    Variable { name: String, segments: bool },
}

impl Pattern {
    fn new(template: &str) -> Result<Self, &'static str> {
        let mut parts: Vec<Part> = Vec::new();
        let mut rest = template;
        while let Some(open) = rest.find('{') {
            if open > 0 {
                parts.push(Part::Literal(rest[..open].to_owned()));
            } else if matches!(parts.last(), Some(Part::Variable { .. })) {
                return Err("has two variables that touch; put text between them");
            }
            let close = rest.find('}').ok_or("has a `{` without its `}`")?;
            let inner = rest.get(open + 1..close).ok_or("has a `}` before its `{`")?;
            let name = inner.strip_prefix('+').unwrap_or(inner);
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.') {
                return Err("has a variable whose name is not letters, digits, `_` or `.`");
            }
            if parts.iter().any(|part| matches!(part, Part::Variable { name: other, .. } if other == name)) {
                return Err("has the same variable twice");
            }
            parts.push(Part::Variable { name: name.to_owned(), segments: inner.starts_with('+') });
            rest = &rest[close + 1..];
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.to_owned()));
        }
        Ok(Self { parts })
    }

    /// The variables' values when the URI fits, with percent-encoding undone. A variable takes as little as it can.
    pub(crate) fn matches(&self, uri: &str) -> Option<Vec<(String, String)>> {
        let mut values = Vec::new();
        let mut rest = uri;
        for (at, part) in self.parts.iter().enumerate() {
            match part {
                Part::Literal(text) => rest = rest.strip_prefix(text.as_str())?,
                Part::Variable { name, segments } => {
                    let end = match self.parts.get(at + 1) {
                        Some(Part::Literal(next)) if at + 2 == self.parts.len() => {
                            rest.strip_suffix(next.as_str())?.len()
                        }
                        Some(Part::Literal(next)) => rest.find(next.as_str())?,
                        _ => rest.len(),
                    };
                    let (value, after) = rest.split_at(end);
                    if value.is_empty() || (!segments && value.contains('/')) {
                        return None;
                    }
                    values.push((name.clone(), percent_decode(value)?));
                    rest = after;
                }
            }
        }
        rest.is_empty().then_some(values)
    }

    /// Whether the template has this variable.
    pub(crate) fn has(&self, variable: &str) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Variable { name, .. } if name == variable))
    }
}

/// Undoes percent-encoding; `None` when it is broken or no UTF-8.
pub(crate) fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (code, tail) = rest.split_at_checked(2)?;
        let code =
            std::str::from_utf8(code).ok().filter(|code| code.bytes().all(|b| b.is_ascii_hexdigit()))?;
        bytes.push(u8::from_str_radix(code, 16).ok()?);
        rest = tail;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matched(template: &str, uri: &str) -> Option<Vec<String>> {
        let values = Pattern::new(template).expect("a template").matches(uri)?;
        Some(values.into_iter().map(|(_, value)| value).collect())
    }

    #[test]
    fn variables_are_read_back() {
        let some = |values: &[&str]| Some(values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>());
        assert_eq!(matched("test://template/{id}/data", "test://template/123/data"), some(&["123"]));
        assert_eq!(matched("db://{table}/{id}", "db://users/7"), some(&["users", "7"]));
        assert_eq!(matched("file:///{+path}", "file:///a/b/c.txt"), some(&["a/b/c.txt"]));
        assert_eq!(matched("x://{a}", "x://a%20b%2Fc"), some(&["a b/c"]));
        assert_eq!(matched("x://{+a}.txt", "x://b.txt.txt"), some(&["b.txt"]));
        assert_eq!(matched("x://fixed", "x://fixed"), some(&[]));
    }

    #[test]
    fn what_does_not_fit_is_left_alone() {
        for (template, uri) in [
            ("test://template/{id}/data", "test://template//data"),
            ("test://template/{id}/data", "test://template/1/2/data"),
            ("test://template/{id}/data", "test://template/1/data/more"),
            ("x://{a}", "x://%zz"),
            ("x://{a}", "x://%f"),
            ("x://{a}", "x://%ff"),
            ("x://{a}", "y://a"),
        ] {
            assert_eq!(matched(template, uri), None, "{template} {uri}");
        }
    }

    #[test]
    fn a_wrong_template_says_why() {
        for template in ["x://{a", "x://a}{", "x://{}", "x://{a}{b}", "x://{a}/{a}", "x://{a b}"] {
            assert!(Pattern::new(template).is_err(), "{template}");
        }
    }
}
