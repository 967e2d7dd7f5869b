/// A number as JSON writes it, compared by its value, however long it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decimal<'a> {
    text: &'a str,
    is_negative: bool,
    /// The digits before the point and those after it, from the first to the last that is not zero: equal numbers have equal
    /// digits at equal scales, and zero has none.
    digits: [&'a str; 2],
    /// The power of ten by which the last digit counts.
    scale: i64,
}

/// What kind of number it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whole {
    /// An integer that every reader can tell from its neighbours: from -(2^53-1) to 2^53-1.
    Safe(i64),
    /// An integer beyond that.
    Unsafe,
    /// No integer.
    Fraction,
}

/// The largest integer that an IEEE 754 double can tell from both its neighbours.
const MOST: i64 = (1 << 53) - 1;

impl<'a> Decimal<'a> {
    /// `None` when it is no number as JSON writes them, or has an exponent beyond `i32`.
    pub(super) fn parse(text: &'a str) -> Option<Decimal<'a>> {
        let unsigned = text.strip_prefix('-');
        let (mantissa, exponent) = split(unsigned.unwrap_or(text), &['e', 'E']);
        let (whole, fraction) = split(mantissa, &['.']);
        let is_json = is_digits(whole)
            && (whole == "0" || !whole.starts_with('0'))
            && fraction.is_none_or(is_digits)
            && exponent.is_none_or(|text| is_digits(text.strip_prefix(['+', '-']).unwrap_or(text)));
        if !is_json {
            return None;
        }
        let exponent: i32 = exponent.unwrap_or("0").parse().ok()?;
        let fraction = fraction.unwrap_or_default();

        let after = fraction.trim_end_matches('0');
        let before = if after.is_empty() { whole.trim_end_matches('0') } else { whole };
        let dropped = whole.len() - before.len();
        let before = before.trim_start_matches('0');
        let scale = i64::from(exponent) + length(dropped) - length(after.len());
        let after = if before.is_empty() { after.trim_start_matches('0') } else { after };
        if before.is_empty() && after.is_empty() {
            return Some(Decimal { text, is_negative: false, digits: ["", ""], scale: 0 });
        }
        Some(Decimal { text, is_negative: unsigned.is_some(), digits: [before, after], scale })
    }

    pub(super) fn text(&self) -> &'a str {
        self.text
    }

    pub(super) fn whole(&self) -> Whole {
        if self.scale < 0 {
            return Whole::Fraction;
        }
        let count: usize = self.digits.iter().map(|digits| digits.len()).sum();
        // 2^53 has 16 digits, and no number of as many overflows below.
        if length(count) + self.scale > 16 {
            return Whole::Unsafe;
        }
        let digits = self.bytes().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
        let size = (0..self.scale).fold(digits, |size, _| size * 10);
        match size {
            0..=MOST if self.is_negative => Whole::Safe(-size),
            0..=MOST => Whole::Safe(size),
            _ => Whole::Unsafe,
        }
    }

    fn bytes(&self) -> impl Iterator<Item = u8> {
        self.digits.into_iter().flat_map(str::bytes)
    }
}

impl PartialEq for Decimal<'_> {
    fn eq(&self, other: &Decimal<'_>) -> bool {
        self.is_negative == other.is_negative && self.scale == other.scale && self.bytes().eq(other.bytes())
    }
}

fn split<'a>(text: &'a str, at: &[char]) -> (&'a str, Option<&'a str>) {
    match text.split_once(at) {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A length as a number that may be subtracted.
fn length(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX / 4) // no text is as long
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_numbers_of_json_are_read() {
        for good in ["0", "-0", "42", "42.0", "4.2e1", "4.2E+1", "420e-1", "0.5", "-1.50", "1e0007"] {
            assert!(Decimal::parse(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "-",
            "+1",
            "01",
            "-01",
            "1.",
            ".5",
            "1e",
            "1e+",
            "e1",
            "1.e1",
            "0x2a",
            " 1",
            "1 ",
            "1,0",
            "1_0",
            "NaN",
            "Infinity",
            "--1",
            "1e1e1",
            "1.2.3",
            "1e1.5",
            "٣",
            "1e99999999999",
        ] {
            assert!(Decimal::parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn numbers_are_the_same_by_value() {
        for same in [
            &["42", "42.0", "42.000", "4.2e1", "4.2E+1", "420e-1", "0.42e2", "0.00042e5"][..],
            &["0", "-0", "0.0", "0e9", "-0.000e-9"],
            &["-7", "-7.0", "-70e-1", "-0.7e1"],
            &["100", "1e2", "100.0", "10e1", "0.1e3"],
            &["0.5", "5e-1", "0.50", "50e-2"],
            &["9007199254740993", "9007199254740993.0", "9.007199254740993e15"],
            &["1e400", "10e399"],
            &["10.01", "1001e-2"],
        ] {
            for one in same {
                for other in same {
                    assert_eq!(Decimal::parse(one), Decimal::parse(other), "{one} {other}");
                }
            }
        }
        for (one, other) in [
            ("42", "-42"),
            ("42", "420"),
            ("42", "4.2"),
            ("42", "42.1"),
            ("1001", "1.001e2"),
            // These are the same double.
            ("9007199254740992", "9007199254740993"),
            ("0.1", "0.1000000000000000055511151231257827"),
            ("1e400", "1e401"),
        ] {
            assert_ne!(Decimal::parse(one), Decimal::parse(other), "{one} {other}");
        }
    }

    #[test]
    fn integers_are_safe_up_to_two_to_the_53() {
        for (text, expected) in [
            ("0", Whole::Safe(0)),
            ("-0.0", Whole::Safe(0)),
            ("42.0", Whole::Safe(42)),
            ("-4.2e1", Whole::Safe(-42)),
            ("10.50e1", Whole::Safe(105)),
            ("1e15", Whole::Safe(1_000_000_000_000_000)),
            ("9007199254740991", Whole::Safe(9_007_199_254_740_991)),
            ("-9007199254740991", Whole::Safe(-9_007_199_254_740_991)),
            ("9007199254740992", Whole::Unsafe),
            ("-9007199254740992", Whole::Unsafe),
            ("1e16", Whole::Unsafe),
            ("9999999999999999", Whole::Unsafe),
            ("18446744073709551616", Whole::Unsafe),
            ("1e2147483647", Whole::Unsafe),
            ("42.5", Whole::Fraction),
            ("1e-1", Whole::Fraction),
            ("1e-2147483647", Whole::Fraction),
            ("9007199254740992.5", Whole::Fraction),
        ] {
            assert_eq!(Decimal::parse(text).unwrap().whole(), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn an_integer_is_itself_in_every_notation(
            number in prop_oneof![-MOST..=-1, 1..=MOST],
            zeros in 0..5_usize,
        ) {
            let plain = number.to_string();
            let with_point = format!("{plain}.{}0", "0".repeat(zeros));
            let with_exponent = format!("{plain}{}e-{zeros}", "0".repeat(zeros));
            for text in [&plain, &with_point, &with_exponent] {
                let decimal = Decimal::parse(text).unwrap();
                prop_assert_eq!(decimal, Decimal::parse(&plain).unwrap());
                prop_assert_eq!(decimal.whole(), Whole::Safe(number));
            }
        }
    }
}
