//! Servers mounted in servers.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use throughline::revision::Revision;
use throughline::{Context, Server, StreamableHttp, prompt, resource, template, tool};

use crate::support::{Wire, call, request, text};

#[derive(Deserialize, JsonSchema)]
struct City {
    city: String,
}

#[derive(Clone)]
struct Who(&'static str);

async fn who(cx: Context) -> String {
    cx.state::<Who>().map_or_else(|| "nobody".into(), |who| who.0.to_owned())
}

fn weather() -> Server {
    Server::new("weather", "1")
        .state(Who("weather"))
        .tool(tool("who", who))
        .prompt(
            prompt("ask", |city: City| async move { city.city })
                .complete("city", |_| async { vec!["Bern".into()] }),
        )
        .resource(resource("weather://now", "now", || async { "rain" }))
        .template(template("weather://{city}", "city", |city: City| async move { city.city }))
}

async fn open(server: &Server) -> Wire {
    Wire::open(&StreamableHttp::new(server.clone()), Revision::V2025_11_25).await
}

async fn names(wire: &Wire, kind: &str, list: &str, name: &str) -> Vec<String> {
    let answer = wire.post(request(1, &format!("{kind}/list"), json!({}))).send().await.json().await;
    let entries = answer["result"][list].as_array().unwrap_or_else(|| panic!("a list: {answer}"));
    entries.iter().map(|entry| entry[name].as_str().unwrap().to_owned()).collect()
}

async fn ask(wire: &Wire, method: &str, params: Value) -> Value {
    let answer = wire.post(request(1, method, params)).send().await.json().await;
    assert!(answer.get("result").is_some(), "{method}: {answer}");
    answer["result"].clone()
}

#[tokio::test(start_paused = true)]
async fn a_mounted_server_is_part_of_the_other() {
    let server = Server::new("all", "1").state(Who("all")).tool(tool("who", who)).mount("weather", weather());
    let wire = open(&server).await;
    assert_eq!(names(&wire, "tools", "tools", "name").await, ["who", "weather.who"]);
    assert_eq!(names(&wire, "prompts", "prompts", "name").await, ["weather.ask"]);
    assert_eq!(names(&wire, "resources", "resources", "uri").await, ["weather://now"]);
    assert_eq!(
        names(&wire, "resources/templates", "resourceTemplates", "uriTemplate").await,
        ["weather://{city}"]
    );
    // Each keeps the states of its own server.
    for (tool, expected) in [("who", "all"), ("weather.who", "weather")] {
        assert_eq!(text(&wire.post(call(1, tool, json!({}))).send().await.json().await), expected);
    }
    let got =
        ask(&wire, "prompts/get", json!({ "name": "weather.ask", "arguments": { "city": "Bern" } })).await;
    assert_eq!(got["messages"][0]["content"]["text"], "Bern");
    for (uri, expected) in [("weather://now", "rain"), ("weather://Bern", "Bern")] {
        assert_eq!(
            ask(&wire, "resources/read", json!({ "uri": uri })).await["contents"][0]["text"],
            expected
        );
    }
    let complete = json!({
        "ref": { "type": "ref/prompt", "name": "weather.ask" }, "argument": { "name": "city", "value": "B" }
    });
    assert_eq!(ask(&wire, "completion/complete", complete).await["completion"]["values"], json!(["Bern"]));
}

#[tokio::test(start_paused = true)]
async fn what_comes_and_goes_later_is_announced() {
    let inner = Server::new("inner", "1");
    let middle = Server::new("middle", "1").mount("b", inner.clone());
    let top = Server::new("top", "1")
        .tool(tool("own", || async { "own" }))
        .resource(resource("it://own", "own", || async { "own" }))
        .mount("a", middle.clone());
    let wire = open(&top).await;
    let mut stream = wire.get().send().await.events();
    assert!(stream.next().await.is_some(), "it is primed");

    inner.add_tool(tool("late", || async { "late" })).unwrap();
    assert_eq!(stream.message().await.message["method"], "notifications/tools/list_changed");
    assert_eq!(names(&wire, "tools", "tools", "name").await, ["own", "a.b.late"]);
    assert_eq!(text(&wire.post(call(1, "a.b.late", json!({}))).send().await.json().await), "late");
    inner.add_resource(resource("it://late", "late", || async { "late" })).unwrap();
    assert_eq!(stream.message().await.message["method"], "notifications/resources/list_changed");
    ask(&wire, "resources/subscribe", json!({ "uri": "it://late" })).await;
    assert_eq!(inner.resource_updated("it://late"), 1, "the session is at the top");
    assert_eq!(stream.message().await.message["method"], "notifications/resources/updated");

    assert!(inner.remove_tool("late") && !inner.remove_tool("late"));
    assert_eq!(stream.message().await.message["method"], "notifications/tools/list_changed");
    assert_eq!(names(&wire, "tools", "tools", "name").await, ["own"]);
    assert!(stream.is_quiet().await);
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_taken_changes_nothing_anywhere() {
    let inner = Server::new("inner", "1").tool(tool("x", || async { "inner" }));
    let outer = Server::new("outer", "1").tool(tool("in.x", || async { "outer" }));
    let refused = outer.add_mount("in", &inner).unwrap_err().to_string();
    insta::assert_snapshot!(refused, @"the tool `in.x` is registered already; give each tool a name of its own");
    let first = Server::new("first", "1").mount("i", inner.clone());
    assert!(outer.add_mount("other", &inner).is_ok());
    outer.add_tool(tool("other.y", || async { "outer" })).unwrap();
    let refused = inner.add_tool(tool("y", || async { "inner" })).unwrap_err().to_string();
    insta::assert_snapshot!(refused, @"the tool `other.y` is registered already; give each tool a name of its own");
    for (server, expected) in
        [(&inner, vec!["x"]), (&first, vec!["i.x"]), (&outer, vec!["in.x", "other.x", "other.y"])]
    {
        assert_eq!(names(&open(server).await, "tools", "tools", "name").await, expected);
    }
}

#[test]
fn a_server_is_never_mounted_in_itself() {
    let inner = Server::new("inner", "1");
    let outer = Server::new("outer", "1").mount("in", inner.clone());
    for (mounted, within) in [(&outer, &outer), (&outer, &inner)] {
        let refused = within.add_mount("again", mounted).unwrap_err().to_string();
        insta::allow_duplicates! {
            insta::assert_snapshot!(refused, @"the server mounted as `again` is this server or has it mounted; mount it only one way");
        }
    }
    for prefix in ["", "with space"] {
        assert!(outer.add_mount(prefix, &Server::new("other", "1")).is_err(), "{prefix:?}");
    }
}
