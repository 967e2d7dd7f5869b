//! What only the modern era writes: the types of results, who the server is, how long a result may be kept.

use super::*;
use crate::jsonrpc::{ErrorObject, write_error};

fn result_text(answer: impl Into<Answer>, extras: &ResultExtras) -> String {
    let mut answer = answer.into();
    let kept = answer.clone();
    let mut out = BytesMut::from("before|");
    Revision::LATEST.write_answer_with(&mut out, &1.into(), &mut answer, extras).unwrap();
    if let (Some(place), Some(before)) = (answer.meta_mut(), kept.clone().meta_mut()) {
        assert_eq!(place, before, "the answer keeps its own `_meta`");
    }
    let text = String::from_utf8(out.to_vec()).unwrap();
    let text = text.strip_prefix(r#"before|{"jsonrpc":"2.0","id":1,"result":"#).unwrap();
    text.strip_suffix('}').unwrap().to_owned()
}

fn named() -> ResultExtras {
    ResultExtras {
        server_info: Some(Raw::from_json(r#"{"name":"s","version":"1"}"#).unwrap()),
        cache: cache(),
    }
}

/// The server's identity as it stands in `_meta`.
const NAMED: &str = r#""io.modelcontextprotocol/serverInfo":{"name":"s","version":"1"}"#;

#[test]
fn every_result_begins_with_its_type() {
    let none = ResultExtras::NONE;
    assert_eq!(result_text(Answer::Empty, &none), r#"{"resultType":"complete"}"#);
    assert_eq!(
        result_text(CallToolResult::text("x"), &none),
        r#"{"resultType":"complete","content":[{"type":"text","text":"x"}]}"#
    );
    assert_eq!(
        result_text(InputRequiredResult::new().with_request_state("s"), &none),
        r#"{"resultType":"input_required","requestState":"s"}"#
    );
    assert_eq!(
        result_text(Answer::Listen(ListenResult::new(&"l".into())), &none),
        r#"{"resultType":"complete","_meta":{"io.modelcontextprotocol/subscriptionId":"l"}}"#
    );
    assert_eq!(ResultExtras::default(), none);
}

#[test]
fn the_server_is_named_beside_what_is_there() {
    let said = |meta: &str| format!(r#"{{"resultType":"complete","_meta":{{{meta}}},"content":[]}}"#);
    let result = CallToolResult::new([]);
    assert_eq!(result_text(result.clone(), &named()), said(NAMED));
    assert_eq!(result_text(result.clone().with_meta(Meta::new()), &named()), said(NAMED));
    let noted = Meta::new().with("a\"b", &1).unwrap().with("z", &[2]).unwrap();
    let text = result_text(result.clone().with_meta(noted.clone()), &named());
    assert_eq!(text, said(&format!(r#"{NAMED},"a\"b":1,"z":[2]"#)));
    assert_eq!(
        result_text(result.clone().with_meta(noted), &ResultExtras::NONE),
        said(r#""a\"b":1,"z":[2]"#)
    );
    assert_eq!(result_text(result.clone().with_meta(Meta::new()), &ResultExtras::NONE), said(""));
    // A handler that speaks for another server says which.
    let other = Meta::new().with(Meta::SERVER_INFO, &json!({"name": "o", "version": "2"})).unwrap();
    assert_eq!(
        result_text(result.with_meta(other), &named()),
        said(r#""io.modelcontextprotocol/serverInfo":{"name":"o","version":"2"}"#)
    );
    assert_eq!(
        result_text(Answer::Empty, &named()),
        format!(r#"{{"resultType":"complete","_meta":{{{NAMED}}}}}"#)
    );
}

#[test]
fn a_result_that_is_json_already_keeps_its_members_as_they_are() {
    let none = ResultExtras::NONE;
    let complete = r#""resultType":"complete""#;
    let beside = format!(r#""_meta":{{{NAMED}}}"#);
    for (json, plain, full) in [
        ("{}", format!("{{{complete}}}"), format!("{{{complete},{beside}}}")),
        ("{ \n }", format!("{{{complete}}}"), format!("{{{complete},{beside}}}")),
        (
            r#"{ "a" : 1.50 }"#,
            format!(r#"{{{complete}, "a" : 1.50 }}"#),
            format!(r#"{{{complete},{beside}, "a" : 1.50 }}"#),
        ),
        (r#"{"resultType":"task"}"#, r#"{"resultType":"task"}"#.to_owned(), {
            format!(r#"{{{beside},"resultType":"task"}}"#)
        }),
        (
            r#"{"a":{"_meta":1,"resultType":2},"_meta":{"b":"}"}}"#,
            format!(r#"{{{complete},"a":{{"_meta":1,"resultType":2}},"_meta":{{"b":"}}"}}}}"#),
            format!(r#"{{{complete},"a":{{"_meta":1,"resultType":2}},"_meta":{{{NAMED},"b":"}}"}}}}"#),
        ),
        (
            r#"{"_meta": { } ,"\u0072esultType":"x"}"#,
            r#"{"_meta": { } ,"\u0072esultType":"x"}"#.to_owned(),
            format!(r#"{{"_meta": {{{NAMED} }} ,"\u0072esultType":"x"}}"#),
        ),
        (
            r#"{"_meta":{"io.modelcontextprotocol\/serverInfo":0}}"#,
            format!(r#"{{{complete},"_meta":{{"io.modelcontextprotocol\/serverInfo":0}}}}"#),
            format!(r#"{{{complete},"_meta":{{"io.modelcontextprotocol\/serverInfo":0}}}}"#),
        ),
    ] {
        let answer = || Answer::Custom(Raw::from_json(json).unwrap());
        assert_eq!(result_text(answer(), &none), plain, "{json}");
        let text = result_text(answer(), &named());
        assert_eq!(text, full, "{json}");
        // Each text is JSON that says the same and more.
        let before: Value = serde_json::from_str(json).unwrap();
        let mut after: Value = serde_json::from_str(&text).unwrap();
        for field in before.as_object().unwrap().keys().filter(|field| *field != "_meta") {
            assert_eq!(after[field].take(), before[field], "{json}");
        }
    }
    for bad in ["[]", "null", "7", r#"{"_meta":7}"#, r#"{"_meta":null}"#] {
        let mut answer = Answer::Custom(Raw::from_json(bad).unwrap());
        let mut out = BytesMut::from("before");
        let error = Revision::LATEST.write_answer(&mut out, &id(), &mut answer).unwrap_err();
        assert!(error.to_string().contains("must be an object"), "{error}");
        assert_eq!(out, "before");
    }
    // What older revisions send is none of that.
    let mut out = BytesMut::new();
    let mut answer = Answer::Custom(Raw::from_json("{ }").unwrap());
    Revision::LATEST_LEGACY.write_answer_with(&mut out, &1.into(), &mut answer, &named()).unwrap();
    assert_eq!(out, r#"{"jsonrpc":"2.0","id":1,"result":{ }}"#);
}

#[test]
fn what_may_be_kept_says_for_how_long() {
    let hints = |text: &str| {
        let result: Value = serde_json::from_str(text).unwrap();
        (result["ttlMs"].clone(), result["cacheScope"].clone())
    };
    for (name, mut answer) in answers() {
        if refuses(Revision::LATEST, answer.clone()) {
            continue;
        }
        let cacheable = answer.cache_mut();
        assert_eq!(cacheable.is_some(), is_cacheable(name), "{name}");
        if let Some((ttl_ms, scope)) = cacheable {
            assert_eq!((ttl_ms.take(), scope.take()), (Some(60_000), Some(CacheScope::Public)), "{name}");
        }
        let told = hints(&result_text(answer.clone(), &ResultExtras::NONE));
        let public = hints(&result_text(answer.clone(), &named()));
        if is_cacheable(name) {
            assert_eq!(told, (json!(0), json!("private")), "{name}");
            assert_eq!(public, (json!(60_000), json!("public")), "{name}");
        } else {
            assert_eq!((told, public), Default::default(), "{name} is not kept");
        }
    }
    // What a result says of its own comes first, each by itself.
    let mut own = ListToolsResult::new([]);
    own.ttl_ms = Some(5);
    assert_eq!(hints(&result_text(own.clone(), &named())), (json!(5), json!("public")));
    (own.ttl_ms, own.cache_scope) = (None, Some(CacheScope::Private));
    assert_eq!(hints(&result_text(own, &named())), (json!(60_000), json!("private")));
}

#[test]
fn odd_cache_hints_are_read_as_none_to_rely_on() {
    let read = |ttl: Value, scope: Value| {
        let text = json!({"tools": [], "ttlMs": ttl, "cacheScope": scope}).to_string();
        let result: ListToolsResult = serde_json::from_str(&text).unwrap();
        (result.ttl_ms, result.cache_scope)
    };
    let private = Some(CacheScope::Private);
    assert_eq!(read(json!(-1), json!("shared")), (Some(0), private));
    assert_eq!(read(json!(1.9), json!("public")), (Some(1), Some(CacheScope::Public)));
    assert_eq!(read(json!(null), json!(null)), (None, None));
    assert_eq!(read(json!("soon"), json!(["public"])), (Some(0), private));
    assert_eq!(read(json!(1e300), json!("private")), (Some(u64::MAX), private));
}

#[test]
fn a_result_asks_what_the_modern_era_can_ask() {
    let asked = InputRequiredResult::new()
        .with_request("url", ElicitUrlParams::new("e", "https://example.org", "Go."))
        .with_request("raw", Raw::from_json(r#"{"method":"roots/list"}"#).unwrap());
    assert_eq!(
        result_text(asked, &ResultExtras::NONE),
        concat!(
            r#"{"resultType":"input_required","inputRequests":{"#,
            r#""url":{"method":"elicitation/create","params":{"mode":"url","url":"https://example.org","message":"Go."}},"#,
            r#""raw":{"method":"roots/list"}}}"#,
        )
    );
    let ping = InputRequiredResult::new().with_request("p", ServerRequest::Ping(EmptyParams::new()));
    let roots = || ServerRequest::ListRoots(EmptyParams::new());
    let twice = InputRequiredResult::new().with_request("r", roots()).with_request("r", roots());
    for (useless, why) in
        [(ping, "`ping`"), (twice, "named `r`"), (InputRequiredResult::new(), "a question or a state")]
    {
        let mut out = BytesMut::from("before");
        let mut answer = Answer::from(useless);
        let error = Revision::LATEST.write_answer(&mut out, &id(), &mut answer).unwrap_err();
        assert!(error.to_string().contains(why) && out == "before", "{error}");
    }
    let read = |text: &str| serde_json::from_str::<InputRequiredResult>(text);
    assert!(read(r#"{"inputRequests":{"p":{"method":"ping"}}}"#).unwrap_err().to_string().contains("`ping`"));
    assert!(read(r#"{"inputRequests":{"p":{"method":"x/y"}}}"#).unwrap_err().to_string().contains("`x/y`"));
    let state_only = read(r#"{"inputRequests":null,"requestState":"s"}"#).unwrap();
    assert_eq!(state_only, InputRequiredResult::new().with_request_state("s"));
}

#[test]
fn an_older_revision_has_no_result_of_the_modern_era() {
    for revision in Revision::LEGACY {
        for answer in [
            DiscoverResult::default().into(),
            InputRequiredResult::new().with_request_state("s").into(),
            Answer::Listen(ListenResult::new(&id())),
        ] {
            let mut out = BytesMut::from("before");
            let error = revision.write_answer(&mut out, &id(), &mut answer.clone()).unwrap_err();
            let expected =
                format!("protocol revision {revision} has no such result: it is of the modern era alone");
            assert_eq!((error.to_string(), &out[..]), (expected, &b"before"[..]));
        }
    }
}

#[test]
fn no_code_of_an_older_revision_is_sent() {
    let modern = |code: i32| Revision::LATEST.error_code(ErrorCode(code)).0;
    assert_eq!(modern(-32002), -32602);
    assert_eq!(modern(-32042), -32600);
    for kept in
        [-32700, -32600, -32601, -32602, -32603, -32020, -32021, -32022, -32000, -32019, -32100, -1, 0, 7]
    {
        assert_eq!(modern(kept), kept);
    }
    let defined = [-32020, -32021, -32022];
    for code in -32099..=-32020 {
        assert!(defined.contains(&modern(code)) || [-32603, -32600].contains(&modern(code)), "{code}");
    }
    for revision in Revision::LEGACY {
        for code in [-32002, -32042, -32602, -32050] {
            assert_eq!(revision.error_code(ErrorCode(code)).0, code);
        }
        assert_eq!(revision.error_code(revision.resource_not_found()), revision.resource_not_found());
    }
}

#[test]
fn the_errors_of_the_modern_era_fit_its_schema() {
    let Some(all) = Schemas::load() else { return };
    let schemas = all.last().unwrap();
    assert_eq!(schemas.revision, Revision::LATEST);
    let needed = ClientCapabilities::new().with_sampling(SamplingCapability::default());
    for (name, code, data) in [
        ("HeaderMismatchError", ErrorCode::HEADER_MISMATCH, json!(null)),
        (
            "MissingRequiredClientCapabilityError",
            ErrorCode::MISSING_CLIENT_CAPABILITY,
            json!({"requiredCapabilities": needed}),
        ),
        (
            "UnsupportedProtocolVersionError",
            ErrorCode::UNSUPPORTED_PROTOCOL_VERSION,
            json!({"supported": Revision::ALL, "requested": "1999-12-31"}),
        ),
    ] {
        let error = ErrorObject::new(Revision::LATEST.error_code(code), "No.").with_data(&data);
        let message = write(|out| write_error(out, Some(&id()), &error));
        let misfits = schemas.misfits(name, &message);
        assert!(misfits.iter().all(|misfit| misfit.starts_with("closed")), "{name}: {misfits:#?}");
    }
}

#[test]
fn a_request_says_who_sends_it() {
    let client = Client { info: Some(implementation()), capabilities: client_capabilities() };
    let meta = Revision::LATEST.request_meta(&client).unwrap();
    let told: Value = serde_json::to_value(&meta).unwrap();
    assert_eq!(told[Meta::PROTOCOL_VERSION], json!("2026-07-28"));
    assert_eq!(told[Meta::CLIENT_INFO], json!(implementation()));
    // Nobody hears of changed roots in this era.
    assert_eq!(told[Meta::CLIENT_CAPABILITIES]["roots"], json!({}));
    if let Some(all) = Schemas::load() {
        let schemas = all.last().unwrap();
        schemas.assert_fits("RequestMetaObject", &told);
        schemas.assert_uses_all("ClientCapabilities", &told[Meta::CLIENT_CAPABILITIES], &["extensions"]);
    }
    let silent = Revision::LATEST.request_meta(&Client::default()).unwrap();
    assert_eq!(silent.len(), 2);
    for revision in Revision::LEGACY {
        assert!(revision.request_meta(&client).unwrap().is_empty());
    }
}
