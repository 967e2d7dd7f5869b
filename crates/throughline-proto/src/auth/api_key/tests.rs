use proptest::prelude::*;

use super::*;

#[test]
fn a_key_is_not_shown() {
    let key = ApiKey::from_random([3; 32]);
    assert_eq!(format!("{key:?}"), "ApiKey(Secret(..))");
    let error = ApiKey::parse("tl_hunter2").unwrap_err();
    assert!(!error.to_string().contains("hunter2"));
    assert!(!"hunter2".parse::<ApiKeyDigest>().unwrap_err().to_string().contains("hunter2"));
}

#[test]
fn what_is_no_key() {
    let good = ApiKey::from_random([9; 32]).expose().to_owned();
    assert_eq!(good.len(), 50);
    assert!(ApiKey::parse(&format!(" {good}\n")).is_ok());
    for bad in [
        "",
        "tl_",
        &good[1..],
        &good[..49],
        &format!("{good}A"),
        &good.replace("tl_", "sk_"),
        &"é".repeat(25),
    ] {
        assert!(ApiKey::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn what_is_kept_is_the_digest() {
    // https://csrc.nist.gov/projects/cryptographic-standards-and-guidelines/example-values: SHA-256 of "abc".
    let text = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let kept: ApiKeyDigest = text.parse().unwrap();
    assert!(kept.matches("abc") && !kept.matches("abd") && !kept.matches(""));
    assert_eq!(kept.to_string(), text);
    assert_eq!(text.to_uppercase().replace("SHA256", "sha256").parse(), Ok(kept));
    for bad in [
        "",
        "sha256:",
        &text[7..],
        &text[..70],
        &format!("{text}0"),
        &text.replace("ba", "+a"),
        &text.replace("ba7", "é7"),
    ] {
        assert!(bad.parse::<ApiKeyDigest>().is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn a_key_is_read_as_it_was_made(bytes in any::<[u8; 32]>(), at in 3_usize..50, to in "[A-Za-z0-9_-]") {
        let key = ApiKey::from_random(bytes);
        let read = ApiKey::parse(key.expose()).unwrap();
        prop_assert_eq!(&read, &key);
        prop_assert!(key.digest().matches(key.expose()));
        let kept: ApiKeyDigest = key.digest().to_string().parse().unwrap();
        prop_assert_eq!(kept, key.digest());
        // One character that is wrong: it is found, or (once in 16 million) it is another key.
        let mut wrong = key.expose().to_owned();
        wrong.replace_range(at..=at, &to);
        if wrong != key.expose() {
            prop_assert!(!key.digest().matches(&wrong));
            if at >= 46 {
                prop_assert!(ApiKey::parse(&wrong).is_err());
            }
        }
    }
}
