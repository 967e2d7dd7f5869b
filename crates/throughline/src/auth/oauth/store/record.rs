//! What is kept, and under which name.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::StoreError;

/// What a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecordKind {
    /// The tokens for a server.
    Login,
    /// The credentials of the client at an authorization server.
    Registration,
}

impl RecordKind {
    /// Its name in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Registration => "registration",
        }
    }
}

/// Names a record: what it holds, for whom, and for which client.
///
/// ```
/// use throughline::auth::oauth::RecordKey;
///
/// let key = RecordKey::login("https://mcp.example.com/mcp", "my-app");
/// assert_eq!(key.subject(), "https://mcp.example.com/mcp");
/// assert_ne!(key.name(), RecordKey::registration("https://mcp.example.com/mcp", "my-app").name());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RecordKey {
    kind: RecordKind,
    subject: Box<str>,
    client: Box<str>,
}

impl RecordKey {
    /// The login at a server. `resource`: the canonical address of the server; the issuer of the tokens belongs into the
    /// record, as nobody knows it before the record is read. `client`: what tells logins of one user at one server apart:
    /// the name of the program, its client id, an account.
    pub fn login(resource: &str, client: &str) -> Self {
        Self { kind: RecordKind::Login, subject: resource.into(), client: client.into() }
    }

    /// The registration at an authorization server. `issuer`: its identifier, byte for byte, since credentials belong to one
    /// issuer alone. `client`: as with [`login`](Self::login).
    pub fn registration(issuer: &str, client: &str) -> Self {
        Self { kind: RecordKind::Registration, subject: issuer.into(), client: client.into() }
    }

    /// What the record holds.
    pub fn kind(&self) -> RecordKind {
        self.kind
    }

    /// The server's address, or the issuer.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// For which client.
    pub fn client(&self) -> &str {
        &self.client
    }

    /// A name that no other key has, of at most 64 bytes, all of them lowercase letters, digits and `-`: for file names
    /// and the like. It does not change from version to version.
    pub fn name(&self) -> String {
        let mut digest = Sha256::new();
        for part in [self.kind.as_str(), &*self.subject, &*self.client] {
            // With its length, so that no two keys run together to the same bytes.
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part.as_bytes());
        }
        let mut name = format!("{}-", self.kind.as_str());
        // 128 bits: names of chosen keys collide after 2^64 tries, and a store compares the key it finds.
        for byte in &digest.finalize()[..16] {
            name.push(char::from(b"0123456789abcdef"[usize::from(byte >> 4)]));
            name.push(char::from(b"0123456789abcdef"[usize::from(byte & 15)]));
        }
        name
    }
}

/// What a store keeps: a JSON text that nobody should see. It is wiped from memory when it is dropped.
///
/// ```
/// use throughline::auth::oauth::Record;
///
/// let record = Record::of(&serde_json::json!({ "access_token": "s3cret" }))?;
/// assert!(!format!("{record:?}").contains("s3cret"));
/// assert_eq!(record.read::<serde_json::Value>()?["access_token"], "s3cret");
/// # Ok::<(), throughline::auth::oauth::StoreError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Record(Zeroizing<String>);

impl Record {
    /// The most bytes of a record. Tokens have a few kilobytes each, and a login holds four at most; a store reads records
    /// whole.
    pub const MAX_BYTES: usize = 256 * 1024;

    /// The JSON text of a value.
    ///
    /// # Errors
    ///
    /// When it is no JSON, or has more than [`MAX_BYTES`](Self::MAX_BYTES).
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self, StoreError> {
        let text = serde_json::to_string(value).map(Zeroizing::new);
        // The error of a foreign `Serialize` may hold what it was to write.
        Self::within(text.map_err(|_| StoreError::unusable("the login cannot be written as JSON"))?)
    }

    /// A record of its text.
    ///
    /// # Errors
    ///
    /// When it is no JSON, or has more than [`MAX_BYTES`](Self::MAX_BYTES).
    pub fn from_json(text: String) -> Result<Self, StoreError> {
        let record = Self::within(Zeroizing::new(text))?;
        match serde_json::from_str::<&RawValue>(&record.0) {
            // JSON may have space around it, which the text of a record has not: it is kept in other JSON.
            Ok(raw) if raw.get().len() == record.0.len() => Ok(record),
            Ok(raw) => Ok(Self(Zeroizing::new(raw.get().to_owned()))),
            Err(_) => Err(StoreError::unusable("the text of the login is not JSON")),
        }
    }

    fn within(text: Zeroizing<String>) -> Result<Self, StoreError> {
        if text.len() > Self::MAX_BYTES {
            let (size, most) = (text.len(), Self::MAX_BYTES);
            let why = format!("a login of {size} bytes is too large to be kept, {most} is the most");
            return Err(StoreError::unusable(why));
        }
        Ok(Self(text))
    }

    /// The text.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The value.
    ///
    /// # Errors
    ///
    /// [`StoreError::is_corrupt`] when it is no `T`.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, StoreError> {
        // The error of serde may quote what it read.
        serde_json::from_str(&self.0).map_err(|_| {
            StoreError::corrupt("what is kept of the login is not understood; log out, and log in again")
        })
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Record(..)")
    }
}
