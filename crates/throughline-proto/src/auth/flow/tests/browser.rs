//! The whole way, and what comes back from the browser.

use std::time::Duration;

use super::*;
use crate::auth::{Secret, TokenScheme};

#[test]
fn the_whole_way() {
    let mut world = World::new();
    let login = world.login().login();
    assert_eq!(world.lines(), [RESOURCE_AT, SERVER_AT, REGISTER_AT, TOKEN_AT]);

    let visited = world.visited();
    let expected = [
        ("client_id", "registered"),
        ("code_challenge_method", "S256"),
        ("redirect_uri", BACK_AT),
        ("resource", ENDPOINT),
        ("response_type", "code"),
    ];
    for (name, value) in expected {
        assert_eq!(visited[name], value);
    }
    assert_eq!(visited["state"].len(), 43);
    let mut names: Vec<&str> = visited.keys().map(String::as_str).collect();
    names.retain(|name| !expected.iter().any(|(expected, _)| expected == name));
    assert_eq!(names, ["code_challenge", "state"], "no scope: none is named anywhere");

    let form = world.token_form();
    let expected = [
        ("client_id", "registered"),
        ("code", "the-code"),
        ("code_verifier", &form["code_verifier"]),
        ("grant_type", "authorization_code"),
        ("redirect_uri", BACK_AT),
        ("resource", ENDPOINT),
    ];
    assert_eq!(form.iter().map(|(name, value)| (&**name, &**value)).collect::<Vec<_>>(), expected);
    // https://www.rfc-editor.org/rfc/rfc7636#section-4.6
    assert_eq!(pkce::challenge(&form["code_verifier"]), visited["code_challenge"]);
    assert_ne!(form["code_verifier"], visited["state"]);
    let headers = &world.asked(TOKEN_AT).unwrap().headers;
    assert_eq!(headers["content-type"], "application/x-www-form-urlencoded");
    assert!(!headers.contains_key("authorization"));

    assert_eq!(login.resource, ENDPOINT);
    assert_eq!(login.server.issuer, ISSUER);
    assert_eq!(login.server.token_endpoint, "https://login.example.com/token");
    assert_eq!(login.server.revocation_endpoint.as_deref(), Some("https://login.example.com/revoke"));
    assert_eq!(login.registration.client_id, "registered");
    assert_eq!(login.tokens.access_token.expose(), "access-1");
    assert_eq!(login.tokens.scheme, TokenScheme::Bearer);
    assert_eq!(login.tokens.expires_at, Some(NOW.plus(Duration::from_secs(3600))));
    assert_eq!(login.tokens.refresh_token, Some(Secret::new("refresh-1")));
    assert!(login.covers(&Uri::from_static(ENDPOINT)));
    assert!(!login.covers(&Uri::from_static("https://other.example.com/mcp")));
}

#[test]
fn a_login_is_kept_as_text_and_shows_no_secret() {
    let mut world = World::new();
    world.answer(REGISTER_AT, 201, json!({"client_id": "registered", "client_secret": "secret-1"}));
    let login = world.login().login();
    let text = serde_json::to_string(&login).unwrap();
    assert_eq!(serde_json::from_str::<Login>(&text).unwrap(), *login);
    let shown = format!("{login:?}");
    for secret in ["access-1", "refresh-1", "secret-1"] {
        assert!(text.contains(secret) && !shown.contains(secret), "{secret}: {shown}");
    }
}

#[test]
fn no_step_shows_a_secret() {
    let mut world = World::new();
    let (mut flow, _) = world.until_visit();
    let visit = world.visits[0].clone();
    let step = flow.handle_redirect(NOW, &world.redirect());
    let Step::Fetch(request) = &step else { panic!("{step:?}") };
    let body = String::from_utf8(request.body.to_vec()).unwrap();
    assert!(body.contains("the-code"));
    let pending = World::new();
    let shown = format!("{step:?} {visit:?} {flow:?} {:?}", pending.profile);
    for secret in ["the-code", visit.state.expose(), &form(&body)["code_verifier"]] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn who_answers_is_checked_by_the_table() {
    // https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization#authorization-response-validation
    for (names_issuer, issuer, taken) in [
        (Some(true), Some("https://login.example.com"), true),
        (Some(true), Some("https://evil.example"), false),
        (Some(true), None, false),
        (Some(false), Some("https://login.example.com"), true),
        (Some(false), Some("https://evil.example"), false),
        (Some(false), None, true),
        (None, Some("https://login.example.com"), true),
        (None, Some("https://evil.example"), false),
        (None, None, true),
        // Nothing is normalised.
        (Some(true), Some("https://login.example.com/"), false),
        (Some(true), Some("https://login.example.com:443"), false),
        (Some(true), Some("https://LOGIN.example.com"), false),
        (Some(true), Some("HTTPS://login.example.com"), false),
        (Some(true), Some("https://login.example.com/%2e"), false),
        (None, Some("https://login.example.com/"), false),
        (Some(true), Some(""), false),
        (None, Some(""), false),
    ] {
        let mut world = World::new();
        world.edit(SERVER_AT, "authorization_response_iss_parameter_supported", json!(names_issuer));
        let (mut flow, _) = world.until_visit();
        let mut redirect = world.redirect().split("&iss=").next().unwrap().to_owned();
        if let Some(issuer) = issuer {
            redirect.push_str("&iss=");
            redirect.extend(form_urlencoded::byte_serialize(issuer.as_bytes()));
        }
        match flow.handle_redirect(NOW, &redirect) {
            Step::Fetch(request) => {
                assert!(taken && request.uri == "https://login.example.com/token", "{issuer:?}");
            }
            Step::Fail(error) => {
                assert!(!taken, "{names_issuer:?} {issuer:?}: {error}");
                assert_eq!(error.kind(), FlowErrorKind::ResponseIssuer);
                assert!(!error.to_string().contains("evil"), "{error}");
            }
            step => panic!("{step:?}"),
        }
    }
}

#[test]
fn the_issuer_is_compared_after_it_is_decoded() {
    let mut world = World::new();
    world.redirect =
        "http://127.0.0.1:7323/callback?code=c&state={state}&iss=https%3A%2F%2Flogin%2Eexample%2Ecom";
    world.login().login();
}

#[test]
fn an_error_is_told_only_when_it_is_known_whose_it_is() {
    let said = "error=access_denied&error_description=The+owl+said+no";
    for (rest, kind, told) in [
        ("&state={state}&iss={iss}", FlowErrorKind::Denied, true),
        ("&state={state}&iss=https://evil.example", FlowErrorKind::ResponseIssuer, false),
        ("&state={state}", FlowErrorKind::ResponseIssuer, false),
        ("&state=other&iss={iss}", FlowErrorKind::Redirect, false),
        ("&iss={iss}", FlowErrorKind::Redirect, false),
    ] {
        let mut world = World::new();
        world.redirect = String::leak(format!("{BACK_AT}?{said}{rest}"));
        let error = world.login().failed(kind);
        assert_eq!(error.to_string().contains("owl"), told, "{error}");
        assert_eq!(error.refusal().is_some(), told);
        assert!(world.asked(TOKEN_AT).is_none());
    }
}

#[test]
fn errors_of_the_authorization_server() {
    for (code, kind, says) in [
        ("access_denied", FlowErrorKind::Denied, "log in again to allow it"),
        ("invalid_scope", FlowErrorKind::Denied, "ask for others"),
        ("unsupported_response_type", FlowErrorKind::Denied, "`unsupported_response_type`"),
        ("server_error", FlowErrorKind::Unavailable, "`server_error`"),
        ("temporarily_unavailable", FlowErrorKind::Unavailable, "`temporarily_unavailable`"),
        ("<script>alert(1)</script>", FlowErrorKind::Denied, "`other`"),
    ] {
        let mut world = World::new();
        let code: String = form_urlencoded::byte_serialize(code.as_bytes()).collect();
        // A code beside an error is no code.
        let redirect = format!(
            "{BACK_AT}?error={code}&code=c&state={{state}}&iss={{iss}}&error_description=%1B%5B2J%0Ax"
        );
        world.redirect = String::leak(redirect);
        let error = world.login().failed(kind);
        let text = error.to_string();
        assert!(text.contains(says) && !text.contains(['\u{1b}', '\n']), "{text}");
        assert_eq!(error.is_invalid_scope(), code == "invalid_scope");
        assert!(world.asked(TOKEN_AT).is_none());
    }
}

#[test]
fn a_redirect_is_an_address_a_path_or_a_query() {
    for shape in [
        "http://127.0.0.1:7323/callback?{q}",
        "http://127.0.0.1:7323/callback?{q}#_=_",
        "  http://127.0.0.1:7323/callback?{q}\n",
        "/callback?{q}",
        "?{q}",
        "{q}",
        "http://127.0.0.1:7323/callback?session_state=x&{q}&unknown=%zz",
    ] {
        let mut world = World::new();
        world.redirect = String::leak(shape.replace("{q}", "code=the-code&state={state}&iss={iss}"));
        world.login().login();
        assert_eq!(world.token_form()["code"], "the-code");
    }
}

#[test]
fn a_redirect_that_is_no_answer_is_not_used() {
    let long = format!("{BACK_AT}?code={}&state={{state}}&iss={{iss}}", "x".repeat(40_000));
    for redirect in [
        "",
        "about:blank",
        BACK_AT,
        "http://127.0.0.1:7323/callback?code=c",
        "http://127.0.0.1:7323/callback?code=c&state=&iss={iss}",
        "http://127.0.0.1:7323/callback?code=c&state={state}x&iss={iss}",
        "http://127.0.0.1:7323/callback?code=c#state={state}&iss={iss}",
        // Somebody put a second one in.
        "http://127.0.0.1:7323/callback?code=c&code=d&state={state}&iss={iss}",
        "http://127.0.0.1:7323/callback?code=c&state={state}&state={state}&iss={iss}",
        "http://127.0.0.1:7323/callback?code=c&state={state}&iss={iss}&iss=https://evil.example",
        // It is at another address.
        "http://127.0.0.1:7324/callback?code=c&state={state}&iss={iss}",
        "https://127.0.0.1:7323/callback?code=c&state={state}&iss={iss}",
        "http://127.0.0.1:7323/other?code=c&state={state}&iss={iss}",
        "http://evil.example/callback?code=c&state={state}&iss={iss}",
        // There is no code.
        "http://127.0.0.1:7323/callback?state={state}&iss={iss}",
        "http://127.0.0.1:7323/callback?code=&state={state}&iss={iss}",
        &long,
    ] {
        let mut world = World::new();
        world.redirect = String::leak(redirect.to_owned());
        let error = world.login().failed(FlowErrorKind::Redirect);
        assert!(error.to_string().ends_with(|c: char| c.is_alphabetic()), "{error}");
        assert!(world.asked(TOKEN_AT).is_none(), "{redirect}");
    }
}

#[test]
fn a_redirect_counts_once() {
    let mut world = World::new();
    let (mut flow, _) = world.until_visit();
    let redirect = world.redirect();
    assert!(matches!(flow.handle_redirect(NOW, &redirect), Step::Fetch(_)));
    // The same again, while the code is being exchanged.
    let Step::Fail(error) = flow.handle_redirect(NOW, &redirect) else { panic!("it counts once") };
    assert_eq!(error.kind(), FlowErrorKind::OutOfOrder);
    // And after the end.
    let Step::Fail(error) = flow.handle_redirect(NOW, &redirect) else { panic!("it counts once") };
    assert!(error.to_string().contains("log in again"));

    let mut world = World::new();
    let (mut flow, _) = world.until_visit();
    assert!(matches!(flow.handle_redirect(NOW, "code=c&state=guessed"), Step::Fail(_)));
    assert!(
        matches!(flow.handle_redirect(NOW, &world.redirect()), Step::Fail(_)),
        "there is no second guess"
    );
}

#[test]
fn a_listener_tells_the_answer_from_others() {
    let mut world = World::new();
    world.until_visit();
    let visit = &world.visits[0];
    assert!(visit.is_answered_by(&world.redirect()));
    assert!(visit.is_answered_by(&format!("/callback?error=access_denied&state={}", visit.state.expose())));
    for other in ["/favicon.ico", "/callback", "/callback?state=guessed&code=c", ""] {
        assert!(!visit.is_answered_by(other));
    }
}

#[test]
fn a_person_has_half_an_hour() {
    for (late, taken) in [(0, true), (1799, true), (1800, false), (u64::MAX / 2, false)] {
        let mut world = World::new();
        let (mut flow, _) = world.until_visit();
        let now = UnixTime(NOW.0 + late);
        match flow.handle_redirect(now, &world.redirect()) {
            Step::Fetch(_) => assert!(taken, "{late}"),
            Step::Fail(error) => assert!(!taken && error.kind() == FlowErrorKind::TooLate, "{late}: {error}"),
            step => panic!("{step:?}"),
        }
    }
}

#[test]
fn scopes_are_asked_for_by_the_strategy() {
    // https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization#scope-selection-strategy
    for (challenged, supported, own, asked) in [
        (Some("mcp:basic"), Some(json!(["mcp:profile"])), None, Some("mcp:basic")),
        (
            None,
            Some(json!(["mcp:basic", "mcp:read", "mcp:write"])),
            None,
            Some("mcp:basic mcp:read mcp:write"),
        ),
        (None, None, None, None),
        (None, Some(json!([])), None, None),
        (Some("w"), Some(json!(["r"])), Some("o"), Some("o w")),
    ] {
        let mut world = World::new();
        world.edit(RESOURCE_AT, "scopes_supported", json!(supported));
        if let Some(challenged) = challenged {
            world.challenged(Challenge::bearer().with_scope(set(challenged)));
        }
        if let Some(own) = own {
            world.profile(|profile| profile.scopes(set(own)));
        }
        let login = world.login().login();
        assert_eq!(world.visited().get("scope").map(String::as_str), asked);
        assert_eq!(world.registered().get("scope").and_then(|scope| scope.as_str()), asked);
        assert_eq!(login.requested.as_str(), asked.unwrap_or_default());
        assert_eq!(
            login.tokens.granted.as_str(),
            asked.unwrap_or_default(),
            "what was not said is as asked for"
        );
    }
}

#[test]
fn offline_access_is_asked_for_where_it_is_listed() {
    for (listed, wanted, asked) in [
        (json!(["mcp:basic", "offline_access"]), true, "mcp:basic offline_access"),
        (json!(["mcp:basic", "offline_access"]), false, "mcp:basic"),
        (json!(["mcp:basic"]), true, "mcp:basic"),
        (json!(null), true, "mcp:basic"),
    ] {
        let mut world = World::new();
        world.edit(SERVER_AT, "scopes_supported", listed);
        world.edit(RESOURCE_AT, "scopes_supported", json!(["mcp:basic"]));
        world.profile(|profile| profile.offline_access(wanted));
        world.login().login();
        let visited = world.visited();
        assert_eq!(visited["scope"], asked);
        assert_eq!(visited.contains_key("prompt"), asked.contains("offline_access"));
    }
}

#[test]
fn what_is_granted_is_what_the_server_says() {
    let mut world = World::new();
    world.challenged(Challenge::bearer().with_scope(set("read write")));
    world.edit(TOKEN_AT, "scope", json!("read"));
    let login = world.login().login();
    assert_eq!(login.tokens.granted.as_str(), "read");
    assert_eq!(login.requested.as_str(), "read write");
}

#[test]
fn a_step_up_asks_for_what_was_asked_before_too() {
    let mut world = World::new();
    world.challenged(Challenge::bearer().with_scope(set("mcp:basic")));
    let held = world.login().login();

    world.request = LoginRequest::new(Uri::from_static(ENDPOINT)).holding(*held);
    world.challenged(Challenge::bearer().with_scope(set("mcp:write")));
    let login = world.login().login();
    assert_eq!(world.visited()["scope"], "mcp:basic mcp:write");
    assert_eq!(login.requested, set("mcp:basic mcp:write"));
}

#[test]
fn the_address_of_the_server_keeps_its_query() {
    let mut world = World::new();
    world.edit(
        SERVER_AT,
        "authorization_endpoint",
        json!("https://login.example.com/authorize?tenant=a%20b&state=theirs&resource=theirs"),
    );
    world.login().login();
    let visited = world.visited();
    assert!(
        world.visits[0]
            .address
            .starts_with("https://login.example.com/authorize?tenant=a%20b&response_type=code&")
    );
    assert_eq!((&*visited["resource"], visited["state"].len()), (ENDPOINT, 43));
}

#[test]
fn a_client_without_a_way_back_is_told_before_anything_is_asked() {
    for redirect_uri in [
        "",
        "callback",
        "http://app.example/callback",
        "com.example.app:/callback",
        "javascript:alert(1)",
        "https://app.example/callback#x",
    ] {
        let mut world = World::new();
        world.profile(|profile| profile.redirect_uri(redirect_uri));
        world.login().failed(FlowErrorKind::Redirect);
        assert_eq!(world.lines(), [""; 0], "{redirect_uri}");
    }
    for redirect_uri in ["https://app.example/callback", "http://localhost:3000/callback", "http://[::1]:1/"]
    {
        let mut world = World::new();
        world.profile(|profile| profile.redirect_uri(redirect_uri));
        world.until_visit();
        assert_eq!(world.visited()["redirect_uri"], redirect_uri);
    }
}
