//! Arguments that HTTP headers carry too.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use throughline::jsonrpc::Raw;
use throughline::revision::Revision;
use throughline::{Client, Server, StreamableHttp, tool};

use crate::support::{Lines, Sending, Wire, call, modern, text};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(dead_code, reason = "only its schema matters")]
enum Size {
    Small,
    Large,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(dead_code, reason = "only its schema matters")]
enum Speed {
    /// As it comes.
    Slow,
    /// With haste.
    Fast,
}

/// Orders something.
#[tool]
async fn order(
    /// Where it is ordered.
    #[arg(header = "Region", length = 1..=20)]
    region: String,
    #[arg(header = "Shop", rename = "shopId", min = 1)] shop: Option<u32>,
    #[arg(header = "Gift", default)] gift: bool,
    #[arg(header = "Size")] size: Size,
    #[arg(header = "Old-Size")] old_size: Option<Size>,
    /// How fast it is wanted.
    #[arg(header = "Speed")]
    speed: Speed,
    #[arg(header = "Old-Speed")] old_speed: Option<Speed>,
    note: Option<String>,
) -> String {
    let _ = (shop, gift, size, old_size, speed, old_speed, note);
    region
}

async fn client(server: Server) -> Client {
    Client::over(StreamableHttp::new(server)).revision(Revision::LATEST_LEGACY).await.expect("a session")
}

async fn input_schema(server: Server) -> Value {
    let tools: Value = client(server).await.request("tools/list", &()).await.expect("an answer");
    tools["tools"][0]["inputSchema"].clone()
}

/// Clients leave tools out whose mark stands at anything but one primitive type that is said right there.
#[tokio::test]
async fn a_marked_argument_has_one_primitive_type() {
    let schema = input_schema(Server::new("demo", "1.0.0").tool(order)).await;
    insta::assert_snapshot!(lines(&schema["properties"]), @r#"
    gift: {"default":false,"type":"boolean","x-mcp-header":"Gift"}
    note: {"type":["string","null"]}
    old_size: {"enum":["small","large"],"type":"string","x-mcp-header":"Old-Size"}
    old_speed: {"oneOf":[{"const":"slow","description":"As it comes.","type":"string"},{"const":"fast","description":"With haste.","type":"string"}],"type":"string","x-mcp-header":"Old-Speed"}
    region: {"description":"Where it is ordered.","maxLength":20,"minLength":1,"type":"string","x-mcp-header":"Region"}
    shopId: {"format":"uint32","minimum":1,"type":"integer","x-mcp-header":"Shop"}
    size: {"enum":["small","large"],"type":"string","x-mcp-header":"Size"}
    speed: {"description":"How fast it is wanted.","oneOf":[{"const":"slow","description":"As it comes.","type":"string"},{"const":"fast","description":"With haste.","type":"string"}],"type":"string","x-mcp-header":"Speed"}
    "#);
    assert_eq!(schema.get("$defs"), None, "nothing refers to them any more");
    assert_eq!(schema["required"], json!(["region", "size", "speed"]));
}

fn lines(properties: &Value) -> String {
    let properties = properties.as_object().expect("an object");
    properties.iter().map(|(name, property)| format!("{name}: {property}\n")).collect()
}

#[derive(Deserialize, JsonSchema)]
struct Place {
    #[schemars(extend("x-mcp-header" = "City"))]
    city: String,
}

#[derive(Deserialize, JsonSchema)]
#[allow(dead_code, reason = "only its schema matters")]
struct Trip {
    to: Place,
    people: u8,
    share: f64,
    any: Value,
}

fn misuse(of: throughline::ToolDef) -> String {
    Server::new("demo", "1.0.0").add_tool(of).expect_err("a misuse").to_string()
}

fn trip() -> throughline::ToolDef {
    tool("trip", |trip: Trip| async move { trip.to.city })
}

#[test]
fn what_no_header_can_carry_is_refused_when_it_is_registered() {
    insta::assert_snapshot!(misuse(trip().header("person", "People")), @"the tool `trip` has no argument `person` for the header `People`; name one of those in its input schema");
    let schema = Raw::from_json("true").unwrap();
    insta::assert_snapshot!(misuse(trip().input_schema(schema).header("people", "People")), @"the tool `trip` carries arguments in headers, and its input schema is no object; describe the arguments in `properties`");
}

#[test]
fn what_breaks_the_rules_is_no_tool() {
    insta::assert_snapshot!(misuse(trip()), @r#"clients would leave the tool `trip` out: The x-mcp-header at "Place.city" is not on a property that is reached from the schema's root by "properties" alone. Move it to one, or leave it out."#);
    insta::assert_snapshot!(misuse(small().header("share", "Share")), @r#"clients would leave the tool `small` out: The x-mcp-header of "share" is on a property whose "type" is not "string", "integer" or "boolean". Give it one of these, or leave the x-mcp-header out."#);
    insta::assert_snapshot!(misuse(small().header("any", "Any")), @r#"clients would leave the tool `small` out: The x-mcp-header of "any" is on a property whose "type" is not "string", "integer" or "boolean". Give it one of these, or leave the x-mcp-header out."#);
    insta::assert_snapshot!(misuse(small().header("people", "two words")), @r#"clients would leave the tool `small` out: The x-mcp-header of "people" must be the end of a header's name, of 1 to 128 characters. Use letters, digits and hyphens."#);
    insta::assert_snapshot!(misuse(small().header("people", "N").header("share_of", "n")), @r#"clients would leave the tool `small` out: The x-mcp-header "n" is on "share_of" and, but for its case, on "people" too. Give each its own."#);
}

#[derive(Deserialize, JsonSchema)]
#[allow(dead_code, reason = "only its schema matters")]
struct Small {
    people: u8,
    share_of: u8,
    share: f64,
    any: Value,
}

fn small() -> throughline::ToolDef {
    tool("small", |small: Small| async move { small.people })
}

/// A schema written by hand may mark what lies deeper.
fn query() -> throughline::ToolDef {
    let schema = json!({
        "type": "object",
        "properties": {
            "region": { "type": "string", "x-mcp-header": "Region" },
            "filter": { "type": "object", "properties": { "limit": { "type": "integer", "x-mcp-header": "Limit" } } },
        },
    });
    tool(
        "query",
        |given: std::collections::BTreeMap<String, Value>| async move { format!("{}", json!(given)) },
    )
    .input_schema(Raw::new(&schema).expect("JSON"))
}

fn call_query(arguments: Value) -> Value {
    modern(1, "tools/call", json!({ "name": "query", "arguments": arguments }))
}

#[tokio::test]
async fn headers_must_say_what_the_arguments_say() {
    let wire = Wire::new(&StreamableHttp::new(Server::new("it", "1").tool(query())));
    let both = || json!({ "region": "us-west1", "filter": { "limit": 42 } });
    let fits = |sending: Sending| async move { sending.send().await.status() };
    let sent = |arguments: Value| wire.post_modern(call_query(arguments));
    let right = || sent(both()).header("mcp-param-region", "us-west1");
    assert_eq!(fits(right().header("mcp-param-limit", "42")).await, 200);
    assert_eq!(fits(right().header("mcp-param-limit", "42.0")).await, 200, "numbers are compared as such");
    assert_eq!(fits(sent(json!({}))).await, 200, "what is not there needs no header");
    assert_eq!(fits(sent(json!({ "region": null }))).await, 200, "nor does null");
    assert_eq!(
        fits(sent(json!({ "region": "=?base64?" })).header("mcp-param-region", "=?base64?")).await,
        200
    );
    assert_eq!(
        fits(sent(json!({ "region": "Zürich" })).header("mcp-param-region", "=?base64?WsO8cmljaA==?=")).await,
        200
    );
    assert_eq!(fits(right().header("mcp-param-limit", "42").header("mcp-param-other", "x")).await, 200);

    let refused = |sending: Sending| async move { sending.send().await.refusal().await };
    insta::assert_snapshot!(refused(right()).await, @"400 -32020: The Mcp-Param-Limit header is missing. Send in it what the body says.");
    insta::assert_snapshot!(refused(right().header("mcp-param-limit", "43")).await, @r#"400 -32020: The Mcp-Param-Limit header says "43", and the body "42". Send the same in both."#);
    insta::assert_snapshot!(refused(sent(json!({})).header("mcp-param-region", "us-west1")).await, @r#"400 -32020: The Mcp-Param-Region header is sent, and the body has no argument "region". Leave the header out."#);
    insta::assert_snapshot!(
        refused(sent(json!({ "region": "US" })).header("mcp-param-region", "us")).await,
        @r#"400 -32020: The Mcp-Param-Region header says "us", and the body "US". Send the same in both."#
    );
    insta::assert_snapshot!(
        refused(sent(json!({ "region": "us" })).header("mcp-param-region", "us").append("mcp-param-region", "us")).await,
        @"400 -32020: The Mcp-Param-Region header was sent more than once. Send it once."
    );
}

/// Only the modern era has such headers.
#[tokio::test]
async fn sessions_need_no_headers() {
    let wire =
        Wire::open(&StreamableHttp::new(Server::new("it", "1").tool(query())), Revision::V2025_11_25).await;
    let answer = wire.post(call(1, "query", json!({ "region": "us-west1" }))).send().await;
    assert_eq!(text(&answer.json().await), r#"{"region":"us-west1"}"#);
}

/// Mounted tools keep their headers, and so do those behind a layer.
#[tokio::test]
async fn mounted_tools_keep_their_headers() {
    let inner = Server::new("inner", "1").tool(query());
    let outer = Server::new("outer", "1").mount("in", inner).layer(tower::layer::util::Identity::new());
    let wire = Wire::new(&StreamableHttp::new(outer));
    let message = modern(1, "tools/call", json!({ "name": "in.query", "arguments": { "region": "eu" } }));
    let refused = wire.post_modern(message.clone()).send().await;
    assert_eq!(refused.status(), 400);
    let answer = wire.post_modern(message).header("mcp-param-region", "eu").send().await;
    assert_eq!(text(&answer.json().await), r#"{"region":"eu"}"#);
}

/// What a caller may not see, answers as what is not there does, whatever its headers say.
#[tokio::test]
async fn hidden_tools_check_no_headers() {
    let hidden = query().needs(throughline::Ability::Roots).visible_to(|_| false);
    let wire = Wire::new(&StreamableHttp::new(Server::new("it", "1").tool(hidden)));
    let answer = async |name: &str| {
        let params = json!({ "name": name, "arguments": { "region": "eu" } });
        let answer = wire.post_modern(modern(1, "tools/call", params)).send().await;
        (answer.status(), answer.json().await.to_string().replace(name, "_"))
    };
    assert_eq!(answer("query").await, answer("nothing").await);
}

#[tokio::test(start_paused = true)]
async fn lines_have_no_headers() {
    let mut lines = Lines::start(Server::new("it", "1").tool(query()).stdio());
    let answer = lines.ask(&call_query(json!({ "region": "us-west1" }))).await;
    assert_eq!(text(&answer), r#"{"region":"us-west1"}"#);
}

/// A key that is no text in Unicode hides no argument from the headers.
#[tokio::test(start_paused = true)]
async fn arguments_that_cannot_be_read_are_not_taken_for_absent() {
    let wire = Wire::new(&StreamableHttp::new(Server::new("demo", "1.0.0").tool(order)));
    let message = modern(
        1,
        "tools/call",
        json!({ "name": "order", "arguments": { "KEY": 1, "region": "eu", "size": "small", "speed": "fast" } }),
    );
    let body = message.to_string().replace("KEY", "\\ud800");
    let sending = wire
        .post_bytes(body)
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", "tools/call")
        .header("mcp-name", "order");
    let answer = sending.send().await.json().await;
    assert_eq!(answer["error"]["code"], -32602, "{answer}");
}

/// How large it is.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(dead_code, reason = "only its schema matters")]
enum Größe {
    Klein,
    Groß,
}

#[derive(Deserialize, JsonSchema)]
#[allow(dead_code, reason = "only its schema matters")]
struct Bestellung {
    size: Größe,
    other: Vec<Größe>,
}

/// A type whose name is not ASCII is encoded where it is referred to.
#[tokio::test]
async fn types_of_any_name_stay_where_they_are_referred_to() {
    let order = tool("order", |order: Bestellung| async move { drop(order) }).header("size", "Size");
    let schema = input_schema(Server::new("demo", "1.0.0").tool(order)).await;
    assert_eq!(schema["properties"]["size"]["type"], "string");
    assert_eq!(schema["$defs"].as_object().expect("it is referred to").len(), 1, "{schema}");
}
