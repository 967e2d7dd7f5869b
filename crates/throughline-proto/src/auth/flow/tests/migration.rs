//! The authorization server of a resource changes.
//!
//! <https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization/client-registration#authorization-server-binding>

use super::*;
use crate::auth::Secret;

const NEXT: &str = "https://next.example.com";

/// The resource names another authorization server from now on.
fn migrate(world: &mut World) {
    world.edit(RESOURCE_AT, "authorization_servers", json!([NEXT]));
    world.answer(
        "GET https://next.example.com/.well-known/oauth-authorization-server",
        200,
        server().to_string().replace(ISSUER, NEXT),
    );
    world.answer("POST https://next.example.com/register", 201, json!({"client_id": "registered-next"}));
    world.answer("POST https://next.example.com/token", 200, tokens());
    world.redirect = "code=the-code&state={state}&iss=https%3A%2F%2Fnext.example.com";
}

/// Everything that was sent to the new server, and every address that a person was sent to.
fn seen_by_the_next(world: &World) -> String {
    let requests = world.asked.iter().filter(|asked| asked.line.contains(NEXT)).map(|asked| {
        let headers: Vec<String> =
            asked.headers.values().map(|value| format!("{:?}", value.as_bytes())).collect();
        format!("{} {} {}", asked.line, asked.body, headers.join(" "))
    });
    let visits =
        world.visits.iter().filter(|visit| visit.address.contains(NEXT)).map(|visit| visit.address.clone());
    requests.chain(visits).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_client_registers_anew_and_shows_nothing_of_the_old() {
    let mut world = World::new();
    world.answer(REGISTER_AT, 201, json!({"client_id": "registered-first", "client_secret": "secret-first"}));
    world.challenged(Challenge::bearer().with_scope(set("first-scope")));
    let held = world.login().login();
    migrate(&mut world);
    world.request = LoginRequest::new(Uri::from_static(ENDPOINT))
        .registered([held.registration.clone()])
        .holding(*held)
        .challenged(Challenge::bearer().with_scope(set("mcp:basic")));
    let login = world.login().login();
    assert_eq!(login.registration.client_id, "registered-next");
    assert_eq!(login.server.issuer, NEXT);
    assert_eq!(
        login.requested,
        set("mcp:basic"),
        "what the first was asked for is nothing the next one knows"
    );
    let seen = seen_by_the_next(&world);
    for secret in ["registered-first", "secret-first", "access-1", "refresh-1", "first-scope"] {
        assert!(!seen.contains(secret), "{secret} in {seen}");
    }
}

#[test]
fn a_document_goes_along() {
    let mut world = World::new();
    world.edit(SERVER_AT, "client_id_metadata_document_supported", json!(true));
    world.profile(|profile| profile.metadata_document("https://app.example/client.json"));
    let held = world.login().login();
    migrate(&mut world);
    world.edit(
        "GET https://next.example.com/.well-known/oauth-authorization-server",
        "client_id_metadata_document_supported",
        json!(true),
    );
    world.request = world.request.clone().holding(*held);
    let login = world.login().login();
    assert_eq!(login.registration.client_id, "https://app.example/client.json");
    assert_eq!(login.registration.issuer, NEXT);
}

#[test]
fn a_client_id_that_was_given_does_not() {
    for bound in [true, false] {
        let id = ClientId::new("given").secret(Secret::new("secret-given"));
        let id = if bound { id.issuer(ISSUER) } else { id };
        let mut world = World::new();
        world.edit(SERVER_AT, "token_endpoint_auth_methods_supported", json!(["client_secret_basic"]));
        world.profile(|profile| profile.client_id(id));
        let held = world.login().login();
        assert_eq!(held.registration.kind, RegistrationKind::Preregistered);
        migrate(&mut world);
        let visits = world.visits.len();
        world.request = world.request.clone().holding(*held);
        let error = world.login().failed(FlowErrorKind::OtherIssuer);
        assert!(error.to_string().contains(NEXT), "{error}");
        assert_eq!(world.visits.len(), visits);
        assert!(!seen_by_the_next(&world).contains("given"), "bound by the profile: {bound}");
    }
}

#[test]
fn an_id_for_each_server() {
    let mut world = World::new();
    world.profile(|profile| {
        profile
            .client_id(ClientId::new("given-first").issuer(ISSUER))
            .client_id(ClientId::new("given-next").issuer(NEXT))
    });
    let held = world.login().login();
    assert_eq!(held.registration.client_id, "given-first");
    migrate(&mut world);
    world.request = world.request.clone().holding(*held);
    assert_eq!(world.login().login().registration.client_id, "given-next");
    assert!(!seen_by_the_next(&world).contains("given-first"));
}

#[test]
fn the_first_cannot_answer_for_the_next() {
    let mut world = World::new();
    let held = world.login().login();
    migrate(&mut world);
    world.redirect = "code=the-code&state={state}&iss=https%3A%2F%2Flogin.example.com";
    world.request = world.request.clone().holding(*held);
    world.login().failed(FlowErrorKind::ResponseIssuer);
    assert!(!seen_by_the_next(&world).contains("the-code"));
}
