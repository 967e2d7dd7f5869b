//! Entries that only some callers may see.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use throughline::revision::Revision;
use throughline::{Caller, Principal, Server, StreamableHttp, prompt, resource, template, tool};

use crate::support::{Wire, call, initialize, request, text};

#[derive(Deserialize, JsonSchema)]
struct City {
    city: String,
}

fn is_admin(caller: &Caller) -> bool {
    caller.principal().is_some_and(|who| &*who.subject == "admin")
}

async fn suggest(_: throughline::Completing) -> Vec<String> {
    vec!["Bern".into()]
}

/// Of each kind one for everybody and one for the admin alone.
fn server() -> Server {
    Server::new("it", "1")
        .tool(tool("open", || async { "open" }))
        .tool(tool("secret", || async { "secret" }).visible_to(is_admin))
        .prompt(prompt("open", |city: City| async move { city.city }))
        .prompt(
            prompt("secret", |city: City| async move { city.city })
                .complete("city", suggest)
                .visible_to(is_admin),
        )
        .resource(resource("it://open", "open", || async { "open" }))
        .resource(resource("it://secret", "secret", || async { "secret" }).visible_to(is_admin))
        .template(template("it://open/{city}", "open", |city: City| async move { city.city }))
        .template(
            template("it://secret/{city}", "secret", |city: City| async move { city.city })
                .complete("city", suggest)
                .visible_to(is_admin),
        )
}

fn endpoint(server: Server) -> StreamableHttp {
    StreamableHttp::builder(server)
        .principal(|parts| Some(Principal::new("it", parts.headers.get("x-who")?.to_str().ok()?)))
        .build()
}

async fn open_as(endpoint: &StreamableHttp, who: &str) -> Wire {
    let mut wire = Wire::new(endpoint).with("x-who", who);
    let answer = wire.post(initialize(Revision::V2025_11_25, &json!({}))).send().await;
    wire.adopt(&answer, Revision::V2025_11_25);
    wire
}

/// The answer to a request with `secret` in it, and what a request gets where `secret` never existed.
async fn answer(wire: &Wire, method: &str, params: &str) -> Value {
    wire.post(request(1, method, serde_json::from_str(params).unwrap())).send().await.json().await
}

const LISTS: [(&str, &str, &str); 4] = [
    ("tools/list", "tools", "name"),
    ("prompts/list", "prompts", "name"),
    ("resources/list", "resources", "name"),
    ("resources/templates/list", "resourceTemplates", "name"),
];

#[tokio::test(start_paused = true)]
async fn hidden_entries_are_not_listed() {
    let endpoint = endpoint(server());
    for (who, seen) in [("admin", json!(["open", "secret"])), ("guest", json!(["open"]))] {
        let wire = open_as(&endpoint, who).await;
        for (method, list, name) in LISTS {
            let answer = answer(&wire, method, "{}").await;
            let names: Vec<&Value> =
                answer["result"][list].as_array().unwrap().iter().map(|entry| &entry[name]).collect();
            assert_eq!(json!(names), seen, "{who} {method}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn hidden_entries_are_as_unknown_as_those_that_never_were() {
    let endpoint = endpoint(server());
    let guest = open_as(&endpoint, "guest").await;
    let admin = open_as(&endpoint, "admin").await;
    for (method, params) in [
        ("tools/call", r#"{"name":"secret"}"#),
        ("prompts/get", r#"{"name":"secret","arguments":{"city":"Bern"}}"#),
        ("resources/read", r#"{"uri":"it://secret"}"#),
        ("resources/read", r#"{"uri":"it://secret/Bern"}"#),
        (
            "completion/complete",
            r#"{"ref":{"type":"ref/prompt","name":"secret"},"argument":{"name":"city","value":""}}"#,
        ),
        (
            "completion/complete",
            r#"{"ref":{"type":"ref/resource","uri":"it://secret/{city}"},"argument":{"name":"city","value":""}}"#,
        ),
    ] {
        assert!(answer(&admin, method, params).await.get("result").is_some(), "{method} {params}");
        let hidden = answer(&guest, method, params).await;
        let unknown = answer(&guest, method, &params.replace("secret", "nothing")).await;
        assert!(hidden.get("error").is_some(), "{method} {params}: {hidden}");
        assert_eq!(hidden.to_string().replace("secret", "nothing"), unknown.to_string());
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_hears_of_updates_of_what_is_hidden_from_them() {
    let server = server();
    let endpoint = endpoint(server.clone());
    let guest = open_as(&endpoint, "guest").await;
    let admin = open_as(&endpoint, "admin").await;
    for wire in [&guest, &admin] {
        for uri in ["it://open", "it://secret", "it://secret/Bern", "it://open/Bern"] {
            let params = format!(r#"{{"uri":"{uri}"}}"#);
            assert!(answer(wire, "resources/subscribe", &params).await.get("result").is_some());
        }
    }
    let mut heard = guest.get().send().await.events();
    assert!(heard.next().await.is_some(), "it is primed");
    assert_eq!(server.resource_updated("it://secret"), 1);
    assert_eq!(server.resource_updated("it://secret/Bern"), 1);
    assert_eq!(server.resource_updated("it://open/Bern"), 2);
    assert_eq!(server.resource_updated("it://open"), 2);
    assert_eq!(heard.message().await.message["params"]["uri"], "it://open/Bern");
    assert_eq!(heard.message().await.message["params"]["uri"], "it://open");
}

#[tokio::test(start_paused = true)]
async fn both_conditions_must_take_the_caller() {
    let tool = tool("both", || async { "both" })
        .visible_to(is_admin)
        .visible_to(|caller| caller.revision().has_structured_content());
    let endpoint = endpoint(Server::new("it", "1").tool(tool));
    let admin = open_as(&endpoint, "admin").await;
    assert_eq!(text(&admin.post(call(1, "both", json!({}))).send().await.json().await), "both");
    let guest = open_as(&endpoint, "guest").await;
    assert!(answer(&guest, "tools/call", r#"{"name":"both"}"#).await.get("error").is_some());
}
