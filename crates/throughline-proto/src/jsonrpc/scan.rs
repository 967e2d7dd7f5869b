//! Finds the members of an object without a parser's generality: the messages of a busy server are scanned here.
//!
//! What is not yet known to be JSON is checked on the way ([`checked`]), in one pass and without recursion. The scan accepts
//! sound JSON only; what it does not accept may be sound all the same (nested too deep to be followed here), and is `serde`'s
//! to judge and to find words for. What is JSON already is only walked over ([`trusted`]).

use super::Part;
use super::members::Members;

/// The wanted members of an object, of a text that may be anything. `None` when it is no object, no JSON, or nested deeper
/// than `depth` levels, the object being one.
pub(super) fn checked<'a, const N: usize>(
    names: &[&str; N],
    text: &'a str,
    depth: usize,
) -> Option<Members<'a, N>> {
    let depth = depth.min(MOST_DEPTH).checked_sub(1)?;
    whole(text, members(names, text, 0, check_string, |_, bytes, at| check_value(bytes, at, depth)))
}

/// The wanted members of an object, of a text that is sound JSON. `None` when it is no object, or has a key that is no text.
pub(super) fn trusted<'a, const N: usize>(names: &[&str; N], text: &'a str) -> Option<Members<'a, N>> {
    whole(text, members(names, text, 0, skip_string, |_, bytes, at| skip_value(bytes, at)))
}

/// The same, and on the way those of the object that the member `within` is, where it is one.
pub(super) fn trusted_within<'a, const N: usize, const M: usize>(
    names: &[&str; N],
    within: usize,
    inner: &[&str; M],
    text: &'a str,
) -> Option<(Members<'a, N>, Option<Members<'a, M>>)> {
    let mut found = None;
    let value = |name: Option<usize>, bytes: &[u8], at: usize| {
        if name != Some(within) || bytes.get(at) != Some(&b'{') {
            return skip_value(bytes, at);
        }
        let skip = |_: Option<usize>, bytes: &[u8], at| skip_value(bytes, at);
        let Some((members, end)) = members(inner, text, at, skip_string, skip) else {
            return skip_value(bytes, at);
        };
        found = Some(members);
        Some(end)
    };
    let members = whole(text, members(names, text, 0, skip_string, value))?;
    Some((members, found))
}

/// Nothing but white space may follow.
fn whole<'a, const N: usize>(text: &str, found: Option<(Members<'a, N>, usize)>) -> Option<Members<'a, N>> {
    let (members, end) = found?;
    (space(text.as_bytes(), end) == text.len()).then_some(members)
}

/// The object that begins at a place, and the place after it. `string` and `value` give the place after the string or value
/// that begins at a place; `value` is told which of the names it has.
fn members<'a, const N: usize>(
    names: &[&str; N],
    text: &'a str,
    at: usize,
    string: impl Fn(&[u8], usize) -> Option<usize>,
    mut value: impl FnMut(Option<usize>, &[u8], usize) -> Option<usize>,
) -> Option<(Members<'a, N>, usize)> {
    let bytes = text.as_bytes();
    let mut found = Members { values: [None; N], is_repeated: [false; N] };
    let mut at = space(bytes, at);
    if bytes.get(at) != Some(&b'{') {
        return None;
    }
    at = space(bytes, at + 1);
    if bytes.get(at) == Some(&b'}') {
        return Some((found, at + 1));
    }
    loop {
        let key = at;
        at = string_at(bytes, at, &string)?;
        let name = position(names, bytes.get(key..at)?)?;
        at = colon(bytes, at)?;
        let start = at;
        at = value(name, bytes, at)?;
        if let Some(name) = name {
            match &mut found.values[name] {
                Some(_) => found.is_repeated[name] = true,
                none => *none = Some(Part::new(text.get(start..at)?)),
            }
        }
        at = space(bytes, at);
        match bytes.get(at)? {
            b',' => at = space(bytes, at + 1),
            b'}' => return Some((found, at + 1)),
            _ => return None,
        }
    }
}

/// Which of the names a key is, its quotes included; `None` when it is no text, as half a surrogate pair is none. Asked by
/// text, so that a key written with escapes is the same key.
fn position<const N: usize>(names: &[&str; N], key: &[u8]) -> Option<Option<usize>> {
    let inner = &key[1..key.len() - 1];
    let found = names.iter().position(|name| name.as_bytes() == inner);
    if found.is_none() && inner.contains(&b'\\') {
        let key: String = serde_json::from_slice(key).ok()?;
        return Some(names.iter().position(|name| **name == *key));
    }
    Some(found)
}

fn string_at(bytes: &[u8], at: usize, string: impl Fn(&[u8], usize) -> Option<usize>) -> Option<usize> {
    if bytes.get(at) == Some(&b'"') { string(bytes, at) } else { None }
}

/// The place of a value, after the colon that follows its key.
fn colon(bytes: &[u8], at: usize) -> Option<usize> {
    let at = space(bytes, at);
    (bytes.get(at) == Some(&b':')).then(|| space(bytes, at + 1))
}

fn space(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = bytes.get(at) {
        at += 1;
    }
    at
}

/// The place after the sound value that begins here, nested at most `most` levels.
fn check_value(bytes: &[u8], mut at: usize, most: usize) -> Option<usize> {
    // One bit for each level that is open: an object, or an array.
    let (mut is_object, mut depth) = (0_u128, 0_usize);
    loop {
        at = match bytes.get(at)? {
            b'"' => check_string(bytes, at)?,
            opening @ (b'{' | b'[') => {
                depth += 1;
                if depth > most {
                    return None;
                }
                let object = *opening == b'{';
                is_object = is_object << 1 | u128::from(object);
                at = space(bytes, at + 1);
                if bytes.get(at) != Some(if object { &b'}' } else { &b']' }) {
                    if object {
                        at = colon(bytes, string_at(bytes, at, check_string)?)?;
                    }
                    continue;
                }
                (is_object, depth) = (is_object >> 1, depth - 1);
                at + 1
            }
            b't' => literal(bytes, at, b"true")?,
            b'f' => literal(bytes, at, b"false")?,
            b'n' => literal(bytes, at, b"null")?,
            _ => check_number(bytes, at)?,
        };
        // A value has ended, and with it maybe what it was the last of.
        loop {
            if depth == 0 {
                return Some(at);
            }
            at = space(bytes, at);
            match (bytes.get(at)?, is_object & 1 == 1) {
                (b',', object) => {
                    at = space(bytes, at + 1);
                    if object {
                        at = colon(bytes, string_at(bytes, at, check_string)?)?;
                    }
                    break;
                }
                (b'}', true) | (b']', false) => {
                    (is_object, depth) = (is_object >> 1, depth - 1);
                    at += 1;
                }
                _ => return None,
            }
        }
    }
}

fn literal(bytes: &[u8], at: usize, literal: &[u8]) -> Option<usize> {
    bytes.get(at..)?.starts_with(literal).then_some(at + literal.len())
}

fn check_number(bytes: &[u8], mut at: usize) -> Option<usize> {
    let digits = |mut at: usize| {
        let from = at;
        while bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        (at > from).then_some(at)
    };
    if bytes.get(at) == Some(&b'-') {
        at += 1;
    }
    at = if bytes.get(at) == Some(&b'0') { at + 1 } else { digits(at)? };
    if bytes.get(at) == Some(&b'.') {
        at = digits(at + 1)?;
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        at += 1;
        if let Some(b'+' | b'-') = bytes.get(at) {
            at += 1;
        }
        at = digits(at)?;
    }
    Some(at)
}

/// The place after the sound string whose quote is here.
#[inline]
fn check_string(bytes: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    loop {
        at = ordinary(bytes, at)?;
        match bytes[at] {
            b'"' => return Some(at + 1),
            b'\\' => match bytes.get(at + 1)? {
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => at += 2,
                b'u' => {
                    let digits = bytes.get(at + 2..at + 6)?;
                    if !digits.iter().all(u8::is_ascii_hexdigit) {
                        return None;
                    }
                    at += 6;
                }
                _ => return None,
            },
            // A control character must be escaped.
            _ => return None,
        }
    }
}

/// The place after the string whose quote is here.
#[inline]
fn skip_string(bytes: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    loop {
        at = ordinary(bytes, at)?;
        match bytes[at] {
            b'"' => return Some(at + 1),
            // Whatever is escaped neither ends the string nor begins another escape.
            _ => at += 2,
        }
    }
}

/// The place after the value that begins here.
fn skip_value(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    loop {
        match bytes.get(at)? {
            b'"' => {
                at = skip_string(bytes, at)?;
                if depth == 0 {
                    return Some(at);
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ if depth == 0 => return Some(end_of_scalar(bytes, at)),
            _ => {}
        }
        at += 1;
    }
}

fn end_of_scalar(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(|byte| !matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r'))
    {
        at += 1;
    }
    at
}

/// The next byte of a string, from here on, that is a quote, a backslash or a control character.
#[inline(always)]
fn ordinary(bytes: &[u8], mut at: usize) -> Option<usize> {
    // Eight bytes at a time: https://graphics.stanford.edu/~seander/bithacks.html#ZeroInWord. A bit may be set wrongly only
    // above one that is set rightly, so the lowest is right.
    const ONES: u64 = 0x0101_0101_0101_0101;
    while let Some(eight) = bytes.get(at..at + 8) {
        let eight = u64::from_le_bytes(eight.try_into().expect("it is eight bytes"));
        let zero = |word: u64| word.wrapping_sub(ONES) & !word;
        let special = zero(eight ^ (ONES * u64::from(b'"')))
            | zero(eight ^ (ONES * u64::from(b'\\')))
            | (eight.wrapping_sub(ONES * 0x20) & !eight);
        let special = special & ONES << 7;
        if special != 0 {
            return Some(at + special.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    let rest = bytes.get(at..)?;
    rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)).map(|more| at + more)
}

/// As many levels as there are bits for them, and as many as `serde_json` follows.
const MOST_DEPTH: usize = 128;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Deserializer, Value};

    use super::*;

    const NAMES: [&str; 3] = ["id", "_meta", "n\"ame"];

    fn by_serde(text: &str) -> Option<Members<'_, 3>> {
        Members::read(&NAMES, &mut Deserializer::from_str(text)).ok()
    }

    fn assert_same(found: &Members<'_, 3>, expected: &Members<'_, 3>, text: &str) {
        let texts =
            |members: &Members<'_, 3>| members.values.map(|part| part.map(|part| part.get().to_owned()));
        assert_eq!(texts(found), texts(expected), "{text}");
        assert_eq!(found.is_repeated, expected.is_repeated, "{text}");
    }

    /// What serde takes is found alike, and nothing else is taken.
    fn agrees(text: &str) {
        match (checked(&NAMES, text, 128), by_serde(text)) {
            (Some(found), Some(expected)) => {
                assert_same(&found, &expected, text);
                assert_same(&trusted(&NAMES, text).expect("it is an object"), &expected, text);
                let (outer, inner) = trusted_within(&NAMES, 1, &NAMES, text).expect("it is an object");
                assert_same(&outer, &expected, text);
                if let Some(meta) = expected.values[1].filter(|_| !expected.is_repeated[1]) {
                    let expected = by_serde(meta.get());
                    assert_eq!(inner.is_some(), expected.is_some(), "{text}");
                    inner
                        .zip(expected)
                        .into_iter()
                        .for_each(|(inner, expected)| assert_same(&inner, &expected, text));
                }
            }
            (Some(_), None) => panic!("serde does not take it: {text}"),
            (None, Some(_)) => panic!("it is sound: {text}"),
            (None, None) => {}
        }
    }

    #[test]
    fn what_serde_takes_is_taken_and_nothing_else() {
        for value in [
            "1",
            "-1",
            "0",
            "-0",
            "1.5",
            "1e5",
            "1E-5",
            "1.0e+10",
            "01",
            "1.",
            ".5",
            "-",
            "+1",
            "1e",
            "0x1",
            "Infinity",
            "true",
            "false",
            "null",
            "tru",
            "nul",
            "True",
            "\"\"",
            "\"a\"",
            "\"a",
            "\"\\\"\"",
            "\"\\\\\"",
            "\"\\u00e9\"",
            "\"\\u00g9\"",
            "\"\\u12\"",
            "\"\\x\"",
            "\"\\ud83d\\ude00\"",
            "\"\t\"",
            "\"\u{1}\"",
            "\"\u{7f}\"",
            "\"é\"",
            "\"12345678\"",
            "\"1234567\\\"\"",
            "\"12345678901234\u{1f}5\"",
            "[]",
            "[ ]",
            "[1,2]",
            "[1,]",
            "[,1]",
            "[1 2]",
            "[1",
            "{}",
            "{ }",
            "{\"a\":1}",
            "{\"a\":1,}",
            "{\"a\"}",
            "{\"a\":}",
            "{a:1}",
            "{\"a\":[{\"b\":[]}]}",
            "{\"a\":[}]",
            "[{]}",
            "[1}",
            "{\"a\":1]",
            "",
            " ",
            "1 1",
            "/**/1",
            "\u{feff}1",
        ] {
            for text in [
                format!("{{\"id\":{value}}}"),
                format!(" {{ \"x\" : 1 , \"id\" : {value} , \"_meta\" : {value} }} "),
                format!("{{\"i\\u0064\":{value},\"id\":2,\"n\\\"ame\":[{value}]}}"),
                value.to_owned(),
                format!("{{\"id\":{value}}}x"),
            ] {
                agrees(&text);
            }
        }
    }

    #[test]
    fn depth_is_counted_from_the_object_on() {
        let nested = |levels: usize| format!("{{\"id\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
        assert!(checked(&NAMES, &nested(4), 5).is_some());
        assert!(checked(&NAMES, &nested(5), 5).is_none());
        assert!(checked(&NAMES, "{}", 0).is_none());
        assert!(checked(&NAMES, &nested(127), 10_000).is_some());
        // More than there are bits for: serde's to judge, which skips without recursion.
        assert!(checked(&NAMES, &nested(128), 10_000).is_none());
        assert!(trusted(&NAMES, &nested(100_000)).is_some());
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,20}".prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 40, 6, |inner| {
            let key = prop_oneof![
                Just("id".to_owned()),
                Just("_meta".to_owned()),
                Just("n\"ame".to_owned()),
                ".{0,9}"
            ];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((key, inner), 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn sound_json_is_taken_like_serde_takes_it(value in json(), pretty in any::<bool>()) {
            agrees(&if pretty { format!("{value:#}") } else { value.to_string() });
        }

        #[test]
        fn json_that_was_spoiled_is_taken_only_where_serde_takes_it(
            value in json(),
            at in any::<prop::sample::Index>(),
            by in prop_oneof![Just(""), Just("\""), Just("\\"), Just("{"), Just("]"), Just(","), Just("0"), Just("\u{1}"), Just("é")],
        ) {
            let text = value.to_string();
            let characters: Vec<char> = text.chars().collect();
            let at = at.index(characters.len());
            let mut spoiled: String = characters[..at].iter().collect();
            spoiled.push_str(by);
            spoiled.extend(&characters[at + 1..]);
            agrees(&spoiled);
        }

        #[test]
        fn any_sequence_of_tokens_is_taken_only_where_serde_takes_it(
            tokens in prop::collection::vec(prop::sample::select(TOKENS), 0..24),
            members in prop::collection::vec((prop::sample::select(KEYS), prop::sample::select(VALUES)), 0..6),
            space in prop::sample::select(&["", " ", "\t\r\n ", "\u{c}", "\u{a0}"]),
        ) {
            agrees(&tokens.concat());
            agrees(&format!("{{\"id\":[{}]}}", tokens.concat()));
            let member = |(key, value): &(&str, &str)| format!("\"{key}\"{space}:{space}{value}{space}");
            let object = members.iter().map(member).collect::<Vec<_>>().join(",");
            agrees(&format!("{space}{{{space}{object}}}{space}"));
            agrees(&format!("{{\"_meta\":{{{object}}},{object}}}"));
        }
    }

    const TOKENS: &[&str] = &[
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\",
        "\"id\"",
        "\"_meta\":",
        "\"\\u0069d\":",
        "\"a\":",
        "1",
        "-0",
        "1e9",
        "0.5",
        "00",
        "-",
        "true",
        "null",
        "nul",
        " ",
        "\n",
        "\"\\ud83d\\ude00\"",
        "\"\\ud800\"",
        "\"\\\"",
        "é",
        "\u{2028}",
        "\u{7f}",
        "\u{0}",
        "/",
        "\"1234567\"",
        "\"12345678\"",
        "\u{10ffff}",
    ];
    const KEYS: &[&str] = &[
        "id",
        "\\u0069d",
        "i\\u0064",
        "\\u0069\\u0064",
        "_meta",
        "_met\\u0061",
        "n\\\"ame",
        "n\\u0022ame",
        "",
        "id\\u0000",
        "ID",
        "\\ud800",
        "\\ud83d\\ude00",
        "\\/",
        "é",
        "_meta2",
        "id\\\\",
        "\\udc00\\ud800",
    ];
    const VALUES: &[&str] = &[
        "1",
        "-0.0e-0",
        "\"\\ud800\"",
        "{\"id\":2}",
        "{\"id\":1,\"i\\u0064\":2}",
        "{\"\\ud800\":1}",
        "[[[{\"a\":[]}]]]",
        "null",
        "\"}\"",
        "\"\\\\\"",
        "\"\\\"\"",
        "\"{\\\"id\\\":\"",
        "{}",
        "[ ]",
        "01",
        "1.",
        "\"\u{1f}\"",
        "9e999999999",
    ];
}
