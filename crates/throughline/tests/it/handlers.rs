//! What handlers do and how it looks on the wire of each revision.

use std::sync::{Arc, Mutex};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use throughline::model::{LoggingLevel, ResourceContents};
use throughline::revision::Revision;
use throughline::{Context, Error, Handler, Json, Server, StreamableHttp, prompt, resource, template, tool};

use crate::support::{Gate, REVISIONS, Wire, call, kit, request, text};

#[derive(Deserialize, JsonSchema)]
struct Add {
    a: i64,
    b: i64,
}

#[derive(Serialize, JsonSchema)]
struct Sum {
    sum: i64,
}

#[derive(Deserialize, JsonSchema)]
struct City {
    /// Which one.
    city: String,
    days: Option<u8>,
}

fn server() -> Server {
    kit::server(&Gate::new())
        .instructions("Be kind.")
        .tool(tool("add", |add: Add| async move { Json(Sum { sum: add.a + add.b }) }).description("Adds."))
        .prompt(
            prompt("weather", |city: City| async move { format!("{} for {:?} days", city.city, city.days) })
                .complete("city", |completing| async move {
                    let all = ["Bern", "Basel", "Biel"];
                    all.iter()
                        .filter(|city| city.starts_with(&completing.value))
                        .map(|city| (*city).into())
                        .collect()
                }),
        )
        .resource(resource("it://text", "text", || async { "a text" }).mime_type("text/plain"))
        .resource(resource("it://blob", "blob", || async { bytes::Bytes::from_static(b"\x00\xff") }))
        .template(template("it://city/{city}", "city", |city: CityOnly| async move {
            format!("about {}", city.city)
        }))
}

#[derive(Deserialize, JsonSchema)]
struct CityOnly {
    city: String,
}

async fn ask(wire: &Wire, method: &str, params: Value) -> Value {
    let answer = wire.post(request(1, method, params)).send().await.json().await;
    assert!(answer.get("result").is_some(), "{method}: {answer}");
    answer["result"].clone()
}

#[tokio::test(start_paused = true)]
async fn capabilities_are_what_is_registered() {
    let hello = async |server: Server| {
        let wire = Wire::new(&StreamableHttp::new(server));
        let hello = crate::support::initialize(Revision::V2025_11_25, &json!({}));
        wire.post(hello).send().await.json().await["result"].clone()
    };
    insta::assert_snapshot!(hello(Server::new("bare", "1")).await["capabilities"], @r#"{"logging":{}}"#);
    let full = hello(server()).await;
    insta::assert_snapshot!(full["capabilities"], @r#"{"completions":{},"logging":{},"prompts":{"listChanged":true},"resources":{"listChanged":true,"subscribe":true},"tools":{"listChanged":true}}"#);
    assert_eq!((&full["instructions"], &full["serverInfo"]["name"]), (&json!("Be kind."), &json!("it")));
}

#[tokio::test(start_paused = true)]
async fn everything_that_is_registered_is_served_in_every_revision() {
    let endpoint = StreamableHttp::new(server());
    for revision in REVISIONS {
        let wire = Wire::open(&endpoint, revision).await;
        let tools = ask(&wire, "tools/list", json!({})).await;
        assert_eq!(tools["tools"].as_array().unwrap().len(), 4);
        let add = &tools["tools"][3];
        assert_eq!(add.get("outputSchema").is_some(), revision.has_structured_content(), "{revision}");
        let sum = ask(&wire, "tools/call", json!({ "name": "add", "arguments": { "a": 2, "b": 3 } })).await;
        assert_eq!(sum["content"][0]["text"], r#"{"sum":5}"#);
        let structured = revision.has_structured_content().then(|| json!({ "sum": 5 }));
        assert_eq!(sum.get("structuredContent"), structured.as_ref());
        assert_eq!(ask(&wire, "prompts/list", json!({})).await["prompts"][0]["arguments"][0]["name"], "city");
        let got = ask(
            &wire,
            "prompts/get",
            json!({ "name": "weather", "arguments": { "city": "Bern", "days": "3" } }),
        )
        .await;
        assert_eq!(got["messages"][0]["content"]["text"], "Bern for Some(3) days");
        assert_eq!(ask(&wire, "resources/list", json!({})).await["resources"].as_array().unwrap().len(), 2);
        let templates = ask(&wire, "resources/templates/list", json!({})).await;
        assert_eq!(templates["resourceTemplates"][0]["uriTemplate"], "it://city/{city}");
        let read = async |uri: &str| {
            ask(&wire, "resources/read", json!({ "uri": uri })).await["contents"][0].clone()
        };
        assert_eq!(
            read("it://text").await,
            json!({ "uri": "it://text", "mimeType": "text/plain", "text": "a text" })
        );
        assert_eq!(read("it://blob").await["blob"], "AP8=");
        assert_eq!(read("it://city/Bern").await["text"], "about Bern");
        let complete = json!({ "ref": { "type": "ref/prompt", "name": "weather" }, "argument": { "name": "city", "value": "B" } });
        let values = ask(&wire, "completion/complete", complete).await["completion"]["values"].clone();
        assert_eq!(values, json!(["Bern", "Basel", "Biel"]));
    }
}

#[tokio::test(start_paused = true)]
async fn arguments_that_do_not_fit_name_the_field_by_revision() {
    let endpoint = StreamableHttp::new(server());
    for revision in REVISIONS {
        let wire = Wire::open(&endpoint, revision).await;
        let answer = wire.post(call(1, "add", json!({ "a": 1, "b": "two" }))).send().await.json().await;
        let sentence = if revision.argument_errors_are_results() {
            assert_eq!(answer["result"]["isError"], true);
            text(&answer)
        } else {
            assert_eq!(answer["error"]["code"], -32602);
            answer["error"]["message"].as_str().unwrap()
        };
        insta::allow_duplicates! { insta::assert_snapshot!(sentence, @r#"the argument `b` does not fit: invalid type: string "two", expected i64"#); }
        let missing = wire.post(call(2, "add", json!({ "a": 1 }))).send().await.text().await;
        assert!(missing.contains("missing field `b`"), "{missing}");
    }
}

#[tokio::test(start_paused = true)]
async fn lists_come_in_pages() {
    let mut server = Server::new("it", "1").page_size(3);
    for number in 0..7 {
        server = server.tool(tool(format!("tool-{number}"), || async { "x" }));
    }
    let wire = Wire::open(&StreamableHttp::new(server.clone()), Revision::V2025_11_25).await;
    let mut names = Vec::new();
    let mut cursor = None;
    for page in 0..3 {
        let params = cursor.take().map_or(json!({}), |cursor: Value| json!({ "cursor": cursor }));
        let list = ask(&wire, "tools/list", params).await;
        names.extend(
            list["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap().to_owned()),
        );
        cursor = list.get("nextCursor").cloned();
        assert_eq!(cursor.is_none(), page == 2);
        if page == 0 {
            // What changes meanwhile shifts nothing.
            assert!(server.remove_tool("tool-1"));
        }
    }
    assert_eq!(names, (0..7).map(|number| format!("tool-{number}")).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn log_messages_follow_the_clients_level() {
    let server = Server::new("it", "1").tool(tool("log", |cx: Context| async move {
        for level in [LoggingLevel::Debug, LoggingLevel::Info, LoggingLevel::Warning, LoggingLevel::Error] {
            cx.log(level, json!({ "at": level })).logger("it").await?;
        }
        Ok::<_, Error>("logged")
    }));
    let endpoint = StreamableHttp::new(server);
    let wire = Wire::open(&endpoint, Revision::V2025_11_25).await;
    let logged = async |wire: &Wire| {
        let events = wire.call(9, "log", json!({})).await.all().await;
        let levels =
            events.iter().filter_map(|event| event.message["params"]["level"].as_str().map(str::to_owned));
        levels.collect::<Vec<_>>()
    };
    assert_eq!(logged(&wire).await, ["warning", "error"]);
    ask(&wire, "logging/setLevel", json!({ "level": "debug" })).await;
    assert_eq!(logged(&wire).await, ["debug", "info", "warning", "error"]);
    ask(&wire, "logging/setLevel", json!({ "level": "error" })).await;
    assert_eq!(logged(&wire).await, ["error"]);
    let other = Wire::open(&endpoint, Revision::V2025_11_25).await;
    assert_eq!(logged(&other).await, ["warning", "error"], "a level is the session's own");
}

#[tokio::test(start_paused = true)]
async fn without_a_token_there_is_no_progress() {
    let wire = Wire::open(&StreamableHttp::new(server()), Revision::V2025_11_25).await;
    let params = json!({ "name": "steps", "arguments": { "count": 3 } });
    let answer = wire.post(request(1, "tools/call", params)).send().await;
    assert_eq!(text(&answer.json().await), "done");
    // The token is echoed as it came.
    let params =
        json!({ "name": "steps", "arguments": { "count": 1 }, "_meta": { "progressToken": "a \"token\"" } });
    let mut events = wire.post(request(2, "tools/call", params)).send().await.events();
    assert_eq!(events.message().await.message["params"]["progressToken"], "a \"token\"");
}

#[tokio::test(start_paused = true)]
async fn who_calls_is_known_to_the_handler() {
    let server = Server::new("it", "1").tool(tool("who", |cx: Context| async move {
        let client = cx.caller().client().expect("a session knows its client");
        format!(
            "{} {} {}",
            client.info.as_ref().expect("it said who it is").name,
            cx.caller().revision(),
            cx.session().is_some()
        )
    }));
    let wire = Wire::open(&StreamableHttp::new(server), Revision::V2025_06_18).await;
    assert_eq!(text(&wire.post(call(1, "who", json!({}))).send().await.json().await), "it 2025-06-18 true");
}

/// A handler that is no `Server`: it hears of notifications, and answers a method of its own.
#[derive(Default)]
struct Own(Arc<Mutex<Vec<String>>>);

impl Handler for Own {
    fn offer(&self) -> throughline::Offer {
        Server::new("own", "1").offer()
    }

    fn call(&self, call: throughline::Call, _: Context) -> throughline::Reply {
        throughline::Reply::Ready(match &*call.method {
            "resources/read" => {
                let contents = ResourceContents::text("it://own", call.params.as_str().to_owned());
                Ok(throughline::Answer::ReadResource(throughline::model::ReadResourceResult::new([contents])))
            }
            method => Err(throughline::McpError::method_not_found(method)),
        })
    }

    fn notified(&self, notification: throughline::jsonrpc::Notification, cx: Context) {
        assert!(cx.session().is_some());
        self.0.lock().unwrap().push(notification.method.to_string());
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_of_your_own_hears_what_the_engine_does_not_need() {
    let own = Own::default();
    let heard = Arc::clone(&own.0);
    let wire = Wire::open(&StreamableHttp::new(own), Revision::V2025_11_25).await;
    for method in ["notifications/roots/list_changed", "it/custom", "notifications/cancelled"] {
        wire.post(json!({ "jsonrpc": "2.0", "method": method })).send().await;
    }
    assert_eq!(
        *heard.lock().unwrap(),
        ["notifications/initialized", "notifications/roots/list_changed", "it/custom"]
    );
    let read = ask(&wire, "resources/read", json!({ "uri": "it://x" })).await;
    assert_eq!(read["contents"][0]["text"], r#"{"uri":"it://x"}"#);
    let answer = wire.post(request(2, "tools/list", json!({}))).send().await.json().await;
    assert_eq!(answer["error"]["code"], -32601);
}
