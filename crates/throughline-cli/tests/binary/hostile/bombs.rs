//! Bodies that are small to send and large to read.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::raw::{Answer, post, post_with};
use super::{PING, Target, call};

async fn answer_to(target: &Target, session: &str, body: impl AsRef<[u8]>) -> Answer {
    let mut raw = target.raw().await;
    raw.send(post_with(&[("mcp-session-id", session)], body.as_ref())).await;
    raw.answer().await
}

fn ping_with(params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{params}}}"#)
}

fn echo_with(arguments: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"echo","arguments":{arguments}}}}}"#
    )
}

/// As much of `part` as fits in a body, with commas between.
fn filled(part: &str) -> String {
    let count = (4_000_000 - 200) / (part.len() + 1);
    vec![part; count].join(",")
}

#[tokio::test]
async fn nesting_is_counted_before_anybody_descends() {
    let target = Target::start(&[]).await;
    let session = &target.session().await;
    for levels in [200, 2_000_000] {
        for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
            let levels = levels.min(4_000_000 / (open.len() + 1));
            let nested = format!("{}1{}", open.repeat(levels), close.repeat(levels));
            assert_eq!(
                answer_to(&target, session, ping_with(&nested)).await.says(),
                (400, -32600),
                "{open} {levels}"
            );
            assert_eq!(
                answer_to(&target, session, echo_with(&nested)).await.says(),
                (400, -32600),
                "{open} {levels}"
            );
        }
    }
    // Never closed, never opened, and nothing around it.
    for (text, code) in [("[", -32700), ("{\"a\":", -32700), ("]", -32700), ("}", -32700)] {
        let body = text.repeat(3_900_000 / text.len());
        assert_eq!(answer_to(&target, session, &body).await.says(), (400, code), "{text}");
    }
    let nested = format!("{}{}", "[".repeat(1_900_000), "]".repeat(1_900_000));
    assert_eq!(answer_to(&target, session, nested).await.status, 400);
    target.stands(48).await;
}

#[tokio::test]
async fn width_costs_what_it_weighs() {
    let target = Target::start(&[]).await;
    let session = &target.session().await;
    let list = format!("[{}]", filled("0"));
    assert_eq!(answer_to(&target, session, ping_with(&format!(r#"{{"a":{list}}}"#))).await.says(), (200, 0));
    // `echo` has no member `a`, and what it does not know it skips.
    let wide = answer_to(&target, session, echo_with(&format!(r#"{{"a":{list}}}"#))).await;
    assert_eq!((wide.status, &wide.json()["result"]["isError"]), (200, &json!(true)));
    let mut members = String::new();
    for number in 0..300_000 {
        write!(members, r#""{number}":0,"#).expect("a string takes all");
    }
    let members = format!(r#"{{{members}"text":"hi"}}"#);
    let echoed = answer_to(&target, session, echo_with(&members)).await;
    assert_eq!(echoed.json()["result"]["content"][0]["text"], "hi");
    assert_eq!(answer_to(&target, session, format!("[{}]", filled(PING))).await.says(), (400, -32600));
    assert_eq!(answer_to(&target, session, format!("[{}]", filled("0"))).await.says(), (400, -32600));
    target.stands(48).await;
}

#[tokio::test]
async fn a_batch_is_no_way_round_the_limits() {
    let target = Target::start(&[]).await;
    // The one revision that has them.
    let mut raw = target.raw().await;
    raw.send(post(None, &super::INITIALIZE.replace("2025-11-25", "2025-03-26"))).await;
    let session = &raw.answer().await.header("mcp-session-id").expect("a session").to_owned();
    for (count, status) in [(100, 200), (101, 400), (60_000, 400)] {
        let batch = format!("[{}]", vec![PING; count].join(","));
        assert_eq!(answer_to(&target, session, batch).await.status, status, "{count}");
    }
    assert_eq!(answer_to(&target, session, "[]").await.says(), (400, -32600));
    assert_eq!(
        answer_to(&target, session, format!("[[{PING}]]")).await.status,
        200,
        "each entry is judged by itself"
    );
    target.stands(32).await;
}

#[tokio::test]
async fn numbers_of_any_length() {
    let target = Target::start(&[]).await;
    let session = &target.session().await;
    let digits = "9".repeat(3_900_000);
    for number in [
        digits.clone(),
        format!("-{digits}"),
        format!("0.{digits}"),
        format!("1e{digits}"),
        format!("1e-{digits}"),
    ] {
        let start = &number[..6];
        // Nobody reads them: they are sound JSON.
        assert_eq!(
            answer_to(&target, session, ping_with(&format!(r#"{{"a":{number}}}"#))).await.says(),
            (200, 0),
            "{start}"
        );
        let refused = answer_to(&target, session, echo_with(&format!(r#"{{"text":{number}}}"#))).await;
        assert_eq!((refused.status, &refused.json()["result"]["isError"]), (200, &json!(true)), "{start}");
        assert!(refused.body.len() < 2_000, "an error does not repeat what was sent: {start}");
        let as_id = format!(r#"{{"jsonrpc":"2.0","id":{number},"method":"ping"}}"#);
        assert_eq!(answer_to(&target, session, as_id).await.says(), (400, -32600), "{start}");
    }
    for wrong in ["01", "+1", "1.", ".5", "1e", "0x1", "NaN", "Infinity", "-", "--1", "1_000"] {
        assert_eq!(
            answer_to(&target, session, ping_with(&format!(r#"{{"a":{wrong}}}"#))).await.says(),
            (400, -32700),
            "{wrong}"
        );
    }
    target.stands(48).await;
}

#[tokio::test]
async fn texts_of_any_length() {
    let target = Target::start(&[]).await;
    let session = &target.session().await;
    let text = "x".repeat(3_900_000);
    let echoed = answer_to(&target, session, echo_with(&format!(r#"{{"text":"{text}"}}"#))).await;
    assert_eq!(echoed.json()["result"]["content"][0]["text"], text);
    // Names that are no names do not come back whole.
    for body in [
        json!({"jsonrpc": "2.0", "id": 1, "method": text}),
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": text}}),
        json!({"jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": {"uri": text}}),
        json!({"jsonrpc": "2.0", "id": 1, "method": "resources/subscribe", "params": {"uri": text}}),
        json!({"jsonrpc": "2.0", "id": 1, "method": "prompts/get", "params": {"name": text}}),
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"cursor": text}}),
        json!({"jsonrpc": "2.0", "id": 1, "method": "logging/setLevel", "params": {"level": text}}),
        json!({"jsonrpc": "2.0", "id": 1, "method": "completion/complete", "params": {"ref": {"type": text}, "argument": {"name": "a", "value": ""}}}),
        json!({"jsonrpc": text, "id": 1, "method": "ping"}),
    ] {
        let answer = answer_to(&target, session, body.to_string()).await;
        let shown: String = body.to_string().chars().take(60).collect();
        assert!(answer.says().1 < -32000, "{shown} {:?}", answer.says());
        assert!(answer.body.len() < 10_000, "{shown}: {} bytes come back", answer.body.len());
    }
    // An escape has six bytes for one of its text, and back.
    let escapes = r"\u0001".repeat(600_000);
    let echoed = answer_to(&target, session, echo_with(&format!(r#"{{"text":"{escapes}"}}"#))).await;
    assert_eq!(echoed.json()["result"]["content"][0]["text"].as_str().map(str::len), Some(600_000));
    let raw_control = answer_to(&target, session, echo_with("{\"text\":\"\u{1}\"}")).await;
    assert_eq!(raw_control.says(), (400, -32700), "a control character is written as an escape");
    let escaped_key = answer_to(&target, session, echo_with(r#"{"\u0074\u0065\u0078\u0074":"hi"}"#)).await;
    assert_eq!(escaped_key.json()["result"]["content"][0]["text"], "hi");
    target.stands(96).await;
}

#[tokio::test]
async fn texts_that_are_none() {
    let target = Target::start(&[]).await;
    let session = &target.session().await;
    for bytes in [
        &b"\xff"[..],
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xf8\x88\x80\x80\x80",
        b"\xe2\x82",
        b"\x80",
    ] {
        let body = [br#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":""#, bytes, br#""}}"#].concat();
        assert_eq!(answer_to(&target, session, body).await.says(), (400, -32700), "{bytes:x?}");
    }
    for bytes in [&b"\xef\xbb\xbf"[..], b"\xff\xfe", b"\0"] {
        let body = [bytes, PING.as_bytes()].concat();
        assert_eq!(answer_to(&target, session, body).await.says(), (400, -32700), "{bytes:x?} in front");
    }
    let utf16: Vec<u8> = PING.encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(answer_to(&target, session, utf16).await.says(), (400, -32700), "UTF-16");
    // Half a pair of surrogates is sound JSON and no text.
    for half in [r"\ud800", r"\udc00", r"\udc00\ud800", r"\ud800x", r"\ud800\n", r"\ud800\ud800"] {
        let echo = answer_to(&target, session, echo_with(&format!(r#"{{"text":"{half}"}}"#))).await;
        assert_eq!((echo.status, &echo.json()["result"]["isError"]), (200, &json!(true)), "{half}");
        let as_id = format!(r#"{{"jsonrpc":"2.0","id":"{half}","method":"ping"}}"#);
        let as_id = answer_to(&target, session, as_id).await;
        assert_eq!(as_id.status, 400, "{half} as an id");
        let as_name =
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{half}"}}}}"#);
        assert_eq!(answer_to(&target, session, as_name).await.says(), (200, -32602), "{half} as a name");
    }
    let pair = answer_to(&target, session, echo_with(r#"{"text":"\ud83d\ude00"}"#)).await;
    assert_eq!(pair.json()["result"]["content"][0]["text"], "\u{1f600}");
    target.stands(8).await;
}

#[tokio::test]
async fn members_that_occur_twice() {
    let target = Target::start(&[]).await;
    let session = &target.session().await;
    for (body, says) in [
        (r#"{"jsonrpc":"2.0","jsonrpc":"2.0","id":1,"method":"ping"}"#.to_owned(), (400, -32600)),
        (r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#.to_owned(), (400, -32600)),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","\u006dethod":"tools/list"}"#.to_owned(), (400, -32600)),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{},"params":{}}"#.to_owned(), (400, -32600)),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","name":"slow"}}"#
                .to_owned(),
            (200, -32602),
        ),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}"#.to_owned(), (400, -32600)),
        // What nobody reads may be as it likes.
        (ping_with(&format!("{{{}}}", filled(r#""a":1"#))), (200, 0)),
    ] {
        let shown: String = body.chars().take(90).collect();
        assert_eq!(answer_to(&target, session, body).await.says(), says, "{shown}");
    }
    let twice = answer_to(&target, session, echo_with(&format!("{{{}}}", filled(r#""text":"x""#)))).await;
    assert_eq!((twice.status, &twice.json()["result"]["isError"]), (200, &json!(true)));
    target.stands(48).await;
}

/// A request may have an id of 4 MB; it is one request, and its id comes back as it was.
#[tokio::test]
async fn ids_of_every_type() {
    let target = Target::start(&[]).await;
    let session = &target.session().await;
    for id in [
        json!(0),
        json!(-1),
        json!(i64::MAX),
        json!(i64::MIN),
        json!(""),
        json!("1"),
        json!("\u{0}\u{7f}\u{1f600}"),
        json!("x".repeat(1 << 20)),
    ] {
        let body = json!({"jsonrpc": "2.0", "id": id, "method": "ping"});
        let answer = answer_to(&target, session, body.to_string()).await;
        assert_eq!((answer.status, &answer.json()["id"]), (200, &id));
        let echoed = answer_to(&target, session, call(&id, "echo", &json!({"text": "hi"}))).await;
        assert_eq!((echoed.status, &echoed.json()["id"]), (200, &id));
    }
    for id in ["null", "true", "false", "1.5", "-0.5", "1e400", "[]", "[1]", "{}", r#"{"id":1}"#] {
        for method in ["ping", "tools/call", "initialize"] {
            let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}"}}"#);
            let answer = answer_to(&target, session, body).await;
            assert_eq!(answer.says(), (400, -32600), "{id} {method}");
            assert_eq!(
                answer.json().get("id").unwrap_or(&Value::Null),
                &Value::Null,
                "{id}: none could be read"
            );
        }
    }
    // The id of a request that runs is taken, whatever its type; 1 and "1" are two.
    let slow = json!({"ms": 600_000, "events": 1});
    let mut running = Vec::new();
    for id in [json!(1), json!("1")] {
        let mut raw = target.raw().await;
        raw.send(post(Some(session), &call(&id, "slow", &slow))).await;
        assert_eq!(raw.head().await.status, 200);
        running.push(raw);
    }
    for id in [json!(1), json!("1")] {
        assert_eq!(
            answer_to(&target, session, call(&id, "echo", &json!({"text": "x"}))).await.says(),
            (400, -32600)
        );
    }
    target.stands(32).await;
}

/// What a session remembers must not keep the bodies alive that it came in.
#[tokio::test]
async fn what_is_remembered_is_small_though_it_came_in_much() {
    let target = Target::start(&[]).await;
    let session = &target.session().await;
    let filler = "x".repeat(4_000_000);
    let mut raw = target.raw().await;
    for _ in 0..30 {
        let hello = super::INITIALIZE.replace(r#""id":0"#, &format!(r#""id":0,"x":"{filler}""#));
        raw.send(post(None, &hello)).await;
        assert_eq!(raw.answer().await.status, 200);
    }
    for number in 0..30 {
        let subscribe = json!({"jsonrpc": "2.0", "id": number, "method": "resources/subscribe", "params": {"uri": format!("metrics://{number}")}, "x": filler});
        raw.send(post(Some(session), &subscribe.to_string())).await;
        raw.answer().await;
    }
    target.stands(40).await;
}

/// A call that runs keeps the body that it came in, and that once: its arguments are slices of it.
#[tokio::test]
async fn what_runs_keeps_its_body_once() {
    let target = Target::start(&[]).await;
    let session = &target.session().await;
    let filler = "x".repeat(4_000_000);
    let mut running = Vec::new();
    for number in 0..20 {
        let message =
            call(&json!(format!("id-{number}")), "slow", &json!({"ms": 600_000, "events": 1, "x": filler}));
        let mut raw = target.raw().await;
        raw.send(post(Some(session), &message)).await;
        assert_eq!(raw.head().await.status, 200);
        running.push(raw);
    }
    // 4 MiB each, what one more takes while it is read, and the buffers of the connections.
    target.stands(20 * 4 + 32).await;
}

/// A token comes back in every notification: a long one makes a small request a large answer.
#[tokio::test]
async fn a_progress_token_is_no_amplifier() {
    let target = Target::start(&[]).await;
    let session = &target.session().await;
    let mut message: Value =
        serde_json::from_str(&call(&json!(1), "slow", &json!({"ms": 0, "events": 5_000}))).expect("JSON");
    message["params"]["_meta"]["progressToken"] = json!("t".repeat(1 << 20));
    let answer = answer_to(&target, session, message.to_string()).await;
    assert_eq!(answer.says(), (200, -32602));
    assert!(answer.body.len() < 1_000);
    target.stands(16).await;
}
