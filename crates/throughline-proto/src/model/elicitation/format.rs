//! Which texts are of a kind: as strict as the standards that JSON Schema names for its formats, and no stricter.

use super::StringFormat;

impl StringFormat {
    /// Whether a text is of this kind:
    /// [RFC 5321](https://datatracker.ietf.org/doc/html/rfc5321#section-4.1.2) for mail,
    /// [RFC 3986](https://datatracker.ietf.org/doc/html/rfc3986#section-3) for URIs (with their scheme),
    /// [RFC 3339](https://datatracker.ietf.org/doc/html/rfc3339#section-5.6) for dates and times.
    ///
    /// ```
    /// use throughline_proto::model::StringFormat;
    ///
    /// assert!(StringFormat::Date.fits("2028-02-29"));
    /// assert!(!StringFormat::Date.fits("2026-02-29"));
    /// ```
    #[must_use]
    pub fn fits(self, text: &str) -> bool {
        match self {
            StringFormat::Email => is_email(text),
            StringFormat::Uri => is_uri(text),
            StringFormat::Date => date(text.as_bytes()).is_some(),
            StringFormat::DateTime => is_date_time(text),
        }
    }

    /// What a text of this kind is, for people.
    #[must_use]
    pub fn description(self) -> &'static str {
        match self {
            StringFormat::Email => "an address of electronic mail (name@example.com)",
            StringFormat::Uri => "a URI with its scheme (https://example.com)",
            StringFormat::Date => "a date (1999-12-31)",
            StringFormat::DateTime => "a date and time with its zone (1999-12-31T12:00:00Z)",
        }
    }
}

/// A mailbox. What is before the last `@` may be quoted; domains are names or literals in brackets.
fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    is_local(local) && is_domain(domain)
}

fn is_local(local: &str) -> bool {
    if let Some(quoted) = local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        return is_quoted(quoted);
    }
    let is_atom = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || !c.is_ascii();
    local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atom))
}

fn is_quoted(quoted: &str) -> bool {
    let mut characters = quoted.chars();
    while let Some(c) = characters.next() {
        match c {
            '"' => return false,
            '\\' if characters.next().is_none_or(char::is_control) => return false,
            c if c.is_control() => return false,
            _ => {}
        }
    }
    true
}

fn is_domain(domain: &str) -> bool {
    if let Some(literal) = domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let address = literal.strip_prefix("IPv6:").unwrap_or(literal);
        return address.parse::<std::net::IpAddr>().is_ok();
    }
    let is_letter = |c: char| c.is_ascii_alphanumeric() || c == '-' || !(c.is_ascii() || c.is_whitespace());
    let is_label = |label: &str| {
        !label.is_empty() && !label.starts_with('-') && !label.ends_with('-') && label.chars().all(is_letter)
    };
    domain.split('.').all(is_label)
}

/// A URI with a scheme, of the characters that one may have.
fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    is_scheme && rest.matches('#').count() <= 1 && has_uri_characters(rest)
}

fn has_uri_characters(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if byte == b'%' {
            let is_hex = |at| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
            if !(is_hex(at + 1) && is_hex(at + 2)) {
                return false;
            }
        } else if !(byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=".contains(&byte)) {
            return false;
        }
        at += 1;
    }
    true
}

/// The date that `text` is: nothing before it, nothing after.
fn date(text: &[u8]) -> Option<()> {
    let [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1] = *text else { return None };
    let year = number(&[y0, y1, y2, y3])?;
    let month = number(&[m0, m1])?;
    let day = number(&[d0, d1])?;
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if is_leap => 29,
        2 => 28,
        _ => return None,
    };
    (1..=days).contains(&day).then_some(())
}

fn is_date_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    let Some((day, rest)) = bytes.split_at_checked(10) else { return false };
    let Some((b'T' | b't', time)) = rest.split_first() else { return false };
    date(day).is_some() && is_time(time).unwrap_or(false)
}

/// Whether this is a time of day with its zone.
fn is_time(text: &[u8]) -> Option<bool> {
    let (&[h0, h1, b':', m0, m1, b':', s0, s1], mut zone) = text.split_first_chunk()? else { return None };
    let (hour, minute, second) = (number(&[h0, h1])?, number(&[m0, m1])?, number(&[s0, s1])?);
    if let Some((b'.', fraction)) = zone.split_first() {
        let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
        zone = fraction.split_at_checked(digits).filter(|_| digits > 0)?.1;
    }
    let offset = match *zone {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), h0, h1, b':', m0, m1] => {
            let (hours, minutes) = (number(&[h0, h1])?, number(&[m0, m1])?);
            if hours > 23 || minutes > 59 {
                return Some(false);
            }
            let offset = i64::from(hours * 60 + minutes);
            if sign == b'+' { offset } else { -offset }
        }
        _ => return None,
    };
    if hour > 23 || minute > 59 {
        return Some(false);
    }
    // A leap second is the last of a day in UTC.
    let last_minute = (i64::from(hour * 60 + minute) - offset).rem_euclid(24 * 60) == 24 * 60 - 1;
    Some(second <= 59 || (second == 60 && last_minute))
}

fn number(digits: &[u8]) -> Option<u32> {
    digits
        .iter()
        .try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::StringFormat::{self, Date, DateTime, Email, Uri};

    #[test]
    fn what_fits_and_what_does_not() {
        let fitting: [(StringFormat, &[&str]); 4] = [
            (
                Email,
                &[
                    "a@b",
                    "first.last+tag@mail.example.com",
                    "\"a b@c\"@example.com",
                    "a@[127.0.0.1]",
                    "a@[IPv6:::1]",
                    "jörg@müller.example",
                ],
            ),
            (Uri, &["https://example.com/a?b=c#d", "mailto:a@b", "urn:x", "peer://w%20x", "http://[::1]:1/"]),
            (Date, &["2026-07-28", "2028-02-29", "2000-02-29", "0000-01-01"]),
            (
                DateTime,
                &[
                    "2026-07-28T12:00:00Z",
                    "2026-07-28t12:00:00.123456789z",
                    "2026-07-28T23:59:59+23:59",
                    "1998-12-31T23:59:60Z",
                    "1998-12-31T15:59:60.5-08:00",
                ],
            ),
        ];
        for (format, texts) in fitting {
            texts.iter().for_each(|text| assert!(format.fits(text), "{format:?} {text}"));
        }
        let others: [(StringFormat, &[&str]); 4] = [
            (
                Email,
                &["", "a", "@b", "a@", "a b@c", "a@b c", "a@-b", "a..b@c", ".a@b", "a@b.", "a@[x]", "a\n@b"],
            ),
            (
                Uri,
                &[
                    "",
                    "example.com",
                    "/a",
                    "1a:b",
                    ":b",
                    "http://a b",
                    "a:%2",
                    "a:%zz",
                    "a:#b#c",
                    "a:ü",
                    "a:<b>",
                ],
            ),
            (
                Date,
                &[
                    "",
                    "2026-02-29",
                    "1900-02-29",
                    "2026-13-01",
                    "2026-00-01",
                    "2026-04-31",
                    "2026-1-01",
                    "2026-01-00",
                    "2026-01-01 ",
                    "+026-01-01",
                    "20２6-01-01",
                ],
            ),
            (
                DateTime,
                &[
                    "",
                    "2026-07-28",
                    "2026-07-28T12:00:00",
                    "2026-07-28 12:00:00Z",
                    "2026-07-28T24:00:00Z",
                    "2026-07-28T12:60:00Z",
                    "2026-07-28T12:00:60Z",
                    "2026-07-28T12:00:00.Z",
                    "2026-07-28T12:00:00+24:00",
                    "2026-07-28T12:00:00+0100",
                    "2026-02-30T12:00:00Z",
                    "2026-07-2üT12:00:00Z",
                ],
            ),
        ];
        for (format, texts) in others {
            texts.iter().for_each(|text| assert!(!format.fits(text), "{format:?} {text}"));
        }
    }
}
