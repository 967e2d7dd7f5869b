//! Functions under the macros: what is listed, what is called, and by hand.

use std::thread::ThreadId;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use throughline::model::Icon;
use throughline::{Completing, Context, IntoTool, Json, Server, StreamableHttp, prompt, resource, tool};

use super::{call, client, listed, over, refused, request};

/// Adds two integers.
///
/// They may be negative.
///
/// # Errors
///
/// None: this is for the reader of the program.
#[tool]
async fn add(
    /// The first.
    a: i64,
    #[arg(doc = "The second.")] b: i64,
) -> i64 {
    a + b
}

#[tokio::test]
async fn a_function_is_a_tool_and_still_a_function() {
    assert_eq!(add(1, 2).await, 3);
    let server = Server::new("demo", "1.0.0").tool(add);
    let listed = listed(server.clone()).await;
    assert_eq!(listed["name"], "add");
    assert_eq!(listed["description"], "Adds two integers.\n\nThey may be negative.");
    let schema = &listed["inputSchema"];
    assert_eq!(schema["type"], "object");
    assert_eq!(schema["required"], json!(["a", "b"]));
    assert_eq!(schema["additionalProperties"], json!(false));
    assert_eq!(schema["properties"]["a"]["description"], "The first.");
    assert_eq!(schema["properties"]["b"]["description"], "The second.");
    assert_eq!(call(&client(server).await, "add", json!({"a": 2, "b": 40})).await, "42");
}

#[tool(
    name = "files/wipe",
    title = "Wipe",
    description = "Said here.",
    icons = ["https://example.com/wipe.png"],
    destructive,
    idempotent = true,
    open_world = false
)]
async fn wipe() {}

#[tokio::test]
async fn options_say_more() {
    let listed = listed(Server::new("demo", "1.0.0").tool(wipe)).await;
    assert_eq!(listed["name"], "files/wipe");
    assert_eq!(listed["title"], "Wipe");
    assert_eq!(listed["description"], "Said here.");
    assert_eq!(listed["icons"], json!([{"src": "https://example.com/wipe.png"}]));
    assert_eq!(
        listed["annotations"],
        json!({"destructiveHint": true, "idempotentHint": true, "openWorldHint": false})
    );
    assert_eq!(listed["inputSchema"]["properties"], json!({}));
    assert_eq!(listed["inputSchema"]["additionalProperties"], json!(false));
}

fn icons() -> Vec<Icon> {
    vec![Icon::new("https://example.com/look.png").with_mime_type("image/png")]
}

#[tool(read_only, icons = icons())]
async fn look() -> throughline::Result<String> {
    Err(throughline::Error::msg("nothing to see"))
}

#[tokio::test]
async fn icons_may_be_made_and_errors_are_the_models() {
    let listed = listed(Server::new("demo", "1.0.0").tool(look)).await;
    assert_eq!(listed["icons"][0]["mimeType"], "image/png");
    assert_eq!(listed["annotations"], json!({"readOnlyHint": true}));
    let client = client(Server::new("demo", "1.0.0").tool(look)).await;
    assert_eq!(call(&client, "look", json!({})).await, "error: nothing to see");
}

/// On which thread it runs.
#[tool]
fn blocking() -> String {
    format!("{:?}", std::thread::current().id())
}

#[tool]
fn broken() -> String {
    panic!("as it must")
}

#[tokio::test]
async fn a_function_without_async_may_block() {
    let here: ThreadId = std::thread::current().id();
    assert_eq!(blocking(), format!("{here:?}"), "called by hand it is a plain function");
    let client = client(Server::new("demo", "1.0.0").tool(blocking).tool(broken)).await;
    assert_ne!(call(&client, "blocking", json!({})).await, format!("{here:?}"));
    let message = refused(&client, "tools/call", json!({"name": "broken"})).await;
    assert!(message.starts_with("-32603"), "{message}");
}

#[derive(Serialize, JsonSchema)]
struct Weather {
    celsius: f64,
}

#[tool]
async fn weather() -> Json<Weather> {
    Json(Weather { celsius: 21.5 })
}

#[tokio::test]
async fn an_output_has_a_schema() {
    let server = Server::new("demo", "1.0.0").tool(weather);
    assert_eq!(listed(server.clone()).await["outputSchema"]["required"], json!(["celsius"]));
    let result = client(server).await.call_tool("weather", &json!({})).await.expect("an answer");
    assert_eq!(result.structured_content.expect("it is JSON").as_str(), r#"{"celsius":21.5}"#);
}

/// Its name is as free as that of any function.
#[tool]
async fn total(numbers: Vec<i64>) -> i64 {
    let total = numbers.iter().sum();
    add(total, 0).await
}

#[tokio::test]
async fn the_name_of_an_async_function_hides_nothing() {
    async fn with(total: i64) -> i64 {
        total
    }
    let total = total(vec![1, 2, 3]).await;
    assert_eq!(with(total).await, 6);
}

/// Made by other macros.
macro_rules! greeter {
    ($name:ident, $argument:ty, $context:ty) => {
        #[tool]
        async fn $name(#[arg(length = 1..)] name: Option<$argument>, cx: $context) -> String {
            format!("{name:?} {}", cx.wants_progress())
        }
    };
}

greeter!(greet, String, Context);

#[tokio::test]
async fn other_macros_may_write_the_function() {
    let client = client(Server::new("demo", "1.0.0").tool(greet)).await;
    assert_eq!(call(&client, "greet", json!({})).await, "None true");
    assert!(call(&client, "greet", json!({"name": ""})).await.starts_with("error: "));
}

mod elsewhere {
    pub(super) use ::throughline as renamed;

    /// Made where the crate has another name.
    #[renamed::tool(crate = renamed)]
    pub(super) async fn far(times: u8) -> String {
        "far ".repeat(times.into())
    }
}

#[tokio::test]
async fn the_crate_may_have_another_name() {
    let server = Server::new("demo", "1.0.0").tool(elsewhere::far.into_tool().title("Far"));
    assert_eq!(listed(server.clone()).await["title"], "Far");
    assert_eq!(call(&client(server).await, "far", json!({"times": 2})).await, "far far ");
}

#[tool]
async fn r#move(r#type: String, mut times: u8) -> String {
    times += 1;
    format!("{}{times}", r#type)
}

#[tokio::test]
async fn raw_names_are_plain_ones_on_the_wire() {
    let client = client(Server::new("demo", "1.0.0").tool(r#move)).await;
    assert_eq!(call(&client, "move", json!({"type": "a", "times": 1})).await, "a2");
}

/// Needs the client's model.
#[tool(needs(sampling))]
async fn summary(cx: Context) -> bool {
    cx.session().is_some()
}

#[tokio::test]
async fn what_a_client_lacks_is_said_before_the_function_runs() {
    let server = Server::new("demo", "1.0.0").tool(summary);
    let poor = client(server.clone()).await;
    assert_eq!(
        refused(&poor, "tools/call", json!({"name": "summary"})).await,
        "-32600: this needs a client with the capability `sampling`, and this one did not declare it"
    );
    let able = over(StreamableHttp::new(server))
        .capabilities(
            throughline::model::ClientCapabilities::new()
                .with_sampling(throughline::model::SamplingCapability::default()),
        )
        .await
        .expect("a session");
    assert_eq!(call(&able, "summary", json!({})).await, "true");
}

#[prompt(needs(elicitation_url))]
async fn asking() -> String {
    String::new()
}

#[resource("demo://roots", needs(roots))]
async fn roots() -> String {
    String::new()
}

#[resource("demo://{name}/sampled", needs(elicitation, sampling_tools))]
async fn sampled(name: String) -> String {
    name
}

#[tokio::test]
async fn prompts_and_resources_have_needs_too() {
    let server = Server::new("demo", "1.0.0").prompt(asking).resource(roots).template(sampled);
    let client = client(server).await;
    for (method, params, capability) in [
        ("prompts/get", json!({"name": "asking"}), "elicitation.url"),
        ("resources/read", json!({"uri": "demo://roots"}), "roots"),
        ("resources/read", json!({"uri": "demo://a/sampled"}), "elicitation.form"),
    ] {
        let error = refused(&client, method, params).await;
        assert!(error.starts_with("-32600: ") && error.contains(&format!("`{capability}`")), "{error}");
    }
}

async fn languages(completing: Completing) -> Vec<String> {
    ["rust", "ruby"].iter().filter(|l| l.starts_with(&completing.value)).map(|&l| l.into()).collect()
}

/// Asks for a review.
#[prompt(title = "Review")]
async fn review(
    /// The language.
    #[arg(complete = languages)]
    language: String,
    #[arg(default = 3, range = 1..=5)] rigour: u8,
    author: Option<String>,
) -> String {
    format!("{language} {rigour} {}", author.unwrap_or_default())
}

#[tokio::test]
async fn a_function_is_a_prompt() {
    assert_eq!(review("rust".into(), 1, None).await, "rust 1 ");
    let client = client(Server::new("demo", "1.0.0").prompt(review)).await;
    let listed = request(&client, "prompts/list", json!({})).await["prompts"][0].clone();
    assert_eq!((&listed["name"], &listed["title"]), (&json!("review"), &json!("Review")));
    assert_eq!(
        listed["arguments"],
        json!([
            {"name": "language", "description": "The language.", "required": true},
            {"name": "rigour"},
            {"name": "author"}
        ])
    );
    let get = |arguments| json!({"name": "review", "arguments": arguments});
    let got = request(&client, "prompts/get", get(json!({"language": "rust", "rigour": "5"}))).await;
    assert_eq!(got["messages"][0]["content"]["text"], "rust 5 ");
    assert_eq!(
        refused(&client, "prompts/get", get(json!({"language": "rust", "rigour": "6"}))).await,
        "-32602: the argument `rigour` does not fit: 6 is out of range, expected at least 1 and at most 5"
    );
    let reference = json!({"type": "ref/prompt", "name": "review"});
    let completed = request(
        &client,
        "completion/complete",
        json!({"ref": reference, "argument": {"name": "language", "value": "ru"}}),
    )
    .await;
    assert_eq!(completed["completion"]["values"], json!(["rust", "ruby"]));
}

/// Today's words.
#[resource("demo://motd", mime_type = "text/plain", size = 16)]
async fn motd() -> &'static str {
    "Have a nice day."
}

/// A row of a table.
#[resource("db://{table}/{id}", name = "rows", title = "Row")]
fn row(table: String, id: u64) -> String {
    format!("row {id} of {table}")
}

#[tokio::test]
async fn functions_are_resources_and_templates() {
    assert_eq!(motd().await, "Have a nice day.");
    assert_eq!(row("users".into(), 7), "row 7 of users");
    let client = client(Server::new("demo", "1.0.0").resource(motd).template(row)).await;
    let listed = request(&client, "resources/list", json!({})).await["resources"].clone();
    assert_eq!(
        listed,
        json!([{"uri": "demo://motd", "name": "motd", "description": "Today's words.",
            "mimeType": "text/plain", "size": 16}])
    );
    let listed = request(&client, "resources/templates/list", json!({})).await["resourceTemplates"].clone();
    assert_eq!(
        listed,
        json!([{"uriTemplate": "db://{table}/{id}", "name": "rows", "title": "Row",
            "description": "A row of a table."}])
    );
    let read = request(&client, "resources/read", json!({"uri": "db://users/7"})).await;
    assert_eq!(read["contents"][0]["text"], "row 7 of users");
    assert_eq!(
        refused(&client, "resources/read", json!({"uri": "db://users/x"})).await,
        "-32602: the argument `id` does not fit: `x` is not a whole number in range"
    );
}
