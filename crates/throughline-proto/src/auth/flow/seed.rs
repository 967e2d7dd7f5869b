use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// Where all values of one flow come from that nobody may guess: 32 bytes of the system's random generator. The engine
/// draws none itself.
///
/// Each value is SHA-256 over the seed and what the value is for, so one that is seen tells nothing of another.
///
/// ```
/// use throughline_proto::auth::flow::Seed;
///
/// let seed = Seed::new([7; 32]); // 32 bytes of the system's random generator, new for each flow
/// assert_eq!(format!("{seed:?}"), "Seed(..)");
/// ```
pub struct Seed([u8; 32]);

/// What a drawn value is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum DrawnFor {
    /// The verifier of [RFC 7636](https://www.rfc-editor.org/rfc/rfc7636#section-4.1).
    Verifier,
    /// `state` of the authorization request.
    State,
    /// `jti` of the n-th thing to sign.
    TokenId(u32),
}

impl Seed {
    /// A seed of these bytes. They must be random, and new for each flow.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Seed {
        Seed(bytes)
    }

    /// 32 bytes as base64url: 43 characters, each unreserved in an address.
    pub(super) fn draw(&self, what: DrawnFor) -> String {
        let (label, number) = match what {
            DrawnFor::Verifier => (&b"verifier"[..], 0),
            DrawnFor::State => (&b"state"[..], 0),
            DrawnFor::TokenId(number) => (&b"jti"[..], number),
        };
        let digest =
            Sha256::new().chain_update(self.0).chain_update(label).chain_update(number.to_be_bytes());
        URL_SAFE_NO_PAD.encode(digest.finalize())
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_differs_by_what_it_is_for_and_by_seed() {
        let (a, b) = (Seed::new([1; 32]), Seed::new([2; 32]));
        let mut drawn: Vec<String> =
            [DrawnFor::Verifier, DrawnFor::State, DrawnFor::TokenId(0), DrawnFor::TokenId(1)]
                .into_iter()
                .flat_map(|what| [a.draw(what), b.draw(what)])
                .collect();
        assert!(drawn.iter().all(|text| text.len() == 43));
        drawn.sort();
        drawn.dedup();
        assert_eq!(drawn.len(), 8);
        assert_eq!(a.draw(DrawnFor::State), a.draw(DrawnFor::State));
    }
}
