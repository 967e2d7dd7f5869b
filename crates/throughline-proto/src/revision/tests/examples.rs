//! The examples that the specification publishes with the newest schema: each is read into the model and written again.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::*;
use crate::jsonrpc::{self, ErrorObject, Frame, Message, ParseLimits};

const LATEST: Revision = Revision::LATEST;

/// How many examples the specification publishes.
const PUBLISHED: usize = 129;

#[test]
fn the_published_examples_are_read_and_written_again() {
    let Some(all) = Schemas::load() else { return };
    let schemas = all.last().unwrap();
    let examples = crate::model::tests::schema_directory().unwrap().join(LATEST.date()).join("examples");
    let mut seen = 0;
    for folder in std::fs::read_dir(examples).unwrap() {
        let folder = folder.unwrap();
        let name = folder.file_name().into_string().unwrap();
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let path = file.unwrap().path();
            let example: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            let again = again(&name, &example);
            assert_eq!(again, expected(&name, example), "{}", path.display());
            let misfits = schemas.misfits(&name, &again);
            // These definitions narrow another by `allOf`, whose members know nothing of each other when closed.
            let is_narrowed = name.ends_with("Error");
            let counts = |misfit: &&String| !is_narrowed || misfit.starts_with("published");
            let misfits: Vec<&String> = misfits.iter().filter(counts).collect();
            assert!(misfits.is_empty(), "{}: {misfits:#?}\n{again:#}", path.display());
            seen += 1;
        }
    }
    assert_eq!(seen, PUBLISHED, "every published example is read");
}

/// The example as it is written here: with what a result must say and the example leaves out, and without what says nothing.
fn expected(name: &str, mut example: Value) -> Value {
    let result = if name.ends_with("ResultResponse") { &mut example["result"] } else { &mut example };
    let kind = name.trim_end_matches("Response");
    if is_cacheable(kind) {
        let hints = result.as_object_mut().unwrap();
        hints.entry("ttlMs").or_insert(json!(0));
        hints.entry("cacheScope").or_insert(json!("private"));
    }
    if kind == "CallToolResult" && result["isError"] == json!(false) {
        result.as_object_mut().unwrap().remove("isError");
    }
    if name == "ListRootsRequest" {
        // A question has no id, and always has parameters.
        example = json!({"method": "roots/list", "params": {}});
    }
    example
}

/// The example after it was read and written again.
fn again(name: &str, example: &Value) -> Value {
    match name {
        "InputRequests" => {
            let result = result("InputRequiredResult", json!({"inputRequests": example}));
            written(result)["result"]["inputRequests"].take()
        }
        "InputResponses" => responses(example),
        "CreateMessageRequest" | "ElicitRequest" | "ListRootsRequest" => question(example),
        "CreateMessageResult" | "ElicitResult" | "ListRootsResult" => response(example),
        "HeaderMismatchError"
        | "MissingRequiredClientCapabilityError"
        | "UnsupportedProtocolVersionError" => message(example),
        _ if name.ends_with("Error") => plain::<ErrorObject>(example),
        _ if name.ends_with("ResultResponse") => {
            let id: RequestId = read(&example["id"]);
            let mut answer = result(name.trim_end_matches("Response"), example["result"].clone());
            write(|out| LATEST.write_answer(out, &id, &mut answer).unwrap())
        }
        _ if name.ends_with("Request") || name.ends_with("Notification") => message(example),
        _ if example.get("resultType").is_some() || name.ends_with("Result") => {
            written(result(name, example.clone()))["result"].take()
        }
        _ => part(name, example),
    }
}

/// What is a part of messages.
fn part(name: &str, example: &Value) -> Value {
    match name {
        "TextContent" | "ImageContent" | "AudioContent" | "ResourceLink" | "EmbeddedResource" => {
            plain::<Content>(example)
        }
        "TextResourceContents" | "BlobResourceContents" => plain::<ResourceContents>(example),
        "ToolUseContent" | "ToolResultContent" => plain::<SamplingContent>(example),
        "CallToolRequestParams" => plain::<CallToolParams>(example),
        "CancelledNotificationParams" => plain::<CancelledParams>(example),
        "ClientCapabilities" => plain::<ClientCapabilities>(example),
        "CompleteRequestParams" => plain::<CompleteParams>(example),
        "CreateMessageRequestParams" => plain::<CreateMessageParams>(example),
        "ElicitRequestFormParams" | "ElicitRequestURLParams" => plain::<ElicitParams>(example),
        "GetPromptRequestParams" => plain::<GetPromptParams>(example),
        "LoggingMessageNotificationParams" => plain::<LoggingMessageParams>(example),
        "ModelPreferences" => plain::<ModelPreferences>(example),
        "PaginatedRequestParams" => plain::<PaginatedParams>(example),
        "ProgressNotificationParams" => plain::<ProgressParams>(example),
        "Resource" => plain::<Resource>(example),
        "ResourceUpdatedNotificationParams" => plain::<ResourceUpdatedParams>(example),
        "Root" => plain::<Root>(example),
        "SamplingMessage" => plain::<SamplingMessage>(example),
        "ServerCapabilities" => plain::<ServerCapabilities>(example),
        "Tool" => plain::<Tool>(example),
        _ if name.ends_with("Schema") => plain::<PrimitiveSchema>(example),
        _ => panic!("no example of {name} is known here"),
    }
}

fn read<T: DeserializeOwned>(value: &Value) -> T {
    // From text, as messages are: raw JSON cannot be read from a tree.
    serde_json::from_str(&value.to_string())
        .unwrap_or_else(|error| panic!("{} cannot be read: {error}\n{value:#}", std::any::type_name::<T>()))
}

fn plain<T: Serialize + DeserializeOwned>(example: &Value) -> Value {
    serde_json::from_str(&serde_json::to_string(&read::<T>(example)).unwrap()).unwrap()
}

fn written(mut answer: Answer) -> Value {
    write(|out| LATEST.write_answer(out, &id(), &mut answer).unwrap())
}

fn result(name: &str, value: Value) -> Answer {
    let value = if value["resultType"] == json!("input_required") {
        return read::<InputRequiredResult>(&value).into();
    } else {
        &value
    };
    match name {
        "CallToolResult" => read::<CallToolResult>(value).into(),
        "CompleteResult" => read::<CompleteResult>(value).into(),
        "DiscoverResult" => read::<DiscoverResult>(value).into(),
        "GetPromptResult" => read::<GetPromptResult>(value).into(),
        "InputRequiredResult" => read::<InputRequiredResult>(value).into(),
        "ListPromptsResult" => read::<ListPromptsResult>(value).into(),
        "ListResourceTemplatesResult" => read::<ListResourceTemplatesResult>(value).into(),
        "ListResourcesResult" => read::<ListResourcesResult>(value).into(),
        "ListToolsResult" => read::<ListToolsResult>(value).into(),
        "ReadResourceResult" => read::<ReadResourceResult>(value).into(),
        "SubscriptionsListenResult" => Answer::Listen(read(value)),
        _ => panic!("no result {name} is known here"),
    }
}

fn question(example: &Value) -> Value {
    let InputRequest::Request(mut request) = read::<InputRequest>(example) else {
        panic!("what is read is a request")
    };
    let asked = write(|out| LATEST.write_input_request(out, &mut request).unwrap());
    assert_eq!(asked, plain::<InputRequest>(example));
    asked
}

fn response(example: &Value) -> Value {
    let mut answer: ClientAnswer = if example.get("action").is_some() {
        read::<ElicitResult>(example).into()
    } else if example.get("role").is_some() {
        read::<CreateMessageResult>(example).into()
    } else {
        read::<ListRootsResult>(example).into()
    };
    write(|out| LATEST.write_input_response(out, &mut answer).unwrap())
}

/// As they come to a server: beside the arguments of a call.
fn responses(example: &Value) -> Value {
    let call: CallToolParams = read(&json!({"name": "t", "inputResponses": example, "requestState": "s"}));
    assert_eq!(call.request_state.as_deref(), Some("s"));
    let responses = call.input_responses.unwrap().into_iter();
    responses.map(|(name, raw)| (name.to_string(), response(&raw.parse().unwrap()))).collect()
}

/// A whole message, by way of the parser.
fn message(example: &Value) -> Value {
    let frame = jsonrpc::parse(&example.to_string().into(), &ParseLimits::default());
    let Ok(Frame::Single(message)) = frame else { panic!("one message: {example:#}") };
    let method = |name: &str| Method::parse(name).unwrap_or_else(|| panic!("{name} is not known here"));
    match message {
        Message::Request(request) => {
            let method = method(&request.method);
            assert!(LATEST.client_request(method.as_str()).is_some());
            let mut read = ClientRequest::parse(method, request.params.as_ref()).unwrap().unwrap();
            write(|out| LATEST.write_client_request(out, &request.id, &mut read).unwrap())
        }
        Message::Notification(notification) => {
            let method = method(&notification.method);
            let params = notification.params.as_ref();
            let mut read = ServerNotification::parse(method, params).unwrap().unwrap();
            let told = write(|out| LATEST.write_server_notification(out, &mut read).unwrap());
            if let Some(mut read) = ClientNotification::parse(method, params).unwrap()
                && LATEST.client_notification(method.as_str()).is_some()
            {
                assert_eq!(told, write(|out| LATEST.write_client_notification(out, &mut read).unwrap()));
            }
            told
        }
        Message::Response(response) => {
            let error = response.outcome.expect_err("results are read by their definition");
            write(|out| jsonrpc::write_error(out, response.id.as_ref(), &error))
        }
    }
}
