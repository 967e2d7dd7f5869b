//! Durations as people write them: `250ms`, `15s`, `30m`, `1h30m`.

use std::time::Duration;

/// Reads a duration: whole numbers, each with one of the units `ms`, `s`, `m` and `h`, the larger unit first. `0`
/// needs no unit.
///
/// # Errors
///
/// A sentence that says how to write it.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut total = 0u64;
    let mut below = u64::MAX;
    let mut rest = text;
    while !rest.is_empty() {
        let (number, after) = split(rest, |c| c.is_ascii_digit());
        let (unit, after) = split(after, |c| !c.is_ascii_digit());
        rest = after;
        if !number.is_empty() && unit.is_empty() {
            return Err(format!("give a unit, as in {text}s or {text}m"));
        }
        let millis = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, millis)| *millis);
        let (Some(millis), false) = (millis.filter(|millis| *millis < below), number.is_empty()) else {
            return Err("write a duration as 250ms, 15s, 30m or 1h30m".into());
        };
        below = millis;
        let part = number.parse::<u64>().ok().and_then(|number| number.checked_mul(millis));
        total = part
            .and_then(|part| total.checked_add(part))
            .filter(|total| *total <= LONGEST)
            .ok_or(TOO_LONG)?;
    }
    if text.is_empty() {
        return Err("write a duration as 250ms, 15s, 30m or 1h30m".into());
    }
    Ok(Duration::from_millis(total))
}

/// Splits behind the characters that are `taken`.
fn split(text: &str, taken: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !taken(c)).unwrap_or(text.len()))
}

/// Each unit in milliseconds.
const UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];

/// A year. No timeout means more, and moments that far ahead are within every clock's range.
const LONGEST: u64 = 365 * 24 * 3_600_000;
const TOO_LONG: &str = "the longest duration is a year, 8760h";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, millis) in [
            ("0", 0),
            ("0s", 0),
            ("250ms", 250),
            ("15s", 15_000),
            ("30m", 1_800_000),
            ("1h30m", 5_400_000),
            ("1h1m1s1ms", 3_661_001),
            ("090s", 90_000),
            ("8760h", LONGEST),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_says_how_to_write_one() {
        let how = "write a duration as 250ms, 15s, 30m or 1h30m";
        for text in ["", "s", "-1s", "1.5s", "1 s", "1d", "5s1m", "1s1s", "1µs", "ms1", "१s"] {
            assert_eq!(parse(text), Err(how.into()), "{text}");
        }
        assert_eq!(parse("30"), Err("give a unit, as in 30s or 30m".into()));
        assert_eq!(parse("1h30"), Err("give a unit, as in 1h30s or 1h30m".into()));
    }

    #[test]
    fn a_duration_is_at_most_a_year() {
        for text in ["8760h1ms", "18446744073709551615h", "99999999999999999999s", "8760h8760h"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!(parse("8761h"), Err(TOO_LONG.into()));
    }
}
