//! Answers that nobody should give.

use proptest::prelude::*;

use super::*;

/// Documents of wrong types, odd sizes and no sense.
fn odd_documents() -> Vec<String> {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep_member = format!(r#"{{"x":{}{}}}"#, r#"{"a":"#.repeat(10_000) + "1", "}".repeat(10_000));
    let huge = format!(r#"{{"x":"{}"}}"#, "y".repeat(FetchRequest::MAX_ANSWER));
    let mut documents: Vec<String> = [
        "", " ", "null", "true", "7", "\"x\"", "[]", "{}", "{", "}", "<html></html>", "\u{feff}{}", "{\"issuer\":{}}",
        r#"{"access_token":7,"token_type":"Bearer"}"#,
        r#"{"access_token":["a"],"token_type":"Bearer"}"#,
        r#"{"access_token":"","token_type":"Bearer"}"#,
        r#"{"access_token":"a b","token_type":"Bearer"}"#,
        r#"{"access_token":"a\r\nX-Evil: 1","token_type":"Bearer"}"#,
        r#"{"access_token":"ä","token_type":"Bearer"}"#,
        r#"{"access_token":"a"}"#,
        r#"{"access_token":"a","token_type":""}"#,
        r#"{"access_token":"a","token_type":"mac"}"#,
        r#"{"access_token":"a","token_type":7}"#,
        r#"{"access_token":"a","access_token":"b","token_type":"Bearer"}"#,
        r#"{"resource":7,"authorization_servers":["https://login.example.com"]}"#,
        r#"{"resource":"https://mcp.example.com/mcp","authorization_servers":"https://login.example.com"}"#,
        r#"{"resource":"https://mcp.example.com/mcp","authorization_servers":[7]}"#,
        r#"{"resource":"https://mcp.example.com/mcp","authorization_servers":{"0":"https://login.example.com"}}"#,
        r#"{"issuer":"https://login.example.com","token_endpoint":{}}"#,
        r#"{"issuer":"https://login.example.com","code_challenge_methods_supported":"S256"}"#,
        r#"{"issuer":["https://login.example.com"]}"#,
    ]
    .map(str::to_owned)
    .to_vec();
    documents.extend([deep, deep_member, huge]);
    documents
}

#[test]
fn odd_documents_end_in_a_sentence() {
    for line in [RESOURCE_AT, SERVER_AT, REGISTER_AT, TOKEN_AT] {
        for document in odd_documents() {
            for status in [200, 400] {
                let mut world = World::new();
                world.answer(line, status, &document);
                let End::Failed(error) = world.login() else { panic!("{line}: {document}") };
                let text = error.to_string();
                assert!(text.len() < 1000 && !text.contains(char::is_control), "{text}");
                if line != TOKEN_AT {
                    assert!(world.asked(TOKEN_AT).is_none());
                }
            }
        }
    }
}

#[test]
fn odd_members_do_not_spoil_a_document() {
    let deep =
        serde_json::from_str::<serde_json::Value>(&format!("{}1{}", "[".repeat(60), "]".repeat(60))).unwrap();
    let mut world = World::new();
    for line in [RESOURCE_AT, SERVER_AT, REGISTER_AT, TOKEN_AT] {
        world.edit(line, "x-unknown", deep.clone());
    }
    world.login().login();
}

#[test]
fn the_life_of_a_token_is_read_as_it_is_meant() {
    let year = 366 * 24 * 3600;
    for (said, life) in [
        (json!(3600), Some(3600)),
        (json!("3600"), Some(3600)),
        (json!(3600.9), Some(3600)),
        (json!(0), Some(0)),
        (json!(-5), Some(0)),
        (json!(-0.5), Some(0)),
        (json!(u64::MAX), Some(year)),
        (json!(1e300), Some(year)),
        (json!("soon"), None),
        (json!(""), None),
        (json!(null), None),
        (json!(true), None),
        (json!([1, {"a": 2}]), None),
        (json!({"a": [1]}), None),
    ] {
        let mut world = World::new();
        world.edit(TOKEN_AT, "expires_in", json!(0));
        let text = tokens().to_string().replace("3600", &said.to_string());
        world.answer(TOKEN_AT, 200, text);
        let login = world.login().login();
        assert_eq!(login.tokens.expires_at.map(|end| end.0 - NOW.0), life, "{said}");
    }
}

#[test]
fn a_token_that_no_header_holds_is_refused() {
    for (access, refresh, taken) in
        [(8192, 10, true), (8193, 10, false), (10, 32 * 1024, true), (10, 32 * 1024 + 1, false)]
    {
        let mut world = World::new();
        world.edit(TOKEN_AT, "access_token", json!("a".repeat(access)));
        world.edit(TOKEN_AT, "refresh_token", json!("r".repeat(refresh)));
        assert_eq!(matches!(world.login(), End::Done(_)), taken, "{access} {refresh}");
    }
}

#[test]
fn many_servers_and_scopes_are_bounded() {
    let mut world = World::new();
    let scopes: Vec<String> = (0..5000).map(|number| format!("scope-{number}")).collect();
    world.edit(RESOURCE_AT, "scopes_supported", json!(scopes));
    world.login().login();
    assert!(world.visited()["scope"].len() <= 8 * 1024);
}

#[test]
fn what_is_out_of_order_ends_it() {
    let ok = response(200, "{}");
    let mut world = World::new();
    let (mut flow, _) = world.begin();
    assert!(matches!(flow.handle_redirect(NOW, "code=c&state=s"), Step::Fail(_)));
    let (mut flow, _) = world.begin();
    assert!(matches!(flow.handle_signature(NOW, "x"), Step::Fail(_)));
    let (mut flow, _) = world.begin();
    assert!(matches!(flow.handle_waited(NOW), Step::Fail(_)));
    let (mut flow, _) = world.until_visit();
    assert!(matches!(flow.handle_response(NOW, &ok), Step::Fail(_)));
    let (mut flow, _) = world.until_visit();
    assert!(matches!(flow.handle_unreachable(NOW, "x"), Step::Fail(_)));
    assert!(flow.is_over());
    for step in [
        flow.handle_response(NOW, &ok),
        flow.handle_unreachable(NOW, "x"),
        flow.handle_redirect(NOW, "code=c"),
        flow.handle_signature(NOW, "x"),
        flow.handle_waited(NOW),
    ] {
        let Step::Fail(error) = step else { panic!("it is over") };
        assert_eq!(error.kind(), FlowErrorKind::OutOfOrder);
    }
}

#[test]
fn the_endpoint_itself_must_be_one_that_may_be_asked() {
    for endpoint in ["http://mcp.example.com/mcp", "https://user:pass@mcp.example.com/mcp", "/mcp"] {
        let mut world = World::new();
        world.endpoint = String::leak(endpoint.to_owned());
        world.login().failed(FlowErrorKind::Address);
        assert_eq!(world.lines(), [""; 0], "{endpoint}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// Whatever comes back from the browser, no code leaves unless the state is that of the login and the server is named.
    #[test]
    fn no_redirect_gets_past_the_state(redirect in ".{0,200}") {
        let mut world = World::new();
        let (mut flow, _) = world.until_visit();
        prop_assert!(matches!(flow.handle_redirect(NOW, &redirect), Step::Fail(_)));
    }

    /// Whatever the servers answer, the login ends, and nothing is asked at an address that the rule refuses (which the
    /// world checks with each request).
    #[test]
    fn every_login_ends(
        answers in proptest::collection::vec((0..7usize, 100..600u16, "[ -~]{0,60}"), 4),
    ) {
        let mut world = World::new();
        for (line, (kind, status, text)) in [RESOURCE_AT, SERVER_AT, REGISTER_AT, TOKEN_AT].into_iter().zip(&answers) {
            let body = match kind {
                0 => text.clone(),
                1 => json!({"error": text, "error_description": text}).to_string(),
                2 => json!({"resource": text, "authorization_servers": [text]}).to_string(),
                3 => json!({"issuer": text, "token_endpoint": text}).to_string(),
                4 => json!({"client_id": text, "access_token": text, "token_type": "Bearer"}).to_string(),
                _ => continue,
            };
            let mut answer = response(*status, body);
            if let Ok(location) = text.parse() {
                answer.headers.insert("location", location);
            }
            world.answers.insert(line.to_owned(), answer);
        }
        match world.login() {
            End::Done(login) => prop_assert!(!login.tokens.access_token.is_empty()),
            End::Failed(error) => prop_assert!(!error.to_string().contains(char::is_control)),
            end => prop_assert!(false, "{end:?}"),
        }
    }
}
