//! What travels stays as it is, byte by byte, apart from ids.

use serde_json::json;

use super::Host;
use super::scripted::{Asked, Scripted, events, id_of, json as body, session};

const PARAMS: &str = r#"{ "name":"a", "_m\u0065ta":{"progressToken":1e0,"z":1.0} ,"arguments":{"n":1e3,"f":1.0,"big":123456789012345678901234567890,"x":1,"x":2,"u":"\u00e9\ud83d\ude00","z":[ ],"a":-0}}"#;
const PROGRESS: &str = r#"{"z":1.0, "progressToken":1,"progress":1e0,"progress2":0.10,"m":"\u0041"}"#;
const QUESTION: &str = r#"{"b":2,"a":1.00,"text":"\/ \u00e9"}"#;
const ANSWER: &str = r#"{"z":0.0,"a":[1e-7,1E+2],"k":{"x":1,"x":2}}"#;
const RESULT: &str = r#"{"z":1e3, "content":[],"big":18446744073709551616,"u":"\u00e9","k":1,"k":2}"#;
const DATA: &str = r#"{"z":1.0,"a":1e3}"#;

fn script(asked: &Asked) -> Option<String> {
    session(asked).or_else(|| {
        let id = id_of(asked);
        if asked.body.contains(r#""result":"#) || asked.body.contains(r#""error":"#) {
            return Some(super::scripted::refusal("202 Accepted"));
        }
        if asked.body.contains("example/fails") {
            return Some(body(&format!(
                r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32042,"message":"no","data":{DATA}}}}}"#
            )));
        }
        if asked.body.contains("example/hangs") {
            return None;
        }
        Some(events(&[
            &format!(r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{PROGRESS}}}"#),
            &format!(r#"{{"jsonrpc":"2.0","id":"q","method":"example/ask","params":{QUESTION}}}"#),
            r#"{"jsonrpc":"2.0","method":"notifications/example"}"#,
            &format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{RESULT}}}"#),
        ]))
    })
}

#[tokio::test]
async fn odd_json_passes_as_it_is() {
    let server = Scripted::start(script).await;
    let url = server.url();
    let mut host =
        Host::open(&url, &["--header", "X-Key: open sesame", "--log", "trace"], "2025-11-25").await;
    host.say_line(r#"{"jsonrpc":"2.0","method":"notifications/example","params":{"b":1.0,"a":1e3}}"#).await;
    host.say_line(&format!(r#"{{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{PARAMS}}}"#)).await;
    let mut lines = Vec::new();
    for _ in 0..4 {
        lines.push(host.line().await.expect("a line"));
    }
    let told = |text: &str| {
        lines.iter().position(|line| line == text).unwrap_or_else(|| panic!("{text}: {lines:#?}"))
    };
    let progress =
        told(&format!(r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{PROGRESS}}}"#));
    let note = told(r#"{"jsonrpc":"2.0","method":"notifications/example"}"#);
    let result = told(&format!(r#"{{"jsonrpc":"2.0","id":"x","result":{RESULT}}}"#));
    assert!(progress < note && note < result, "{lines:#?}");
    let question = lines.iter().find(|line| line.contains("example/ask")).expect("the question");
    assert!(question.ends_with(&format!(r#""method":"example/ask","params":{QUESTION}}}"#)), "{question}");
    let id = serde_json::from_str::<serde_json::Value>(question).expect("JSON")["id"].clone();
    host.say_line(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{ANSWER}}}"#)).await;
    host.say_line(r#"{"jsonrpc":"2.0","id":2,"method":"example/fails"}"#).await;
    let failed = host.line().await.expect("an answer");
    assert_eq!(
        failed,
        format!(r#"{{"jsonrpc":"2.0","id":2,"error":{{"code":-32042,"message":"no","data":{DATA}}}}}"#)
    );
    let (code, rest, log) = host.close().await;
    assert_eq!((code, rest), (0, vec![]), "{log}");

    assert_eq!(
        server.bodies(&format!(r#""method":"tools/call","params":{PARAMS}}}"#)).len(),
        1,
        "{:#?}",
        server.asked()
    );
    assert_eq!(server.bodies(&format!(r#"{{"jsonrpc":"2.0","id":"q","result":{ANSWER}}}"#)).len(), 1);
    assert_eq!(
        server
            .bodies(r#"{"jsonrpc":"2.0","method":"notifications/example","params":{"b":1.0,"a":1e3}}"#)
            .len(),
        1
    );
    let asked = server.asked();
    assert!(asked.last().expect("requests").head.starts_with("DELETE"), "{asked:#?}");
    assert!(asked.iter().all(|asked| asked.head.contains("x-key: open sesame")), "{asked:#?}");
    assert!(!log.contains("sesame") && !log.contains("s1"), "{log}");
}

#[tokio::test]
async fn a_cancellation_keeps_its_reason() {
    let server = Scripted::start(script).await;
    let mut host = Host::open(&server.url(), &[], "2025-11-25").await;
    host.request(json!("h"), "example/hangs", json!({})).await;
    while server.bodies("example/hangs").is_empty() {
        // Its answers come one after the other, and the call is sent meanwhile.
        host.ask(json!(1), "example/fails", json!({})).await;
    }
    let params = json!({"requestId": "h", "reason": "the user is bored"});
    host.say(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params})).await;
    while server.bodies("the user is bored").is_empty() {
        host.ask(json!(2), "example/fails", json!({})).await;
    }
    let hung: serde_json::Value = serde_json::from_str(&server.bodies("example/hangs")[0]).expect("JSON");
    let told: serde_json::Value = serde_json::from_str(&server.bodies("the user is bored")[0]).expect("JSON");
    assert_eq!(told["params"]["requestId"], hung["id"]);
}

#[tokio::test]
async fn what_the_host_can_do_is_what_the_server_is_told() {
    let server = Scripted::start(script).await;
    let mut host = Host::start(&server.url(), &[]);
    let params = json!({
        "protocolVersion": "2025-06-18",
        "capabilities": {"sampling": {}, "experimental": {"example/x": {"a": 1}}},
        "clientInfo": {"name": "a host", "version": "7", "title": "A Host"},
    });
    let answer = host.ask(json!(0), "initialize", params.clone()).await;
    // The server's revision, as without a bridge.
    assert_eq!(answer["result"]["protocolVersion"], "2025-11-25");
    let [told] = &server.bodies(r#""method":"initialize""#)[..] else { panic!("{:?}", server.asked()) };
    let told: serde_json::Value = serde_json::from_str(told).expect("JSON");
    assert_eq!(told["params"], params);
}
