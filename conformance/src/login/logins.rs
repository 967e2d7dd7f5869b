//! Our client logs in, and stays logged in.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use throughline::auth::flow::ClientId;
use throughline::auth::oauth::{ClientKey, MemoryTokenStore};
use throughline::auth::{OAuth, ScopeSet, Secret};
use throughline::revision::Revision;
use throughline::{Client, tokens};

use crate::checks::{Checked, Checks, holds, same};
use crate::locked::{Kind, Locked};
use crate::person::Person;
use crate::web;

/// Calls at the same moment that all meet an expired token.
const AT_ONCE: usize = 50;

/// The hour that a token is good for, and a little.
const TOO_LATE: Duration = Duration::from_secs(3700);

/// Makes all checks.
pub(crate) async fn check(person: &Person, checks: &mut Checks) {
    checks.make("what a server says that is locked", refusal(person)).await;
    checks.make("log in once", log_in(person, Revision::LATEST)).await;
    checks.make("log in once, in a session", log_in(person, Revision::LATEST_LEGACY)).await;
    checks.make("step up", step_up(person)).await;
    checks.make("a scope that the person withholds", withheld(person)).await;
    checks.make("the person says no", denied(person)).await;
    checks.make("one refresh for many calls", one_refresh(person)).await;
    checks.make("a refresh token that somebody else used", stolen(person)).await;
    checks.make("a token that ends soon is refreshed before", refreshed_before(person)).await;
    checks.make("a new key", new_key(person)).await;
    checks.make("opaque tokens", opaque(person)).await;
    checks.make("a token for another server", another_audience(person)).await;
    checks.make("two steps", two_steps(person)).await;
    checks.make("a client id that is an address", metadata_document(person)).await;
    checks.make("a device", device(person)).await;
    checks.make("a proof of possession", bound(person)).await;
    checks.make("a client of its own right: secret in a header", robot(person, "robot-basic")).await;
    checks.make("a client of its own right: secret in the form", robot(person, "robot-post")).await;
    checks.make("a client of its own right: a key", robot(person, "robot-jwt")).await;
}

/// A client that forgets everything when it ends.
fn oauth(person: &Person) -> OAuth {
    OAuth::new().client_name("login-peer").store(MemoryTokenStore::new()).prompt(person.clone())
}

async fn connect(server: &Locked, oauth: &OAuth) -> Checked<Client> {
    Ok(Client::connect(&server.url).authorize(oauth.clone()).await?)
}

/// Calls a tool; the text of its answer.
async fn text(client: &Client, tool: &'static str) -> Checked<String> {
    let result = client.call_tool(tool, &json!({})).await?;
    let text = result.content.first().and_then(|content| content.as_text()).unwrap_or_default();
    if result.is_error { Err(text.into()) } else { Ok(text.to_owned()) }
}

/// A request as it is, with a token or without.
async fn bare(server: &Locked, authorization: Option<&str>) -> Checked<web::Answer> {
    let mut headers = vec![
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "server/discover"),
    ];
    headers.extend(authorization.map(|value| ("authorization", value)));
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": { "_meta": meta } });
    web::send(Method::POST, &server.url, &headers, body.to_string()).await
}

async fn refusal(person: &Person) -> Checked {
    let server = Locked::start(&person.issuer, Kind::Jwt).await?;
    let answer = bare(&server, None).await?;
    same("the status", answer.status, StatusCode::UNAUTHORIZED)?;
    let challenge = answer.header("www-authenticate");
    let origin = server.url.trim_end_matches("/mcp");
    let document = format!("{origin}/.well-known/oauth-protected-resource/mcp");
    holds(
        "the challenge names the document",
        challenge.contains(&format!("resource_metadata=\"{document}\"")),
    )?;
    holds("it names the scope", challenge.contains("scope=\"tools:read\""))?;
    let document = web::send(Method::GET, &document, &[], "").await?;
    let document: Value = serde_json::from_slice(&document.body)?;
    same("the resource", &document["resource"], &json!(server.url))?;
    same("the authorization server", &document["authorization_servers"], &json!([person.issuer]))?;
    let nonsense = bare(&server, Some("Bearer nonsense")).await?;
    same("the status of a token that is none", nonsense.status, StatusCode::UNAUTHORIZED)
}

/// One login, for two clients and a store that a third one reads.
async fn log_in(person: &Person, revision: Revision) -> Checked {
    let server = Locked::start(&person.issuer, Kind::Jwt).await?;
    let before = person.counts().await?;
    let store = MemoryTokenStore::new();
    let first = oauth(person).store(store.clone());
    for oauth in [&first, &first, &oauth(person).store(store)] {
        let client = Client::connect(&server.url).revision(revision).authorize(oauth.clone()).await?;
        same("the tools", client.list_tools().await?.len(), 3)?;
        same("who calls", text(&client, "whoami").await?, "ada")?;
        client.close().await?;
    }
    person
        .answered(&before, json!({ "registration": 1, "authorization": 1, "authorization_code": 1 }))
        .await?;
    let login = first.whoami(&server.url).await?.ok_or("nobody is logged in")?;
    holds(&format!("the login tells its server ({login})"), login.to_string().contains(&person.issuer))
}

async fn step_up(person: &Person) -> Checked {
    let server = Locked::start(&person.issuer, Kind::Jwt).await?;
    let before = person.counts().await?;
    let client = connect(&server, &oauth(person)).await?;
    same("with what it has", text(&client, "read").await?, "read")?;
    same("with more", text(&client, "write").await?, "written")?;
    same("with what it had", text(&client, "read").await?, "read")?;
    // It registers anew: a client may be held to the scopes that it registered with.
    person
        .answered(&before, json!({ "registration": 2, "authorization": 2, "authorization_code": 2 }))
        .await?;
    let page = person.last_page();
    holds(
        &format!("both scopes were asked for ({page})"),
        page.contains("tools%3Aread") && page.contains("tools%3Awrite"),
    )
}

/// A scope that was asked for and not granted ends in an error that names it, not in asking on and on.
async fn withheld(person: &Person) -> Checked {
    let server = Locked::start(&person.issuer, Kind::Jwt).await?;
    let client = connect(&server, &oauth(person)).await?;
    person.set(json!({ "withhold": ["tools:write"] })).await?;
    let before = person.counts().await?;
    let refused = text(&client, "write").await;
    person.set(json!({ "withhold": [] })).await?;
    let error = refused.err().ok_or("it was let in")?.to_string();
    holds(&format!("the error names the scope ({error})"), error.contains("tools:write"))?;
    let asked = person.since(&before).await?["authorization"].as_u64().unwrap_or_default();
    holds(&format!("the person was asked a few times ({asked})"), (1..=3).contains(&asked))?;
    same("with what it has", text(&client, "read").await?, "read")
}

async fn denied(person: &Person) -> Checked {
    let server = Locked::start(&person.issuer, Kind::Jwt).await?;
    person.set(json!({ "deny": true })).await?;
    let refused = connect(&server, &oauth(person)).await;
    person.set(json!({ "deny": false })).await?;
    let Err(error) = refused else { return Err("it was let in".into()) };
    holds(
        &format!("the error says so ({error})"),
        error.to_string().contains("login") || error.to_string().contains("log in"),
    )
}

/// The server's clock goes on by more than a token lasts; many calls find that out at the same moment.
async fn one_refresh(person: &Person) -> Checked {
    let server = Locked::start(&person.issuer, Kind::Jwt).await?;
    let client = connect(&server, &oauth(person)).await?;
    same("at first", text(&client, "whoami").await?, "ada")?;
    person.set(json!({ "accessTokenSeconds": 10 * TOO_LATE.as_secs() })).await?;
    let before = person.counts().await?;
    server.ahead(TOO_LATE);
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..AT_ONCE {
        let client = client.clone();
        calls.spawn(async move { text(&client, "whoami").await.map_err(|error| error.to_string()) });
    }
    for outcome in calls.join_all().await {
        same("a call", outcome, Ok("ada".to_owned()))?;
    }
    person.set(json!({ "accessTokenSeconds": 3600 })).await?;
    person.answered(&before, json!({ "refresh_token": 1 })).await
}

/// Reuse of a refresh token ends all that came of it, so the person is asked again.
async fn stolen(person: &Person) -> Checked {
    let server = Locked::start(&person.issuer, Kind::Jwt).await?;
    let oauth = oauth(person).client_id(ClientId::new("application"));
    let client = connect(&server, &oauth).await?;
    same("at first", text(&client, "whoami").await?, "ada")?;
    // Whoever has the newest one uses it first, and the client's is the one that is used again.
    let stolen = person.control("newest", &json!({})).await?;
    let stolen = stolen["refresh_token"].as_str().ok_or("there is no refresh token")?;
    let form = format!("grant_type=refresh_token&client_id=application&refresh_token={stolen}");
    holds("the thief gets tokens", person.token(&form).await?["access_token"].is_string())?;
    person.set(json!({ "accessTokenSeconds": 10 * TOO_LATE.as_secs() })).await?;
    let before = person.counts().await?;
    server.ahead(TOO_LATE);
    same("afterwards", text(&client, "whoami").await?, "ada")?;
    person.set(json!({ "accessTokenSeconds": 3600 })).await?;
    let wanted = json!({ "grant error invalid_grant": 1, "authorization": 1, "authorization_code": 1 });
    person.answered(&before, wanted).await
}

/// Each call finds a token that has a few seconds left, and needs nobody.
async fn refreshed_before(person: &Person) -> Checked {
    let server = Locked::start(&person.issuer, Kind::Jwt).await?;
    person.set(json!({ "accessTokenSeconds": 1 })).await?;
    let client = connect(&server, &oauth(person)).await?;
    let before = person.counts().await?;
    let mut answered = json!({});
    while answered["refresh_token"].as_u64().unwrap_or_default() < 2 {
        same("a call", text(&client, "whoami").await?, "ada")?;
        answered = person.since(&before).await?;
    }
    person.set(json!({ "accessTokenSeconds": 3600 })).await?;
    same("logins meanwhile", &answered["authorization"], &Value::Null)
}

/// The authorization server signs with another key, and later withdraws all that it had.
async fn new_key(person: &Person) -> Checked {
    let server = Locked::start(&person.issuer, Kind::Jwt).await?;
    same("the old key", text(&connect(&server, &oauth(person)).await?, "whoami").await?, "ada")?;
    person.control("rotate", &json!({ "withdraw": true })).await?;
    same("the new key", text(&connect(&server, &oauth(person)).await?, "whoami").await?, "ada")
}

/// The server asks about each token, so one that was given up is good for nothing at once.
async fn opaque(person: &Person) -> Checked {
    let server = Locked::start(&person.issuer, Kind::Opaque).await?;
    let oauth = oauth(person).client_id(ClientId::new("application"));
    let client = connect(&server, &oauth).await?;
    same("at first", text(&client, "whoami").await?, "ada")?;
    let before = person.counts().await?;
    same("again", text(&client, "whoami").await?, "ada")?;
    holds(
        "the authorization server was asked",
        person.since(&before).await?["introspection"].as_u64() >= Some(1),
    )?;
    let newest = person.control("newest", &json!({})).await?;
    let token = newest["access_token"].as_str().ok_or("there is no access token")?.to_owned();
    same(
        "the token as it is",
        bare(&server, Some(&format!("Bearer {token}"))).await?.status,
        StatusCode::OK,
    )?;
    oauth.logout(&server.url).await?;
    person.control("revoke", &json!({ "token": token })).await?;
    let refused = bare(&server, Some(&format!("Bearer {token}"))).await?;
    same("once it is given up", refused.status, StatusCode::UNAUTHORIZED)
}

/// A good token of the same authorization server, for the same person, and for somewhere else.
async fn another_audience(person: &Person) -> Checked {
    let here = Locked::start(&person.issuer, Kind::Jwt).await?;
    let there = Locked::start(&person.issuer, Kind::Jwt).await?;
    for server in [&here, &there] {
        same("its own", text(&connect(server, &oauth(person)).await?, "whoami").await?, "ada")?;
    }
    let token = person.control("robot", &json!({ "resource": there.url })).await?;
    let token = token["access_token"].as_str().ok_or("there is no token")?.to_owned();
    let authorization = format!("Bearer {token}");
    same("where it is for", bare(&there, Some(&authorization)).await?.status, StatusCode::OK)?;
    same("where it is not", bare(&here, Some(&authorization)).await?.status, StatusCode::UNAUTHORIZED)?;
    // In the address it is no token anywhere.
    let in_query = web::send(Method::POST, &format!("{}?access_token={token}", there.url), &[], "{}").await?;
    same("in the address", in_query.status, StatusCode::BAD_REQUEST)?;
    let client =
        Client::connect(&there.url).authorize(tokens(move |_| std::future::ready(Ok(token.clone())))).await?;
    same("a token of one's own", text(&client, "whoami").await?, "robot-basic")
}

/// An application that people use in a browser: another one finishes what the first began.
async fn two_steps(person: &Person) -> Checked {
    let server = Locked::start(&person.issuer, Kind::Jwt).await?;
    let store = MemoryTokenStore::new();
    let application = || {
        let id = ClientId::new("web-application").secret(Secret::new("a secret of the web application"));
        let oauth = OAuth::new().client_name("web").store(store.clone()).client_id(id);
        oauth.redirect_uri("https://application.example/callback")
    };
    let before = person.counts().await?;
    let started = application().start(&server.url).await?;
    let kept = serde_json::to_string(&started)?;
    let redirect = person.visit(&started.address()).await?;
    application().finish(serde_json::from_str(&kept)?, &redirect).await?;
    let client = connect(&server, &application()).await?;
    same("who calls", text(&client, "whoami").await?, "ada")?;
    person.answered(&before, json!({ "authorization": 1, "authorization_code": 1 })).await?;
    let again = application().finish(serde_json::from_str(&kept)?, &redirect).await;
    holds("its code is used once", again.is_err())
}

async fn metadata_document(person: &Person) -> Checked {
    let server = Locked::start(&person.issuer, Kind::Jwt).await?;
    let address = "https://login-peer.example/client.json";
    let document = json!({
        "client_id": address,
        "client_name": "login-peer",
        "application_type": "native",
        "redirect_uris": ["http://127.0.0.1/callback"],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
    });
    person.control("document", &json!({ "address": address, "document": document })).await?;
    let before = person.counts().await?;
    let client = connect(&server, &oauth(person).metadata_document(address)).await?;
    same("who calls", text(&client, "whoami").await?, "ada")?;
    person.answered(&before, json!({ "authorization": 1, "authorization_code": 1 })).await
}

async fn device(person: &Person) -> Checked {
    let server = Locked::start(&person.issuer, Kind::Jwt).await?;
    let oauth = oauth(person).client_id(ClientId::new("television")).device();
    let client = connect(&server, &oauth).await?;
    same("who calls", text(&client, "whoami").await?, "ada")?;
    holds("a code was shown", person.last_page().contains("user_code="))
}

/// Both servers give out nonces. The token is good for nothing without the client's key.
async fn bound(person: &Person) -> Checked {
    let server = Locked::start(&person.issuer, Kind::Bound).await?;
    person.set(json!({ "dpopNonce": true })).await?;
    let oauth = oauth(person).client_id(ClientId::new("application"));
    let client = connect(&server, &oauth).await?;
    same("who calls", text(&client, "whoami").await?, "ada")?;
    let newest = person.control("newest", &json!({})).await?;
    same("the kind of token", &newest["token_type"], &json!("DPoP"))?;
    let token = newest["access_token"].as_str().ok_or("there is no access token")?;
    for scheme in ["Bearer", "DPoP"] {
        let refused = bare(&server, Some(&format!("{scheme} {token}"))).await?;
        same(&format!("{scheme} without a proof"), refused.status, StatusCode::UNAUTHORIZED)?;
    }
    // Tokens that end soon are refreshed, with proofs and nonces too.
    person.set(json!({ "accessTokenSeconds": 1 })).await?;
    let client = connect(&server, &oauth.store(MemoryTokenStore::new())).await?;
    let before = person.counts().await?;
    while person.since(&before).await?["refresh_token"] == Value::Null {
        same("a call", text(&client, "whoami").await?, "ada")?;
    }
    person.set(json!({ "accessTokenSeconds": 3600, "dpopNonce": false })).await
}

async fn robot(person: &Person, id: &str) -> Checked {
    let server = Locked::start(&person.issuer, Kind::Jwt).await?;
    let oauth = OAuth::new().store(MemoryTokenStore::new()).scopes(ScopeSet::parse("tools:read")?);
    let oauth = if id == "robot-jwt" {
        let key = person.control("key", &json!({})).await?;
        let key = ClientKey::pem(key["key"].as_str().ok_or("there is no key")?)?.with_id("robot");
        oauth.client_credentials(ClientId::new(id)).signing_key(key)
    } else {
        oauth.client_credentials(ClientId::new(id).secret(Secret::new("a secret: of 100 % & a +")))
    };
    let client = connect(&server, &oauth).await?;
    same("who calls", text(&client, "whoami").await?, id)?;
    // Nobody can be asked: it asks for more by itself, and gets that.
    same("with more", text(&client, "write").await?, "written")
}
