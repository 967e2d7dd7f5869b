use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;
use crate::jsonrpc::{ErrorCode, ProgressToken, Raw, RequestId, Str};

/// Where the published schemas lie: the directory named by `MCP_SCHEMA_DIR`, else the one beside the workspace. `None` (and a
/// note) where there is neither.
pub(crate) fn schema_directory() -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/schema");
    let named = std::env::var_os("MCP_SCHEMA_DIR").map(PathBuf::from);
    let found = named.into_iter().chain([beside]).find(|directory| directory.is_dir());
    if found.is_none() {
        println!("skipped: the published schemas are not at hand; name their directory in MCP_SCHEMA_DIR");
    }
    found
}

fn read<T: DeserializeOwned>(value: &Value) -> Result<T, serde_json::Error> {
    // From text, as messages are: raw JSON cannot be read from a tree.
    serde_json::from_str(&value.to_string())
}

/// The value as it is after it was read and written again.
fn again<T: Serialize + DeserializeOwned>(value: &Value) -> Value {
    match read::<T>(value) {
        Ok(read) => serde_json::from_str(&serde_json::to_string(&read).unwrap()).unwrap(),
        Err(error) => panic!("{} cannot be read: {error}\n{value:#}", std::any::type_name::<T>()),
    }
}

#[test]
fn whole_messages_of_the_examples_are_parsed_by_method() {
    let params = Raw::from_json(r#"{"name":"get_weather","arguments":{"location":"New York"}}"#).unwrap();
    let method = Method::parse("tools/call").unwrap();
    let Ok(Some(ClientRequest::CallTool(call))) = ClientRequest::parse(method, Some(&params)) else {
        panic!("tools/call is a client's request");
    };
    assert_eq!(
        (call.name.as_str(), call.arguments.unwrap().as_str()),
        ("get_weather", r#"{"location":"New York"}"#)
    );
    assert_eq!(ServerRequest::parse(method, Some(&params)), Ok(None));
    assert_eq!(ClientRequest::parse(Method::Ping, None), Ok(Some(ClientRequest::Ping(EmptyParams::new()))));

    let error = ClientRequest::parse(method, None).unwrap_err();
    assert_eq!(error.code, ErrorCode::INVALID_PARAMS);
    assert!(error.message.contains("tools/call") && error.message.contains("name"), "{}", error.message);

    let params = Raw::from_json(r#"{"requestId":7}"#).unwrap();
    let cancelled = ServerNotification::parse(Method::Cancelled, Some(&params)).unwrap().unwrap();
    assert_eq!(cancelled, ServerNotification::Cancelled(CancelledParams::new(RequestId::Number(7))));
    assert_eq!(cancelled.method(), Method::Cancelled);
}

#[test]
fn unknown_fields_and_nulls_are_tolerated() {
    let tool: Tool = read(&json!({
        "name": "t", "inputSchema": {"type": "object"}, "title": null, "icons": null, "annotations": null, "_meta": null,
        "outputSchema": null, "newField": {"a": [1]}
    }))
    .unwrap();
    assert_eq!(tool, Tool::new("t", Raw::from_json(r#"{"type":"object"}"#).unwrap()));

    let text: Content = read(&json!({"type": "text", "text": "x", "annotations": null, "later": 1})).unwrap();
    assert_eq!(text, Content::text("x"));
    let result: CallToolResult =
        read(&json!({"content": null, "isError": null, "resultType": "complete"})).unwrap();
    assert_eq!(result, CallToolResult::new([]));
    let page: PaginatedParams = read(&json!({"cursor": null})).unwrap();
    assert_eq!(page.cursor, None);
    let client: ClientCapabilities =
        read(&json!({"sampling": {}, "roots": null, "tasks": {"list": {}}, "experimental": null})).unwrap();
    assert_eq!(client, ClientCapabilities::new().with_sampling(SamplingCapability::default()));
    let field: PrimitiveSchema = read(&json!({"type": "string", "format": "uuid", "default": null})).unwrap();
    assert_eq!(field, StringSchema::new().into());
}

#[test]
fn free_json_is_kept_byte_for_byte() {
    let text = r#"{"type":"tool_use","id":"u","name":"n","input":{"b": 1.50,"a":[1e2, "\u00e9"]},"_meta":{"x":{ "y":0.10 }}}"#;
    let content: SamplingContent = serde_json::from_str(text).unwrap();
    let SamplingContent::ToolUse(used) = &content else { panic!("it is a tool_use") };
    assert_eq!(used.input.as_str(), r#"{"b": 1.50,"a":[1e2, "\u00e9"]}"#);
    assert_eq!(serde_json::to_string(&content).unwrap(), text);
    let message = format!(r#"{{"role":"assistant","content":{text}}}"#);
    let read: SamplingMessage = serde_json::from_str(&message).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), message);
}

#[test]
fn content_that_cannot_be_read_says_what_is_missing() {
    let error = |value: Value| read::<Content>(&value).unwrap_err().to_string();
    assert!(error(json!({"type": "image", "data": ""})).contains("`image` needs the field `mimeType`"));
    assert!(
        error(json!({"type": "resource_link", "uri": "u:"}))
            .contains("`resource_link` needs the field `name`")
    );
    assert!(error(json!({"type": "tool_use"})).contains("`tool_use` is not known here"));
    assert!(error(json!({"text": "x"})).contains("type"));
    let error = read::<SamplingContent>(&json!({"type": "resource"})).unwrap_err().to_string();
    assert!(error.contains("`resource` is not known here"), "{error}");
    let error = read::<ResourceContents>(&json!({"uri": "u:"})).unwrap_err().to_string();
    assert!(error.contains("`text` and `blob`"), "{error}");
}

#[test]
fn sampling_content_is_one_block_or_many() {
    let one = json!({"role": "user", "content": {"type": "text", "text": "a"}});
    let many =
        json!({"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]});
    assert_eq!(again::<SamplingMessage>(&one), one);
    assert_eq!(again::<SamplingMessage>(&many), many);
    // An array of one says the same as the one.
    let array = json!({"role": "user", "content": [{"type": "text", "text": "a"}]});
    assert_eq!(read::<SamplingMessage>(&array).unwrap(), SamplingMessage::user("a"));
    assert!(read::<SamplingMessage>(&json!({"role": "user", "content": "a"})).is_err());
    assert_eq!(again::<SamplingMessage>(&json!({"role": "user", "content": []}))["content"], json!([]));
}

#[test]
fn bytes_become_base64_and_come_back() {
    let Content::Image(image) = Content::image([0, 159, 255], "image/png") else { panic!("it is an image") };
    assert_eq!((image.data.as_str(), image.bytes().unwrap()), ("AJ//", vec![0, 159, 255]));
    let Content::Audio(audio) = Content::audio(b"RIFF", "audio/wav") else { panic!("it is audio") };
    assert_eq!(audio.bytes().unwrap(), b"RIFF");
    let ResourceContents::Blob(blob) = ResourceContents::blob("u:", b"x") else { panic!("it is a blob") };
    assert_eq!((blob.blob.as_str(), blob.bytes().unwrap()), ("eA==", b"x".to_vec()));
    assert!(ImageContent::from_base64("*", "image/png").bytes().is_err());
}

#[test]
fn numbers_are_whole_where_they_can_be_and_finite() {
    let priority = |value: f64| serde_json::to_string(&Annotations::new().with_priority(value));
    assert_eq!(priority(1.0).unwrap(), r#"{"priority":1}"#);
    assert_eq!(priority(0.7).unwrap(), r#"{"priority":0.7}"#);
    assert_eq!(priority(-0.0).unwrap(), r#"{"priority":0}"#);
    assert_eq!(priority(1e300).unwrap(), r#"{"priority":1e+300}"#);
    for wrong in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert!(priority(wrong).unwrap_err().to_string().contains("finite"));
    }
}

#[test]
fn levels_are_ordered_and_named() {
    assert!(LoggingLevel::ALL.is_sorted());
    for level in LoggingLevel::ALL {
        assert_eq!(serde_json::to_value(level).unwrap(), json!(level.as_str()));
        assert_eq!(serde_json::from_value::<LoggingLevel>(json!(level.as_str())).unwrap(), level);
    }
    assert!(serde_json::from_str::<LoggingLevel>("\"warn\"").is_err());
}

#[test]
fn methods_have_one_name_each() {
    for method in Method::ALL {
        assert_eq!(Method::parse(method.as_str()), Some(*method));
    }
    let asking: Vec<&Method> = Method::ALL.iter().filter(|method| method.may_ask()).collect();
    assert_eq!(asking, [&Method::CallTool, &Method::GetPrompt, &Method::ReadResource]);
    let reading = Method::ALL.iter().filter(|method| method.only_reads()).count();
    assert!(reading == 7 && !Method::CallTool.only_reads() && !Method::Subscribe.only_reads());
}

#[test]
fn capabilities_are_declared_by_being_there() {
    let client: ClientCapabilities =
        read(&json!({"elicitation": {"url": {}}, "sampling": {"tools": {"later": 1}, "context": null}}))
            .unwrap();
    let elicitation = client.elicitation.unwrap();
    assert!(elicitation.url && !elicitation.has_form());
    assert_eq!(client.sampling, Some(SamplingCapability { context: false, tools: true }));
    let server = json!({"tools": {}, "resources": {"subscribe": true}, "logging": {}, "completions": {}});
    assert_eq!(again::<ServerCapabilities>(&server), server);
}

#[test]
fn every_form_of_enum_is_read_and_written_again() {
    for form in [
        json!({"type": "string", "enum": ["a", "b"], "default": "a"}),
        json!({"type": "string", "enum": ["a", "b"], "enumNames": ["A", "B"]}),
        json!({"type": "string", "oneOf": [{"const": "a", "title": "A"}]}),
        json!({"type": "array", "items": {"type": "string", "enum": ["a"]}, "minItems": 1}),
        json!({"type": "array", "items": {"anyOf": [{"const": "a", "title": "A"}]}, "default": ["a"]}),
        json!({"type": "integer", "minimum": -3, "maximum": 3, "default": 0}),
        json!({"type": "number", "minimum": 0.5}),
        json!({"type": "boolean", "default": false}),
        json!({"type": "string", "minLength": 1, "maxLength": 9, "format": "date-time", "default": "x"}),
    ] {
        assert_eq!(again::<PrimitiveSchema>(&form), form);
    }
    for wrong in [
        json!({"type": "object"}),
        json!({"type": "array"}),
        json!({"type": "array", "items": {"type": "object"}}),
        json!({"type": "boolean", "default": "yes"}),
        json!({"enum": ["a"]}),
    ] {
        assert!(read::<PrimitiveSchema>(&wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_form_keeps_the_order_of_its_fields_and_names_each_once() {
    let text =
        r#"{"type":"object","properties":{"z":{"type":"boolean"},"a":{"type":"string"}},"required":["a"]}"#;
    let schema: ElicitSchema = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_string(&schema).unwrap(), text);
    let twice = r#"{"type":"object","properties":{"a":{"type":"boolean"},"a":{"type":"string"}}}"#;
    let error = serde_json::from_str::<ElicitSchema>(twice).unwrap_err().to_string();
    assert!(error.contains("two fields `a`"), "{error}");
}

#[test]
fn elicitations_are_of_one_mode() {
    let url = json!({"mode": "url", "elicitationId": "e", "url": "https://example.org", "message": "Go."});
    assert_eq!(again::<ElicitParams>(&url), url);
    let form = json!({"message": "?", "requestedSchema": {"type": "object", "properties": {}}});
    assert_eq!(again::<ElicitParams>(&form), form);
    let error = |value: Value| read::<ElicitParams>(&value).unwrap_err().to_string();
    assert!(error(json!({"message": "?"})).contains("`requestedSchema`"));
    assert!(error(json!({"mode": "url", "message": "?"})).contains("`url`"));
    // The modern era names no elicitation.
    let unnamed = json!({"mode": "url", "url": "https://example.org", "message": "Go."});
    assert_eq!(again::<ElicitParams>(&unnamed), unnamed);
    assert!(error(json!({"mode": "voice", "message": "?"})).contains("`voice`"));

    let required = UrlElicitationRequired::new([ElicitUrlParams::new("e", "https://example.org", "Go.")]);
    let error = required.to_error();
    assert_eq!(error.code, ErrorCode::URL_ELICITATION_REQUIRED);
    assert_eq!(error.data.unwrap().parse::<UrlElicitationRequired>().unwrap(), required);
}

#[test]
fn completion_is_bounded() {
    let exactly = Completion::new((0..100).map(|n| n.to_string()));
    assert_eq!((exactly.values.len(), exactly.total, exactly.has_more), (100, Some(100), Some(false)));
    let none = Completion::new(Vec::<Str>::new());
    assert_eq!(serde_json::to_value(none).unwrap(), json!({"values": [], "total": 0, "hasMore": false}));
}

#[test]
fn meta_tells_the_progress_token() {
    let token = |text: &str| serde_json::from_str::<Meta>(text).unwrap().progress_token();
    assert_eq!(token(r#"{"progressToken":7}"#), Some(ProgressToken::Number(7)));
    assert_eq!(token(r#"{"progressToken":"t","x":1}"#), Some(ProgressToken::String("t".into())));
    assert_eq!(token(r#"{"progressToken":1.5}"#), None);
    assert_eq!(token("{}"), None);

    let mut meta = Meta::new().with("a", &1).unwrap();
    assert_eq!(meta.insert("a", Raw::null()).unwrap().as_str(), "1");
    assert_eq!((meta.len(), meta.get("a").unwrap().is_null()), (1, true));
    assert!(meta.remove("a").is_some() && meta.is_empty());
}
