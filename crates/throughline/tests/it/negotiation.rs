//! What client and server tell each other that they can do: extensions, and what a tool needs.

use serde_json::{Value, json};
use throughline::revision::Revision;
use throughline::{Ability, Context, Server, StreamableHttp, prompt, resource, template, tool};

use crate::support::{Wire, modern, modern_of, request, text};

const CHARTS: &str = "com.example/charts";

fn server() -> Server {
    let charts = |cx: Context| async move {
        cx.caller().extension(CHARTS).map_or("none".to_owned(), |settings| settings.as_str().to_owned())
    };
    Server::new("it", "1")
        .extension(CHARTS, json!({ "formats": ["svg"] }))
        .extension("com.example/plain", json!({}))
        .tool(tool("charts", charts))
}

fn declared() -> Value {
    json!({ CHARTS: { "formats": ["svg"] }, "com.example/plain": {} })
}

fn charts() -> Value {
    json!({ "name": "charts", "arguments": {} })
}

#[tokio::test]
async fn extensions_are_declared_in_both_eras() {
    let endpoint = StreamableHttp::new(server());
    let wire = Wire::new(&endpoint);
    let found = wire.post_modern(modern(1, "server/discover", json!({}))).send().await.json().await;
    assert_eq!(found["result"]["capabilities"]["extensions"], declared());
    for revision in [Revision::V2025_03_26, Revision::V2025_06_18, Revision::V2025_11_25] {
        let initialize = crate::support::initialize(revision, &json!({}));
        let opened = wire.post(initialize).send().await.json().await;
        assert_eq!(opened["result"]["capabilities"]["extensions"], declared(), "{revision}");
    }
}

#[tokio::test]
async fn a_handler_reads_what_its_client_declared() {
    let endpoint = StreamableHttp::new(server());
    let wire = Wire::new(&endpoint);
    let said = async |extensions: Value| {
        let message = modern_of(json!({ "extensions": extensions }), 1, "tools/call", charts());
        let answer = wire.post_modern(message).send().await;
        assert_eq!(answer.status(), 200);
        text(&answer.json().await).to_owned()
    };
    assert_eq!(said(json!({ CHARTS: { "depth": 2 } })).await, r#"{"depth":2}"#);
    assert_eq!(said(json!({ "org.unknown/thing": { "a": 1 }, CHARTS: {} })).await, "{}");
    assert_eq!(said(json!({ "org.unknown/thing": {} })).await, "none");
    assert_eq!(said(json!({ CHARTS: true })).await, "none", "settings are an object");

    let capabilities = json!({ "extensions": { CHARTS: { "depth": 3 }, "org.unknown/thing": {} } });
    let wire = Wire::open_with(&endpoint, Revision::V2025_11_25, capabilities).await;
    let answer = wire.post(request(1, "tools/call", charts())).send().await.json().await;
    assert_eq!(text(&answer), r#"{"depth":3}"#);
}

fn panic_of(declare: impl FnOnce() -> Server + std::panic::UnwindSafe) -> String {
    let panic = std::panic::catch_unwind(declare).expect_err("a misuse");
    panic.downcast_ref::<String>().expect("a sentence").clone()
}

#[test]
fn what_is_no_extension_is_refused() {
    let new = || Server::new("it", "1");
    insta::assert_snapshot!(panic_of(|| new().extension("charts", json!({}))), @"`charts` is no identifier of an extension; write a domain of yours, a slash and a name, such as `com.example/search`");
    insta::assert_snapshot!(panic_of(|| new().extension(CHARTS, true)), @"the settings of the extension `com.example/charts` are no JSON object; write `json!({})` where it has none");
    insta::assert_snapshot!(panic_of(|| new().extension(CHARTS, json!({})).extension(CHARTS, json!({}))), @"the extension `com.example/charts` is declared already; keep one");
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Of {
    id: String,
}

/// Everything needs something.
fn needing() -> Server {
    Server::new("it", "1")
        .tool(
            tool("t", || async { "ran" })
                .needs(Ability::SamplingTools)
                .needs(Ability::Elicitation)
                .needs(Ability::ElicitationUrl),
        )
        .prompt(prompt("p", || async { "ran" }).needs(Ability::Roots))
        .resource(resource("it://r", "r", || async { "ran" }).needs(Ability::Sampling))
        .template(template("it://of/{id}", "of", |of: Of| async move { of.id }).needs(Ability::Sampling))
}

#[tokio::test]
async fn a_call_of_a_client_that_cannot_is_refused_before_it_runs() {
    let wire = Wire::new(&StreamableHttp::new(needing()));
    let refused = async |capabilities: Value, method: &str, params: Value| {
        let answer = wire.post_modern(modern_of(capabilities, 1, method, params)).send().await;
        let status = answer.status();
        let error = answer.json().await["error"].clone();
        assert_eq!((status, &error["code"]), (400, &json!(-32021)), "{error}");
        (
            error["message"].as_str().expect("a sentence").to_owned(),
            error["data"]["requiredCapabilities"].clone(),
        )
    };
    let of = |name: &str| json!({ "name": name });
    let (why, required) = refused(json!({}), "tools/call", of("t")).await;
    insta::assert_snapshot!(why, @"this needs a client with the capability `sampling.tools` and `elicitation.form` and `elicitation.url`, and this one did not declare it");
    assert_eq!(required, json!({ "sampling": { "tools": {} }, "elicitation": { "form": {}, "url": {} } }));
    let some = json!({ "sampling": { "tools": {} }, "elicitation": {} });
    let (_, required) = refused(some, "tools/call", of("t")).await;
    assert_eq!(required, json!({ "elicitation": { "url": {} } }), "only what is missing");
    let (_, required) = refused(json!({ "sampling": {} }), "prompts/get", of("p")).await;
    assert_eq!(required, json!({ "roots": {} }));
    for uri in ["it://r", "it://of/7"] {
        let (_, required) = refused(json!({ "roots": {} }), "resources/read", json!({ "uri": uri })).await;
        assert_eq!(required, json!({ "sampling": {} }));
    }
    let able = json!({ "sampling": { "tools": {} }, "elicitation": { "form": {}, "url": {} } });
    let answer = wire.post_modern(modern_of(able, 1, "tools/call", of("t"))).send().await;
    assert_eq!(text(&answer.json().await), "ran");
}
