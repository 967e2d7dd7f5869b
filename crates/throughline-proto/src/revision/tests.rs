use std::collections::{BTreeMap, BTreeSet};

use bytes::BytesMut;
use serde_json::{Value, json};

use super::table::MethodRule;
use super::{ResultExtras, Revision};
use crate::jsonrpc::{ErrorCode, ProgressToken, Raw, RequestId, Str};
use crate::model::*;

mod examples;
mod modern;

/// The schema of one revision, as published and closed: with every object limited to the properties it lists.
struct Schemas {
    revision: Revision,
    open: Value,
    closed: Value,
}

impl Schemas {
    /// The schemas of all revisions; `None` (and a note) where the published files are not at hand.
    fn load() -> Option<Vec<Schemas>> {
        let directory = crate::model::tests::schema_directory()?;
        let load = |revision: Revision| {
            let path = directory.join(revision.date()).join("schema.json");
            let open: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
            let mut closed = open.clone();
            for (name, definition) in definitions_mut(&mut closed) {
                // The modern schema defines what `_meta` may hold by name.
                close(definition, if name.ends_with("MetaObject") { "_meta" } else { "" });
            }
            Schemas { revision, open, closed }
        };
        Some(Revision::ALL.into_iter().map(load).collect())
    }

    fn definition(&self, name: &str) -> Option<&Value> {
        let key = if self.open.get("$defs").is_some() { "$defs" } else { "definitions" };
        self.open[key].get(name)
    }

    /// Why the value does not fit the definition, as published and closed; nothing when it does.
    fn misfits(&self, name: &str, value: &Value) -> Vec<String> {
        let mut misfits = Vec::new();
        for (kind, schema) in [("published", &self.open), ("closed", &self.closed)] {
            let mut schema = schema.clone();
            let key = if schema.get("$defs").is_some() { "$defs" } else { "definitions" };
            assert!(schema[key].get(name).is_some(), "{} has no {name}", self.revision);
            schema["$ref"] = json!(format!("#/{key}/{name}"));
            let validator = jsonschema::validator_for(&schema).unwrap();
            misfits.extend(
                validator
                    .iter_errors(value)
                    .map(|error| format!("{kind}: {error} at {}", error.instance_path())),
            );
        }
        misfits
    }

    fn assert_fits(&self, name: &str, value: &Value) {
        let misfits = self.misfits(name, value);
        assert!(misfits.is_empty(), "{} {name}: {misfits:#?}\n{value:#}", self.revision);
    }

    /// Whether the value uses every property that the definition lists, but for `except`.
    fn assert_uses_all(&self, name: &str, value: &Value, except: &[&str]) {
        let Some(definition) = self.definition(name) else { return };
        for property in definition["properties"].as_object().unwrap().keys() {
            assert!(
                value.get(property).is_some() || except.contains(&property.as_str()),
                "{} {name} lacks {property}: {value:#}",
                self.revision
            );
        }
    }

    /// Whether the whole message fits the definition of its request or notification. Older schemas leave the envelope to a
    /// definition of its own.
    fn assert_message_fits(&self, name: &str, envelope: &str, message: &Value) {
        self.assert_fits(envelope, message);
        let mut message = message.clone();
        if self.definition(name).unwrap()["properties"].get("jsonrpc").is_none() {
            let object = message.as_object_mut().unwrap();
            object.remove("jsonrpc");
            object.remove("id");
        }
        self.assert_fits(name, &message);
    }
}

fn definitions_mut(schema: &mut Value) -> &mut serde_json::Map<String, Value> {
    let key = if schema.get("$defs").is_some() { "$defs" } else { "definitions" };
    schema[key].as_object_mut().unwrap()
}

/// Forbids what a schema does not list. Tool schemas stay open (they are any JSON Schema), and so does `_meta`; parameters may
/// have one, which some revisions only list in the base definition.
fn close(schema: &mut Value, name: &str) {
    if matches!(name, "inputSchema" | "outputSchema" | "_meta") {
        return;
    }
    match schema {
        Value::Object(object) => {
            if object.get("properties").is_some_and(Value::is_object)
                && !object.contains_key("additionalProperties")
            {
                object.insert("additionalProperties".into(), json!(false));
                if name == "params" {
                    object["properties"]["_meta"] = json!({});
                }
            }
            for (key, value) in object {
                match (key.as_str(), value) {
                    ("properties", Value::Object(properties)) => {
                        properties.iter_mut().for_each(|(name, value)| close(value, name));
                    }
                    // The members of `allOf` know nothing of each other's properties.
                    ("allOf", _) => {}
                    (_, value) => close(value, ""),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| close(item, "")),
        _ => {}
    }
}

fn raw(value: Value) -> Raw {
    Raw::new(&value).unwrap()
}

fn meta() -> Meta {
    Meta::new().with("example.org/note", "n").unwrap()
}

/// A `_meta` with all that a request of the modern era says beside; the others leave room for it.
fn request_meta() -> Meta {
    let told = [
        (Meta::PROTOCOL_VERSION, raw(json!(Revision::LATEST))),
        (Meta::CLIENT_INFO, Raw::new(&Implementation::new("c", "1")).unwrap()),
        (Meta::CLIENT_CAPABILITIES, raw(json!({"sampling": {}, "extensions": {"example.org/trial": {}}}))),
        (Meta::LOG_LEVEL, raw(json!("notice"))),
        ("progressToken", raw(json!("t"))),
    ];
    told.into_iter().map(|(name, value)| (Str::from_static(name), value)).collect()
}

fn cache() -> CacheHints {
    CacheHints { ttl_ms: 60_000, scope: CacheScope::Public }
}

/// The results that say how long they may be kept.
fn is_cacheable(name: &str) -> bool {
    let names = ["Tools", "Prompts", "Resources", "ResourceTemplates"];
    names.iter().any(|listed| name == format!("List{listed}Result"))
        || ["ReadResourceResult", "DiscoverResult"].contains(&name)
}

fn annotations() -> Annotations {
    Annotations::new()
        .with_audience([Role::User, Role::Assistant])
        .with_priority(1.0)
        .with_last_modified("2025-01-12T15:00:58Z")
}

fn icons() -> Vec<Icon> {
    vec![
        Icon::new("https://example.org/icon.png")
            .with_mime_type("image/png")
            .with_sizes([Str::from("48x48"), Str::from("any")])
            .with_theme(IconTheme::Dark),
    ]
}

fn resource() -> Resource {
    Resource::new("file:///notes.md", "notes.md")
        .with_title("Notes")
        .with_description("What was noted.")
        .with_mime_type("text/markdown")
        .with_size(12)
        .with_icons(icons())
        .with_annotations(annotations())
        .with_meta(meta())
}

fn text_contents() -> ResourceContents {
    ResourceContents::text("file:///notes.md", "# Notes").with_mime_type("text/markdown").with_meta(meta())
}

fn blob_contents() -> ResourceContents {
    ResourceContents::blob("file:///a.png", b"\x89PNG").with_mime_type("image/png").with_meta(meta())
}

/// Every kind of content with every field.
fn contents() -> Vec<Content> {
    [
        Content::text("text"),
        Content::image(b"\x89PNG", "image/png"),
        Content::audio(b"RIFF", "audio/wav"),
        Content::resource_link(resource()),
        Content::resource(text_contents()),
        Content::resource(blob_contents()),
    ]
    .map(|content| content.with_annotations(annotations()).with_meta(meta()))
    .to_vec()
}

fn tool() -> Tool {
    Tool::new(
        "add",
        raw(json!({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]})),
    )
    .with_title("Add")
    .with_description("Adds.")
    .with_output_schema(raw(json!({"type": "object", "properties": {"sum": {"type": "integer"}}})))
    .with_annotations(
        ToolAnnotations::new()
            .with_title("Adding")
            .with_read_only_hint(true)
            .with_destructive_hint(false)
            .with_idempotent_hint(true)
            .with_open_world_hint(false),
    )
    .with_execution(ToolExecution::new(TaskSupport::Forbidden))
    .with_icons(icons())
    .with_meta(meta())
}

fn implementation() -> Implementation {
    Implementation::new("projects", "1.0.0")
        .with_title("Projects")
        .with_description("Projects and their files.")
        .with_website_url("https://example.org")
        .with_icons(icons())
}

fn experimental() -> BTreeMap<Str, Raw> {
    BTreeMap::from([(Str::from("example.org/trial"), Raw::empty_object())])
}

fn server_capabilities() -> ServerCapabilities {
    ServerCapabilities::new()
        .with_tools(ToolsCapability { list_changed: true })
        .with_prompts(PromptsCapability { list_changed: true })
        .with_resources(ResourcesCapability { subscribe: true, list_changed: true })
        .with_completions(true)
        .with_logging(true)
        .with_experimental(experimental())
}

fn client_capabilities() -> ClientCapabilities {
    ClientCapabilities::new()
        .with_roots(RootsCapability { list_changed: true })
        .with_sampling(SamplingCapability { context: true, tools: true })
        .with_elicitation(ElicitationCapability { form: true, url: true })
        .with_experimental(experimental())
}

/// Every answer of a server with every field, and the definition it must fit.
fn answers() -> Vec<(&'static str, Answer)> {
    let template = ResourceTemplate::new("file:///{path}", "files")
        .with_title("Files")
        .with_description("Any file.")
        .with_mime_type("text/plain")
        .with_icons(icons())
        .with_annotations(annotations())
        .with_meta(meta());
    let prompt = Prompt::new("review")
        .with_title("Review")
        .with_description("Reviews code.")
        .with_arguments([PromptArgument::new("code")
            .with_title("Code")
            .with_description("What to review.")
            .with_required(true)])
        .with_icons(icons())
        .with_meta(meta());
    let messages: Vec<PromptMessage> =
        contents().into_iter().map(|content| PromptMessage::new(Role::Assistant, content)).collect();
    vec![
        ("EmptyResult", Answer::Empty),
        ("EmptyResult", Answer::Custom(raw(json!({"anything": [1, 2]})))),
        (
            "InitializeResult",
            InitializeResult::new("2025-11-25", server_capabilities(), implementation())
                .with_instructions("Ask first.")
                .with_meta(meta())
                .into(),
        ),
        (
            "DiscoverResult",
            DiscoverResult::new(
                [Str::from("2026-07-28")],
                server_capabilities().with_extensions(experimental()),
            )
            .with_instructions("Ask first.")
            .with_cache(cache())
            .with_meta(meta())
            .into(),
        ),
        (
            "InputRequiredResult",
            InputRequiredResult::new()
                .with_request("roots", ServerRequest::ListRoots(EmptyParams::new()))
                .with_request("model", sampling_with_tools())
                .with_request("form", ElicitFormParams::new("Fill it in.", form_with_lists()))
                .with_request("url", ElicitUrlParams::new("e1", "https://example.org/e1", "Sign in."))
                .with_request_state("state")
                .with_meta(meta())
                .into(),
        ),
        ("SubscriptionsListenResult", Answer::Listen(ListenResult::new(&id()))),
        (
            "ListToolsResult",
            ListToolsResult::new([tool()]).with_next_cursor("c").with_cache(cache()).with_meta(meta()).into(),
        ),
        (
            "CallToolResult",
            CallToolResult::new(contents())
                .with_structured_content(raw(json!({"sum": 3})))
                .with_is_error(true)
                .with_meta(meta())
                .into(),
        ),
        (
            "ListPromptsResult",
            ListPromptsResult::new([prompt])
                .with_next_cursor("c")
                .with_cache(cache())
                .with_meta(meta())
                .into(),
        ),
        (
            "GetPromptResult",
            GetPromptResult::new(messages).with_description("A review.").with_meta(meta()).into(),
        ),
        (
            "ListResourcesResult",
            ListResourcesResult::new([resource()])
                .with_next_cursor("c")
                .with_cache(cache())
                .with_meta(meta())
                .into(),
        ),
        (
            "ListResourceTemplatesResult",
            ListResourceTemplatesResult::new([template])
                .with_next_cursor("c")
                .with_cache(cache())
                .with_meta(meta())
                .into(),
        ),
        (
            "ReadResourceResult",
            ReadResourceResult::new([text_contents(), blob_contents()])
                .with_cache(cache())
                .with_meta(meta())
                .into(),
        ),
        ("CompleteResult", CompleteResult::new(Completion::new(["python", "perl"])).with_meta(meta()).into()),
    ]
}

fn sampling() -> CreateMessageParams {
    let blocks = [
        SamplingContent::text("text"),
        SamplingContent::image(b"\x89PNG", "image/png"),
        SamplingContent::audio(b"RIFF", "audio/wav"),
    ]
    .map(|mut content| {
        let (place, beside) = match &mut content {
            SamplingContent::Text(text) => (&mut text.annotations, &mut text.meta),
            SamplingContent::Image(image) => (&mut image.annotations, &mut image.meta),
            SamplingContent::Audio(audio) => (&mut audio.annotations, &mut audio.meta),
            _ => unreachable!("only these three are listed above"),
        };
        *place = Some(annotations());
        *beside = Some(meta());
        content
    });
    CreateMessageParams::new(
        [
            SamplingMessage::new(Role::User, blocks).with_meta(meta()),
            SamplingMessage::assistant("And?").with_meta(meta()),
        ],
        100,
    )
    .with_model_preferences(
        ModelPreferences::new()
            .with_hints([ModelHint::new("fast")])
            .with_cost_priority(0.25)
            .with_speed_priority(1.0)
            .with_intelligence_priority(0.0),
    )
    .with_system_prompt("Be brief.")
    .with_include_context(IncludeContext::ThisServer)
    .with_temperature(0.5)
    .with_stop_sequences([Str::from("###")])
    .with_metadata(raw(json!({"tier": 1})))
    .with_meta(meta())
}

fn sampling_with_tools() -> CreateMessageParams {
    let mut params =
        sampling().with_tools([tool()]).with_tool_choice(ToolChoice::new(ToolChoiceMode::Required));
    let mut used = ToolUseContent::new("u1", "add", raw(json!({"a": 1})));
    used.meta = Some(meta());
    let mut gave = ToolResultContent::new("u1", contents())
        .with_structured_content(raw(json!({"sum": 1})))
        .with_is_error(true);
    gave.meta = Some(meta());
    params.messages.push(SamplingMessage::assistant(used));
    params.messages.push(SamplingMessage::user(gave));
    params
}

/// A form with every field that a form can have in every revision with forms.
fn form() -> ElicitSchema {
    let mut schema = ElicitSchema::new()
        .with_required("plain", StringSchema::new())
        .with_required("choice", SingleSelectSchema::new(["a", "b"]).with_title("Choice").with_default("a"))
        .with_optional(
            "titled",
            SingleSelectSchema::new([EnumOption::titled("#f00", "Red"), EnumOption::new("#0f0")])
                .with_title("Colour")
                .with_description("Which one?")
                .with_default("#f00"),
        )
        .with_optional(
            "sure",
            BooleanSchema::new().with_title("Sure?").with_description("Or not.").with_default(true),
        )
        .with_optional(
            "count",
            NumberSchema::integer()
                .with_title("Count")
                .with_description("How many.")
                .with_minimum(1.0)
                .with_maximum(9.0)
                .with_default(3.0),
        )
        .with_optional(
            "ratio",
            NumberSchema::number().with_minimum(0.5).with_maximum(1.5).with_default(1.25),
        );
    schema.dialect = Some("https://json-schema.org/draft/2020-12/schema".into());
    for (name, format) in [
        ("email", StringFormat::Email),
        ("uri", StringFormat::Uri),
        ("date", StringFormat::Date),
        ("date-time", StringFormat::DateTime),
    ] {
        let field = StringSchema::new()
            .with_title("Field")
            .with_description("Fill it in.")
            .with_min_length(1)
            .with_max_length(80)
            .with_format(format)
            .with_default("x");
        schema = schema.with_optional(name, field);
    }
    schema
}

fn form_with_lists() -> ElicitSchema {
    let titled = [EnumOption::titled("#f00", "Red"), EnumOption::titled("#0f0", "Green")];
    let mut named = SingleSelectSchema::new(titled.clone()).with_default("#f00");
    named.enum_names = true;
    form()
        .with_optional("named", named)
        .with_optional(
            "some",
            MultiSelectSchema::new(["a", "b"])
                .with_title("Some")
                .with_description("Which ones?")
                .with_min_items(1)
                .with_max_items(2)
                .with_default([Str::from("a")]),
        )
        .with_optional("titled some", MultiSelectSchema::new(titled).with_default([Str::from("#f00")]))
}

fn write(write: impl FnOnce(&mut BytesMut)) -> Value {
    let mut out = BytesMut::new();
    write(&mut out);
    serde_json::from_slice(&out).unwrap()
}

fn id() -> RequestId {
    RequestId::String("r".into())
}

fn envelope(revision: Revision) -> &'static str {
    let split = [Revision::V2025_11_25, Revision::V2026_07_28].contains(&revision);
    if split { "JSONRPCResultResponse" } else { "JSONRPCResponse" }
}

fn written(revision: Revision, answer: Answer) -> Value {
    let mut answer = answer;
    write(|out| revision.write_answer_with(out, &id(), &mut answer, &extras()).unwrap())
}

/// What results say beside: who the server is, with every field.
fn extras() -> ResultExtras {
    ResultExtras::new(&implementation(), cache()).unwrap()
}

/// Whether the revision refuses to write the answer, and leaves no trace of it.
fn refuses(revision: Revision, answer: Answer) -> bool {
    let mut answer = answer;
    let mut out = BytesMut::new();
    revision.write_answer_with(&mut out, &id(), &mut answer, &extras()).is_err() && out.is_empty()
}

fn written_request(revision: Revision, request: impl Into<ServerRequest>) -> Value {
    let mut request = request.into();
    if revision.has_result_types() {
        assert!(revision.write_server_request(&mut BytesMut::new(), &id(), &mut request.clone()).is_err());
        return write(|out| revision.write_input_request(out, &mut request).unwrap());
    }
    assert!(revision.write_input_request(&mut BytesMut::new(), &mut request.clone()).is_err());
    write(|out| revision.write_server_request(out, &id(), &mut request).unwrap())
}

#[test]
fn every_answer_fits_every_revision() {
    for schemas in Schemas::load().unwrap_or_default() {
        for (name, answer) in answers() {
            if schemas.definition(name).is_none() {
                assert!(refuses(schemas.revision, answer), "{} has no {name}", schemas.revision);
                continue;
            }
            let message = written(schemas.revision, answer);
            schemas.assert_fits(envelope(schemas.revision), &message);
            assert_eq!((&message["jsonrpc"], &message["id"]), (&json!("2.0"), &json!("r")));
            schemas.assert_fits(name, &message["result"]);
        }
    }
}

/// The two tests above and below would be worth nothing if the closed schemas let everything through.
#[test]
fn the_closed_schemas_refuse_what_a_revision_lacks() {
    for schemas in Schemas::load().unwrap_or_default() {
        let fits = |name: &str, value: &Value| schemas.misfits(name, value).is_empty();
        for (name, answer) in answers() {
            if schemas.definition(name).is_none() {
                continue;
            }
            let mut unlowered = serde_json::to_value(&answer).unwrap();
            let may_fit = if schemas.revision.has_result_types() {
                assert!(!fits(name, &unlowered), "{name} must say its type");
                unlowered["resultType"] = json!("complete");
                // The one holds a tool with `execution`, the other an elicitation with an id.
                !["ListToolsResult", "InputRequiredResult"].contains(&name)
            } else {
                let is_same_everywhere = ["EmptyResult", "CompleteResult"].contains(&name);
                is_same_everywhere || (schemas.revision == Revision::LATEST_LEGACY && !is_cacheable(name))
            };
            assert_eq!(fits(name, &unlowered), may_fit, "{} {name}", schemas.revision);
        }
    }
}

#[test]
fn every_answer_uses_all_that_a_revision_has() {
    for schemas in Schemas::load().unwrap_or_default() {
        let of: BTreeMap<&str, Value> = answers()
            .into_iter()
            .filter(|(name, _)| schemas.definition(name).is_some())
            .map(|(name, answer)| (name, written(schemas.revision, answer)["result"].clone()))
            .collect();
        for (name, result) in &of {
            if *name != "EmptyResult" {
                schemas.assert_uses_all(name, result, &[]);
            }
            let server_info = result["_meta"].get(Meta::SERVER_INFO);
            assert_eq!(server_info.is_some(), schemas.revision.is_modern(), "{name}");
            assert!(schemas.revision.is_modern() || !is_cacheable(name) || result.get("ttlMs").is_none());
        }
        let pick = |name: &str, pointer: &str| of[name].pointer(pointer).cloned().unwrap_or_default();
        let (offer, server_info) = if schemas.revision.is_modern() {
            ("DiscoverResult", "/_meta/io.modelcontextprotocol~1serverInfo")
        } else {
            ("InitializeResult", "/serverInfo")
        };
        schemas.assert_uses_all("Implementation", &pick(offer, server_info), &[]);
        // Tasks come later.
        schemas.assert_uses_all("ServerCapabilities", &pick(offer, "/capabilities"), &["tasks"]);
        schemas.assert_uses_all("Tool", &pick("ListToolsResult", "/tools/0"), &[]);
        schemas.assert_uses_all("ToolAnnotations", &pick("ListToolsResult", "/tools/0/annotations"), &[]);
        schemas.assert_uses_all("Prompt", &pick("ListPromptsResult", "/prompts/0"), &[]);
        schemas.assert_uses_all("PromptArgument", &pick("ListPromptsResult", "/prompts/0/arguments/0"), &[]);
        schemas.assert_uses_all("Icon", &pick("ListPromptsResult", "/prompts/0/icons/0"), &[]);
        schemas.assert_uses_all("Resource", &pick("ListResourcesResult", "/resources/0"), &[]);
        schemas.assert_uses_all("Annotations", &pick("ListResourcesResult", "/resources/0/annotations"), &[]);
        let template = pick("ListResourceTemplatesResult", "/resourceTemplates/0");
        schemas.assert_uses_all("ResourceTemplate", &template, &[]);
        schemas.assert_uses_all("TextResourceContents", &pick("ReadResourceResult", "/contents/0"), &[]);
        schemas.assert_uses_all("BlobResourceContents", &pick("ReadResourceResult", "/contents/1"), &[]);
        let kinds = ["TextContent", "ImageContent", "AudioContent", "ResourceLink", "EmbeddedResource"];
        for (at, kind) in kinds.into_iter().enumerate() {
            schemas.assert_uses_all(kind, &pick("CallToolResult", &format!("/content/{at}")), &[]);
            let message = pick("GetPromptResult", &format!("/messages/{at}"));
            schemas.assert_uses_all("PromptMessage", &message, &[]);
            schemas.assert_uses_all(kind, &message["content"], &[]);
        }
    }
}

#[test]
fn every_server_request_fits_every_revision_that_has_it() {
    for schemas in Schemas::load().unwrap_or_default() {
        let revision = schemas.revision;
        let fits = |name: &str, message: &Value| match revision.has_result_types() {
            // A question has no envelope.
            true => schemas.assert_fits(name, message),
            false => schemas.assert_message_fits(name, "JSONRPCRequest", message),
        };
        let ping = || ServerRequest::Ping(EmptyParams { meta: Some(meta()) });
        if revision.has_result_types() {
            let refused = revision.write_input_request(&mut BytesMut::new(), &mut ping());
            assert!(refused.unwrap_err().is_unsupported());
        } else {
            fits("PingRequest", &written_request(revision, ping()));
        }
        fits("ListRootsRequest", &written_request(revision, ServerRequest::ListRoots(EmptyParams::new())));
        let asked = written_request(revision, sampling());
        fits("CreateMessageRequest", &asked);
        schemas.assert_uses_all("ModelPreferences", &asked["params"]["modelPreferences"], &[]);
        if revision.has_sampling_tools() {
            let asked = written_request(revision, sampling_with_tools());
            fits("CreateMessageRequest", &asked);
            schemas.assert_uses_all("CreateMessageRequestParams", &asked["params"], &["task"]);
            let messages = &asked["params"]["messages"];
            schemas.assert_uses_all("SamplingMessage", &messages[0], &[]);
            schemas.assert_uses_all("ToolUseContent", &messages[2]["content"], &[]);
            schemas.assert_uses_all("ToolResultContent", &messages[3]["content"], &[]);
        }
        if revision.has_elicitation() {
            let asked =
                written_request(revision, ElicitFormParams::new("Fill it in.", form()).with_meta(meta()));
            fits("ElicitRequest", &asked);
            let fields = &asked["params"]["requestedSchema"]["properties"];
            schemas.assert_uses_all("StringSchema", &fields["email"], &[]);
            schemas.assert_uses_all("NumberSchema", &fields["count"], &[]);
            schemas.assert_uses_all("BooleanSchema", &fields["sure"], &[]);
            let name =
                if revision.has_multi_select() { "TitledSingleSelectEnumSchema" } else { "EnumSchema" };
            schemas.assert_uses_all(name, &fields["titled"], &[]);
        }
        if revision.has_multi_select() {
            let asked = written_request(revision, ElicitFormParams::new("Fill it in.", form_with_lists()));
            fits("ElicitRequest", &asked);
            let fields = &asked["params"]["requestedSchema"]["properties"];
            schemas.assert_fits("UntitledMultiSelectEnumSchema", &fields["some"]);
            schemas.assert_uses_all("UntitledMultiSelectEnumSchema", &fields["some"], &[]);
            schemas.assert_fits("TitledMultiSelectEnumSchema", &fields["titled some"]);
            schemas.assert_fits("TitledSingleSelectEnumSchema", &fields["titled"]);
            schemas.assert_fits("UntitledSingleSelectEnumSchema", &fields["choice"]);
            schemas.assert_fits("LegacyTitledEnumSchema", &fields["named"]);
        }
        if revision.has_url_elicitation() {
            let params = ElicitUrlParams::new("e1", "https://example.org/e1", "Sign in.").with_meta(meta());
            let asked = written_request(revision, ServerRequest::Elicit(params.clone().into()));
            fits("ElicitRequest", &asked);
            schemas.assert_uses_all("ElicitRequestURLParams", &asked["params"], &["task"]);

            let error = UrlElicitationRequired::new([params]).to_error();
            let defined = schemas.definition("URLElicitationRequiredError").is_some();
            assert_eq!(revision.error_code(error.code) == error.code, defined);
            if defined {
                let message = write(|out| crate::jsonrpc::write_error(out, Some(&id()), &error));
                schemas.assert_fits("URLElicitationRequiredError", &message);
            }
        }
    }
}

#[test]
fn every_server_notification_fits_every_revision_that_has_it() {
    let token = || ProgressToken::String("t".into());
    let notifications = || {
        [
            ("CancelledNotification", {
                ServerNotification::Cancelled(
                    CancelledParams::new(id()).with_reason("Enough.").with_meta(meta()),
                )
            }),
            ("ProgressNotification", {
                ServerNotification::Progress(
                    ProgressParams::new(token(), 1.5).with_total(3.0).with_message("Half.").with_meta(meta()),
                )
            }),
            ("LoggingMessageNotification", {
                ServerNotification::LoggingMessage(
                    LoggingMessageParams::new(LoggingLevel::Notice, raw(json!({"left": 1})))
                        .with_logger("disk")
                        .with_meta(meta()),
                )
            }),
            ("ResourceUpdatedNotification", {
                ServerNotification::ResourceUpdated(ResourceUpdatedParams::new("file:///a").with_meta(meta()))
            }),
            ("ResourceListChangedNotification", ServerNotification::ResourceListChanged(EmptyParams::new())),
            (
                "ToolListChangedNotification",
                ServerNotification::ToolListChanged(EmptyParams { meta: Some(meta()) }),
            ),
            ("PromptListChangedNotification", ServerNotification::PromptListChanged(EmptyParams::new())),
            ("SubscriptionsAcknowledgedNotification", {
                let filter = SubscriptionFilter {
                    tools_list_changed: true,
                    prompts_list_changed: true,
                    resources_list_changed: true,
                    resource_subscriptions: vec!["file:///a".into()],
                };
                ServerNotification::SubscriptionsAcknowledged(SubscriptionsAcknowledgedParams::new(
                    &id(),
                    filter,
                ))
            }),
            ("ElicitationCompleteNotification", {
                ServerNotification::ElicitationComplete(ElicitationCompleteParams::new("e1"))
            }),
        ]
    };
    for schemas in Schemas::load().unwrap_or_default() {
        let revision = schemas.revision;
        for (name, mut notification) in notifications() {
            let mut out = BytesMut::new();
            let outcome = revision.write_server_notification(&mut out, &mut notification);
            if schemas.definition(name).is_none() {
                assert!(outcome.unwrap_err().is_unsupported() && out.is_empty(), "{revision} has no {name}");
                continue;
            }
            outcome.unwrap();
            let message: Value = serde_json::from_slice(&out).unwrap();
            schemas.assert_message_fits(name, "JSONRPCNotification", &message);
        }
        let mut progress = notifications()[1].1.clone();
        let message = write(|out| revision.write_server_notification(out, &mut progress).unwrap());
        assert_eq!(message["params"].get("message").is_some(), revision.has_progress_message());
    }
}

#[test]
fn every_client_message_fits_every_revision() {
    let mut context = CompletionContext::new();
    context = context.with_argument("language", "python");
    let mut reference = Reference::prompt("review");
    if let Reference::Prompt(prompt) = &mut reference {
        prompt.title = Some("Review".into());
    }
    let page = || PaginatedParams { cursor: Some("c".into()), meta: Some(request_meta()) };
    let one = || ResourceParams::new("file:///a").with_meta(request_meta());
    let answered = || BTreeMap::from([(Str::from("why"), raw(json!({"action": "decline"})))]);
    let requests = [
        ("InitializeRequest", {
            ClientRequest::Initialize(
                InitializeParams::new("2025-11-25", client_capabilities(), implementation())
                    .with_meta(meta()),
            )
        }),
        ("PingRequest", ClientRequest::Ping(EmptyParams::new())),
        ("ListToolsRequest", ClientRequest::ListTools(page())),
        ("CallToolRequest", {
            let params = CallToolParams::new("add").with_arguments(raw(json!({"a": 1})));
            let params = params.with_input_responses(answered()).with_request_state("s");
            ClientRequest::CallTool(params.with_meta(request_meta()))
        }),
        ("ListPromptsRequest", ClientRequest::ListPrompts(page())),
        ("GetPromptRequest", {
            let params = GetPromptParams::new("review").with_argument("code", "x");
            let params = params.with_input_responses(answered()).with_request_state("s");
            ClientRequest::GetPrompt(params.with_meta(request_meta()))
        }),
        ("ListResourcesRequest", ClientRequest::ListResources(page())),
        ("ListResourceTemplatesRequest", ClientRequest::ListResourceTemplates(page())),
        (
            "ReadResourceRequest",
            ClientRequest::ReadResource(
                ReadResourceParams::new("file:///a")
                    .with_input_responses(answered())
                    .with_request_state("s")
                    .with_meta(request_meta()),
            ),
        ),
        ("SubscribeRequest", ClientRequest::Subscribe(one())),
        ("UnsubscribeRequest", ClientRequest::Unsubscribe(one())),
        ("CompleteRequest", {
            ClientRequest::Complete(
                CompleteParams::new(reference, "framework", "fl")
                    .with_context(context)
                    .with_meta(request_meta()),
            )
        }),
        ("CompleteRequest", {
            let params = CompleteParams::new(Reference::resource("file:///{path}"), "path", "a");
            ClientRequest::Complete(params.with_meta(request_meta()))
        }),
        ("SetLevelRequest", ClientRequest::SetLevel(SetLevelParams::new(LoggingLevel::Alert))),
        ("DiscoverRequest", ClientRequest::Discover(EmptyParams { meta: Some(request_meta()) })),
        ("SubscriptionsListenRequest", {
            let filter = SubscriptionFilter { tools_list_changed: true, ..SubscriptionFilter::default() };
            ClientRequest::Listen(ListenParams::new(filter).with_meta(request_meta()))
        }),
    ];
    let progress = ProgressParams::new(ProgressToken::Number(1), 1.0).with_message("On it.");
    let notifications = [
        ("InitializedNotification", ClientNotification::Initialized(EmptyParams::new())),
        ("CancelledNotification", ClientNotification::Cancelled(CancelledParams::new(id()))),
        ("ProgressNotification", ClientNotification::Progress(progress)),
        ("RootsListChangedNotification", ClientNotification::RootsListChanged(EmptyParams::new())),
    ];
    let spoken = CreateMessageResult::new("model-1", [SamplingContent::audio(b"RIFF", "audio/wav")])
        .with_stop_reason(CreateMessageResult::STOP_END_TURN)
        .with_meta(meta());
    let lines = CreateMessageResult::new("model-1", ["one", " two"].map(SamplingContent::from));
    let roots = [Root::new("file:///a").with_name("A").with_meta(meta())];
    let answers: [(&str, ClientAnswer); 5] = [
        ("EmptyResult", ClientAnswer::Empty),
        ("CreateMessageResult", spoken.into()),
        ("CreateMessageResult", lines.into()),
        ("ListRootsResult", ListRootsResult::new(roots).with_meta(meta()).into()),
        (
            "ElicitResult",
            ElicitResult::accept(raw(json!({"a": "x", "b": 1, "c": true}))).with_meta(meta()).into(),
        ),
    ];
    for schemas in Schemas::load().unwrap_or_default() {
        let revision = schemas.revision;
        for (name, mut request) in requests.clone() {
            let mut out = BytesMut::new();
            let outcome = revision.write_client_request(&mut out, &id(), &mut request);
            if schemas.definition(name).is_none() {
                assert!(outcome.unwrap_err().is_unsupported() && out.is_empty(), "{revision} has no {name}");
                continue;
            }
            outcome.unwrap();
            let message: Value = serde_json::from_slice(&out).unwrap();
            schemas.assert_message_fits(name, "JSONRPCRequest", &message);
        }
        for (name, mut notification) in notifications.clone() {
            let mut out = BytesMut::new();
            let outcome = revision.write_client_notification(&mut out, &mut notification);
            // Some that only a server sends in the modern era are defined there all the same.
            if revision.client_notification(notification.method().as_str()).is_none() {
                assert!(outcome.unwrap_err().is_unsupported() && out.is_empty(), "{revision} has no {name}");
                continue;
            }
            outcome.unwrap();
            let message: Value = serde_json::from_slice(&out).unwrap();
            schemas.assert_message_fits(name, "JSONRPCNotification", &message);
        }
        for (name, mut answer) in answers.clone() {
            if schemas.definition(name).is_none() {
                continue;
            }
            if revision.has_result_types() {
                let mut out = BytesMut::new();
                let refused = revision.write_client_answer(&mut out, &id(), &mut answer);
                assert!(refused.unwrap_err().is_unsupported() && out.is_empty());
                if name != "EmptyResult" {
                    let response = write(|out| revision.write_input_response(out, &mut answer).unwrap());
                    schemas.assert_fits(name, &response);
                    schemas.assert_fits("InputResponse", &response);
                }
                continue;
            }
            let message = write(|out| revision.write_client_answer(out, &id(), &mut answer).unwrap());
            schemas.assert_fits(name, &message["result"]);
        }
    }
}

#[test]
fn the_method_tables_are_those_of_the_schemas() {
    for schemas in Schemas::load().unwrap_or_default() {
        let table = schemas.revision.table();
        let sides: [(&str, &[MethodRule]); 4] = [
            ("ClientRequest", table.client_requests),
            ("ClientNotification", table.client_notifications),
            (
                if schemas.revision.has_result_types() { "InputRequest" } else { "ServerRequest" },
                table.server_requests,
            ),
            ("ServerNotification", table.server_notifications),
        ];
        for (union, rules) in sides {
            let definition = schemas.definition(union).unwrap();
            let method = |definition: &'_ Value| definition["properties"]["method"]["const"].clone();
            let published: Vec<Value> = match definition["anyOf"].as_array() {
                Some(members) => members
                    .iter()
                    .map(|member| {
                        let name = member["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
                        method(schemas.definition(name).unwrap())
                    })
                    .collect(),
                None => vec![method(definition)],
            };
            let published: BTreeSet<&str> = published
                .iter()
                .map(|method| method.as_str().unwrap())
                // Tasks come later.
                .filter(|method| !method.contains("tasks/"))
                .collect();
            let known: BTreeSet<&str> = rules.iter().map(|rule| rule.method.as_str()).collect();
            assert_eq!(known, published, "{} {union}", schemas.revision);
            assert_eq!(known.len(), rules.len(), "{} {union} names a method twice", schemas.revision);
        }
    }
}

#[test]
fn the_latest_revision_of_each_era_writes_all_that_was_said() {
    let latest = Revision::LATEST_LEGACY;
    for (name, answer) in answers() {
        let mut said = serde_json::to_value(&answer).unwrap();
        if !refuses(latest, answer.clone()) {
            said.as_object_mut()
                .unwrap()
                .retain(|field, _| !["ttlMs", "cacheScope"].contains(&field.as_str()));
            assert_eq!(written(latest, answer.clone())["result"], said, "{name}");
        }
        if !refuses(Revision::LATEST, answer.clone()) {
            let mut said = serde_json::to_value(&answer).unwrap();
            let kind = if name == "InputRequiredResult" { "input_required" } else { "complete" };
            said["resultType"] = json!(kind);
            said["_meta"][Meta::SERVER_INFO] = json!(implementation());
            for tools in ["/tools/0", "/inputRequests/model/params/tools/0"] {
                said.pointer_mut(tools).and_then(|tool| tool.as_object_mut()?.remove("execution"));
            }
            if let Some(asked) = said.get_mut("inputRequests").and_then(Value::as_object_mut) {
                asked["url"]["params"].as_object_mut().unwrap().remove("elicitationId");
                asked["model"]["params"].as_object_mut().unwrap().remove("_meta");
            }
            assert_eq!(written(Revision::LATEST, answer)["result"], said, "{name}");
        }
    }
    let asked = ServerRequest::CreateMessage(sampling_with_tools());
    assert_eq!(written_request(latest, asked.clone())["params"], serde_json::to_value(&asked).unwrap());
    let asked = ElicitFormParams::new("Fill it in.", form_with_lists());
    assert_eq!(written_request(latest, asked.clone())["params"], serde_json::to_value(&asked).unwrap());
}

#[test]
fn content_that_a_revision_lacks_becomes_text() {
    let result = || {
        CallToolResult::new([
            Content::audio(b"RIFF", "audio/wav"),
            Content::resource_link(Resource::new("file:///a.md", "a.md").with_description("Notes.")),
        ])
    };
    let texts = |revision| {
        let message = written(revision, result().into());
        message["result"]["content"]
            .as_array()
            .unwrap()
            .iter()
            .map(|content| content["text"].as_str().unwrap_or("-").to_owned())
            .collect::<Vec<_>>()
    };
    let link = "a.md: file:///a.md\nNotes.";
    assert_eq!(texts(Revision::V2025_06_18), ["-", "-"]);
    assert_eq!(texts(Revision::V2025_03_26), ["-", link]);
    assert_eq!(
        texts(Revision::V2024_11_05),
        ["[audio (audio/wav) left out: the client's protocol revision has none]", link]
    );
}

#[test]
fn structured_content_is_never_lost() {
    let content = |revision, result: CallToolResult| written(revision, result.into())["result"].clone();
    let object = || CallToolResult::new([]).with_structured_content(raw(json!({"a": 1})));
    let array = || CallToolResult::new([]).with_structured_content(raw(json!([1])));
    let as_text = |text: &str| json!({"content": [{"type": "text", "text": text}]});

    assert_eq!(
        content(Revision::V2025_06_18, object()),
        json!({"content": [], "structuredContent": {"a": 1}})
    );
    assert_eq!(content(Revision::V2025_03_26, object()), as_text("{\"a\":1}"));
    assert_eq!(content(Revision::V2024_11_05, object()), as_text("{\"a\":1}"));
    // The legacy revisions know objects only.
    assert_eq!(content(Revision::V2025_11_25, array()), as_text("[1]"));
    let kept = content(Revision::LATEST, array());
    assert_eq!((&kept["content"], &kept["structuredContent"]), (&json!([]), &json!([1])));
    // The text that is there already says the same.
    let both = CallToolResult::structured(raw(json!({"a": 1})));
    assert_eq!(content(Revision::V2025_03_26, both), as_text("{\"a\":1}"));
}

#[test]
fn a_completion_never_holds_more_than_the_limit() {
    for revision in Revision::ALL {
        let mut completion = Completion::new(["a"]);
        completion.values = vec![Str::from("a"); 130];
        let message = written(revision, CompleteResult::new(completion).into());
        let completion = &message["result"]["completion"];
        assert_eq!(completion["values"].as_array().unwrap().len(), Completion::MAX_VALUES);
        assert_eq!((&completion["total"], &completion["hasMore"]), (&json!(130), &json!(true)));
    }
}

#[test]
fn an_output_schema_that_is_not_of_objects_is_left_out() {
    for (schema, stays) in [
        (json!({"type": "object"}), true),
        (json!({"type": "array"}), false),
        (json!({"anyOf": []}), false),
        (json!(true), false),
    ] {
        let tool = Tool::new("t", raw(json!({"type": "object"}))).with_output_schema(raw(schema));
        let message = written(Revision::V2025_11_25, ListToolsResult::new([tool]).into());
        assert_eq!(message["result"]["tools"][0].get("outputSchema").is_some(), stays);
    }
    let tool = Tool::new("t", raw(json!({"type": "object"}))).with_output_schema(raw(json!(true)));
    let message = written(Revision::LATEST, ListToolsResult::new([tool]).into());
    assert_eq!(message["result"]["tools"][0]["outputSchema"], json!(true));
}

#[test]
fn a_title_moves_to_the_annotations_where_tools_have_none() {
    let tool = Tool::new("t", raw(json!({"type": "object"}))).with_title("T");
    let message = written(Revision::V2025_03_26, ListToolsResult::new([tool.clone()]).into());
    assert_eq!(message["result"]["tools"][0]["annotations"], json!({"title": "T"}));
    let message = written(Revision::V2024_11_05, ListToolsResult::new([tool]).into());
    assert_eq!(message["result"]["tools"][0], json!({"name": "t", "inputSchema": {"type": "object"}}));
}

#[test]
fn a_sampling_message_is_split_where_it_holds_one_block() {
    let message = SamplingMessage::new(Role::User, ["one", "two"].map(SamplingContent::from));
    let asked = written_request(Revision::V2025_06_18, CreateMessageParams::new([message], 9));
    let said = |text: &str| json!({"role": "user", "content": {"type": "text", "text": text}});
    assert_eq!(asked["params"]["messages"], json!([said("one"), said("two")]));
}

#[test]
fn what_has_no_lesser_form_is_refused_and_nothing_is_written() {
    let url = || ServerRequest::Elicit(ElicitUrlParams::new("e", "https://example.org", "Go.").into());
    let list = || {
        let schema = ElicitSchema::new().with_optional("some", MultiSelectSchema::new(["a"]));
        ServerRequest::from(ElicitFormParams::new("Which?", schema))
    };
    let tools = || ServerRequest::CreateMessage(sampling_with_tools());
    let form = || ServerRequest::from(ElicitFormParams::new("Which?", form()));
    let refusal = |revision: Revision, mut request: ServerRequest| {
        let mut out = BytesMut::from("before");
        let error = revision.write_server_request(&mut out, &id(), &mut request).unwrap_err();
        assert!(error.is_unsupported() && out == "before");
        error.to_string()
    };
    assert_eq!(
        refusal(Revision::V2025_06_18, url()),
        "protocol revision 2025-06-18 has no elicitation by URL: ask with a form, or answer with what the user can do"
    );
    assert_eq!(
        refusal(Revision::V2025_06_18, list()),
        "protocol revision 2025-06-18 has no field for several values in a form: ask with a field for each of them"
    );
    assert_eq!(
        refusal(Revision::V2024_11_05, tools()),
        "protocol revision 2024-11-05 has no tools in sampling: ask without them"
    );
    assert_eq!(
        refusal(Revision::V2025_03_26, form()),
        "protocol revision 2025-03-26 has no elicitation/create: do without it, or speak a revision that has it"
    );
    assert_eq!(
        refusal(Revision::V2026_07_28, form()),
        "protocol revision 2026-07-28 has no requests of servers: ask by `write_input_request` within a result"
    );
    let mut out = BytesMut::from("before");
    let error = Revision::V2025_11_25.write_input_request(&mut out, &mut form()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "protocol revision 2025-11-25 has no questions as results: send the question as a request"
    );
    assert_eq!(out, "before");
    let mut unnamed = ElicitUrlParams::new("e", "https://example.org", "Go.");
    unnamed.elicitation_id = None;
    assert_eq!(
        refusal(Revision::V2025_11_25, unnamed.into()),
        "protocol revision 2025-11-25 needs an `elicitation_id` in an elicitation by URL: name it"
    );

    let mut used = ClientAnswer::from(CreateMessageResult::new(
        "model-1",
        [ToolUseContent::new("u", "add", Raw::empty_object()).into()],
    ));
    let mut out = BytesMut::new();
    assert!(
        Revision::V2025_06_18.write_client_answer(&mut out, &id(), &mut used).unwrap_err().is_unsupported()
    );
    Revision::V2025_11_25.write_client_answer(&mut out, &id(), &mut used).unwrap();
}

#[test]
fn an_answer_without_a_json_form_leaves_the_buffer_as_it_was() {
    let endless = Annotations::new().with_priority(f64::INFINITY);
    let result = CallToolResult::new([Content::text("x").with_annotations(endless)]).with_meta(meta());
    let answer = Answer::from(result);
    for revision in [Revision::LATEST_LEGACY, Revision::LATEST] {
        let mut tried = answer.clone();
        let mut out = BytesMut::from("before");
        let error = revision.write_answer(&mut out, &id(), &mut tried).unwrap_err();
        assert!(error.to_string().contains("finite"), "{error}");
        assert_eq!((&out[..], &tried), (&b"before"[..], &answer));
    }
}

#[test]
fn extensions_are_declared_in_every_revision() {
    // They are negotiated on their own, and every schema leaves room for them.
    for revision in Revision::LEGACY {
        let capabilities = ServerCapabilities::new().with_extensions(experimental());
        let result = InitializeResult::new(revision.date(), capabilities, Implementation::new("s", "1"));
        let message = written(revision, result.into());
        assert_eq!(message["result"]["capabilities"], json!({"extensions": {"example.org/trial": {}}}));
    }
}

#[test]
fn revisions_are_negotiated_by_their_dates() {
    for revision in Revision::LEGACY {
        assert_eq!(Revision::negotiate(revision.date()), revision);
        assert_eq!(serde_json::to_value(revision).unwrap(), json!(revision.date()));
        assert_eq!(serde_json::from_value::<Revision>(json!(revision.date())).unwrap(), revision);
    }
    for other in ["2026-07-28", "2099-01-01", "", "2025-06-18 "] {
        assert_eq!(Revision::negotiate(other), Revision::V2025_11_25);
    }
    assert_eq!(Revision::parse("2026-07-28"), Some(Revision::V2026_07_28));
    assert!(Revision::V2026_07_28.is_modern());
    let dates = |revisions: &[Revision]| {
        let mut dates: Vec<&str> = revisions.iter().map(|revision| revision.date()).collect();
        assert!(dates.is_sorted());
        dates.reverse();
        dates.join(", ")
    };
    assert_eq!(Revision::supported_dates(), dates(&Revision::ALL));
    assert_eq!(Revision::legacy_dates(), dates(&Revision::LEGACY));
    assert_eq!(Revision::modern_dates(), dates(&Revision::MODERN));
    assert_eq!([&Revision::LEGACY[..], &Revision::MODERN[..]].concat(), Revision::ALL);
    assert!(Revision::MODERN.iter().all(|revision| revision.is_modern()));
    assert!(!Revision::LEGACY.iter().any(|revision| revision.is_modern()));
    assert_eq!(Some(&Revision::LATEST), Revision::ALL.last());
    assert!(serde_json::from_str::<Revision>("\"2099-01-01\"").is_err());
}

#[test]
fn the_questions_are_answered_as_the_changelogs_say() {
    let since =
        |question: fn(Revision) -> bool| Revision::ALL.into_iter().find(|revision| question(*revision));
    let since = |question| since(question).map(Revision::date);
    assert_eq!(since(Revision::has_result_types), Some("2026-07-28"));
    assert_eq!(since(Revision::is_modern), Some("2026-07-28"));
    assert!(!Revision::LATEST.primes());
    assert_eq!(since(Revision::has_streamable_http), Some("2025-03-26"));
    assert_eq!(since(Revision::has_tool_annotations), Some("2025-03-26"));
    assert_eq!(since(Revision::has_audio), Some("2025-03-26"));
    assert_eq!(since(Revision::has_progress_message), Some("2025-03-26"));
    assert_eq!(since(Revision::has_version_header), Some("2025-06-18"));
    assert_eq!(since(Revision::has_structured_content), Some("2025-06-18"));
    assert_eq!(since(Revision::has_resource_links), Some("2025-06-18"));
    assert_eq!(since(Revision::has_completion_context), Some("2025-06-18"));
    assert_eq!(since(Revision::has_elicitation), Some("2025-06-18"));
    assert_eq!(since(Revision::has_url_elicitation), Some("2025-11-25"));
    assert_eq!(since(Revision::has_multi_select), Some("2025-11-25"));
    assert_eq!(since(Revision::has_sampling_tools), Some("2025-11-25"));
    assert_eq!(since(Revision::argument_errors_are_results), Some("2025-11-25"));
    assert_eq!(since(Revision::primes), Some("2025-11-25"));
    let batching: Vec<Revision> =
        Revision::ALL.into_iter().filter(|revision| revision.has_batches()).collect();
    assert_eq!(batching, [Revision::V2025_03_26]);
    for revision in Revision::LEGACY {
        assert_eq!(revision.resource_not_found(), ErrorCode(-32002));
    }
    assert_eq!(Revision::V2026_07_28.resource_not_found(), ErrorCode(-32602));
}

#[test]
fn rules_tell_the_capability_that_a_method_needs() {
    let rule = |revision: Revision, method| revision.client_request(method).map(|rule| rule.needs);
    assert_eq!(rule(Revision::V2025_11_25, "tools/call"), Some(Some(Capability::Tools)));
    assert_eq!(rule(Revision::V2025_11_25, "ping"), Some(None));
    assert_eq!(rule(Revision::V2025_11_25, "sampling/createMessage"), None);
    assert_eq!(rule(Revision::V2025_11_25, "server/discover"), None);
    assert_eq!(rule(Revision::V2026_07_28, "server/discover"), Some(None));
    assert_eq!(rule(Revision::V2026_07_28, "ping"), None);
    assert_eq!(rule(Revision::V2024_11_05, "completion/complete"), Some(None));
    assert_eq!(rule(Revision::V2025_03_26, "completion/complete"), Some(Some(Capability::Completions)));

    let none = ClientCapabilities::new();
    let forms = ClientCapabilities::new().with_elicitation(ElicitationCapability::default());
    let models = ClientCapabilities::new().with_sampling(SamplingCapability::default());
    let url = ServerRequest::from(ElicitUrlParams::new("e", "https://example.org", "Go."));
    let form = ServerRequest::from(ElicitFormParams::new("?", form()));
    let tools = ServerRequest::from(sampling_with_tools());
    assert_eq!(form.missing_capability(&none), Some(Capability::Elicitation));
    assert_eq!(form.missing_capability(&forms), None);
    assert_eq!(url.missing_capability(&forms), Some(Capability::ElicitationUrl));
    assert_eq!(tools.missing_capability(&models), Some(Capability::SamplingTools));
    assert_eq!(ServerRequest::from(sampling()).missing_capability(&models), None);
    for request in [url, form, tools, ServerRequest::ListRoots(EmptyParams::new())] {
        assert_eq!(request.missing_capability(&client_capabilities()), None);
    }

    let declared = |capability: Capability| {
        let client = client_capabilities();
        let server = server_capabilities();
        let none = (ClientCapabilities::new(), ServerCapabilities::new());
        capability.is_declared(&client, &server)
            && capability.is_declared(&client, &none.1) == capability.is_of_client()
            && capability.is_declared(&none.0, &server) != capability.is_of_client()
    };
    for revision in Revision::ALL {
        let table = revision.table();
        let tables = [
            table.client_requests,
            table.client_notifications,
            table.server_requests,
            table.server_notifications,
        ];
        for rule in tables.into_iter().flatten() {
            assert!(rule.needs.is_none_or(declared), "{revision} {}", rule.method);
        }
    }
}
