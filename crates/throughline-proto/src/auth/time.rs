use std::fmt;
use std::time::Duration;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// A moment in seconds since 1970-01-01T00:00:00Z, as tokens have it (`NumericDate`,
/// [RFC 7519, 2](https://www.rfc-editor.org/rfc/rfc7519#section-2)). The engine reads no clock: whoever calls it says what
/// time it is. Sums end at the first and the last moment instead of wrapping.
///
/// ```
/// use std::time::Duration;
/// use throughline_proto::auth::UnixTime;
///
/// let now = UnixTime(1_700_000_000);
/// let end = now.plus(Duration::from_secs(3600));
/// assert_eq!(end.since(now), Duration::from_secs(3600));
/// assert_eq!(now.since(end), Duration::ZERO);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct UnixTime(pub u64);

impl UnixTime {
    /// The moment that is this much later, in whole seconds.
    #[must_use]
    pub const fn plus(self, span: Duration) -> UnixTime {
        UnixTime(self.0.saturating_add(span.as_secs()))
    }

    /// The moment that is this much earlier, in whole seconds.
    #[must_use]
    pub const fn minus(self, span: Duration) -> UnixTime {
        UnixTime(self.0.saturating_sub(span.as_secs()))
    }

    /// How long ago `earlier` was: nothing when it is later.
    #[must_use]
    pub const fn since(self, earlier: UnixTime) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0))
    }

    /// How long it is until `later`: nothing when it has passed.
    #[must_use]
    pub const fn until(self, later: UnixTime) -> Duration {
        later.since(self)
    }
}

impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// From a JSON number: a fraction is dropped, which the standard allows a moment to have, and what is before 1970 is 1970.
impl<'de> Deserialize<'de> for UnixTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<UnixTime, D::Error> {
        struct Seconds;

        impl Visitor<'_> for Seconds {
            type Value = UnixTime;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of seconds since 1970")
            }

            fn visit_u64<E>(self, seconds: u64) -> Result<UnixTime, E> {
                Ok(UnixTime(seconds))
            }

            fn visit_i64<E>(self, seconds: i64) -> Result<UnixTime, E> {
                Ok(UnixTime(u64::try_from(seconds).unwrap_or(0)))
            }

            fn visit_f64<E: Error>(self, seconds: f64) -> Result<UnixTime, E> {
                if !seconds.is_finite() {
                    return Err(E::custom("a moment is a finite number"));
                }
                // `as` ends at the first and the last number.
                Ok(UnixTime(seconds as u64))
            }
        }

        deserializer.deserialize_any(Seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_as_tokens_have_them() {
        for (json, seconds) in [
            ("0", 0),
            ("1700000000", 1_700_000_000),
            ("1700000000.999", 1_700_000_000),
            ("1.7e9", 1_700_000_000),
            ("-5", 0),
            ("-5.5", 0),
            ("18446744073709551615", u64::MAX),
            ("1e300", u64::MAX),
        ] {
            assert_eq!(serde_json::from_str::<UnixTime>(json).unwrap(), UnixTime(seconds), "{json}");
        }
        for json in ["null", "\"1700000000\"", "true", "[1]", "1e999"] {
            assert!(serde_json::from_str::<UnixTime>(json).is_err(), "{json}");
        }
        assert_eq!(serde_json::to_string(&UnixTime(7)).unwrap(), "7");
    }

    #[test]
    fn sums_end_at_the_ends() {
        let day = Duration::from_secs(86_400);
        assert_eq!(UnixTime(u64::MAX).plus(day), UnixTime(u64::MAX));
        assert_eq!(UnixTime(5).minus(day), UnixTime(0));
        assert_eq!(UnixTime(5).until(UnixTime(9)), Duration::from_secs(4));
        assert_eq!(UnixTime(9).until(UnixTime(5)), Duration::ZERO);
    }
}
