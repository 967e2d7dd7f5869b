use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn read(json: &str) -> Result<Claims, TokenFault> {
    Claims::parse(json.as_bytes())
}

#[test]
fn claims_as_providers_write_them() {
    let claims = read(
        r#"{"iss":"https://login.example.com/","sub":"00u1","aud":["https://mcp.example.com/mcp","api"],"exp":1700003600.5,
            "nbf":1700000000,"iat":1.7e9,"scp":["files:read","mail"],"azp":"client-1","jti":"1","cnf":{"jkt":"abc"},
            "https://example.com/roles":[{"a":[1,2,{"b":null}]}],"email_verified":true}"#,
    )
    .unwrap();
    assert_eq!(claims.aud, ["https://mcp.example.com/mcp", "api"]);
    assert_eq!((claims.exp, claims.iat), (Some(UnixTime(1_700_003_600)), Some(UnixTime(1_700_000_000))));
    assert_eq!(claims.scopes().as_str(), "files:read mail");
    assert_eq!(
        (claims.client(), claims.subject().as_deref(), claims.bound_key()),
        (Some("client-1"), Some("00u1"), Some("abc"))
    );

    let claims = read(r#"{"scope":"a b","scp":"c","client_id":"one","azp":"two","sub":""}"#).unwrap();
    assert_eq!((claims.scopes().as_str(), claims.client()), ("a b", Some("one")));
    assert_eq!(claims.subject().as_deref(), Some("client_id=one"), "a client that acts for itself");
    assert_eq!(read(r#"{"sub":"client_id=one","client_id":"two"}"#).unwrap().subject(), None);

    let nothing =
        read(r#"{"aud":null,"exp":null,"scope":null,"sub":null,"cnf":null,"active":false}"#).unwrap();
    assert_eq!(nothing, Claims { active: Some(false), ..Claims::default() });
    assert_eq!((nothing.subject(), nothing.client(), nothing.bound_key()), (None, None, None));
}

#[test]
fn what_is_none_is_unreadable() {
    let many = format!("{{\"aud\":[{}\"a\"]}}", "\"a\",".repeat(MAX_AUDIENCES));
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_CLAIMS));
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    for bad in [
        "",
        "{",
        "[]",
        "null",
        "\"a\"",
        "{}x",
        r#"{"sub":7}"#,
        r#"{"aud":7}"#,
        r#"{"aud":[7]}"#,
        r#"{"aud":[["a"]]}"#,
        r#"{"exp":"1700003600"}"#,
        r#"{"exp":true}"#,
        r#"{"cnf":"a"}"#,
        r#"{"active":"true"}"#,
        // Twice: which of them counts is not to be guessed.
        r#"{"sub":"ann","sub":"root"}"#,
        r#"{"aud":"a","aud":"b"}"#,
        r#"{"exp":1,"exp":9999999999}"#,
        r#"{"sub":"ann","s\u0075b":"root"}"#,
        &many,
        &long,
        r#"["https://login.example.com"]"#,
        r#"{"cnf":["abc"]}"#,
    ] {
        assert_eq!(read(bad), Err(TokenFault::Unreadable), "{:.60}", bad);
    }
    assert_eq!(read(&deep), Ok(Claims::default()), "what is passed over takes no stack");
}

#[test]
fn a_bound_token_is_sent_as_one() {
    let key = r#"{"cnf":{"jkt":"abc"}}"#;
    for (json, scheme, good) in [
        ("{}", TokenScheme::Bearer, true),
        ("{}", TokenScheme::Dpop, false),
        (key, TokenScheme::Dpop, true),
        (key, TokenScheme::Bearer, false),
        (r#"{"cnf":{"x5t#S256":"abc"}}"#, TokenScheme::Bearer, false),
        (r#"{"cnf":{"x5t#S256":"abc","jkt":"abc"}}"#, TokenScheme::Dpop, false),
        (r#"{"cnf":{"jwk":{}}}"#, TokenScheme::Bearer, false),
        (r#"{"cnf":{}}"#, TokenScheme::Bearer, false),
        (r#"{"cnf":{}}"#, TokenScheme::Dpop, false),
    ] {
        let expected = if good { Ok(()) } else { Err(TokenFault::Binding) };
        assert_eq!(read(json).unwrap().check_scheme(scheme), expected, "{json} as {scheme:?}");
    }
}

proptest! {
    #[test]
    fn any_bytes(bytes in vec(any::<u8>(), 0..200)) {
        let _ = Claims::parse(&bytes);
    }

    #[test]
    fn any_texts(sub in ".{0,20}", aud in vec(".{0,20}", 0..5), exp in any::<u64>(), scope in ".{0,20}") {
        let one = if let [one] = &aud[..] { serde_json::json!(one) } else { serde_json::json!(aud) };
        let json = serde_json::json!({"sub": sub, "aud": one, "exp": exp, "scope": scope}).to_string();
        let claims = read(&json).unwrap();
        prop_assert_eq!(claims.sub.as_deref(), Some(&*sub));
        prop_assert_eq!(&claims.aud, &aud);
        prop_assert_eq!(claims.exp, Some(UnixTime(exp)));
        prop_assert_eq!(claims.scopes(), ScopeSet::parse_lossy(&scope));
    }
}
