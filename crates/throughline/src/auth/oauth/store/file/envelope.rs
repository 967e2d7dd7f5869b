//! A record as it is in its file.

use std::borrow::Cow;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::damaged;
use crate::auth::oauth::store::{Record, RecordKey, StoreError};

/// The version of the form. A version that is not known is not touched.
const VERSION: u64 = 1;
/// The most bytes of a file: a record, its key (whose addresses a program was given), and the names of the members.
pub(super) const MAX_BYTES: usize = Record::MAX_BYTES + 32 * 1024;

#[derive(Serialize, Deserialize)]
struct Envelope<'a> {
    version: u64,
    kind: Cow<'a, str>,
    subject: Cow<'a, str>,
    client: Cow<'a, str>,
    #[serde(borrow)]
    record: &'a RawValue,
}

/// What every version has.
#[derive(Deserialize)]
struct Head {
    version: u64,
}

/// The text of the file.
pub(super) fn seal(key: &RecordKey, record: &Record) -> Result<Zeroizing<String>, StoreError> {
    let unusable = |_| StoreError::unusable("the login cannot be written as JSON");
    let envelope = Envelope {
        version: VERSION,
        kind: key.kind().as_str().into(),
        subject: key.subject().into(),
        client: key.client().into(),
        record: serde_json::from_str(record.expose()).map_err(unusable)?,
    };
    // With room for all of it, so that no part stays behind in memory as it grows.
    let mut text = Vec::with_capacity(MAX_BYTES);
    serde_json::to_writer(&mut text, &envelope).map_err(unusable)?;
    let text =
        String::from_utf8(text).map_err(|_| StoreError::unusable("the login cannot be written as JSON"))?;
    let text = Zeroizing::new(text);
    if text.len() > MAX_BYTES {
        return Err(StoreError::unusable("the address of the server is too long to be kept with its login"));
    }
    Ok(text)
}

/// The record in a file's text, if it is that of the key.
pub(super) fn open(text: &str, key: &RecordKey, path: &Path) -> Result<Record, StoreError> {
    let head: Head = serde_json::from_str(text).map_err(|_| damaged(path))?;
    if head.version != VERSION {
        let path = path.display();
        let why = format!(
            "{path} was written by another version of this program: update it, or delete the file and log in again"
        );
        return Err(StoreError::unusable(why));
    }
    let envelope: Envelope<'_> = serde_json::from_str(text).map_err(|_| damaged(path))?;
    let found = (&*envelope.kind, &*envelope.subject, &*envelope.client);
    // A file that was copied over another must not send the token of one server to another one.
    if found != (key.kind().as_str(), key.subject(), key.client()) {
        let path = path.display();
        let why = format!("{path} holds the login of another server: delete it, and log in again");
        return Err(StoreError::corrupt(why));
    }
    Record::from_json(envelope.record.get().to_owned()).map_err(|_| damaged(path))
}
