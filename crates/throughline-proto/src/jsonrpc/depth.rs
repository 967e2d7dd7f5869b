/// Whether objects and arrays in `text` (sound JSON) are nested deeper than `limit`. A scalar has depth 0,
/// `[]` has depth 1.
///
/// Needed because a raw value is skipped without recursion and so never meets serde's own limit, while
/// whoever parses it later may recurse.
pub(super) fn deeper_than(text: &[u8], limit: usize) -> bool {
    // Text with few brackets in all, strings included, cannot be deep. Counting them is a loop the compiler
    // vectorizes, so that ordinary messages and large strings (base64 has no brackets) never meet the slower
    // scan.
    openings(text) > limit && scan(text, limit)
}

fn openings(text: &[u8]) -> usize {
    // In chunks of 255 a count fits a byte, which keeps the lanes of the vectorized loop narrow. `[` and `{`
    // differ in one bit.
    text.chunks(255)
        .map(|chunk| {
            usize::from(chunk.iter().fold(0_u8, |count, byte| count + u8::from(byte | 0x20 == b'{')))
        })
        .sum()
}

fn scan(text: &[u8], limit: usize) -> bool {
    let mut depth = 0_usize;
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'[' | b'{' => {
                depth += 1;
                if depth > limit {
                    return true;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => {
                while let Some(byte) = bytes.next() {
                    match byte {
                        b'"' => break,
                        b'\\' => {
                            // Whatever is escaped (a quote, a backslash, the `u` of four digits) neither ends
                            // nor nests anything.
                            bytes.next();
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn naive(value: &Value) -> usize {
        match value {
            Value::Array(items) => 1 + items.iter().map(naive).max().unwrap_or(0),
            Value::Object(members) => 1 + members.values().map(naive).max().unwrap_or(0),
            _ => 0,
        }
    }

    fn json() -> impl Strategy<Value = Value> {
        // Strings are made of what could mislead the scan.
        let text = r#"[\[\]{}"\\,:a\n]{0,6}"#;
        let leaf =
            prop_oneof![text.prop_map(Value::from), any::<i32>().prop_map(Value::from), Just(Value::Null)];
        leaf.prop_recursive(7, 60, 5, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::vec((text, inner), 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_scan_agrees_with_the_tree(value in json(), pretty: bool) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            let depth = naive(&value);
            for limit in 0..=depth + 1 {
                prop_assert_eq!(deeper_than(text.as_bytes(), limit), depth > limit, "{} {}", text, limit);
                prop_assert_eq!(scan(text.as_bytes(), limit), depth > limit, "{} {}", text, limit);
            }
        }

        #[test]
        fn brackets_are_counted(text in prop::collection::vec(any::<u8>(), 0..2000)) {
            prop_assert_eq!(openings(&text), text.iter().filter(|byte| b"[{".contains(byte)).count());
        }
    }

    #[test]
    fn a_chunk_full_of_brackets_does_not_overflow_its_count() {
        assert_eq!(openings(&[b'['; 255 * 3 + 7]), 255 * 3 + 7);
    }
}
