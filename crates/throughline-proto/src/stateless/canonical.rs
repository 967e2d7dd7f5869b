//! One form for all JSON texts that mean the same, to be digested. It is never shown or read back, so it need not be
//! JSON: each value is a letter and what follows from it, strings and lists with their length.

use std::ops::Range;

use sha2::{Digest, Sha256};

/// As deep as a message may be ([`ParseLimits`](crate::jsonrpc::ParseLimits)); it bounds the recursion.
const MAX_DEPTH: usize = 128;

/// An object with longer bytes is replaced by their digest, so that sorting moves each byte once and not once per level around
/// it. Far longer than a digest, and seldom reached.
const MAX_OBJECT: usize = 1024;

/// The canonical bytes of a JSON text. Equal for texts that differ only in white space, the order of members, escapes and
/// the spelling of numbers (`1`, `1.0`, `10e-1`; exact for any length). Members of one name keep their order. A text that
/// is not JSON, or is too deep, stands for itself.
pub(super) fn bytes(json: &str) -> Vec<u8> {
    let mut writer = Writer { text: json.as_bytes(), at: 0, out: Vec::with_capacity(json.len()) };
    if writer.value(MAX_DEPTH).is_some() && writer.is_at_end() {
        return writer.out;
    }
    let mut out = vec![b'?'];
    out.extend_from_slice(json.as_bytes());
    out
}

struct Writer<'a> {
    text: &'a [u8],
    at: usize,
    out: Vec<u8>,
}

/// Where a member of an object stands in `out`.
struct Member {
    key: Range<usize>,
    whole: Range<usize>,
}

impl Writer<'_> {
    fn skip_space(&mut self) {
        while self.text.get(self.at).is_some_and(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn is_at_end(&mut self) -> bool {
        self.skip_space();
        self.at == self.text.len()
    }

    /// The next byte that is no white space, taken.
    fn take(&mut self) -> Option<u8> {
        self.skip_space();
        let byte = *self.text.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    /// Takes the next byte that is no white space when it is `byte`.
    fn takes(&mut self, byte: u8) -> bool {
        self.skip_space();
        let is_it = self.text.get(self.at) == Some(&byte);
        self.at += usize::from(is_it);
        is_it
    }

    fn value(&mut self, depth: usize) -> Option<()> {
        match self.take()? {
            b'{' => self.object(depth.checked_sub(1)?),
            b'[' => self.array(depth.checked_sub(1)?),
            b'"' => self.string(),
            b't' => self.word(b"rue", b't'),
            b'f' => self.word(b"alse", b'f'),
            b'n' => self.word(b"ull", b'n'),
            b'-' | b'0'..=b'9' => {
                self.at -= 1;
                self.number()
            }
            _ => None,
        }
    }

    fn word(&mut self, rest: &[u8], letter: u8) -> Option<()> {
        self.text[self.at..].starts_with(rest).then(|| {
            self.at += rest.len();
            self.out.push(letter);
        })
    }

    fn array(&mut self, depth: usize) -> Option<()> {
        self.out.push(b'[');
        if !self.takes(b']') {
            loop {
                self.value(depth)?;
                match self.take()? {
                    b',' => {}
                    b']' => break,
                    _ => return None,
                }
            }
        }
        self.out.push(b']');
        Some(())
    }

    fn object(&mut self, depth: usize) -> Option<()> {
        let start = self.out.len();
        self.out.push(b'{');
        let mut members = Vec::new();
        if !self.takes(b'}') {
            loop {
                members.push(self.member(depth)?);
                match self.take()? {
                    b',' => {}
                    b'}' => break,
                    _ => return None,
                }
            }
        }
        self.sort(start + 1, &mut members);
        self.out.push(b'}');
        if self.out.len() - start > MAX_OBJECT {
            let digest = Sha256::digest(&self.out[start..]);
            self.out.truncate(start);
            self.out.push(b'd');
            self.out.extend_from_slice(&digest);
        }
        Some(())
    }

    fn member(&mut self, depth: usize) -> Option<Member> {
        let start = self.out.len();
        if self.take()? != b'"' {
            return None;
        }
        self.string()?;
        let key = start..self.out.len();
        if self.take()? != b':' {
            return None;
        }
        self.value(depth)?;
        Some(Member { key, whole: start..self.out.len() })
    }

    /// Puts the members that follow `start` into the order of their keys. Most come in one order always, and are left
    /// where they are.
    fn sort(&mut self, start: usize, members: &mut [Member]) {
        let out = &self.out;
        if members.is_sorted_by(|a, b| out[a.key.clone()] <= out[b.key.clone()]) {
            return;
        }
        members.sort_by(|a, b| out[a.key.clone()].cmp(&out[b.key.clone()])); // stable: twins keep their order
        let mut sorted = Vec::with_capacity(out.len() - start);
        for member in members {
            sorted.extend_from_slice(&out[member.whole.clone()]);
        }
        self.out.truncate(start);
        self.out.append(&mut sorted);
    }

    /// A string whose first quote was taken: its length and its text without escapes.
    fn string(&mut self) -> Option<()> {
        self.out.push(b's');
        let length_at = self.out.len();
        self.out.extend_from_slice(&[0; 4]);
        loop {
            let rest = &self.text[self.at..];
            let plain = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
            self.out.extend_from_slice(&rest[..plain]);
            self.at += plain + 1;
            if rest[plain] == b'"' {
                break;
            }
            self.escape()?;
        }
        let length = u32::try_from(self.out.len() - length_at - 4).ok()?;
        self.out[length_at..length_at + 4].copy_from_slice(&length.to_be_bytes());
        Some(())
    }

    /// An escape whose backslash was taken.
    fn escape(&mut self) -> Option<()> {
        let letter = *self.text.get(self.at)?;
        self.at += 1;
        let byte = match letter {
            b'"' | b'\\' | b'/' => letter,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let unit = self.unit()?;
                return self.code_point(unit);
            }
            _ => return None,
        };
        self.out.push(byte);
        Some(())
    }

    /// The four digits of a `\u`.
    fn unit(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        self.at += 4;
        digits.iter().try_fold(0, |unit, digit| Some(unit * 16 + char::from(*digit).to_digit(16)?))
    }

    /// The character of a UTF-16 unit and, where it is the first half of a pair, of the second half behind it.
    fn code_point(&mut self, unit: u32) -> Option<()> {
        let mut point = unit;
        if (0xd800..0xdc00).contains(&unit) && self.text[self.at..].starts_with(b"\\u") {
            let back = self.at;
            self.at += 2;
            let low = self.unit()?;
            if (0xdc00..0xe000).contains(&low) {
                point = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
            } else {
                self.at = back; // no pair: the second one is read by itself
            }
        }
        match char::from_u32(point) {
            Some(character) => self.out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            // Half a pair has no UTF-8; the bytes that it would have occur in no sound text.
            None => self.out.extend([0xed, 0x80 | (point >> 6 & 0x3f) as u8, 0x80 | (point & 0x3f) as u8]),
        }
        Some(())
    }

    /// A number as sign, digits without zeros at either end, and the power of ten of the last digit.
    fn number(&mut self) -> Option<()> {
        let is_negative = self.takes(b'-');
        let whole = self.digits();
        let fraction = if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            Some(self.digits()).filter(|digits| !digits.is_empty())?
        } else {
            0..0
        };
        if whole.is_empty() {
            return None;
        }
        let exponent = self.exponent()?;
        let start = self.out.len();
        self.out.push(if is_negative { b'-' } else { b'+' });
        let first = self.out.len();
        for digits in [whole, fraction.clone()] {
            let digits = &self.text[digits];
            let zeros = if self.out.len() == first { leading_zeros(digits.iter()) } else { 0 };
            self.out.extend_from_slice(&digits[zeros..]);
        }
        let zeros = leading_zeros(self.out[first..].iter().rev());
        self.out.truncate(self.out.len() - zeros);
        if self.out.len() == first {
            self.out.truncate(start);
            self.out.push(b'0'); // -0 too: nobody means another number by it
            return Some(());
        }
        // Lengths of a text fit an i64, so only a spelled exponent can overflow.
        let power = exponent.checked_add(zeros as i64)?.checked_sub(fraction.len() as i64)?;
        if power == 0 {
            self.out.push(b';'); // most numbers: a list of small ones stays short
        } else {
            self.out.push(b'e');
            self.out.extend_from_slice(&power.to_be_bytes());
        }
        Some(())
    }

    fn digits(&mut self) -> Range<usize> {
        let start = self.at;
        while self.text.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        start..self.at
    }

    fn exponent(&mut self) -> Option<i64> {
        if !self.text.get(self.at).is_some_and(|byte| matches!(byte, b'e' | b'E')) {
            return Some(0);
        }
        self.at += 1;
        let start = self.at;
        if self.text.get(self.at).is_some_and(|byte| matches!(byte, b'+' | b'-')) {
            self.at += 1;
        }
        self.digits();
        // A longer exponent makes the whole text stand for itself.
        std::str::from_utf8(&self.text[start..self.at]).ok()?.parse().ok()
    }
}

fn leading_zeros<'a>(digits: impl Iterator<Item = &'a u8>) -> usize {
    digits.take_while(|digit| **digit == b'0').count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn texts_of_one_meaning_are_equal() {
        for (a, b) in [
            ("{}", " { } "),
            ("[]", "[\n]"),
            (r#"{"a":1,"b":[true,null]}"#, r#" {"b" : [ true , null ] , "a" : 1 } "#),
            (r#"{"b":{"d":1,"c":2},"a":0}"#, r#"{"a":0,"b":{"c":2,"d":1}}"#),
            (r#""a/\u00e4\n""#, "\"\\u0061\\/ä\\u000A\""),
            (r#""\ud83d\ude00""#, "\"😀\""),
            (r#"{"\u0061":1}"#, r#"{"a":1}"#),
            ("1", "1.0"),
            ("1", "10e-1"),
            ("100", "1E+2"),
            ("-0.00120", "-12e-4"),
            ("0", "-0.0e7"),
            ("123456789012345678901234567890", "1.2345678901234567890123456789e29"),
        ] {
            assert_eq!(bytes(a), bytes(b), "{a} and {b}");
        }
    }

    #[test]
    fn texts_of_different_meaning_differ() {
        let texts = [
            "{}",
            "[]",
            "[[]]",
            "[[],[]]",
            "[{}]",
            "null",
            "true",
            "false",
            "0",
            "1",
            "-1",
            "10",
            "0.1",
            "11",
            "1e400",
            "\"\"",
            "\"0\"",
            "\"null\"",
            "[1]",
            "[1,1]",
            "[11]",
            "[\"1\"]",
            r#"["a","b"]"#,
            r#"["a\",\"b"]"#,
            r#"{"a":1}"#,
            r#"{"a":"1"}"#,
            r#"{"a":1,"a":2}"#,
            r#"{"a":2,"a":1}"#,
            r#"{"a":2}"#,
            r#"{"A":1}"#,
            r#"{"a":{"b":1}}"#,
            r#"{"a":{},"b":1}"#,
            r#"{"":1}"#,
            "\"é\"",
            "\"e\u{301}\"",
            r#""\ud800""#,
            r#""\udc00""#,
            r#""\ud800\u0041""#,
            r#""\ud800\ud800""#,
            r#""\udc00\ud800""#,
            // Not told apart by a float.
            "9007199254740993",
            "9007199254740992",
            "18446744073709551617",
            "18446744073709551616",
            "0.1000000000000000000001",
            // Exponents that fit nothing: the text stands for itself.
            "1e99999999999999999999",
            "1e99999999999999999998",
            "[1e99999999999999999999]",
        ];
        for (at, a) in texts.iter().enumerate() {
            for b in &texts[at + 1..] {
                assert_ne!(bytes(a), bytes(b), "{a} and {b}");
            }
        }
    }

    #[test]
    fn long_objects_are_equal_and_differ_as_short_ones_do() {
        let long = "x".repeat(MAX_OBJECT);
        let of = |a: &str, b: &str| format!(r#"{{"o":{{"{a}":"{long}","{b}":[{{"{b}":"{long}"}}]}}}}"#);
        assert!(bytes(&of("a", "b")).len() < 50, "the inner object is a digest");
        let turned = format!(r#"{{"o":{{"b":[{{"b":"{long}"}}],"a":"{long}"}}}}"#);
        assert_eq!(bytes(&of("a", "b")), bytes(&turned));
        assert_ne!(bytes(&of("a", "b")), bytes(&of("a", "c")));
        assert_ne!(bytes(&of("a", "b")), bytes(&turned.replacen('x', "y", 1)));
        assert_ne!(bytes(&of("a", "b")), bytes(&turned.replace("[{", "{\"b\":{").replace("}]", "}}")));
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert_eq!(bytes(&nested(MAX_DEPTH))[0], b'[');
        assert_eq!(bytes(&nested(MAX_DEPTH + 1))[0], b'?');
        assert_eq!(bytes(&"[".repeat(1_000_000))[0], b'?');
    }

    /// A tree, and its text with members turned around, space between tokens and every character escaped.
    fn respell(value: &Value, out: &mut String) {
        match value {
            Value::Array(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    out.push_str(if at > 0 { " ,\t" } else { " " });
                    respell(item, out);
                }
                out.push_str("\n]");
            }
            Value::Object(members) => {
                out.push('{');
                for (at, (key, member)) in members.iter().rev().enumerate() {
                    out.push_str(if at > 0 { "\r,\n" } else { "" });
                    respell(&Value::from(key.as_str()), out);
                    out.push_str(" : ");
                    respell(member, out);
                }
                out.push('}');
            }
            Value::String(text) => {
                let units: Vec<String> = text.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
                out.push_str(&format!("\"{}\"", units.concat()));
            }
            Value::Number(number) => out.push_str(&format!("{number}00e-2")),
            other => out.push_str(&other.to_string()),
        }
    }

    fn json() -> impl Strategy<Value = Value> {
        let text = r#"[a-b\u{e9}\u{1f600}\\"{},:0]{0,3}"#;
        let leaf = prop_oneof![
            text.prop_map(Value::from),
            (-20..20_i64).prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            Just(Value::Null),
        ];
        leaf.prop_recursive(4, 24, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(text, inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_agrees_with_the_tree(a in json(), b in json()) {
            let (text_a, text_b) = (a.to_string(), b.to_string());
            prop_assert_eq!(bytes(&text_a) == bytes(&text_b), a == b, "{} and {}", text_a, text_b);
            let mut respelled = String::new();
            respell(&a, &mut respelled);
            prop_assert_eq!(bytes(&respelled), bytes(&text_a), "{} and {}", respelled, text_a);
        }

        #[test]
        fn any_text_is_read_without_a_panic(text: String, tokens in r#"[\[\]{}",:\\udc80a-f0-9e.+\- -]{0,40}"#) {
            bytes(&text);
            bytes(&tokens);
        }

        #[test]
        fn every_sound_text_is_understood(value in json()) {
            prop_assert_ne!(bytes(&value.to_string())[0], b'?');
        }
    }
}
