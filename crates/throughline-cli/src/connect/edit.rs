//! Ids within messages that are otherwise left as they are.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;
use throughline::jsonrpc::{Raw, RequestId};

/// The value at this path.
pub(super) fn find<'a>(value: &'a Raw, path: &[&str]) -> Option<&'a str> {
    path.iter().try_fold(value.as_str(), |object, name| {
        let members: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(object).ok()?;
        members.get(*name).map(|value| value.get())
    })
}

/// The same with this id at the path, every other byte as it is; `None` when nothing is there.
pub(super) fn with_id(value: &Raw, path: &[&str], id: &RequestId) -> Option<Raw> {
    let text = value.as_str();
    let known = find(value, path)?;
    // It is a slice of the text.
    let start = known.as_ptr() as usize - text.as_ptr() as usize;
    let id = serde_json::to_string(id).ok()?;
    Raw::from_json([&text[..start], &id, &text[start + known.len()..]].concat()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_id_changes() {
        let value = Raw::from_json(r#"{ "b":1.0, "_m\u0065ta" : {"x":1e3,"id":7 ,"a":[ ]},"a":"\u00e9"}"#)
            .expect("JSON");
        let changed = with_id(&value, &["_meta", "id"], &RequestId::String("s".into())).expect("it is there");
        assert_eq!(
            changed.as_str(),
            r#"{ "b":1.0, "_m\u0065ta" : {"x":1e3,"id":"s" ,"a":[ ]},"a":"\u00e9"}"#
        );
        assert_eq!(find(&value, &["b"]), Some("1.0"));
        for path in [&["c"][..], &["_meta", "c"], &["a", "c"]] {
            assert!(with_id(&value, path, &RequestId::Number(1)).is_none(), "{path:?}");
        }
    }
}
