//! The demo, tool by tool.

use serde_json::{Value, json};

use super::process::serve;
use super::session::{Session, text_of};

fn ok(text: &str) -> (String, bool) {
    (text.to_owned(), false)
}

/// The progress of a message, or nothing when it is none.
fn progress(message: &Value) -> Option<u64> {
    (message["method"] == "notifications/progress")
        .then(|| message["params"]["progress"].as_u64().expect("a number"))
}

#[tokio::test]
async fn everything_is_listed() {
    let server = serve(&[]).await;
    let mut session = Session::open(server.address, json!({})).await;
    let mut names = Vec::new();
    for (method, list, member) in [
        ("tools/list", "tools", "name"),
        ("resources/list", "resources", "uri"),
        ("resources/templates/list", "resourceTemplates", "uriTemplate"),
        ("prompts/list", "prompts", "name"),
    ] {
        let answer = session.ask(method, json!({})).await;
        let entries = answer["result"][list].as_array().expect("a list").clone();
        names.extend(entries.iter().map(|entry| entry[member].as_str().expect("a text").to_owned()));
    }
    insta::assert_snapshot!(names.join(" "), @"research echo slow ask_permission summarize list_project_roots plan_trip metrics://cpu metrics://memory guide://tools/{name} plan_research");
}

#[tokio::test]
async fn echo_says_what_it_is_told_and_the_log_does_not() {
    let mut server = serve(&[]).await;
    let mut session = Session::open(server.address, json!({})).await;
    assert_eq!(session.text("echo", json!({"text": "a secret"})).await, ok("a secret"));
    server.logs("a session was opened").await;
    #[cfg(unix)]
    {
        server.terminate();
        let (_, log) = server.ended().await;
        assert!(log.contains("stopped") && !log.contains("a secret"), "{log}");
    }
}

#[tokio::test]
async fn slow_sends_its_progress_then_its_result() {
    let server = serve(&[]).await;
    let mut session = Session::open(server.address, json!({})).await;
    let mut messages = session.call("slow", json!({"ms": 30, "events": 3})).await.rest().await;
    let answer = messages.pop().expect("an answer");
    assert_eq!(messages.iter().map(progress).collect::<Vec<_>>(), [Some(1), Some(2), Some(3)]);
    assert_eq!(text_of(&answer), ok("done after 30 ms and 3 events"));
}

#[tokio::test]
async fn research_reports_each_step() {
    let server = serve(&[]).await;
    let mut session = Session::open(server.address, json!({})).await;
    session.ask("logging/setLevel", json!({"level": "info"})).await;
    let mut messages =
        session.call("research", json!({"topic": "tides", "steps": 2, "step_ms": 1})).await.rest().await;
    let (report, is_error) = text_of(&messages.pop().expect("an answer"));
    assert!(
        report.starts_with("Report on tides\n\n1. ") && report.contains("\n2. ") && !is_error,
        "{report}"
    );
    let kinds: Vec<_> =
        messages.iter().map(|message| message["method"].as_str().expect("a method")).collect();
    let step = ["notifications/message", "notifications/progress"];
    assert_eq!(kinds, [step, step].concat());
}

#[tokio::test]
async fn arguments_out_of_bounds_are_named() {
    let server = serve(&[]).await;
    let mut session = Session::open(server.address, json!({})).await;
    for (tool, arguments, says) in [
        ("slow", json!({"ms": 600_001}), "the argument `ms` does not fit: 600001 is not from 0 to 600000"),
        ("research", json!({"topic": ""}), "the argument `topic` does not fit: it is empty"),
        (
            "research",
            json!({"topic": "x", "steps": 0}),
            "the argument `steps` does not fit: 0 is not from 1 to 1000",
        ),
        ("echo", json!({}), "the arguments do not fit: missing field `text`"),
    ] {
        assert_eq!(session.text(tool, arguments).await, (says.to_owned(), true));
    }
}

#[tokio::test]
async fn permission_is_asked_for_and_each_answer_is_understood() {
    let server = serve(&[]).await;
    let mut session = Session::open(server.address, json!({"elicitation": {}})).await;
    for (answer, says) in [
        (
            json!({"action": "accept", "content": {"allow": true}}),
            "Permission granted: a.txt may be changed.",
        ),
        (
            json!({"action": "accept", "content": {"allow": false}}),
            "Permission refused: a.txt stays as it is.",
        ),
        (json!({"action": "decline"}), "The user declined to answer: a.txt stays as it is."),
        (json!({"action": "cancel"}), "The user closed the question: a.txt stays as it is."),
    ] {
        let mut messages = session.call("ask_permission", json!({"path": "a.txt"})).await;
        let question = messages.expect().await;
        assert_eq!(question["method"], "elicitation/create");
        assert_eq!(question["params"]["message"], "May a.txt be changed?");
        assert_eq!(question["params"]["requestedSchema"]["properties"]["allow"]["type"], "boolean");
        session.tell(&json!({"jsonrpc": "2.0", "id": question["id"], "result": answer})).await;
        assert_eq!(text_of(&messages.expect().await), ok(says));
        assert_eq!(messages.next().await, None);
    }
}

#[tokio::test]
async fn a_trip_takes_three_questions_and_one_offer() {
    let server = serve(&[]).await;
    let mut session = Session::open(server.address, json!({"elicitation": {}})).await;
    let mut messages = session.call("plan_trip", json!({})).await;
    let mut asked = Vec::new();
    for answer in
        [json!({"from": "Ulm", "to": "Bonn"}), json!({"people": 2, "by": "train"}), json!({"book": true})]
    {
        let question = messages.expect().await;
        asked.push(question["params"]["message"].as_str().expect("a text").to_owned());
        let result = json!({"action": "accept", "content": answer});
        session.tell(&json!({"jsonrpc": "2.0", "id": question["id"], "result": result})).await;
    }
    let offer = asked[2].split([' ', ':']).nth(1).expect("its number").to_owned();
    assert_eq!(asked[2], format!("Offer {offer}: 2 by train from Ulm to Bonn. Take it?"));
    let says = format!("Offer {offer} (2 by train from Ulm to Bonn) is taken.");
    assert_eq!(text_of(&messages.expect().await), ok(&says));

    let mut messages = session.call("plan_trip", json!({})).await;
    let question = messages.expect().await;
    session.tell(&json!({"jsonrpc": "2.0", "id": question["id"], "result": {"action": "decline"}})).await;
    assert_eq!(text_of(&messages.expect().await), ok("The user has no wish to travel."));
}

#[tokio::test]
async fn a_client_that_cannot_be_asked_is_told_so() {
    let server = serve(&[]).await;
    let mut session = Session::open(server.address, json!({})).await;
    for (tool, arguments, capability) in [
        ("ask_permission", json!({"path": "a.txt"}), "elicitation"),
        ("summarize", json!({"text": "long"}), "sampling"),
        ("list_project_roots", json!({}), "roots"),
    ] {
        let (says, is_error) = session.text(tool, arguments).await;
        assert!(is_error && says.contains(&format!("`{capability}`")), "{says}");
    }
}

#[tokio::test]
async fn the_clients_model_summarizes() {
    let server = serve(&[]).await;
    let mut session = Session::open(server.address, json!({"sampling": {}})).await;
    let mut messages = session.call("summarize", json!({"text": "a long text"})).await;
    let question = messages.expect().await;
    assert_eq!(question["method"], "sampling/createMessage");
    let asked = question["params"]["messages"][0]["content"]["text"].as_str().expect("a text");
    assert!(asked.ends_with("\n\na long text"), "{asked}");
    let result = json!({"role": "assistant", "content": {"type": "text", "text": "short"}, "model": "m"});
    session.tell(&json!({"jsonrpc": "2.0", "id": question["id"], "result": result})).await;
    assert_eq!(text_of(&messages.expect().await), ok("short"));
}

#[tokio::test]
async fn roots_are_listed() {
    let server = serve(&[]).await;
    let mut session = Session::open(server.address, json!({"roots": {}})).await;
    for (roots, says) in [
        (json!([]), "The client has no roots."),
        (json!([{"uri": "file:///a", "name": "A"}, {"uri": "file:///b"}]), "A: file:///a\nfile:///b"),
    ] {
        let mut messages = session.call("list_project_roots", json!({})).await;
        let question = messages.expect().await;
        assert_eq!(question["method"], "roots/list");
        session.tell(&json!({"jsonrpc": "2.0", "id": question["id"], "result": {"roots": roots}})).await;
        assert_eq!(text_of(&messages.expect().await), ok(says));
    }
}

#[tokio::test]
async fn subscribers_hear_of_new_metrics_until_they_unsubscribe() {
    let server = serve(&[]).await;
    let mut session = Session::open(server.address, json!({})).await;
    let mut stream = session.listen().await;
    session.ask("resources/subscribe", json!({"uri": "metrics://memory"})).await;
    for _ in 0..2 {
        let update = stream.expect().await;
        assert_eq!(update["method"], "notifications/resources/updated");
        assert_eq!(update["params"]["uri"], "metrics://memory");
    }
    // The other resource takes over: all that still comes of the first was sent before.
    session.ask("resources/subscribe", json!({"uri": "metrics://cpu"})).await;
    session.ask("resources/unsubscribe", json!({"uri": "metrics://memory"})).await;
    while stream.expect().await["params"]["uri"] != "metrics://cpu" {}
    for _ in 0..2 {
        assert_eq!(stream.expect().await["params"]["uri"], "metrics://cpu");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn metrics_are_readings() {
    let server = serve(&[]).await;
    let mut session = Session::open(server.address, json!({})).await;
    let mut read = async |uri: &str| -> Value {
        let answer = session.ask("resources/read", json!({"uri": uri})).await;
        let contents = &answer["result"]["contents"][0];
        assert_eq!(contents["mimeType"], "application/json", "{answer}");
        serde_json::from_str(contents["text"].as_str().expect("a text")).expect("JSON")
    };
    let cpu = read("metrics://cpu").await;
    assert!(
        cpu["processors"].as_u64() >= Some(1) && cpu["load"].as_array().is_some_and(|load| load.len() == 3),
        "{cpu}"
    );
    assert!(cpu["busy"].as_f64().is_some_and(|busy| (0.0..=1.0).contains(&busy)), "{cpu}");
    let memory = read("metrics://memory").await;
    let bytes = |name: &str| memory[name].as_u64().expect("a number");
    assert!(bytes("processBytes") > 0 && bytes("processBytes") < bytes("totalBytes"), "{memory}");
    assert!(bytes("availableBytes") <= bytes("totalBytes"), "{memory}");
}

#[tokio::test]
async fn prompt_and_template_complete_their_arguments() {
    let server = serve(&[]).await;
    let mut session = Session::open(server.address, json!({})).await;
    for (reference, argument, values) in [
        (
            json!({"type": "ref/prompt", "name": "plan_research"}),
            json!({"name": "depth", "value": "d"}),
            json!(["detailed"]),
        ),
        (
            json!({"type": "ref/resource", "uri": "guide://tools/{name}"}),
            json!({"name": "name", "value": "s"}),
            json!(["slow", "summarize"]),
        ),
    ] {
        let answer =
            session.ask("completion/complete", json!({"ref": reference, "argument": argument})).await;
        assert_eq!(answer["result"]["completion"]["values"], values, "{answer}");
    }
    let plan = json!({"name": "plan_research", "arguments": {"topic": "tides", "depth": "detailed"}});
    let answer = session.ask("prompts/get", plan).await;
    let text = answer["result"]["messages"][0]["content"]["text"].as_str().expect("a text");
    assert!(text.contains("\"tides\" with 10 steps"), "{text}");
    let answer = session.ask("resources/read", json!({"uri": "guide://tools/slow"})).await;
    assert!(answer["result"]["contents"][0]["text"].as_str().expect("a text").contains("Last-Event-ID"));
    let answer = session.ask("resources/read", json!({"uri": "guide://tools/none"})).await;
    assert_eq!(answer["error"]["code"], -32002, "{answer}");
}
