//! Arguments of a tool that are repeated in headers; see
//! [custom headers](https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http#custom-headers-from-tool-parameters).

mod decimal;
mod schema;

use std::borrow::Cow;
use std::fmt;

use ::http::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserializer as _;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::Deserializer;
use serde_json::value::RawValue;

use self::decimal::{Decimal, Whole};
use super::header_text::{decode_header_text, encode_header_text};
use super::routing::{mismatch, missing, only, unreadable};
use super::{Refusal, RefusalKind};
use crate::jsonrpc::{self, Key, Raw};

/// The arguments that a tool wants repeated in `Mcp-Param-*` headers, as the `x-mcp-header` annotations of its input schema
/// say: found once, when the tool becomes known, then checked (by a server) or written (by a client) for every call.
///
/// ```
/// use http::HeaderMap;
/// use throughline_proto::http::ParamHeaders;
/// use throughline_proto::jsonrpc::Raw;
///
/// let schema = Raw::from_json(
///     r#"{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"},"query":{"type":"string"}}}"#,
/// )?;
/// let params = ParamHeaders::compile(&schema)?.expect("there is an annotation");
/// let arguments = Raw::from_json(r#"{"region":"us-west1","query":"SELECT 1"}"#)?;
///
/// let headers: HeaderMap = params.encode(Some(&arguments)).into_iter().collect();
/// assert_eq!(headers["Mcp-Param-Region"], "us-west1");
/// params.check(&headers, Some(&arguments))?;
///
/// let refusal = params.check(&HeaderMap::new(), Some(&arguments)).unwrap_err();
/// assert_eq!((refusal.status().as_u16(), refusal.code().0), (400, -32020));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ParamHeaders {
    root: Level,
    params: Vec<Param>,
}

/// One argument and its header.
#[derive(Clone, Debug)]
struct Param {
    header: HeaderName,
    /// The header's name as the schema writes it.
    shown: String,
    /// The names that lead to the argument, for messages: `filter.region`.
    path: String,
}

/// The members of one object that are wanted, or that lead to some that are.
#[derive(Clone, Debug, Default)]
struct Level {
    names: Vec<Box<str>>,
    /// What there is for each of the names. At most 64 ([`schema::MOST`]), as each leads to a header.
    below: Vec<Below>,
}

#[derive(Clone, Debug)]
enum Below {
    /// The place in [`ParamHeaders::params`].
    Header(usize),
    Level(Level),
}

impl ParamHeaders {
    /// Finds the annotations of an input schema; `None` when there are none.
    ///
    /// # Errors
    ///
    /// When one breaks the rules: it is no HTTP token, occurs twice (case does not count), is not on a `string`, an `integer`
    /// or a `boolean`, or is not reached from the root by `properties` alone; or when there are more than 64. The sentence
    /// says which and what to do. A client must leave such a tool out of what it lists.
    pub fn compile(input_schema: &Raw) -> Result<Option<ParamHeaders>, String> {
        schema::compile(input_schema)
    }

    /// Checks that each of the headers says what the arguments say: a string exactly, a number by its value (`42` is
    /// `42.0`), a boolean as `true` or `false`. Where an argument is absent or null, its header must be absent too.
    ///
    /// # Errors
    ///
    /// [`RefusalKind::HeaderMismatch`] when a header is missing, superfluous, sent more than once, unreadable, or says
    /// something else; [`RefusalKind::InvalidParams`] when an argument occurs twice or is nothing that a header can carry.
    pub fn check(&self, headers: &HeaderMap, arguments: Option<&Raw>) -> Result<(), Refusal> {
        let found = self.find(arguments);
        if let Some(name) = found.repeated {
            return Err(Refusal::new(RefusalKind::InvalidParams).with_message(format!(
                "The member \"{name}\" occurs twice in \"arguments\". Send it once."
            )));
        }
        if found.unreadable {
            return Err(Refusal::new(RefusalKind::InvalidParams)
                .with_message("A key in \"arguments\" is not text in Unicode. Correct it."));
        }
        for (param, argument) in self.params.iter().zip(found.values) {
            let header = only(headers, &param.header, &param.shown)?;
            match (argument, header) {
                (Some(argument), header) => param.check(header, argument)?,
                (None, Some(_)) => return Err(param.superfluous()),
                (None, None) => {}
            }
        }
        Ok(())
    }

    /// The headers to send with these arguments. One that is absent, null, or nothing that a header can carry has none.
    #[must_use]
    pub fn encode(&self, arguments: Option<&Raw>) -> Vec<(HeaderName, HeaderValue)> {
        self.params
            .iter()
            .zip(self.find(arguments).values)
            .filter_map(|(param, argument)| {
                Some((param.header.clone(), Carried::read(argument?).ok()?.encode()))
            })
            .collect()
    }

    fn find<'a>(&self, arguments: Option<&'a Raw>) -> Found<'a> {
        let mut found = Found { values: vec![None; self.params.len()], repeated: None, unreadable: false };
        if let Some(arguments) = arguments {
            self.root.find(arguments.as_str(), &mut found);
        }
        found
    }
}

impl Param {
    fn check(&self, header: Option<&HeaderValue>, argument: &RawValue) -> Result<(), Refusal> {
        let carried = Carried::read(argument).map_err(|must_be| {
            Refusal::new(RefusalKind::InvalidParams).with_message(format!(
                "The argument \"{}\" goes into the {} header and must be {must_be}. Correct it.",
                self.path, self.shown
            ))
        })?;
        let header = header.ok_or_else(|| missing(&self.shown))?;
        let text = decode_header_text(header).ok_or_else(|| unreadable(&self.shown))?;
        if carried.is(&text) { Ok(()) } else { Err(mismatch(&self.shown, &text, carried.shown(argument))) }
    }

    fn superfluous(&self) -> Refusal {
        Refusal::header_mismatch(format!(
            "The {} header is sent, and the body has no argument \"{}\". Leave the header out.",
            self.shown, self.path
        ))
    }
}

/// An argument as a header carries it.
enum Carried<'a> {
    Text(Cow<'a, str>),
    Number(Decimal<'a>),
    Boolean(&'static str),
}

impl<'a> Carried<'a> {
    /// Reads an argument that is not null; the error is what it must be.
    fn read(argument: &'a RawValue) -> Result<Carried<'a>, &'static str> {
        let number = "an integer from -(2^53-1) to 2^53-1";
        match argument.get().as_bytes().first() {
            Some(b'"') => jsonrpc::text(argument.into()).map(Carried::Text).ok_or("text in Unicode"),
            Some(b't') => Ok(Carried::Boolean("true")),
            Some(b'f') => Ok(Carried::Boolean("false")),
            Some(b'-' | b'0'..=b'9') => match Decimal::parse(argument.get()) {
                Some(decimal) if !matches!(decimal.whole(), Whole::Unsafe) => Ok(Carried::Number(decimal)),
                _ => Err(number),
            },
            _ => Err("a string, an integer or a boolean"),
        }
    }

    /// Whether a header says the same.
    fn is(&self, header: &str) -> bool {
        match self {
            Carried::Text(text) => text == header,
            Carried::Number(number) => Decimal::parse(header).is_some_and(|header| header == *number),
            Carried::Boolean(name) => *name == header,
        }
    }

    fn encode(&self) -> HeaderValue {
        match self {
            Carried::Text(text) => encode_header_text(text),
            Carried::Boolean(name) => HeaderValue::from_static(name),
            Carried::Number(number) => match number.whole() {
                Whole::Safe(number) => HeaderValue::from(number),
                Whole::Unsafe | Whole::Fraction => encode_header_text(number.text()),
            },
        }
    }

    /// The argument for a message.
    fn shown(&self, argument: &'a RawValue) -> &str {
        match self {
            Carried::Text(text) => text,
            Carried::Number(_) | Carried::Boolean(_) => argument.get(),
        }
    }
}

/// What was found in the arguments of one call.
struct Found<'a> {
    /// The argument of each param, when there is one that is not null.
    values: Vec<Option<&'a RawValue>>,
    /// The name of a wanted member that occurs more than once: readers disagree on which of them counts.
    repeated: Option<String>,
    /// A key is no text, as half a surrogate pair is none: what comes after it was not looked at.
    unreadable: bool,
}

impl Level {
    /// Looks into one object, and into those in it that lead further. What is no object has no members.
    fn find<'a>(&self, json: &'a str, found: &mut Found<'a>) {
        if json.starts_with('{') {
            let read = Deserializer::from_str(json).deserialize_map(Scan { level: self, found: &mut *found });
            found.unreadable |= read.is_err();
        }
    }
}

struct Scan<'l, 'f, 'a> {
    level: &'l Level,
    found: &'f mut Found<'a>,
}

impl<'a> Visitor<'a> for Scan<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = 0_u64; // a bit for each name
        while let Some(key) = map.next_key_seed(Key(&self.level.names))? {
            let Some(at) = key else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let value = map.next_value::<&'a RawValue>()?;
            if seen & (1 << at) != 0 {
                self.found.repeated = Some(self.level.names[at].to_string());
                continue;
            }
            seen |= 1 << at;
            match &self.level.below[at] {
                Below::Header(param) => {
                    self.found.values[*param] = (value.get() != "null").then_some(value);
                }
                Below::Level(level) => level.find(value.get(), self.found),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
