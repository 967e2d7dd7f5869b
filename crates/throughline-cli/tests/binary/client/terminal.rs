//! What somebody at a terminal sees, and types.

use http::Method;
use http_body_util::BodyExt;

use super::super::http::Connection;
use super::super::process::binary;
use super::super::pty::at_terminal;
use super::super::within;
use super::{Here, shown};

#[tokio::test]
async fn progress_is_a_bar_below_the_log() {
    let here = Here::with(&[]).await;
    for era in ["2026-07-28", "2025-11-25"] {
        let line = ["call", "--revision", era, &here.url, "research", "topic=whales", "steps=2", "step_ms=1"];
        let ended = at_terminal(binary(&line)).ended().await;
        insta::allow_duplicates! { insta::assert_snapshot!(shown(ended)); }
    }
}

#[tokio::test]
async fn forms_are_asked_field_by_field() {
    let here = Here::with(&[]).await;
    for era in ["2026-07-28", "2025-11-25"] {
        let mut terminal = at_terminal(binary(&["call", "--revision", era, &here.url, "plan_trip"]));
        terminal.shows("> ").await;
        terminal.types("Rome\n");
        terminal.shows("> ").await;
        terminal.types("Olso\n");
        terminal.shows("edit > ").await;
        terminal.types("edit\n");
        terminal.shows("> ").await;
        terminal.types("Rome\n");
        terminal.shows("> ").await;
        terminal.types("Oslo\n");
        terminal.shows("edit > ").await;
        terminal.types("\n");
        // By number, and by name.
        for keys in ["4\n", "ship\n", "21\n", "4\n"] {
            terminal.shows("> ").await;
            terminal.types(keys);
        }
        terminal.shows("edit > ").await;
        terminal.types("y\n");
        terminal.shows("> ").await;
        terminal.types("maybe\n");
        terminal.shows("> ").await;
        terminal.types("yes\n");
        let (code, out, screen) = terminal.ended().await;
        let offer = out.split(' ').nth(1).expect("an offer").to_owned();
        let all = here.plain(&shown((code, out, screen))).replace(&offer, "OFFER");
        insta::allow_duplicates! { insta::assert_snapshot!(all); }
    }
}

/// Enter on what must be filled in, and Ctrl-D.
#[tokio::test]
async fn a_form_is_declined_or_closed() {
    let here = Here::with(&[]).await;
    for era in ["2026-07-28", "2025-11-25"] {
        for (keys, says) in [("\n", "The user declined to answer"), ("\x04", "The user closed the question")]
        {
            let line = ["call", "--revision", era, &here.url, "ask_permission", "path=a\u{1b}[2Jb"];
            let mut terminal = at_terminal(binary(&line));
            terminal.shows("> ").await;
            terminal.types(keys);
            let (code, out, screen) = terminal.ended().await;
            assert_eq!(code, 0, "{screen}");
            assert!(out.starts_with(says), "{out}");
            // What a server sends is no command to the terminal.
            assert!(
                screen.contains("May a\u{fffd}[2Jb be changed?") && !screen.contains("<esc>"),
                "{screen}"
            );
        }
    }
}

/// A field with an answer is not asked, and the others are.
#[tokio::test]
async fn answers_shorten_a_form() {
    let here = Here::with(&[]).await;
    let answers =
        ["--answer", "from=Rome", "--answer", "people=2", "--answer", "by=train", "--answer", "book=no"];
    let mut terminal = at_terminal(binary(&[&["call", &here.url, "plan_trip"][..], &answers].concat()));
    terminal.shows("> ").await;
    terminal.types("Oslo\n");
    terminal.shows("edit > ").await;
    terminal.types("y\n");
    let (code, out, screen) = terminal.ended().await;
    assert_eq!(code, 0, "{screen}");
    assert!(out.contains("(2 by train from Rome to Oslo) is left."), "{out}");
}

/// The first Ctrl-C cancels the call, and the server is told.
#[tokio::test]
async fn an_interrupted_call_is_cancelled() {
    let directory = tempfile::tempdir().expect("a directory");
    let said = directory.path().join("said");
    let script = r#"tee "$0" | "$1" serve --stdio --log off"#;
    let said_text = said.to_str().expect("it is UTF-8");
    for era in ["2026-07-28", "2025-11-25"] {
        let line = ["call", "--revision", era, "slow", "ms=600000", "events=50000", "--"];
        let program = ["sh", "-c", script, said_text, env!("CARGO_BIN_EXE_throughline")];
        let mut terminal = at_terminal(binary(&[&line[..], &program].concat()));
        terminal.shows(" %").await;
        terminal.interrupts();
        let (code, out, screen) = terminal.ended().await;
        assert_eq!((code, out.as_str()), (130, ""), "{screen}");
        assert!(screen.ends_with("it may have run in part\n"), "{screen}");
        let said = std::fs::read_to_string(&said).expect("it was written");
        assert!(said.lines().last().is_some_and(|line| line.contains("notifications/cancelled")), "{said}");
    }
    let here = Here::with(&[]).await;
    let line = ["call", "--revision", "2025-11-25", &here.url, "slow", "ms=600000", "events=50000"];
    let mut terminal = at_terminal(binary(&line));
    terminal.shows(" %").await;
    terminal.interrupts();
    let (code, _, screen) = terminal.ended().await;
    assert_eq!(code, 130, "{screen}");
    let mut connection = Connection::open(here.server.address).await;
    let cancelled = r#"throughline_calls_total{method="tools/call",tool="slow",outcome="cancelled"} 1"#;
    within("the end of the call at the server", async {
        loop {
            let response = connection.send(Method::GET, "/metrics", &[], "").await;
            let page = response.into_body().collect().await.expect("it is whole").to_bytes();
            if String::from_utf8_lossy(&page).contains(cancelled) {
                return;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn an_interrupted_question_ends_the_program() {
    let here = Here::with(&[]).await;
    let mut terminal = at_terminal(binary(&["call", &here.url, "ask_permission", "path=a"]));
    terminal.shows("> ").await;
    terminal.interrupts();
    assert_eq!(terminal.ended().await.0, 130);
}

/// A server that asks this in a call, and gives what it was answered as the result.
fn asking(question: &str) -> [String; 4] {
    let script = r#"
        id() { printf %s "$1" | sed 's/.*"id":\([0-9]*\).*/\1/'; }
        read -r line
        printf '{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"s","version":"1"}}}\n' "$(id "$line")"
        read -r initialized
        read -r line
        printf '{"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":%s}\n' "$0"
        read -r answer
        printf '{"jsonrpc":"2.0","id":%s,"result":{"content":[],"structuredContent":%s}}\n' "$(id "$line")" "$answer"
        cat > /dev/null
    "#;
    ["sh", "-c", script, question].map(str::to_owned)
}

/// Calls a tool of a server that asks this.
fn call(question: &str, options: &[&str]) -> tokio::process::Command {
    let line = ["call", "--revision", "2025-11-25", "tool", "--json", "{}", "-o", "json"];
    let program = asking(question);
    let program: Vec<&str> = program.iter().map(String::as_str).collect();
    binary(&[&line[..], options, &["--"], &program].concat())
}

/// What the server was answered.
fn answer(out: &str) -> serde_json::Value {
    let result: serde_json::Value = serde_json::from_str(out.trim_end()).expect("one line of JSON");
    result["structuredContent"]["result"].clone()
}

#[tokio::test]
async fn a_page_is_shown_and_never_opened() {
    let page = r#"{"mode":"url","elicitationId":"1","message":"Please log in.\nNow.","url":"https://bank.example@xn--bnk-8cd.example/a?b=c"}"#;
    let mut all = String::new();
    for (keys, action) in [("yes\n", "accept"), ("\n", "decline"), ("\x04", "cancel")] {
        let mut terminal = at_terminal(call(page, &[]));
        terminal.shows("question) > ").await;
        terminal.types(keys);
        let (code, out, screen) = terminal.ended().await;
        assert_eq!((code, answer(&out)), (0, serde_json::json!({ "action": action })), "{screen}");
        all.push_str(&screen);
    }
    let (code, out, error) = super::run(call(page, &[])).await;
    assert_eq!((code, answer(&out)), (0, serde_json::json!({ "action": "decline" })), "{error}");
    all.push_str(&error);
    insta::assert_snapshot!(all);
}

#[tokio::test]
async fn fields_of_every_kind_are_asked() {
    let form = r#"{"message":"Who are you?","requestedSchema":{"type":"object","properties":{
        "name":{"type":"string","title":"Your name","minLength":2},
        "mail":{"type":"string","format":"email","description":"Where to write to."},
        "age":{"type":"integer","minimum":18},
        "score":{"type":"number","default":1.5},
        "news":{"type":"boolean","default":true},
        "by":{"type":"string","oneOf":[{"const":"t","title":"Train"},{"const":"s","title":"Ship"}]},
        "colours":{"type":"array","maxItems":2,"items":{"enum":["red","green","blue"]},"default":["red"]}},
        "required":["name","news"]}}"#
        .replace('\n', " ");
    let mut terminal = at_terminal(call(&form, &[]));
    for keys in ["A", "Ada", "nobody", "", "17", "18", "", "no", "ship", "1,2,3", "3,1"] {
        terminal.shows("> ").await;
        terminal.types(keys);
        terminal.types("\n");
    }
    terminal.shows("edit > ").await;
    terminal.types("\n");
    let (code, out, screen) = terminal.ended().await;
    let content = serde_json::json!(
        { "name": "Ada", "age": 18, "score": 1.5, "news": false, "by": "s", "colours": ["blue", "red"] }
    );
    assert_eq!((code, answer(&out)), (0, serde_json::json!({ "action": "accept", "content": content })));
    insta::assert_snapshot!(screen);

    // The same beforehand: what is required, and what has a default.
    let options = ["--answer", "name=Ada", "--answer", "news=yes", "--answer", "colours=2"];
    let (code, out, error) = super::run(call(&form, &options)).await;
    let content = serde_json::json!({ "name": "Ada", "score": 1.5, "news": true, "colours": ["green"] });
    assert_eq!((code, error.as_str()), (0, ""));
    assert_eq!(answer(&out), serde_json::json!({ "action": "accept", "content": content }));
}
