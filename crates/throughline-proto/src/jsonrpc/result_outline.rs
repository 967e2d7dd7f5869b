use serde::de::Error as _;

use super::members::Members;
use super::{Raw, reason};

/// What a result that is already JSON says about itself, for the writer that adds to it.
pub(crate) struct ResultOutline {
    /// It has no member at all.
    pub(crate) is_empty: bool,
    /// It has a `resultType`.
    pub(crate) has_type: bool,
    /// Its `_meta`, if that is an object.
    pub(crate) meta: Option<MetaPlace>,
}

/// The `_meta` within a result.
pub(crate) struct MetaPlace {
    /// Where its members begin: how many bytes of the result stand before them, its opening brace included.
    pub(crate) inside: usize,
    /// It has no member.
    pub(crate) is_empty: bool,
    /// It has a member of the name that was asked for.
    pub(crate) has_name: bool,
}

impl ResultOutline {
    /// Reads the members of a result, and whether its `_meta` has one of this `name`.
    ///
    /// # Errors
    ///
    /// When the result is no object, or its `_meta` is none.
    pub(crate) fn read(result: &Raw, name: &str) -> Result<ResultOutline, serde_json::Error> {
        let text = result.as_str();
        let members = object(text, &["resultType", "_meta"], "a result")?;
        let [kind, meta] = members.values;
        let meta = match meta {
            None => None,
            Some(meta) => {
                let meta = meta.get();
                let named = object(meta, &[name], "the `_meta` of a result")?;
                // A borrowed part of the text, so this is how far into it the part lies.
                let start = meta.as_ptr() as usize - text.as_ptr() as usize;
                Some(MetaPlace {
                    inside: start + 1,
                    is_empty: is_empty(meta),
                    has_name: named.values[0].is_some(),
                })
            }
        };
        Ok(ResultOutline { is_empty: is_empty(text), has_type: kind.is_some(), meta })
    }
}

fn object<'a, const N: usize>(
    text: &'a str,
    names: &[&str; N],
    what: &str,
) -> Result<Members<'a, N>, serde_json::Error> {
    Members::read(names, &mut serde_json::Deserializer::from_str(text)).map_err(|error| {
        serde_json::Error::custom(format_args!("{what} must be an object: {}", reason(&error)))
    })
}

/// Whether the text of an object holds nothing but white space between its braces.
fn is_empty(object: &str) -> bool {
    object[1..].trim_start_matches([' ', '\t', '\n', '\r']).starts_with('}')
}
