//! The next tokens, by a refresh token.

use super::*;
use crate::auth::Secret;

fn logged_in() -> (World, Login) {
    let mut world = World::new();
    world.challenged(Challenge::bearer().with_scope(set("read write")));
    let login = *world.login().login();
    world.asked.clear();
    (world, login)
}

#[test]
fn one_request_and_no_person() {
    let (mut world, held) = logged_in();
    world.answer(
        TOKEN_AT,
        200,
        json!({"access_token": "access-2", "token_type": "bearer", "expires_in": 60}),
    );
    let login = world.refresh(&held).login();
    assert_eq!(world.lines(), [TOKEN_AT]);
    let form = world.token_form();
    let expected = [
        ("client_id", "registered"),
        ("grant_type", "refresh_token"),
        ("refresh_token", "refresh-1"),
        ("resource", ENDPOINT),
    ];
    assert_eq!(form.iter().map(|(name, value)| (&**name, &**value)).collect::<Vec<_>>(), expected);
    assert_eq!(login.tokens.access_token.expose(), "access-2");
    assert_eq!(login.tokens.expires_at, Some(UnixTime(NOW.0 + 60)));
    assert_eq!(login.tokens.refresh_token, Some(Secret::new("refresh-1")), "it stays until another comes");
    assert_eq!(
        (&login.registration, &login.server, &login.resource),
        (&held.registration, &held.server, &held.resource)
    );
    assert_eq!(login.requested, held.requested);
}

#[test]
fn a_refresh_token_that_rotates_takes_the_place_of_the_old_one() {
    let (mut world, held) = logged_in();
    let next = json!({"access_token": "access-2", "token_type": "Bearer", "refresh_token": "refresh-2", "scope": "read"});
    world.answer(TOKEN_AT, 200, next);
    let login = world.refresh(&held).login();
    assert_eq!(login.tokens.refresh_token, Some(Secret::new("refresh-2")));
    assert_eq!(login.tokens.granted, set("read"));
    assert_eq!(login.tokens.expires_at, None);
    // What was held is as it was, should the answer get lost on the way to the store.
    assert_eq!(held.tokens.refresh_token, Some(Secret::new("refresh-1")));
    world.refresh(&login).login();
    assert_eq!(world.token_form()["refresh_token"], "refresh-2");
}

#[test]
fn an_empty_refresh_token_is_none() {
    let (mut world, held) = logged_in();
    world.answer(TOKEN_AT, 200, json!({"access_token": "a", "token_type": "Bearer", "refresh_token": ""}));
    assert_eq!(world.refresh(&held).login().tokens.refresh_token, Some(Secret::new("refresh-1")));
    world.answer(TOKEN_AT, 200, json!({"access_token": "a", "token_type": "Bearer", "refresh_token": null}));
    assert_eq!(world.refresh(&held).login().tokens.refresh_token, Some(Secret::new("refresh-1")));
}

#[test]
fn a_refusal_says_what_to_do() {
    for (status, body, kind, grant, client) in [
        (400, r#"{"error":"invalid_grant"}"#, FlowErrorKind::TokenRefused, true, false),
        (
            400,
            r#"{"error":"invalid_grant","error_description":"reused"}"#,
            FlowErrorKind::TokenRefused,
            true,
            false,
        ),
        (401, r#"{"error":"invalid_client"}"#, FlowErrorKind::TokenRefused, false, true),
        (400, r#"{"error":"unauthorized_client"}"#, FlowErrorKind::TokenRefused, false, true),
        (400, r#"{"error":"invalid_target"}"#, FlowErrorKind::TokenRefused, false, false),
        (400, r#"{"error":"temporarily_unavailable"}"#, FlowErrorKind::Unavailable, false, false),
        // Some refuse with 200.
        (200, r#"{"error":"invalid_grant"}"#, FlowErrorKind::TokenRefused, true, false),
        (503, r#"{"error":"invalid_grant"}"#, FlowErrorKind::Unavailable, false, false),
        (400, "", FlowErrorKind::TokenAnswer, false, false),
    ] {
        let (mut world, held) = logged_in();
        world.answer(TOKEN_AT, status, body);
        let error = world.refresh(&held).failed(kind);
        assert_eq!((error.is_invalid_grant(), error.is_invalid_client()), (grant, client), "{status} {body}");
        assert_eq!(world.lines(), [TOKEN_AT], "once: {body}");
        assert!(!error.to_string().contains("refresh-1"));
    }
}

#[test]
fn without_a_refresh_token_nothing_is_asked() {
    let (mut world, mut held) = logged_in();
    held.tokens.refresh_token = None;
    world.refresh(&held).failed(FlowErrorKind::TokenRefused);
    assert_eq!(world.lines(), [""; 0]);
}

#[test]
fn what_is_kept_cannot_lead_where_nothing_may_be_asked() {
    for address in ["http://login.example.com/token", "https://10.0.0.1/token", "", "token"] {
        let (mut world, mut held) = logged_in();
        held.server.token_endpoint = address.to_owned();
        world.refresh(&held).failed(FlowErrorKind::Address);
        assert_eq!(world.lines(), [""; 0]);
    }
}

#[test]
fn a_confidential_client_says_who_it_is() {
    let mut world = World::new();
    world.edit(SERVER_AT, "token_endpoint_auth_methods_supported", json!(["client_secret_basic"]));
    world.answer(REGISTER_AT, 201, json!({"client_id": "c", "client_secret": "s"}));
    let held = world.login().login();
    let kept: Login = serde_json::from_str(&serde_json::to_string(&held).unwrap()).unwrap();
    world.refresh(&kept).login();
    assert_eq!(world.asked(TOKEN_AT).unwrap().headers["authorization"], "Basic Yzpz");
}
