//! Records that only a key opens.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};
use throughline::auth::oauth::{Record, RecordKey, StoreError};
use zeroize::Zeroizing;

use crate::keyring::Key;

/// What is in the file instead of the login.
#[derive(Serialize, Deserialize)]
struct Sealed {
    /// The nonce, the sealed text and its tag, in base64.
    sealed: String,
}

const NONCE: usize = 24;

/// Seals a record for its name.
pub(crate) fn seal(key: &Key, name: &RecordKey, record: &Record) -> Result<Record, StoreError> {
    let mut nonce = [0; NONCE];
    getrandom::fill(&mut nonce).map_err(|_| {
        StoreError::unusable("the system has no random bytes to seal a login with; try again")
    })?;
    // Its own place, with room for the tag, so that it is sealed where it is and no copy stays behind.
    let mut text = Zeroizing::new(Vec::with_capacity(record.expose().len() + 16));
    text.extend_from_slice(record.expose().as_bytes());
    XChaCha20Poly1305::new((&**key).into())
        .encrypt_in_place(&XNonce::from(nonce), name.name().as_bytes(), &mut *text)
        .map_err(|_| StoreError::unusable("the login is too long to be sealed"))?;
    Record::of(&Sealed { sealed: BASE64_STANDARD_NO_PAD.encode([&nonce[..], &text].concat()) })
}

/// Opens a sealed record, if it was sealed for this name.
pub(crate) fn open(key: &Key, name: &RecordKey, record: &Record) -> Result<Record, StoreError> {
    let damaged = || {
        StoreError::corrupt(
            "the login cannot be opened with the key in the keyring: log out, and log in again",
        )
    };
    let sealed: Sealed = record.read().map_err(|_| damaged())?;
    let bytes = BASE64_STANDARD_NO_PAD.decode(sealed.sealed).map_err(|_| damaged())?;
    let (nonce, text) = bytes.split_first_chunk::<NONCE>().ok_or_else(damaged)?;
    let mut text = Zeroizing::new(text.to_vec());
    XChaCha20Poly1305::new((&**key).into())
        .decrypt_in_place(&XNonce::from(*nonce), name.name().as_bytes(), &mut *text)
        .map_err(|_| damaged())?;
    let text = std::str::from_utf8(&text).map_err(|_| damaged())?;
    Record::from_json(text.to_owned()).map_err(|_| damaged())
}
