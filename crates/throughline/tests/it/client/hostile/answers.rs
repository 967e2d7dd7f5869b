//! Every way to answer one call badly, in both eras.

use std::time::Duration;

use serde_json::{Value, json};

use super::script::{Asked, Reply, Script, Step};
use super::{ERAS, Ends, call, check_usable, result};

const OK: Ends = Ends::Result(r#"{"ok":true}"#);
const SECOND: Duration = Duration::from_secs(1);

struct Case {
    what: &'static str,
    reply: fn(&Asked) -> Reply,
    ends: Ends,
}

const fn case(what: &'static str, reply: fn(&Asked) -> Reply, ends: Ends) -> Case {
    Case { what, reply, ends }
}

pub(super) fn progress(token: &Value) -> Value {
    let params = json!({ "progressToken": token, "progress": 1 });
    json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": params })
}

fn log() -> Value {
    let params = json!({ "level": "info", "data": "x" });
    json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": params })
}

/// What is bad, or only strange, about a response.
const CASES: &[Case] = &[
    case("an object", |asked| Reply::json(&result(asked.id())), OK),
    case("an array", |asked| Reply::json(&json!([log(), progress(asked.id()), result(asked.id())])), OK),
    case(
        "a charset",
        |asked| {
            Reply::status(200).kind("Application/JSON; charset=utf-8").say(result(asked.id()).to_string())
        },
        OK,
    ),
    case(
        "events",
        |asked| Reply::sse().event(&log()).event(&progress(asked.id())).event(&result(asked.id())),
        OK,
    ),
    case(
        "CRLF",
        |asked| Reply::sse().say(format!("event: message\r\ndata: {}\r\n\r\n", result(asked.id()))),
        OK,
    ),
    case(
        "a BOM and comments",
        |asked| Reply::sse().say(format!("\u{feff}: hello\n\n:\ndata: {}\n:\n\n", result(asked.id()))),
        OK,
    ),
    case(
        "events of others",
        |asked| {
            Reply::sse()
                .say("event: prime\ndata: {}\n\nevent: prime\ndata:\n\ndata:\n\nevent: close\ndata: bye\n\n")
                .event(&result(asked.id()))
        },
        OK,
    ),
    case(
        "garbage before the answer",
        |asked| Reply::sse().say("data: <html>\n\ndata: {\n\ndata: 7\n\n").event(&result(asked.id())),
        OK,
    ),
    case(
        "bytes one by one",
        |asked| {
            let text = format!("data: {}\n\n", result(asked.id()));
            text.into_bytes().into_iter().fold(Reply::sse(), |reply, byte| reply.say(vec![byte]))
        },
        OK,
    ),
    case(
        "two answers",
        |asked| {
            let second = json!({ "jsonrpc": "2.0", "id": asked.id(), "result": { "second": true } });
            Reply::sse().event(&result(asked.id())).event(&second)
        },
        OK,
    ),
    case(
        "answers to nothing",
        |asked| {
            Reply::sse()
                .event(&result(&json!(987_654)))
                .event(&result(&json!("x")))
                .event(&result(asked.id()))
        },
        OK,
    ),
    case(
        "progress and questions after the answer",
        |asked| {
            let ask = json!({ "jsonrpc": "2.0", "id": "late", "method": "ping" });
            Reply::sse().event(&result(asked.id())).event(&progress(asked.id())).event(&ask)
        },
        OK,
    ),
    case(
        "another session's id",
        |asked| Reply::json(&result(asked.id())).header("mcp-session-id", "session-of-another"),
        OK,
    ),
    case(
        "an error",
        |asked| {
            Reply::json(
                &json!({ "jsonrpc": "2.0", "id": asked.id(), "error": { "code": -7, "message": "no" } }),
            )
        },
        Ends::Error(-7),
    ),
    case(
        "an error without an id",
        |_| Reply::sse().event(&json!({ "jsonrpc": "2.0", "error": { "code": -32700, "message": "no" } })),
        Ends::Error(-32700),
    ),
    case(
        "a result and an error",
        |asked| {
            let error = json!({ "code": -7, "message": "no" });
            Reply::json(&json!({ "jsonrpc": "2.0", "id": asked.id(), "result": {}, "error": error }))
        },
        Ends::Violation("its answer is no message"),
    ),
    case(
        "neither",
        |asked| Reply::sse().event(&json!({ "jsonrpc": "2.0", "id": asked.id() })),
        Ends::Unknown("with what is no message"),
    ),
    case("accepted", |_| Reply::status(202), Ends::Violation("202 Accepted) holds no answer")),
    case("no content", |_| Reply::status(204), Ends::Violation("204 No Content) holds no answer")),
    case("nothing", |_| Reply::status(200).kind("application/json"), Ends::Violation("what is no message")),
    case(
        "half a message",
        |_| Reply::status(200).kind("application/json").say(r#"{"jsonrpc":"2.0","#),
        Ends::Violation("what is no message"),
    ),
    case("a notification alone", |_| Reply::json(&log()), Ends::Violation("holds no answer")),
    case(
        "an id as text",
        |asked| Reply::json(&result(&json!(asked.id().to_string()))),
        Ends::Violation("but one to a request \""),
    ),
    case(
        "an id as text, as an event",
        |asked| Reply::sse().event(&result(&json!(asked.id().to_string()))),
        Ends::Unknown("but with one to a request \""),
    ),
    case(
        "a wrong id",
        |_| Reply::sse().event(&result(&json!(987_654))),
        Ends::Unknown("but with one to a request 987654"),
    ),
    case("a page", |_| Reply::status(200).kind("text/html").say("<html>"), Ends::Violation("as `text/html`")),
    case(
        "text",
        |asked| Reply::status(200).kind("text/plain").say(result(asked.id()).to_string()),
        Ends::Violation("as `text/plain`"),
    ),
    case(
        "no content type",
        |asked| Reply::status(200).say(result(asked.id()).to_string()),
        Ends::Violation("without a content type"),
    ),
    case(
        "a redirect",
        |_| Reply::status(307).header("location", "http://elsewhere.example/"),
        Ends::Status(307),
    ),
    case("a redirect with a page", |_| Reply::status(302).kind("text/html").say("<html>"), Ends::Status(302)),
    case("unauthorized", |_| Reply::status(401), Ends::Status(401)),
    case("forbidden", |_| Reply::status(403).kind("text/html").say("<html>"), Ends::Status(403)),
    case("too many", |_| Reply::status(429).header("retry-after", "99999999999999999999"), Ends::Status(429)),
    case("unavailable", |_| Reply::status(503).header("retry-after", "3"), Ends::Status(503)),
    case(
        "a gateway that lost it",
        |_| Reply::status(502).kind("text/html").say("<html>"),
        Ends::Unknown("502"),
    ),
    case("a crash", |_| Reply::status(500), Ends::Unknown("500")),
    case(
        "a refusal without end",
        |_| Reply::status(403).kind("application/json").then(Step::Forever(" ".repeat(10_000).into())),
        Ends::Status(403),
    ),
    case(
        "a refusal that hangs",
        |_| Reply::status(403).kind("application/json").then(Step::Hang),
        Ends::Status(403),
    ),
    case("no connection", |_| Reply::lost(), Ends::Unknown("the connection was lost")),
    case(
        "a body that breaks",
        |_| Reply::status(200).kind("application/json").say("{").then(Step::Break),
        Ends::Unknown("the connection was lost"),
    ),
    case(
        "a stream that breaks",
        |_| Reply::sse().event(&log()).then(Step::Break),
        Ends::Unknown("the connection was lost"),
    ),
    case("a stream that ends", |_| Reply::sse().event(&log()), Ends::Unknown("the connection was lost")),
    case(
        "garbage and the end",
        |_| Reply::sse().say("data: <html>\n\ndata: {\n\n"),
        Ends::Unknown("but with 2 events that are no messages"),
    ),
    case(
        "an event in two halves",
        |asked| {
            let text = format!("data: {}", result(asked.id()));
            Reply::sse().say(text)
        },
        Ends::Unknown("the connection was lost"),
    ),
    case(
        "a huge event",
        |_| Reply::sse().say(format!("data: {}\n\n", "x".repeat(17 << 20))),
        Ends::Violation(""),
    ),
    case(
        "many lines of one event",
        |_| Reply::sse().then(Step::Forever("data: xxxxxxxxxxxxxxx\n".repeat(4_096).into())),
        Ends::Violation(""),
    ),
    case(
        "a line without end",
        |_| Reply::sse().then(Step::Forever("x".repeat(1 << 20).into())),
        Ends::Violation(""),
    ),
    case(
        "JSON without end",
        |_| Reply::status(200).kind("application/json").then(Step::Forever(" ".repeat(1 << 20).into())),
        Ends::Violation("larger than 16777216 bytes"),
    ),
    case(
        "a page without end",
        |_| Reply::status(200).kind("text/html").then(Step::Forever("<br>".repeat(1 << 18).into())),
        Ends::Violation("larger than 16777216 bytes"),
    ),
    case(
        "deep JSON",
        |asked| {
            let (open, close) = ("[".repeat(10_000), "]".repeat(10_000));
            Reply::status(200)
                .kind("application/json")
                .say(format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{"a":{open}{close}}}}}"#, asked.id()))
        },
        Ends::Violation(""),
    ),
    case(
        "a body that hangs",
        |_| Reply::status(200).kind("application/json").say("{").then(Step::Hang),
        Ends::Timeout,
    ),
    case("a stream that hangs", |_| Reply::sse().event(&log()).then(Step::Hang), Ends::Timeout),
    case("comments for ever", |_| Reply::sse().then(Step::Trickle(":\n".into(), SECOND)), Ends::Timeout),
    case(
        "logs for ever",
        |_| Reply::sse().then(Step::Trickle(format!("data: {}\n\n", log()).into(), SECOND)),
        Ends::Timeout,
    ),
    case(
        "progress of another for ever",
        |_| {
            let other = progress(&json!("of another"));
            Reply::sse().then(Step::Trickle(format!("data: {other}\n\n").into(), SECOND))
        },
        Ends::Timeout,
    ),
];

#[tokio::test(start_paused = true)]
async fn each_bad_answer_ends_in_a_clear_error_of_its_call() {
    for revision in ERAS {
        for case in CASES {
            let reply = case.reply;
            let script = Script::new(move |asked| (asked.method() == "tools/call").then(|| reply(asked)));
            let client = script.connect(revision).await.unwrap();
            let what = format!("{} in {}", case.what, revision.date());
            case.ends.check(&what, call(&client).await);
            check_usable(&client, &what).await;
            if !revision.is_modern() {
                let last = script.seen("tools/list").pop().unwrap();
                assert_eq!(last.header("mcp-session-id"), Some("session-1"), "{what}: the id is kept");
            }
            client.close().await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_ends_in_a_timeout_of_its_call() {
    for revision in ERAS {
        let script = Script::slow(|asked| {
            (asked.method() == "tools/call").then(|| Box::pin(std::future::pending()) as _)
        });
        let client = script.connect(revision).await.unwrap();
        Ends::Timeout.check(revision.date(), call(&client).await);
        check_usable(&client, revision.date()).await;
    }
}

/// On a real clock, as a paused one does not go on while a body is always ready.
#[tokio::test]
async fn a_flood_that_is_always_ready_does_not_stop_the_clock() {
    for revision in ERAS {
        let flood = format!("data: {}\n\n", log());
        let script = Script::new(move |asked| {
            let flood = Step::Forever(flood.clone().into());
            (asked.method() == "tools/call").then(|| Reply::sse().then(flood))
        });
        let client = script.connect(revision).await.unwrap();
        let call = client.request::<throughline::jsonrpc::Raw>("tools/call", &json!({ "name": "t" }));
        Ends::Timeout.check(revision.date(), call.timeout(Duration::from_millis(50)).await);
        check_usable(&client, revision.date()).await;
    }
}

/// The handshake is a call like any other.
#[tokio::test(start_paused = true)]
async fn a_handshake_that_is_answered_badly_ends_too() {
    for case in CASES.iter().filter(|case| !matches!(case.ends, Ends::Result(_) | Ends::Error(_))) {
        let reply = case.reply;
        let is_handshake = |asked: &Asked| ["initialize", "server/discover"].contains(&asked.method());
        let script = Script::new(move |asked| is_handshake(asked).then(|| reply(asked)));
        for revision in ERAS {
            let connecting = script.connect(revision).timeout(super::PATIENCE);
            let Err(error) = connecting.await else { panic!("{}: it connected", case.what) };
            assert!(!error.to_string().is_empty());
            if let Ends::Status(status) = case.ends {
                assert_eq!(error.status().map(|is| is.as_u16()), Some(status), "{}: {error:?}", case.what);
            }
        }
    }
    // Nor does what comes after it hang.
    let script = Script::slow(|asked| {
        (asked.method() == "notifications/initialized").then(|| Box::pin(std::future::pending()) as _)
    });
    let error = script.connect(ERAS[0]).timeout(super::PATIENCE).await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
}

#[tokio::test]
async fn a_session_id_must_be_visible_ascii() {
    let script = Script::new(|asked| {
        (asked.method() == "initialize").then(|| {
            let answer = json!({
                "protocolVersion": asked.message["params"]["protocolVersion"],
                "capabilities": {},
                "serverInfo": { "name": "script", "version": "1" },
            });
            Reply::json(&json!({ "jsonrpc": "2.0", "id": asked.id(), "result": answer }))
                .header("mcp-session-id", "with a space")
        })
    });
    let error = script.connect(ERAS[0]).await.unwrap_err();
    assert!(error.is_protocol_violation(), "{error}");
}
