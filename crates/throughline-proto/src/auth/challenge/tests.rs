use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const METADATA: &str = "https://mcp.example.com/.well-known/oauth-protected-resource";

fn read(values: &[&str]) -> Vec<Challenge> {
    parse::all(values.iter().map(|value| value.as_bytes()))
}

/// The one challenge of a header.
fn one(value: &str) -> Challenge {
    let mut found = read(&[value]);
    assert_eq!(found.len(), 1, "{value}: {found:?}");
    found.remove(0)
}

fn scopes(text: &str) -> ScopeSet {
    ScopeSet::parse(text).unwrap()
}

#[test]
fn what_the_specification_shows() {
    // https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization#protected-resource-metadata-discovery-requirements
    let unauthorized = one(&format!("Bearer resource_metadata=\"{METADATA}\",\t scope=\"files:read\""));
    assert_eq!(
        unauthorized,
        Challenge::bearer().with_resource_metadata(METADATA).with_scope(scopes("files:read"))
    );
    // https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization#runtime-insufficient-scope-errors
    let forbidden = one(&format!(
        "Bearer error=\"insufficient_scope\", scope=\"files:write\", resource_metadata=\"{METADATA}\", \
         error_description=\"File write permission required for this operation\""
    ));
    assert_eq!(
        forbidden,
        Challenge::bearer()
            .with_error(ChallengeError::InsufficientScope)
            .with_scope(scopes("files:write"))
            .with_resource_metadata(METADATA)
            .with_error_description("File write permission required for this operation")
    );
    // https://www.rfc-editor.org/rfc/rfc9449#section-9
    let nonce = one(
        "DPoP error=\"use_dpop_nonce\", error_description=\"Resource server requires nonce in DPoP proof\", algs=\"ES256 PS256\"",
    );
    assert_eq!(
        (nonce.scheme, nonce.error, nonce.algs),
        (AuthScheme::Dpop, Some(ChallengeError::UseDpopNonce), vec!["ES256".to_owned(), "PS256".to_owned()])
    );
}

#[test]
fn several_challenges() {
    let schemes = |values: &[&str]| {
        read(values).iter().map(|challenge| challenge.scheme.as_str().to_owned()).collect::<Vec<_>>()
    };
    for (values, expected) in [
        (&["Bearer, Basic realm=\"x\""][..], &["Bearer", "Basic"][..]),
        (&["Bearer", "DPoP algs=\"ES256\""], &["Bearer", "DPoP"]),
        (&["bearer realm=\"a\", dpop realm=\"b\""], &["Bearer", "DPoP"]),
        // https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1
        (
            &["Basic realm=\"simple\", Newauth realm=\"apps\", type=1, title=\"Login to \\\"apps\\\"\""],
            &["Basic", "Newauth"],
        ),
        (&["Negotiate a87421000492aa874209af8bc028==, Bearer scope=\"a\""], &["Negotiate", "Bearer"]),
        (&["NTLM", "Negotiate oYGeMIGbo=, Bearer"], &["NTLM", "Negotiate", "Bearer"]),
        (&[", ,, Bearer ,, ,"], &["Bearer"]),
        (&["", " ", ","], &[]),
        // The names of schemes within a quote are none.
        (&["Basic realm=\"x, Bearer realm=y\""], &["Basic"]),
    ] {
        assert_eq!(schemes(values), expected, "{values:?}");
    }
    let found = read(&["Basic realm=\"a\", charset=\"UTF-8\", Bearer realm=\"b\", scope=\"c\""]);
    assert_eq!(found[0].realm.as_deref(), Some("a"));
    assert_eq!((found[1].realm.as_deref(), found[1].scope.clone()), (Some("b"), Some(scopes("c"))));
}

#[test]
fn parameters_stay_with_their_own_header() {
    // The second value begins with parameters of no scheme.
    let found = read(&["Bearer realm=\"a\"", "scope=\"stolen\", DPoP"]);
    assert_eq!(found, [Challenge::bearer().with_realm("a"), Challenge::dpop()]);
}

#[test]
fn what_servers_send_though_they_should_not() {
    let full = Challenge::bearer()
        .with_error(ChallengeError::InvalidToken)
        .with_scope(scopes("a b"))
        .with_resource_metadata(METADATA);
    for value in [
        // Without commas, without quotes, with white space around `=`, in capitals, with more spaces.
        &format!("Bearer error=\"invalid_token\" scope=\"a b\" resource_metadata=\"{METADATA}\""),
        &format!("Bearer error=invalid_token, scope=\"a  b \", resource_metadata={METADATA}"),
        &format!("BEARER Error = \"invalid_token\" , SCOPE\t=\t\"a b\",Resource_Metadata=\"{METADATA}\""),
        &format!("Bearer error=\"invalid_token\",,, scope=\"a b\" ,resource_metadata=\"{METADATA}"),
        // Of what occurs twice the first counts; what is not known is passed over.
        &format!(
            "Bearer error=\"invalid_token\", error=\"insufficient_scope\", scope=\"a b\", scope=\"c\", x=\"y\", \
             resource_metadata=\"{METADATA}\", resource_metadata=\"https://evil.example\""
        ),
        // Something that is nothing, between them.
        &format!(
            "Bearer error=\"invalid_token\", (), \"scope=c, \", scope=\"a b\", resource_metadata=\"{METADATA}\""
        ),
        // What is no scope is left out.
        &format!("Bearer error=\"invalid_token\", scope=\"a \\\" b é\", resource_metadata=\"{METADATA}\""),
    ] {
        assert_eq!(one(value), full, "{value}");
    }
    assert_eq!(one("Bearer realm=\"a \\\"b\\\\\"").realm.as_deref(), Some("a \"b\\"));
    assert_eq!(one("Bearer realm="), Challenge::bearer(), "it has the form of a text without a name");
    assert_eq!(one("Bearer realm=, error=x").error, Some(ChallengeError::Other("x".into())));
    assert_eq!(one("Bearer realm=\"a\\").realm.as_deref(), Some("a\\"));
    assert_eq!(
        one("Bearer error=\"Invalid_Token\"").error,
        Some(ChallengeError::Other("Invalid_Token".into()))
    );
    let bytes: &[u8] = b"Bearer realm=\"caf\xe9\"";
    assert_eq!(parse::all([bytes].into_iter())[0].realm.as_deref(), Some("caf\u{fffd}"));
}

#[test]
fn so_much_and_no_more() {
    let many = vec!["Bearer"; 100].join(", ");
    assert_eq!(read(&[&many, &many]).len(), 16);
    let algs = vec!["ES256"; 100].join(" ");
    assert_eq!(one(&format!("DPoP algs=\"{algs}\"")).algs.len(), 32);
    let long = one(&format!("Bearer error_description=\"{}\"", "é".repeat(2_000)));
    assert_eq!(long.error_description.unwrap().chars().count(), 512);
    // All headers together: the challenge behind 8 KiB is not seen.
    let long = format!("Bearer realm=\"{}\"", "a".repeat(8_000));
    let padded = format!("{}Basic", " ".repeat(200));
    assert_eq!(read(&[&long, &padded]), [one(&long)]);
}

#[test]
fn a_challenge_is_written_as_its_grammar_has_it() {
    let challenge = Challenge::bearer()
        .with_realm("the \"files\" \\ of é")
        .with_error(ChallengeError::InvalidToken)
        .with_error_description("a \"quoted\" \\ word\r\nSet-Cookie: a=b")
        .with_scope(scopes("a b"))
        .with_resource_metadata(METADATA);
    assert_eq!(
        challenge.to_header_value().to_str().unwrap(),
        format!(
            "Bearer realm=\"the \\\"files\\\" \\\\ of ?\", error=\"invalid_token\", \
             error_description=\"a 'quoted' / word??Set-Cookie: a=b\", scope=\"a b\", resource_metadata=\"{METADATA}\""
        )
    );
    assert_eq!(Challenge::bearer().to_header_value(), "Bearer");
    assert_eq!(
        Challenge::dpop().with_algs(["ES256", "EdDSA"]).to_header_value(),
        "DPoP algs=\"ES256 EdDSA\""
    );
    assert_eq!(Challenge::new(AuthScheme::Other("a b\"".into())).to_header_value(), "a-b-");
}

fn printable(most: usize) -> impl Strategy<Value = String> {
    vec(prop::char::range(' ', '~'), 0..most).prop_map(String::from_iter)
}

/// Texts without the two characters that a description must not have.
fn plain(most: usize) -> impl Strategy<Value = String> {
    printable(most).prop_map(|text| text.replace(['"', '\\'], "x"))
}

fn challenge() -> impl Strategy<Value = Challenge> {
    let scheme = prop_oneof![
        Just(AuthScheme::Bearer),
        Just(AuthScheme::Dpop),
        "[A-Za-z0-9!#$%&'*+.^_`|~-]{9,20}".prop_map(AuthScheme::Other),
    ];
    let error = prop_oneof![
        Just(ChallengeError::InvalidToken),
        Just(ChallengeError::InsufficientScope),
        "[a-z_]{30,40}".prop_map(ChallengeError::Other),
    ];
    let option = prop::option::of::<BoxedStrategy<String>>;
    (
        scheme,
        option(printable(60).boxed()),
        prop::option::of(error),
        option(plain(60).boxed()),
        prop::option::of(vec("[a-z:/.]{1,12}", 0..6)),
        option(printable(60).boxed()),
        vec("[A-Z0-9]{1,8}", 0..6),
    )
        .prop_map(|(scheme, realm, error, error_description, scope, resource_metadata, algs)| {
            Challenge {
                scheme,
                realm,
                error,
                error_description,
                scope: scope.map(|scopes| ScopeSet::of(scopes).unwrap()),
                resource_metadata,
                algs,
            }
        })
}

proptest! {
    #[test]
    fn what_is_written_is_read(challenges in vec(challenge(), 1..6), joined in any::<bool>()) {
        let written: Vec<_> = challenges.iter().map(Challenge::to_string).collect();
        let mut headers = HeaderMap::new();
        if joined {
            headers.append(WWW_AUTHENTICATE, written.join(", ").parse().unwrap());
        } else {
            for challenge in &challenges {
                headers.append(WWW_AUTHENTICATE, challenge.to_header_value());
            }
        }
        prop_assert_eq!(Challenge::parse_all(&headers), challenges);
    }

    #[test]
    fn no_text_gets_out_of_its_quotes(realm in ".{0,80}", text in ".{0,80}", address in ".{0,80}", scheme in ".{1,20}") {
        let challenge = Challenge::new(AuthScheme::Other(scheme))
            .with_realm(realm)
            .with_error_description(text)
            .with_resource_metadata(address)
            .with_error(ChallengeError::InvalidToken);
        let mut headers = HeaderMap::new();
        headers.insert(WWW_AUTHENTICATE, challenge.to_header_value());
        let found = Challenge::parse_all(&headers);
        prop_assert_eq!(found.len(), 1);
        prop_assert_eq!(&found[0].error, &Some(ChallengeError::InvalidToken));
        prop_assert!(found[0].scope.is_none() && found[0].algs.is_empty());
        prop_assert!(found[0].realm.is_some() && found[0].resource_metadata.is_some());
    }

    #[test]
    fn any_bytes_are_read_within_bounds(values in vec(vec(any::<u8>(), 0..300), 0..8)) {
        let found = parse::all(values.iter().map(Vec::as_slice));
        prop_assert!(found.len() <= 16);
    }

    #[test]
    fn anything_like_a_challenge_is_read_within_bounds(
        pieces in vec(prop::sample::select(&[
            "Bearer", "DPoP", "Basic", " ", ",", "=", "\"", "\\", "scope", "error", "realm", "algs", "abc==", "é", "\t", "a/b",
        ][..]), 0..200),
    ) {
        let text = pieces.concat();
        for challenge in read(&[&text]) {
            prop_assert!(challenge.realm.is_none_or(|realm| realm.len() <= text.len()));
            prop_assert!(!challenge.scheme.as_str().is_empty());
        }
    }
}
