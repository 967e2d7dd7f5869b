use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::auth::base64url;

fn jws(header: &str, payload: &str) -> String {
    format!("{}.{}.{}", base64url(header.as_bytes()), base64url(payload.as_bytes()), base64url(b"signature"))
}

#[test]
fn a_signed_text_is_taken_apart() {
    // https://www.rfc-editor.org/rfc/rfc7515#appendix-A.1
    let text = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let found = CompactJws::parse(text).unwrap();
    assert_eq!((found.header.alg.as_str(), found.header.typ.as_deref()), ("HS256", Some("JWT")));
    assert!(found.payload.starts_with(br#"{"iss":"joe","#));
    assert_eq!(format!("{}.{}", found.signed, found.signature), text);
    assert!(!format!("{found:?}").contains("joe"), "what it says is not shown");
}

#[test]
fn what_is_none_is_unreadable() {
    let good = jws(r#"{"alg":"ES256"}"#, "{}");
    assert!(CompactJws::parse(&good).is_ok());
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let long = jws(r#"{"alg":"ES256"}"#, &"x".repeat(MAX_TOKEN));
    for bad in [
        "",
        ".",
        "..",
        "a.b.c",
        signed,
        &format!("{signed}."),
        &format!("{good}.{signature}"),
        &format!("{good}.{signature}.{signature}"),
        &format!("{good}="),
        &format!(" {good}"),
        &jws("{}", "{}"),
        &jws("[]", "{}"),
        &jws("null", "{}"),
        &jws(r#"{"alg":null}"#, "{}"),
        &jws(r#"{"alg":["none","ES256"]}"#, "{}"),
        &jws(r#"{"alg":"none","alg":"ES256"}"#, "{}"),
        &jws(r#"{"alg":"ES256"}x"#, "{}"),
        // Extensions that must be understood: https://www.rfc-editor.org/rfc/rfc7515#section-4.1.11.
        &jws(r#"{"alg":"ES256","crit":["exp"]}"#, "{}"),
        &jws(r#"{"alg":"ES256","crit":[]}"#, "{}"),
        &jws(r#"{"alg":"ES256","crit":null}"#, "{}"),
        &jws(r#"{"alg":"ES256","b64":false,"crit":["b64"]}"#, "{}"),
        &jws(r#"{"alg":"ES256","b64":false}"#, "{}"),
        &jws(r#"{"alg":"ES256","jwk":{"kty":"oct","k":"AAAA"}}"#, "{}"),
        &long,
    ] {
        assert_eq!(CompactJws::parse(bad), Err(TokenFault::Unreadable), "{:.80}", bad);
    }
}

proptest! {
    #[test]
    fn any_text(text in "[A-Za-z0-9_.-]{0,200}", other in ".{0,100}") {
        let _ = CompactJws::parse(&text);
        let _ = CompactJws::parse(&other);
    }

    #[test]
    fn any_payload(payload in vec(any::<u8>(), 0..300)) {
        let text = format!("{}.{}.c2ln", base64url(br#"{"alg":"ES256","kid":"1","x5u":"https://evil.example"}"#), base64url(&payload));
        let found = CompactJws::parse(&text).unwrap();
        prop_assert_eq!(&found.payload, &payload);
        prop_assert_eq!(found.header.kid.as_deref(), Some("1"));
    }
}
