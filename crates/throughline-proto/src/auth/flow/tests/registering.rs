//! The client id: where it comes from, and whom it is shown to.

use std::time::Duration;

use super::*;
use crate::auth::Secret;

const DOCUMENT: &str = "https://app.example/oauth/client.json";

#[test]
fn what_a_client_says_of_itself() {
    let mut world = World::new();
    world.profile(|profile| profile.page("https://app.example"));
    world.login().login();
    assert_eq!(
        world.registered(),
        json!({
            "client_name": "Projects",
            "client_uri": "https://app.example",
            "redirect_uris": [BACK_AT],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
            "application_type": "native",
        })
    );
    for (redirect_uri, set_kind, kind) in [
        ("http://localhost:3000/callback", None, "native"),
        ("http://[::1]:3000/callback", None, "native"),
        ("https://localhost/callback", None, "native"),
        ("https://app.example/callback", None, "web"),
        ("https://app.example/callback", Some(ApplicationType::Native), "native"),
    ] {
        let mut world = World::new();
        world.profile(|profile| profile.redirect_uri(redirect_uri));
        if let Some(kind) = set_kind {
            world.profile(|profile| profile.application_type(kind));
        }
        world.until_visit();
        assert_eq!(world.registered()["application_type"], kind);
    }
    for (grants, said) in [
        (json!(["authorization_code"]), json!(["authorization_code"])),
        (json!(["authorization_code", "refresh_token"]), json!(["authorization_code", "refresh_token"])),
    ] {
        let mut world = World::new();
        world.edit(SERVER_AT, "grant_types_supported", grants);
        world.until_visit();
        assert_eq!(world.registered()["grant_types"], said);
    }
}

#[test]
fn the_order_of_ways_to_a_client_id() {
    // https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization/client-registration
    for (given, document, dynamic, id) in [
        (true, true, true, Some("given")),
        (true, false, false, Some("given")),
        (false, true, true, Some(DOCUMENT)),
        (false, true, false, Some(DOCUMENT)),
        (false, false, true, Some("registered")),
        (false, false, false, None),
    ] {
        let mut world = World::new();
        world.edit(SERVER_AT, "client_id_metadata_document_supported", json!(true));
        world.profile(|profile| {
            let profile = profile.dynamic_registration(dynamic);
            let profile = if given { profile.client_id(ClientId::new("given")) } else { profile };
            if document { profile.metadata_document(DOCUMENT) } else { profile }
        });
        let end = world.login();
        let Some(id) = id else {
            let error = end.failed(FlowErrorKind::NoClientId);
            assert!(error.to_string().contains(BACK_AT), "{error}");
            continue;
        };
        let login = end.login();
        assert_eq!(login.registration.client_id, id);
        assert_eq!(world.visited()["client_id"], id);
        assert_eq!(world.asked(REGISTER_AT).is_some(), id == "registered");
    }
    // A document where the server does not fetch any.
    let mut world = World::new();
    world.profile(|profile| profile.metadata_document(DOCUMENT));
    assert_eq!(world.login().login().registration.client_id, "registered");
    // No registration endpoint.
    let mut world = World::new();
    world.edit(SERVER_AT, "registration_endpoint", json!(null));
    world.login().failed(FlowErrorKind::NoClientId);
}

#[test]
fn the_address_of_a_document_is_checked() {
    for address in [
        "http://app.example/c.json",
        "https://app.example",
        "https://app.example/",
        "https://a@b/c",
        "https://a/b#c",
        "",
    ] {
        let mut world = World::new();
        world.edit(SERVER_AT, "client_id_metadata_document_supported", json!(true));
        world.profile(|profile| profile.metadata_document(address));
        world.login().failed(FlowErrorKind::NoClientId);
        world.assert_nothing_given_away();
    }
}

#[test]
fn how_a_client_says_who_it_is() {
    for (listed, secret, header, in_body) in [
        (json!(["none"]), None, false, false),
        (json!(["none"]), Some("s"), false, false),
        (json!(["client_secret_basic"]), Some("s"), true, false),
        (json!(["client_secret_post"]), Some("s"), false, true),
        (json!(["client_secret_post", "client_secret_basic"]), Some("s"), true, false),
        (json!(null), Some("s"), true, false),
        (json!(["client_secret_basic"]), None, false, false),
    ] {
        let mut world = World::new();
        world.edit(SERVER_AT, "token_endpoint_auth_methods_supported", listed.clone());
        world.profile(|profile| {
            let id = ClientId::new("given:1");
            profile.client_id(match secret {
                Some(secret) => id.secret(Secret::new(secret)),
                None => id,
            })
        });
        world.login().login();
        let form = world.token_form();
        let headers = &world.asked(TOKEN_AT).unwrap().headers;
        assert_eq!(headers.get("authorization").is_some(), header, "{listed}");
        assert_eq!(form.contains_key("client_secret"), in_body, "{listed}");
        assert_eq!(form.contains_key("client_id"), !header, "one way and no other: {listed}");
        if let Some(value) = headers.get("authorization") {
            assert_eq!(value, "Basic Z2l2ZW4lM0ExOnM=");
            assert!(value.is_sensitive());
        }
    }
    let mut world = World::new();
    world.edit(SERVER_AT, "token_endpoint_auth_methods_supported", json!(["tls_client_auth"]));
    world.profile(|profile| profile.client_id(ClientId::new("given").secret(Secret::new("s"))));
    let error = world.login().failed(FlowErrorKind::NoAuthMethod);
    assert!(error.to_string().contains("`tls_client_auth`"), "{error}");
}

#[test]
fn a_registered_client_does_as_it_was_registered() {
    for (listed, answer, method) in [
        (json!(["none"]), json!({"client_id": "c", "client_secret": "s"}), EndpointAuth::Public),
        (
            json!(["client_secret_basic"]),
            json!({"client_id": "c", "client_secret": "s"}),
            EndpointAuth::Basic,
        ),
        (json!(["client_secret_post"]), json!({"client_id": "c", "client_secret": "s"}), EndpointAuth::Post),
        (json!(["client_secret_basic", "none"]), json!({"client_id": "c"}), EndpointAuth::Public),
        (json!(null), json!({"client_id": "c", "client_secret": "s"}), EndpointAuth::Basic),
        // The server decides otherwise.
        (
            json!(["none"]),
            json!({"client_id": "c", "client_secret": "s", "token_endpoint_auth_method": "client_secret_post"}),
            EndpointAuth::Post,
        ),
    ] {
        let mut world = World::new();
        world.edit(SERVER_AT, "token_endpoint_auth_methods_supported", listed.clone());
        world.answer(REGISTER_AT, 201, &answer);
        let login = world.login().login();
        assert_eq!(login.registration.endpoint_auth, method, "{listed} {answer}");
    }
}

#[test]
fn a_registration_that_cannot_be_used_is_refused() {
    for (status, answer, says) in [
        (
            400,
            r#"{"error":"invalid_redirect_uri","error_description":"no loopback"}"#,
            "`invalid_redirect_uri`",
        ),
        (400, r#"{"error":"invalid_client_metadata"}"#, "`invalid_client_metadata`"),
        (401, "", "status 401"),
        (404, "<html>", "status 404"),
        (201, "", "no client id"),
        (201, "[]", "no client id"),
        (201, "{}", "no client id"),
        (201, r#"{"client_id":7}"#, "no client id"),
        (201, r#"{"client_id":""}"#, "empty"),
        (201, r#"{"client_id":"a\nb"}"#, "not plain text"),
        (201, r#"{"client_id":"ä"}"#, "not plain text"),
        (201, r#"{"client_id":"a","client_id":"b"}"#, "no client id"),
        (201, r#"{"client_id":"a","token_endpoint_auth_method":"client_secret_basic"}"#, "gave none"),
        (
            201,
            r#"{"client_id":"a","client_secret":"","token_endpoint_auth_method":"client_secret_post"}"#,
            "gave none",
        ),
        (201, r#"{"client_id":"a","token_endpoint_auth_method":"private_key_jwt"}"#, "no key"),
        (201, r#"{"client_id":"a","token_endpoint_auth_method":"tls_client_auth"}"#, "`tls_client_auth`"),
    ] {
        let mut world = World::new();
        world.answer(REGISTER_AT, status, answer);
        let error = world.login().failed(FlowErrorKind::RegistrationRefused);
        let text = error.to_string();
        assert!(text.contains(says) && text.contains(BACK_AT), "{answer}: {text}");
        world.assert_nothing_given_away();
    }
    for huge in [json!({"client_id": "x".repeat(9000)}), json!({"client_id": "a", "x": "y".repeat(300_000)})]
    {
        let mut world = World::new();
        world.answer(REGISTER_AT, 201, huge);
        world.login().failed(FlowErrorKind::RegistrationRefused);
    }
}

#[test]
fn a_registration_is_used_again_where_it_will_do() {
    let mut world = World::new();
    world.challenged(Challenge::bearer().with_scope(set("read")));
    let registration = world.login().login().registration;
    assert_eq!(registration.scope, Some(set("read")));

    type Change = fn(&mut World, &mut Registration);
    let cases: [(&str, Change, bool); 8] = [
        ("the same", |_, _| {}, true),
        (
            "fewer scopes",
            |world, _| {
                world.request.challenge = None;
            },
            true,
        ),
        (
            "more scopes",
            |world, _| {
                world.challenged(Challenge::bearer().with_scope(set("read write")));
            },
            false,
        ),
        (
            "no limit of scopes",
            |world, registration| {
                world.challenged(Challenge::bearer().with_scope(set("read write")));
                registration.scope = None;
            },
            true,
        ),
        (
            "another redirect address",
            |world, _| {
                world.profile(|profile| profile.redirect_uri("http://127.0.0.1:1/"));
            },
            false,
        ),
        ("a secret that has ended", |_, registration| registration.secret_expires_at = Some(NOW), false),
        (
            "a secret that holds",
            |_, registration| {
                registration.secret_expires_at = Some(NOW.plus(Duration::from_secs(1)));
            },
            true,
        ),
        (
            "another server",
            |_, registration| registration.issuer = "https://login.example.com/".to_owned(),
            false,
        ),
    ];
    for (name, change, used) in cases {
        let mut world = World::new();
        world.challenged(Challenge::bearer().with_scope(set("read")));
        let mut kept = Registration { client_id: "kept".to_owned(), ..registration.clone() };
        change(&mut world, &mut kept);
        world.request = world.request.clone().registered([kept]);
        world.until_visit();
        assert_eq!(world.visited()["client_id"], if used { "kept" } else { "registered" }, "{name}");
        assert_eq!(world.asked(REGISTER_AT).is_none(), used, "{name}");
    }
}

#[test]
fn a_registration_by_hand_is_not_taken_from_what_is_kept() {
    let mut world = World::new();
    let mut kept = world.login().login().registration;
    kept.kind = RegistrationKind::Preregistered;
    kept.client_id = "kept".to_owned();
    world.request = world.request.clone().registered([kept]);
    world.login().login();
    assert_eq!(world.visited()["client_id"], "registered");
}
