//! The lock on the state that travels through the client.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::{AeadInOut, KeyInit, XChaCha20Poly1305, XNonce};
use sha2::{Digest, Sha256};

use super::Binding;

/// The form of a sealed state. Another form gets another number, and is refused by whoever does not know it.
const FORM: u8 = 1;

/// The bytes that name a key: enough that the keys of one ring differ.
const KEY_ID: usize = 4;

const NONCE: usize = 24;
const TAG: usize = 16;
const HEAD: usize = 1 + KEY_ID + NONCE;

/// The longest text that is looked at: the longest payload has some 88,000 characters as base64.
const MAX_TEXT: usize = 96 * 1024;

/// A text shorter than this is no secret worth the name: 32 characters are 128 bits even when they are hex digits.
const MIN_SECRET: usize = 32;

/// The keys that seal and open the `requestState` of input rounds.
///
/// What goes through a client is encrypted and authenticated (XChaCha20-Poly1305): it reads nothing, changes nothing,
/// and what it sends back opens only for the request that it was sealed for (see [`Binding`]). The newest key seals; every
/// key of the ring opens. So a key is replaced in two steps: all processes learn the new key as an older one, then
/// use it, and the former one is left out when the last state that it sealed has expired.
///
/// Processes with the same ring open each other's states. The engine draws no random number: a key and the nonce of
/// each sealing come from the caller.
///
/// ```
/// use std::time::Duration;
/// use throughline_proto::stateless::KeyRing;
///
/// let ring = KeyRing::from_secret("8XrFv0bQGm1xk3cP7WdJrT2sUe9nLyAa")?
///     .with_older([7; 32])
///     .with_ttl(Duration::from_secs(120));
/// assert_eq!(format!("{ring:?}"), "KeyRing(..)");
/// # Ok::<(), throughline_proto::stateless::WeakSecret>(())
/// ```
///
/// Specification: <https://modelcontextprotocol.io/specification/2026-07-28/basic/patterns/mrtr#server-requirements-basic-workflow>.
#[derive(Clone)]
pub struct KeyRing {
    /// The newest first. As many as the operator configured.
    keys: Vec<SealKey>,
    ttl: Duration,
}

#[derive(Clone)]
struct SealKey {
    id: [u8; KEY_ID],
    cipher: XChaCha20Poly1305, // wipes its key when dropped
}

impl KeyRing {
    /// How long a sealed state is good for unless told otherwise: 10 minutes, as long as a person is waited for.
    pub const DEFAULT_TTL: Duration = Duration::from_secs(600);

    /// A ring with one key of 32 random bytes.
    pub fn new(key: [u8; 32]) -> KeyRing {
        KeyRing { keys: vec![SealKey::new(key)], ttl: KeyRing::DEFAULT_TTL }
    }

    /// A ring with one key made of a secret text, the same wherever the text is the same. White space around it does
    /// not count. The text should be random, such as what `openssl rand -base64 32` writes.
    ///
    /// # Errors
    ///
    /// When the text is shorter than 32 characters.
    pub fn from_secret(secret: &str) -> Result<KeyRing, WeakSecret> {
        key_of(secret).map(KeyRing::new)
    }

    /// The same ring with one more key, which only opens.
    #[must_use]
    pub fn with_older(mut self, key: [u8; 32]) -> KeyRing {
        self.keys.push(SealKey::new(key));
        self
    }

    /// The same ring with one more key, made of a secret text, which only opens.
    ///
    /// # Errors
    ///
    /// When the text is shorter than 32 characters.
    pub fn with_older_secret(self, secret: &str) -> Result<KeyRing, WeakSecret> {
        Ok(self.with_older(key_of(secret)?))
    }

    /// The same ring with the time for which a state that it seals is good: whole seconds, at least one. Default: 10
    /// minutes.
    #[must_use]
    pub fn with_ttl(mut self, ttl: Duration) -> KeyRing {
        self.ttl = Duration::from_secs(ttl.as_secs().max(1));
        self
    }

    /// For how long a state that this ring seals is good.
    pub fn ttl(&self) -> Duration {
        self.ttl
    }

    /// Seals `payload` for one request. No two sealings may share a `nonce`: 24 random bytes never do.
    pub(super) fn seal(&self, binding: &Binding, nonce: [u8; NONCE], payload: &[u8]) -> String {
        let key = &self.keys[0];
        let mut sealed = Vec::with_capacity(HEAD + payload.len() + TAG);
        sealed.push(FORM);
        sealed.extend_from_slice(&key.id);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(payload);
        let tag = key
            .cipher
            .encrypt_inout_detached(
                &XNonce::from(nonce),
                &associated(key.id, binding),
                (&mut sealed[HEAD..]).into(),
            )
            .expect("a payload is far shorter than the 256 GiB that the cipher can take");
        sealed.extend_from_slice(&tag);
        URL_SAFE_NO_PAD.encode(sealed)
    }

    /// The payload of a text that one of these keys sealed for this request; `None` for everything else, and nothing says
    /// why: who tries texts learns only that they are refused.
    pub(super) fn open(&self, binding: &Binding, text: &str) -> Option<Vec<u8>> {
        if text.len() > MAX_TEXT {
            return None;
        }
        let mut sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
        let body = sealed.len().checked_sub(HEAD + TAG)?;
        let (head, rest) = sealed.split_at_mut(HEAD);
        let (payload, tag) = rest.split_at_mut(body);
        let (&form, head) = head.split_first()?;
        let (id, nonce) = head.split_at(KEY_ID);
        let nonce = XNonce::try_from(nonce).ok()?;
        let tag = (&*tag).try_into().ok()?;
        if form != FORM {
            return None;
        }
        for key in self.keys.iter().filter(|key| key.id == id) {
            let associated = associated(key.id, binding);
            // The tag is verified before anything is decrypted, so a second key of the same name finds it unchanged.
            if key.cipher.decrypt_inout_detached(&nonce, &associated, (&mut *payload).into(), &tag).is_ok() {
                return Some(payload.to_vec());
            }
        }
        None
    }
}

/// What is authenticated besides the payload: the form, the key's name and the request.
fn associated(id: [u8; KEY_ID], binding: &Binding) -> [u8; 1 + KEY_ID + 32] {
    let mut associated = [FORM; 1 + KEY_ID + 32];
    associated[1..=KEY_ID].copy_from_slice(&id);
    associated[1 + KEY_ID..].copy_from_slice(binding.digest());
    associated
}

impl SealKey {
    fn new(key: [u8; 32]) -> SealKey {
        let digest =
            Sha256::new().chain_update(b"throughline: name of a sealing key\0").chain_update(key).finalize();
        let mut id = [0; KEY_ID];
        id.copy_from_slice(&digest[..KEY_ID]);
        SealKey { id, cipher: XChaCha20Poly1305::new(&key.into()) }
    }
}

fn key_of(secret: &str) -> Result<[u8; 32], WeakSecret> {
    let secret = secret.trim();
    if secret.chars().count() < MIN_SECRET {
        return Err(WeakSecret(()));
    }
    Ok(Sha256::new().chain_update(b"throughline: sealing key\0").chain_update(secret).finalize().into())
}

/// Keys are never shown.
impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyRing(..)")
    }
}

/// A secret is too short to be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeakSecret(());

impl fmt::Display for WeakSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the sealing key is shorter than {MIN_SECRET} characters: use a random one, such as `openssl rand -base64 32` writes"
        )
    }
}

impl std::error::Error for WeakSecret {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NONCE_1: [u8; NONCE] = [1; NONCE];

    fn binding() -> Binding {
        Binding::new("tools/call", Some("delete"), None, Some(b"ada"))
    }

    fn ring(byte: u8) -> KeyRing {
        KeyRing::new([byte; 32])
    }

    #[test]
    fn the_form_is_the_same_on_every_node() {
        // Both texts were also computed by an implementation in another language.
        let text = ring(7).seal(&binding(), NONCE_1, b"payload");
        assert_eq!(text, "AdJtt24BAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQHBFXohpo2Jw-h_4GC8izsV-G4sL0FFAQ");
        assert_eq!(ring(7).open(&binding(), &text).as_deref(), Some(&b"payload"[..]));
        let of_secret = KeyRing::from_secret("0123456789abcdef0123456789abcdef").unwrap();
        assert_eq!(
            of_secret.seal(&binding(), NONCE_1, b""),
            "AWf8iTQBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEG8DgLw4yUzOuMdBxbReIG"
        );
    }

    #[test]
    fn every_flipped_bit_and_every_other_character_is_refused() {
        let text = ring(7).seal(&binding(), NONCE_1, b"payload!");
        let sealed = URL_SAFE_NO_PAD.decode(&text).unwrap();
        for bit in 0..sealed.len() * 8 {
            let mut forged = sealed.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(ring(7).open(&binding(), &URL_SAFE_NO_PAD.encode(forged)), None, "bit {bit}");
        }
        for at in 0..text.len() {
            for other in (0..128_u8).map(char::from) {
                let mut forged: Vec<char> = text.chars().collect();
                if std::mem::replace(&mut forged[at], other) == other {
                    continue;
                }
                let forged: String = forged.into_iter().collect();
                assert_eq!(ring(7).open(&binding(), &forged), None, "{forged}");
            }
        }
    }

    #[test]
    fn a_shorter_or_longer_text_is_refused() {
        let text = ring(7).seal(&binding(), NONCE_1, b"payload");
        for end in 0..text.len() {
            assert_eq!(ring(7).open(&binding(), &text[..end]), None, "{end}");
        }
        for more in ["-TAMPERED", "=", "==", "A", " ", "\n", "AAAA"] {
            assert_eq!(ring(7).open(&binding(), &format!("{text}{more}")), None, "{more:?}");
        }
        assert_eq!(ring(7).open(&binding(), &"A".repeat(MAX_TEXT + 4)), None);
    }

    #[test]
    fn the_longest_payload_fits_the_longest_text() {
        let payload = vec![9; super::super::state::MAX_PAYLOAD];
        let text = ring(7).seal(&binding(), NONCE_1, &payload);
        assert!(text.len() <= MAX_TEXT, "{}", text.len());
        assert_eq!(ring(7).open(&binding(), &text), Some(payload));
    }

    #[test]
    fn it_opens_only_for_its_request() {
        let text = ring(7).seal(&binding(), NONCE_1, b"payload");
        for other in [
            Binding::new("tools/call", Some("delete"), None, Some(b"bob")),
            Binding::new("tools/call", Some("delete"), None, None),
            Binding::new("tools/call", Some("create"), None, Some(b"ada")),
            Binding::new("prompts/get", Some("delete"), None, Some(b"ada")),
        ] {
            assert_eq!(ring(7).open(&other, &text), None);
        }
    }

    #[test]
    fn keys_are_replaced_in_two_steps() {
        let old = ring(1);
        let both = ring(2).with_older([1; 32]);
        let learning = ring(1).with_older([2; 32]);
        let opens = |ring: &KeyRing, text: &str| ring.open(&binding(), text).is_some();
        let (by_old, by_new) = (old.seal(&binding(), NONCE_1, b"x"), both.seal(&binding(), NONCE_1, b"x"));
        assert_ne!(by_old, by_new);
        assert!(opens(&both, &by_old) && opens(&both, &by_new));
        assert!(opens(&learning, &by_old) && opens(&learning, &by_new));
        assert!(!opens(&old, &by_new) && !opens(&ring(2), &by_old));
        assert_eq!(by_old, learning.seal(&binding(), NONCE_1, b"x"), "an older key never seals");
    }

    #[test]
    fn a_secret_makes_one_key_and_a_short_one_none() {
        let secret = "0123456789abcdef0123456789abcdef";
        let text = KeyRing::from_secret(secret).unwrap().seal(&binding(), NONCE_1, b"x");
        let opens = |ring: KeyRing| ring.open(&binding(), &text).is_some();
        assert!(opens(KeyRing::from_secret(&format!(" {secret}\n")).unwrap()));
        assert!(opens(ring(1).with_older_secret(secret).unwrap()));
        assert!(!opens(KeyRing::from_secret(&secret.to_uppercase()).unwrap()));
        for short in ["", "secret", &secret[1..], &format!("{:>40}", "short")] {
            let error = KeyRing::from_secret(short).unwrap_err();
            assert_eq!(ring(1).with_older_secret(short).unwrap_err(), error);
            assert_eq!(
                error.to_string(),
                "the sealing key is shorter than 32 characters: use a random one, such as `openssl rand -base64 32` writes"
            );
        }
    }

    #[test]
    fn nothing_is_shown_and_the_time_is_kept() {
        assert_eq!(format!("{:?}", ring(1)), "KeyRing(..)");
        assert_eq!(ring(1).ttl(), Duration::from_secs(600));
        assert_eq!(ring(1).with_ttl(Duration::from_secs(5)).ttl(), Duration::from_secs(5));
        assert_eq!(ring(1).with_ttl(Duration::ZERO).ttl(), Duration::from_secs(1));
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens(payload in prop::collection::vec(any::<u8>(), 0..200), nonce: [u8; NONCE]) {
            let text = ring(7).seal(&binding(), nonce, &payload);
            prop_assert_eq!(ring(7).open(&binding(), &text), Some(payload));
        }

        #[test]
        fn any_text_is_refused_without_a_panic(text: String, base64 in "[A-Za-z0-9_-]{0,120}") {
            prop_assert_eq!(ring(7).open(&binding(), &text), None);
            prop_assert_eq!(ring(7).open(&binding(), &base64), None);
        }
    }
}
