use std::fmt;

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroize as _;

/// A text that must not be seen: a token, a client's secret, a code. `Debug` shows nothing of it, there is no `Display`,
/// two of them are compared in a time that tells nothing of where they differ, and the memory is wiped when it is dropped.
///
/// It serialises as the text itself, because a token store has to keep it. What holds one belongs in no log.
///
/// ```
/// use throughline_proto::auth::Secret;
///
/// let token = Secret::new("eyJhbGciOi");
/// assert_eq!(format!("{token:?}"), "Secret(..)");
/// assert_eq!(token.expose(), "eyJhbGciOi");
/// ```
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Takes a text out of sight.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The text. Whoever asks for it sees to it that it ends nowhere else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Is there nothing in it?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Secret {
        Secret(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Secret {
        Secret(text.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Secret) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for Secret {}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_compared_and_kept_and_not_shown() {
        let (a, b) = (Secret::new("hunter2"), Secret::from("hunter2".to_owned()));
        assert_eq!(a, b);
        assert_ne!(a, Secret::from("hunter3"));
        assert_ne!(a, Secret::from("hunter"));
        assert_ne!(a, Secret::default());
        assert!(Secret::default().is_empty() && !a.is_empty());
        assert_eq!(format!("{:?} {:#?}", Some(&a), vec![&b]), "Some(Secret(..)) [\n    Secret(..),\n]");
        let json = serde_json::to_string(&a).unwrap();
        assert_eq!(json, r#""hunter2""#);
        assert_eq!(serde_json::from_str::<Secret>(&json).unwrap(), a);
    }
}
