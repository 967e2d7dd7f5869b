//! Servers of the first revision that has authorization: no metadata of the resource, and maybe none at all.
//!
//! <https://modelcontextprotocol.io/specification/2025-03-26/basic/authorization>

use super::*;

const METADATA_AT: &str = "GET https://mcp.example.com/.well-known/oauth-authorization-server";

fn origin_server() -> serde_json::Value {
    json!({
        "issuer": "https://mcp.example.com",
        "authorization_endpoint": "https://mcp.example.com/oauth/authorize",
        "token_endpoint": "https://mcp.example.com/oauth/token",
        "registration_endpoint": "https://mcp.example.com/oauth/register",
    })
}

#[test]
fn metadata_at_the_origin() {
    for issuer in ["https://mcp.example.com", "https://mcp.example.com/"] {
        let mut world = World::empty();
        world.answer(METADATA_AT, 200, origin_server()).edit(METADATA_AT, "issuer", json!(issuer));
        world.answer("POST https://mcp.example.com/oauth/register", 201, json!({"client_id": "registered"}));
        world.answer("POST https://mcp.example.com/oauth/token", 200, tokens());
        world.redirect = "code=the-code&state={state}";
        let login = world.login().login();
        assert_eq!(
            world.lines(),
            [
                RESOURCE_AT,
                ROOT_RESOURCE_AT,
                METADATA_AT,
                "POST https://mcp.example.com/oauth/register",
                "POST https://mcp.example.com/oauth/token"
            ]
        );
        let headers = &world.asked(METADATA_AT).unwrap().headers;
        assert_eq!(headers["mcp-protocol-version"], "2025-03-26");
        assert_eq!(world.visited()["code_challenge_method"], "S256");
        assert_eq!(login.resource, ENDPOINT);
        assert_eq!(login.server.issuer, issuer);
    }
}

#[test]
fn default_addresses() {
    let mut world = World::empty();
    world.answer(
        "POST https://mcp.example.com/register",
        201,
        json!({"client_id": "c", "client_secret": "s"}),
    );
    world.answer("POST https://mcp.example.com/token", 200, tokens());
    world.redirect = "code=the-code&state={state}";
    let login = world.login().login();
    assert_eq!(
        world.lines()[3..],
        ["POST https://mcp.example.com/register", "POST https://mcp.example.com/token"]
    );
    assert!(world.visits[0].address.starts_with("https://mcp.example.com/authorize?"));
    assert_eq!(world.visited()["resource"], ENDPOINT);
    assert_eq!(login.server.issuer, "https://mcp.example.com");
}

#[test]
fn pages_that_are_no_metadata_are_as_if_nothing_were_there() {
    let mut world = World::empty();
    for line in [RESOURCE_AT, ROOT_RESOURCE_AT, METADATA_AT] {
        world.answer(line, 200, "<!doctype html><title>Welcome</title>");
    }
    world.until_visit();
    assert_eq!(
        world.lines(),
        [RESOURCE_AT, ROOT_RESOURCE_AT, METADATA_AT, "POST https://mcp.example.com/register"]
    );
}

#[test]
fn a_server_with_keys_alone_is_told_from_them() {
    let mut world = World::empty();
    let text = world.login().failed(FlowErrorKind::Metadata).to_string();
    assert_eq!(*world.lines().last().unwrap(), "POST https://mcp.example.com/register");
    assert!(text.contains("give it the key or the token"), "{text}");
}

#[test]
fn there_is_no_way_back_to_the_first_revision_from_a_newer_one() {
    // The challenge names metadata, which is not there.
    let mut world = World::empty();
    world.challenged(Challenge::bearer().with_resource_metadata("https://mcp.example.com/meta"));
    world.login().failed(FlowErrorKind::Metadata);
    assert_eq!(world.lines(), ["GET https://mcp.example.com/meta"]);
    // It cannot be had at present: the second address, too, counts.
    for line in [RESOURCE_AT, ROOT_RESOURCE_AT] {
        let mut world = World::empty();
        for page in [RESOURCE_AT, ROOT_RESOURCE_AT] {
            world.answer(page, 200, "<html>");
        }
        world.answer(line, 503, "");
        world.login().failed(FlowErrorKind::Unavailable);
        assert_eq!(world.lines(), [RESOURCE_AT, ROOT_RESOURCE_AT]);
    }
    // It is that of another resource.
    let mut world = World::empty();
    world.answer(
        RESOURCE_AT,
        200,
        json!({"resource": "https://evil.example", "authorization_servers": [ISSUER]}),
    );
    world.login().failed(FlowErrorKind::ResourceMismatch);
    // The authorization server that it names has no metadata.
    let mut world = World::empty();
    world.answer(RESOURCE_AT, 200, resource());
    world.login().failed(FlowErrorKind::Metadata);
    assert_eq!(world.lines(), [RESOURCE_AT, SERVER_AT, OPENID_AT]);
}

#[test]
fn metadata_at_the_origin_must_be_its_own() {
    let mut world = World::empty();
    world.answer(METADATA_AT, 200, origin_server()).edit(
        METADATA_AT,
        "issuer",
        json!("https://evil.example"),
    );
    world.login().failed(FlowErrorKind::IssuerMismatch);
    assert_eq!(world.lines().last(), Some(&METADATA_AT));

    let mut world = World::empty();
    world.answer(METADATA_AT, 503, "");
    world.login().failed(FlowErrorKind::Unavailable);
}

#[test]
fn pkce_is_not_asked_of_it_unless_it_lists_others() {
    let mut world = World::empty();
    world.answer(METADATA_AT, 200, origin_server());
    world.edit(METADATA_AT, "code_challenge_methods_supported", json!(["plain"]));
    world.answer("POST https://mcp.example.com/oauth/register", 201, json!({"client_id": "registered"}));
    world.login().failed(FlowErrorKind::NoPkce);
}

#[test]
fn who_answers_is_checked_there_too() {
    for (redirect, taken) in [
        ("code=c&state={state}", true),
        ("code=c&state={state}&iss=https%3A%2F%2Fmcp.example.com", true),
        ("code=c&state={state}&iss=https%3A%2F%2Fevil.example", false),
    ] {
        let mut world = World::empty();
        world.answer("POST https://mcp.example.com/register", 201, json!({"client_id": "c"}));
        world.answer("POST https://mcp.example.com/token", 200, tokens());
        world.redirect = redirect;
        assert_eq!(matches!(world.login(), End::Done(_)), taken, "{redirect}");
    }
}

#[test]
fn it_can_be_switched_off() {
    let mut world = World::empty();
    world.profile(|profile| profile.without_metadata(false));
    let error = world.login().failed(FlowErrorKind::Metadata);
    assert!(error.to_string().contains("does not say where"), "{error}");
    assert_eq!(world.lines(), [RESOURCE_AT, ROOT_RESOURCE_AT]);
}
