//! The record of a session: JSON, opaque to the store.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use throughline_proto::session::SessionRecord;

use crate::handler::Principal;

/// A session at rest. Members that a later version adds are skipped by an earlier one.
#[derive(Deserialize, Serialize)]
pub(crate) struct Record {
    pub(crate) session: SessionRecord,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    principal: Option<Owner>,
    /// A client has read the standalone stream.
    #[serde(default)]
    pub(crate) listened: bool,
}

/// A [`Principal`] as it is written.
#[derive(Deserialize, Serialize)]
struct Owner {
    issuer: String,
    subject: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client: Option<String>,
}

impl Record {
    pub(crate) fn new(session: SessionRecord, principal: Option<&Principal>, listened: bool) -> Self {
        let principal = principal.map(|principal| Owner {
            issuer: principal.issuer.to_string(),
            subject: principal.subject.to_string(),
            client: principal.client.as_ref().map(ToString::to_string),
        });
        Self { session, principal, listened }
    }

    /// Whom the session belongs to.
    pub(crate) fn principal(&self) -> Option<Principal> {
        let owner = self.principal.as_ref()?;
        Some(Principal {
            issuer: owner.issuer.as_str().into(),
            subject: owner.subject.as_str().into(),
            client: owner.client.as_deref().map(Into::into),
        })
    }

    pub(crate) fn to_bytes(&self) -> Bytes {
        serde_json::to_vec(self).expect("texts, numbers and JSON are JSON").into()
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: &str =
        r#"{"protocolVersion":"2025-11-25","capabilities":{},"initialized":true,"tag":7,"level":"debug"}"#;

    #[test]
    fn a_record_reads_back_with_its_principal() {
        for principal in [
            None,
            Some(Principal::new("issuer", "subject")),
            Some(Principal { client: Some("app".into()), ..Principal::new("i", "s") }),
        ] {
            let session: SessionRecord = serde_json::from_str(SESSION).unwrap();
            let record = Record::parse(&Record::new(session, principal.as_ref(), true).to_bytes()).unwrap();
            assert_eq!((record.principal(), record.listened, record.session.tag), (principal, true, 7));
        }
    }

    #[test]
    fn members_of_a_later_version_are_skipped_and_nonsense_is_an_error() {
        let later = format!(r#"{{"session":{SESSION},"since":12,"listened":false}}"#);
        assert!(Record::parse(later.as_bytes()).unwrap().principal().is_none());
        for text in ["", "{}", "[]", "\u{0}", r#"{"session":{}}"#] {
            assert!(Record::parse(text.as_bytes()).is_err(), "{text:?}");
        }
    }
}
