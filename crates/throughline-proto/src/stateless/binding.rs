use std::fmt;

use sha2::{Digest, Sha256};

use super::canonical;
use crate::jsonrpc::Raw;

/// Which request a sealed state belongs to: a digest of its method, its target (the name or URI), its arguments and who
/// sent it. A state is good for that request alone, so one that was given for a harmless call approves no other.
///
/// Arguments are equal when they mean the same: white space, the order of members and the spelling of strings and numbers
/// do not matter.
///
/// It costs a digest over the arguments: make one only for a request that came with a state, or that asks.
///
/// ```
/// use throughline_proto::jsonrpc::Raw;
/// use throughline_proto::stateless::Binding;
///
/// let binding = |arguments: &'static str, user: &[u8]| {
///     let arguments = Raw::from_json(arguments).expect("JSON");
///     Binding::new("tools/call", Some("delete"), Some(&arguments), Some(user))
/// };
/// let first = binding(r#"{"name": "x", "depth": 1}"#, b"ada");
/// assert_eq!(first, binding(r#"{"depth":1.0,"name":"\u0078"}"#, b"ada"));
/// assert_ne!(first, binding(r#"{"depth":1,"name":"y"}"#, b"ada"));
/// assert_ne!(first, binding(r#"{"depth":1,"name":"x"}"#, b"bob"));
/// ```
///
/// Specification: <https://modelcontextprotocol.io/specification/2026-07-28/basic/patterns/mrtr#server-requirements-basic-workflow>.
#[derive(Clone, PartialEq, Eq)]
pub struct Binding([u8; 32]);

impl Binding {
    /// The binding of one request. `principal` names who sent it, `None` where nobody is told apart.
    pub fn new(
        method: &str,
        target: Option<&str>,
        arguments: Option<&Raw>,
        principal: Option<&[u8]>,
    ) -> Binding {
        let arguments = arguments.map(|arguments| canonical::bytes(arguments.as_str()));
        let mut digest = Sha256::new();
        let parts = [Some(method.as_bytes()), target.map(str::as_bytes), arguments.as_deref(), principal];
        for part in parts {
            // Each part with its length, so that no two lists of parts read alike; and absence is not emptiness.
            match part {
                None => digest.update([0]),
                Some(part) => {
                    digest.update([1]);
                    digest.update((part.len() as u64).to_be_bytes());
                    digest.update(part);
                }
            }
        }
        Binding(digest.finalize().into())
    }

    pub(super) fn digest(&self) -> &[u8; 32] {
        &self.0
    }
}

/// The digest of arguments says something about them to who can guess them, so it is not shown.
impl fmt::Debug for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Binding(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_not_confused() {
        let raw = |text: &'static str| Raw::from_json(text).unwrap();
        let (empty, list) = (raw("{}"), raw("[]"));
        let all = [
            Binding::new("tools/call", None, None, None),
            Binding::new("tools/call", Some(""), None, None),
            Binding::new("tools/call", None, None, Some(b"")),
            Binding::new("tools/call", Some("a"), None, None),
            Binding::new("tools/calla", None, None, None),
            Binding::new("tools/call", None, None, Some(b"a")),
            Binding::new("tools/call", Some("a"), Some(&empty), None),
            Binding::new("tools/call", Some("a"), Some(&list), None),
            Binding::new("tools/call", Some("a"), Some(&empty), Some(b"a")),
            Binding::new("prompts/get", Some("a"), Some(&empty), Some(b"a")),
        ];
        for (at, a) in all.iter().enumerate() {
            for b in &all[at + 1..] {
                assert!(a != b);
            }
        }
        assert_eq!(format!("{:?}", all[0]), "Binding(..)");
    }
}
