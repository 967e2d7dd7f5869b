//! The names of extensions.

/// The longest name of an extension: a domain (253 bytes at most) rarely comes near it.
const LONGEST: usize = 256;

/// Whether this is the identifier of an extension: a prefix of labels with dots between them, a slash, and a name; 256 bytes
/// at most. A label begins with a letter, ends with a letter or digit, and may have hyphens within; the name begins and ends
/// with a letter or digit, and may have hyphens, underscores and dots within; see
/// [extension negotiation](https://modelcontextprotocol.io/specification/2026-07-28/basic/versioning#extension-negotiation).
///
/// ```
/// use throughline_proto::model::is_extension_identifier;
///
/// assert!(is_extension_identifier("io.modelcontextprotocol/ui"));
/// assert!(!is_extension_identifier("ui"), "the prefix is mandatory");
/// ```
#[must_use]
pub fn is_extension_identifier(text: &str) -> bool {
    text.len() <= LONGEST
        && text.split_once('/').is_some_and(|(prefix, name)| prefix.split('.').all(is_label) && is_name(name))
}

fn is_label(label: &str) -> bool {
    let within = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    label.starts_with(|first: char| first.is_ascii_alphabetic()) && is_made_of(label, within)
}

fn is_name(name: &str) -> bool {
    let within = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    name.starts_with(|first: char| first.is_ascii_alphanumeric()) && is_made_of(name, within)
}

fn is_made_of(text: &str, within: impl FnMut(&u8) -> bool) -> bool {
    text.ends_with(|last: char| last.is_ascii_alphanumeric()) && text.as_bytes().iter().all(within)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_told_from_other_texts() {
        for identifier in [
            "io.modelcontextprotocol/oauth-client-credentials",
            "com.example/x",
            "a/b",
            "a1.b-2/3.x_y-z",
            "com.example.mcp/Search",
        ] {
            assert!(is_extension_identifier(identifier), "{identifier}");
        }
        for other in [
            "",
            "/",
            "x",
            "com.example/",
            "/x",
            "com..example/x",
            ".com/x",
            "com./x",
            "1com/x",
            "com.2/x",
            "com-/x",
            "-com/x",
            "com.exa_mple/x",
            "com.example/-x",
            "com.example/x.",
            "com.example/x/y",
            "com.example/x y",
            "com.exämple/x",
            "com.example/ü",
        ] {
            assert!(!is_extension_identifier(other), "{other}");
        }
        assert!(is_extension_identifier(&format!("a/{}", "b".repeat(254))));
        assert!(!is_extension_identifier(&format!("a/{}", "b".repeat(255))));
    }
}
