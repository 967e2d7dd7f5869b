//! Checks every message of the server against the published schema of the revision in use.

use std::collections::HashMap;
use std::error::Error;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{self, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use throughline::revision::Revision;
use throughline_proto::sse::Decoder;
use tower_service::Service;

type BoxError = Box<dyn Error + Send + Sync>;

/// A service whose responses are checked as they are read. Clones share what they know of sessions and requests.
#[derive(Clone)]
pub(crate) struct Checked<S> {
    service: S,
    known: Arc<Mutex<Known>>,
}

/// What tells which definition a message has to fit.
#[derive(Default)]
struct Known {
    revisions: HashMap<String, Revision>,
    /// The method of each request, by session and id.
    methods: HashMap<(String, String), String>,
}

impl<S> Checked<S> {
    pub(crate) fn new(service: S) -> Self {
        Self { service, known: Arc::default() }
    }

    /// Another service for the same sessions.
    pub(crate) fn moved_to<T>(&self, service: T) -> Checked<T> {
        Checked { service, known: Arc::clone(&self.known) }
    }
}

impl<S, Q, B> Service<Request<Q>> for Checked<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    Q: Body<Data = Bytes> + Send + 'static,
    Q::Error: std::fmt::Debug,
    B: Body<Data = Bytes> + Send + 'static,
{
    type Response = Response<CheckedBody<B>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        let (mut service, known) = (self.service.clone(), Arc::clone(&self.known));
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.expect("the body of a test").to_bytes();
            let session = header(&parts.headers, "mcp-session-id");
            let declared = Revision::parse(&header(&parts.headers, "mcp-protocol-version"));
            known.lock().unwrap().note_requests(&session, &body);
            let response =
                service.call(Request::from_parts(parts, Full::new(body))).await.map_err(Into::into)?;
            let opened = header(response.headers(), "mcp-session-id");
            let is_stream = header(response.headers(), "content-type") == "text/event-stream";
            let is_refusal = !response.status().is_success();
            Ok(response.map(|body| CheckedBody {
                body: Box::pin(body),
                text: BytesMut::new(),
                decoder: is_stream.then(|| Decoder::new(16 << 20)),
                check: Check { known, session, opened, declared, is_refusal },
            }))
        })
    }
}

/// A body whose messages are checked.
pub(crate) struct CheckedBody<B> {
    body: Pin<Box<B>>,
    text: BytesMut,
    decoder: Option<Decoder>,
    check: Check,
}

impl<B: Body<Data = Bytes>> Body for CheckedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = &mut *self;
        let frame = ready!(this.body.as_mut().poll_frame(cx));
        match (&frame, &mut this.decoder) {
            (Some(Ok(frame)), Some(decoder)) => {
                decoder.push(frame.data_ref().expect("no trailers are sent"));
                while let Some(event) = decoder.next_event() {
                    let event = event.expect("an event of bounded size");
                    assert_eq!(event.event, None, "events have no type");
                    if !event.data.is_empty() {
                        this.check.body(event.data.as_bytes());
                    }
                }
            }
            (Some(Ok(frame)), None) => {
                this.text.extend_from_slice(frame.data_ref().expect("no trailers are sent"));
            }
            (None, None) if !this.text.is_empty() => this.check.body(&std::mem::take(&mut this.text)),
            _ => {}
        }
        Poll::Ready(frame)
    }
}

struct Check {
    known: Arc<Mutex<Known>>,
    session: String,
    opened: String,
    declared: Option<Revision>,
    is_refusal: bool,
}

impl Check {
    fn body(&self, text: &[u8]) {
        let value: Value = serde_json::from_slice(text).expect("the server sends JSON");
        match value {
            Value::Array(messages) => messages.iter().for_each(|message| self.message(message)),
            message => self.message(&message),
        }
    }

    fn message(&self, message: &Value) {
        let mut known = self.known.lock().unwrap();
        let method = match message["method"].as_str() {
            Some(method) => method.to_owned(),
            None => known
                .methods
                .get(&(self.session.clone(), message["id"].to_string()))
                .cloned()
                .unwrap_or_default(),
        };
        if method == "initialize" && message.get("result").is_some() {
            let date = message["result"]["protocolVersion"].as_str().expect("a version");
            let revision = Revision::parse(date).expect("a revision");
            known.revisions.insert(self.opened.clone(), revision);
        }
        let session = if method == "initialize" { &self.opened } else { &self.session };
        let revision = known.revisions.get(session).copied().filter(|_| !session.is_empty());
        drop(known);
        let revision = revision.or(self.declared).unwrap_or(Revision::WITHOUT_HEADER);
        // An error without an id is in the newest schema only; the older ones have no form for it at all.
        let has_id = message.get("id").is_some();
        let revision = if self.is_refusal && !has_id { Revision::LATEST_LEGACY } else { revision };
        check(revision, &method, message);
    }
}

/// Fails the test when a message of the server does not fit its revision. `method` is that of the request it answers, or
/// its own.
pub(super) fn check(revision: Revision, method: &str, message: &Value) {
    fits(revision, "JSONRPCMessage", message);
    if let Some(result) = message.get("result") {
        let definition = match result["resultType"].as_str() {
            Some("input_required") => "InputRequiredResult",
            _ => result_of(method),
        };
        assert!(!definition.is_empty(), "an answer to no request of ours: {message}");
        fits(revision, definition, result);
    } else if let Some(definition) = definition_of(method).filter(|_| message.get("method").is_some()) {
        let mut message = message.clone();
        if revision != Revision::LATEST_LEGACY && !revision.is_modern() {
            // The older schemas leave the envelope to definitions of its own.
            let members = message.as_object_mut().expect("a message");
            members.remove("jsonrpc");
            members.remove("id");
        }
        fits(revision, definition, &message);
    }
}

impl Known {
    fn note_requests(&mut self, session: &str, body: &[u8]) {
        let Ok(value) = serde_json::from_slice::<Value>(body) else { return };
        let messages = if let Value::Array(messages) = value { messages } else { vec![value] };
        for message in messages {
            if let (Some(id), Some(method)) = (message.get("id"), message["method"].as_str()) {
                self.methods.insert((session.to_owned(), id.to_string()), method.to_owned());
            }
        }
    }
}

fn result_of(method: &str) -> &'static str {
    match method {
        "initialize" => "InitializeResult",
        "ping" | "logging/setLevel" | "resources/subscribe" | "resources/unsubscribe" => "EmptyResult",
        "tools/list" => "ListToolsResult",
        "tools/call" => "CallToolResult",
        "prompts/list" => "ListPromptsResult",
        "prompts/get" => "GetPromptResult",
        "resources/list" => "ListResourcesResult",
        "resources/templates/list" => "ListResourceTemplatesResult",
        "resources/read" => "ReadResourceResult",
        "completion/complete" => "CompleteResult",
        "server/discover" => "DiscoverResult",
        "subscriptions/listen" => "SubscriptionsListenResult",
        // What a server's own methods give is a result of MCP like any other.
        own if own.starts_with("it/") => "Result",
        _ => "",
    }
}

fn definition_of(method: &str) -> Option<&'static str> {
    Some(match method {
        "notifications/progress" => "ProgressNotification",
        "notifications/message" => "LoggingMessageNotification",
        "notifications/cancelled" => "CancelledNotification",
        "notifications/tools/list_changed" => "ToolListChangedNotification",
        "notifications/prompts/list_changed" => "PromptListChangedNotification",
        "notifications/resources/list_changed" => "ResourceListChangedNotification",
        "notifications/resources/updated" => "ResourceUpdatedNotification",
        "notifications/subscriptions/acknowledged" => "SubscriptionsAcknowledgedNotification",
        "notifications/elicitation/complete" => "ElicitationCompleteNotification",
        "ping" => "PingRequest",
        "sampling/createMessage" => "CreateMessageRequest",
        "roots/list" => "ListRootsRequest",
        "elicitation/create" => "ElicitRequest",
        _ => return None,
    })
}

/// Fails the test when the value does not fit the definition. Does nothing where the published schemas are not at hand.
fn fits(revision: Revision, definition: &'static str, value: &Value) {
    type Validators = HashMap<(&'static str, &'static str), Arc<jsonschema::Validator>>;
    static VALIDATORS: OnceLock<Mutex<Validators>> = OnceLock::new();

    let Some(directory) = schema_directory() else { return };
    let mut validators = VALIDATORS.get_or_init(Mutex::default).lock().unwrap();
    let validator = validators.entry((revision.date(), definition)).or_insert_with(|| {
        let path = directory.join(revision.date()).join("schema.json");
        let mut schema: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let key = if schema.get("$defs").is_some() { "$defs" } else { "definitions" };
        assert!(schema[key].get(definition).is_some(), "{revision} has no {definition}");
        schema["$ref"] = json!(format!("#/{key}/{definition}"));
        Arc::new(jsonschema::validator_for(&schema).unwrap())
    });
    let validator = Arc::clone(validator);
    drop(validators);
    let misfits: Vec<String> =
        validator.iter_errors(value).map(|error| format!("{error} at {}", error.instance_path())).collect();
    assert!(misfits.is_empty(), "no {definition} of {revision}: {misfits:#?}\n{value:#}");
}

/// Where the published schemas lie: the directory named by `MCP_SCHEMA_DIR`, else the one beside the workspace.
fn schema_directory() -> Option<&'static PathBuf> {
    static DIRECTORY: OnceLock<Option<PathBuf>> = OnceLock::new();
    DIRECTORY
        .get_or_init(|| {
            let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/schema");
            let named = std::env::var_os("MCP_SCHEMA_DIR").map(PathBuf::from);
            let found = named.into_iter().chain([beside]).find(|directory| directory.is_dir());
            if found.is_none() {
                println!(
                    "messages are not checked: name the directory of the published schemas in MCP_SCHEMA_DIR"
                );
            }
            found
        })
        .as_ref()
}

fn header(headers: &http::HeaderMap, name: &str) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}
