//! Where to log in: metadata of the resource, and of the authorization server.

use super::*;
use crate::auth::IpClass;

#[test]
fn the_challenge_says_where_the_metadata_is() {
    let mut world = World::new();
    world.remove(RESOURCE_AT);
    let named = "https://mcp.example.com/custom/metadata/location.json";
    world.answer(&format!("GET {named}"), 200, resource());
    world.challenged(Challenge::bearer().with_resource_metadata(named));
    world.login().login();
    assert_eq!(world.lines()[0], format!("GET {named}"));
    assert_eq!(world.lines()[1], SERVER_AT);
}

#[test]
fn without_it_the_well_known_addresses_are_tried() {
    let mut world = World::new();
    world.remove(RESOURCE_AT);
    world.answer(
        ROOT_RESOURCE_AT,
        200,
        json!({"resource": "https://mcp.example.com", "authorization_servers": [ISSUER]}),
    );
    world.login().login();
    assert_eq!(world.lines()[..3], [RESOURCE_AT, ROOT_RESOURCE_AT, SERVER_AT]);
    assert_eq!(
        world.visited()["resource"],
        "https://mcp.example.com",
        "to the letter, as the document names it"
    );
    assert_eq!(world.token_form()["resource"], "https://mcp.example.com");
}

#[test]
fn metadata_of_the_server_is_tried_in_order() {
    let with_path = "https://login.example.com/tenant1";
    let openid = "GET https://login.example.com/.well-known/openid-configuration/tenant1";
    let inserted = "GET https://login.example.com/.well-known/oauth-authorization-server/tenant1";
    let appended = "GET https://login.example.com/tenant1/.well-known/openid-configuration";
    for (issuer, place, tried) in [
        (ISSUER, SERVER_AT, &[SERVER_AT][..]),
        (ISSUER, OPENID_AT, &[SERVER_AT, OPENID_AT]),
        (with_path, inserted, &[inserted]),
        (with_path, openid, &[inserted, openid]),
        (with_path, appended, &[inserted, openid, appended]),
    ] {
        let mut world = World::new();
        world.remove(SERVER_AT);
        world.edit(RESOURCE_AT, "authorization_servers", json!([issuer]));
        world.answer(place, 200, server()).edit(place, "issuer", json!(issuer));
        world.until_visit();
        assert_eq!(world.lines()[0], RESOURCE_AT);
        assert_eq!(&world.lines()[1..=tried.len()], tried);
    }
}

#[test]
fn a_document_of_another_resource_is_refused() {
    for resource in [
        "https://evil.example/mcp",
        "https://mcp.example.com/other",
        "https://mcp.example.com/mc",
        "http://mcp.example.com/mcp",
        "https://mcp.example.com:8443/mcp",
        "https://mcp.example.com/mcp#x",
        "https://user@mcp.example.com/mcp",
        "mcp.example.com",
        "",
        "*",
    ] {
        let mut world = World::new();
        world.edit(RESOURCE_AT, "resource", json!(resource));
        let error = world.login().failed(FlowErrorKind::ResourceMismatch);
        assert!(error.to_string().contains("`https://mcp.example.com/mcp`"), "{error}");
        assert_eq!(world.lines(), [RESOURCE_AT]);
        world.assert_nothing_given_away();
    }
}

#[test]
fn a_document_of_another_issuer_is_refused() {
    for issuer in [
        "https://honest.example",
        "https://login.example.com/",
        "https://LOGIN.example.com",
        "https://login.example.com:443",
        "",
    ] {
        let mut world = World::new();
        world.edit(SERVER_AT, "issuer", json!(issuer));
        world.login().failed(FlowErrorKind::IssuerMismatch);
        assert_eq!(world.lines(), [RESOURCE_AT, SERVER_AT, OPENID_AT]);
        world.assert_nothing_given_away();
    }
    // Where one of the two documents is right, that one is used.
    let mut world = World::new();
    world.edit(SERVER_AT, "issuer", json!("https://honest.example"));
    world.answer(OPENID_AT, 200, server());
    world.login().login();
}

#[test]
fn a_server_without_pkce_is_refused() {
    for methods in [json!(null), json!([]), json!(["plain"]), json!(["s256"])] {
        for place in [SERVER_AT, OPENID_AT] {
            let mut world = World::new();
            world.remove(SERVER_AT).answer(place, 200, server());
            world.edit(place, "code_challenge_methods_supported", methods.clone());
            let error = world.login().failed(FlowErrorKind::NoPkce);
            assert!(error.to_string().contains("code_challenge_methods_supported"));
            assert!(world.visits.is_empty() && world.asked(TOKEN_AT).is_none());
        }
    }
}

#[test]
fn without_an_authorization_server_there_is_a_sentence() {
    for servers in [json!([]), json!(null)] {
        let mut world = World::new();
        world.edit(RESOURCE_AT, "authorization_servers", servers);
        let error = world.login().failed(FlowErrorKind::Metadata);
        assert!(error.to_string().contains("authorization_servers"), "{error}");
    }
    for issuer in
        ["login.example.com", "https://login.example.com/?a=b", "https://login.example.com#a", "", "/"]
    {
        let mut world = World::new();
        world.edit(RESOURCE_AT, "authorization_servers", json!([issuer]));
        world.login().failed(FlowErrorKind::Metadata);
        assert_eq!(world.lines(), [RESOURCE_AT], "{issuer}");
    }
    let mut world = World::new();
    world.remove(SERVER_AT);
    let error = world.login().failed(FlowErrorKind::Metadata);
    assert!(error.to_string().contains("has no metadata"), "{error}");
}

#[test]
fn the_server_of_the_login_that_is_held_is_preferred() {
    let mut world = World::new();
    let held = world.login().login();
    world.edit(RESOURCE_AT, "authorization_servers", json!(["https://other.example", ISSUER]));
    world.request = world.request.clone().holding(*held);
    world.login().login();

    let mut world = World::new();
    world.edit(RESOURCE_AT, "authorization_servers", json!(["https://other.example", ISSUER]));
    world.profile(|profile| profile.client_id(ClientId::new("given").issuer(ISSUER)));
    world.login().login();

    let mut world = World::new();
    world.edit(RESOURCE_AT, "authorization_servers", json!(["https://other.example", ISSUER]));
    world.login().failed(FlowErrorKind::Metadata);
    assert!(world.lines()[1].starts_with("GET https://other.example/"), "else it is the first");
}

#[test]
fn nothing_is_asked_where_nothing_may_be_asked() {
    let cases = [
        "http://login.example.com",
        "https://127.0.0.1",
        "https://localhost",
        "https://[::1]",
        "https://169.254.169.254",
        "https://10.0.0.8",
        "https://192.168.1.1:8080",
        "https://[fd00::1]",
        "https://[::ffff:169.254.169.254]",
        "https://[64:ff9b::a9fe:a9fe]",
        "https://0.0.0.0",
        "https://2130706433",
        "https://0x7f.1",
        "https://user:pass@login.example.com",
    ];
    for address in cases {
        // The challenge names it.
        let mut world = World::new();
        world.challenged(Challenge::bearer().with_resource_metadata(address));
        assert!(matches!(world.login(), End::Failed(_)), "{address}");
        assert!(world.lines().is_empty(), "{address}");
        // The resource names it.
        let mut world = World::new();
        world.edit(RESOURCE_AT, "authorization_servers", json!([address]));
        assert!(matches!(world.login(), End::Failed(_)), "{address}");
        assert_eq!(world.lines(), [RESOURCE_AT], "{address}");
        // The authorization server names it.
        for member in
            ["authorization_endpoint", "token_endpoint", "registration_endpoint", "revocation_endpoint"]
        {
            let mut world = World::new();
            world.edit(SERVER_AT, member, json!(format!("{address}/x")));
            let end = world.login();
            assert!(matches!(end, End::Failed(_)), "{member} {address}: {end:?}");
            assert!(world.visits.is_empty(), "{member} {address}");
            assert!(world.lines().iter().all(|line| line.contains("example.com/")), "{member} {address}");
        }
    }
}

#[test]
fn endpoints_that_are_no_addresses_are_refused() {
    for address in [
        "",
        "/token",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "data:,x",
        "https://",
        "a b",
        "https://x/#y",
    ] {
        for member in ["authorization_endpoint", "token_endpoint", "registration_endpoint"] {
            let mut world = World::new();
            world.edit(SERVER_AT, member, json!(address));
            let End::Failed(error) = world.login() else { panic!("{member} {address}") };
            assert!(error.to_string().contains(member), "{error}");
            assert!(world.visits.is_empty());
        }
    }
    for member in ["authorization_endpoint", "token_endpoint"] {
        let mut world = World::new();
        world.edit(SERVER_AT, member, json!(null));
        world.login().failed(FlowErrorKind::Metadata);
        world.assert_nothing_given_away();
    }
}

#[test]
fn a_server_on_this_machine_may_have_its_authorization_here() {
    let mut world = World::empty();
    world.endpoint = "http://localhost:8808/mcp";
    let issuer = "http://127.0.0.1:9000";
    world.answer(
        "GET http://localhost:8808/.well-known/oauth-protected-resource/mcp",
        200,
        json!({"resource": "http://localhost:8808/mcp", "authorization_servers": [issuer]}),
    );
    world.answer(
        &format!("GET {issuer}/.well-known/oauth-authorization-server"),
        200,
        server().to_string().replace(ISSUER, issuer),
    );
    world.answer(&format!("POST {issuer}/register"), 201, json!({"client_id": "registered"}));
    let (flow, _) = world.until_visit();
    assert_eq!(world.visited()["resource"], "http://localhost:8808/mcp");
    assert!(world.visits[0].address.starts_with("http://127.0.0.1:9000/authorize?"));
    assert!(!AddressRule::for_server(&Uri::from_static(ENDPOINT), &[]).allows(IpClass::Loopback));
    assert_eq!(flow.pending().unwrap().endpoint(), "http://localhost:8808/mcp");
}

#[test]
fn redirects_stay_at_their_origin() {
    let redirects = |world: &mut World, line: &str, to: &str| {
        let mut answer = response(302, "");
        answer.headers.insert("location", to.parse().unwrap());
        world.answers.insert(line.to_owned(), answer);
    };
    let mut world = World::new();
    world.answer("GET https://mcp.example.com/moved", 200, resource());
    redirects(&mut world, RESOURCE_AT, "/moved");
    world.login().login();
    assert_eq!(world.lines()[..2], [RESOURCE_AT, "GET https://mcp.example.com/moved"]);

    for to in [
        "https://evil.example/",
        "http://mcp.example.com/",
        "https://169.254.169.254/latest",
        "//evil.example",
    ] {
        let mut world = World::new();
        redirects(&mut world, SERVER_AT, to);
        let error = world.login().failed(FlowErrorKind::Address);
        assert!(error.to_string().contains("redirects"), "{error}");
        assert_eq!(world.lines(), [RESOURCE_AT, SERVER_AT, OPENID_AT], "{to}");
    }
    // A circle ends.
    let mut world = World::new();
    redirects(&mut world, SERVER_AT, "/.well-known/oauth-authorization-server");
    world.login().failed(FlowErrorKind::Address);
    assert_eq!(world.lines().iter().filter(|line| **line == SERVER_AT).count(), 6);
    // Whatever holds a secret is not sent on at all.
    for (line, kind) in
        [(TOKEN_AT, FlowErrorKind::Address), (REGISTER_AT, FlowErrorKind::RegistrationRefused)]
    {
        let mut world = World::new();
        redirects(&mut world, line, "/elsewhere");
        world.login().failed(kind);
        assert_eq!(*world.lines().last().unwrap(), line);
    }
}

#[test]
fn a_server_that_cannot_answer_is_asked_again_later() {
    for status in [500, 502, 503, 429] {
        for line in [RESOURCE_AT, SERVER_AT, REGISTER_AT, TOKEN_AT] {
            let mut world = World::new();
            world.answer(line, status, "sorry");
            let error = world.login().failed(FlowErrorKind::Unavailable);
            assert!(error.is_temporary(), "{error}");
        }
    }
    for at in 0..4 {
        let mut world = World::new();
        let (mut flow, mut step) = world.begin();
        let mut sent = 0;
        let error = loop {
            step = match step {
                Step::Fetch(_) if sent >= at => flow.handle_unreachable(NOW, "connection refused"),
                Step::Fetch(request) => {
                    sent += 1;
                    let response = world.fetch(request);
                    flow.handle_response(NOW, &response)
                }
                Step::Visit(visit) => {
                    world.visits.push(visit);
                    flow.handle_redirect(NOW, &world.redirect())
                }
                Step::Fail(error) => break error,
                step => panic!("{step:?}"),
            };
        };
        assert!(error.is_temporary() && error.to_string().contains("connection refused"), "{at}: {error}");
    }
}

#[test]
fn pushed_requests_are_not_spoken() {
    let mut world = World::new();
    world.edit(SERVER_AT, "require_pushed_authorization_requests", json!(true));
    world.login().failed(FlowErrorKind::Metadata);
    world.assert_nothing_given_away();
}
