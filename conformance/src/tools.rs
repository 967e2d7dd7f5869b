//! Tools that ask the client nothing: content of every kind, errors, log messages, progress, a stream that is closed
//! mid-call, and lists that change.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use throughline::jsonrpc::Raw;
use throughline::model::{Content, LoggingLevel, ResourceContents};
use throughline::{Context, Error, Server, prompt, tool};

use crate::media::{PIXEL_PNG, SILENCE_WAV};

pub(crate) fn register(server: Server) -> Server {
    let (tools, prompts, resources) = (server.clone(), server.clone(), server.clone());
    server
        .tool(tool("test_simple_text", simple_text).description("Returns a text."))
        .tool(tool("test_image_content", image_content).description("Returns a picture."))
        .tool(tool("test_audio_content", audio_content).description("Returns a sound."))
        .tool(
            tool("test_embedded_resource", embedded_resource)
                .description("Returns a resource with its contents."),
        )
        .tool(
            tool("test_multiple_content_types", multiple_content_types)
                .description("Returns a text, a picture and a resource."),
        )
        .tool(
            tool("test_tool_with_logging", with_logging)
                .description("Sends three log messages while it runs."),
        )
        .tool(
            tool("test_logging_tool", with_logging)
                .description("Sends three log messages while it runs, to a client that wants them."),
        )
        .tool(
            tool("test_custom_header", custom_header)
                .description("Returns its argument, which clients repeat in a header.")
                .header("value", "Value"),
        )
        .tool(tool("test_tool_with_progress", with_progress).description("Tells its progress three times."))
        .tool(tool("test_error_handling", error_handling).description("Always fails."))
        .tool(tool("test_reconnection", reconnection).description(
            "Closes its connection while it runs; the result waits for the client to come back.",
        ))
        .tool(
            tool("json_schema_2020_12_tool", contact)
                .description("Takes arguments that are described with JSON Schema 2020-12.")
                .input_schema(Raw::from_json(CONTACT_SCHEMA).expect("the schema is JSON")),
        )
        .tool(
            tool("test_trigger_tool_change", move || tool_change(tools.clone()))
                .description("Adds the tool test_added_tool, or removes it when it is there."),
        )
        .tool(
            tool("test_trigger_prompt_change", move || prompt_change(prompts.clone()))
                .description("Adds the prompt test_added_prompt, or removes it when it is there."),
        )
        .tool(
            tool("test_trigger_resource_update", move || resource_update(resources.clone()))
                .description("Tells the subscribers of test://watched-resource that it changed."),
        )
}

async fn simple_text() -> &'static str {
    "This is a simple text response for testing."
}

async fn image_content() -> Content {
    Content::image(PIXEL_PNG, "image/png")
}

async fn audio_content() -> Content {
    Content::audio(SILENCE_WAV, "audio/wav")
}

async fn embedded_resource() -> Content {
    let text = "This is an embedded resource content.";
    Content::resource(ResourceContents::text("test://embedded-resource", text).with_mime_type("text/plain"))
}

async fn multiple_content_types() -> Vec<Content> {
    let data = ResourceContents::text("test://mixed-content-resource", r#"{"test":"data","value":123}"#);
    vec![
        Content::text("Multiple content types test:"),
        Content::image(PIXEL_PNG, "image/png"),
        Content::resource(data.with_mime_type("application/json")),
    ]
}

async fn with_logging(cx: Context) -> throughline::Result<&'static str> {
    cx.log(LoggingLevel::Info, "Tool execution started").await?;
    tokio::time::sleep(STEP).await;
    cx.log(LoggingLevel::Info, "Tool processing data").await?;
    tokio::time::sleep(STEP).await;
    cx.log(LoggingLevel::Info, "Tool execution completed").await?;
    Ok("Three log messages were sent.")
}

#[derive(Deserialize, JsonSchema)]
struct InHeader {
    /// What to return.
    value: String,
}

async fn custom_header(args: InHeader) -> String {
    args.value
}

async fn with_progress(cx: Context) -> throughline::Result<&'static str> {
    cx.progress(0.0).total(100.0).await?;
    tokio::time::sleep(STEP).await;
    cx.progress(50.0).total(100.0).await?;
    tokio::time::sleep(STEP).await;
    cx.progress(100.0).total(100.0).await?;
    Ok("The work is done.")
}

async fn error_handling() -> throughline::Result<&'static str> {
    Err(Error::msg("This tool intentionally returns an error for testing"))
}

async fn reconnection(cx: Context) -> &'static str {
    let closed = cx.close_connection(RETRY);
    tokio::time::sleep(STEP).await;
    if closed { "The connection was closed while the tool ran." } else { "This connection cannot be closed." }
}

/// Its schema says more than the types do: see [`CONTACT_SCHEMA`].
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Contact {
    name: Option<String>,
    address: Option<Address>,
    contact_method: Option<ContactMethod>,
    phone: Option<String>,
    email: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
struct Address {
    street: Option<String>,
    city: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum ContactMethod {
    Phone,
    Email,
}

async fn contact(contact: Contact) -> throughline::Result<String> {
    let reached_by = match contact.contact_method {
        Some(ContactMethod::Phone) => contact.phone,
        Some(ContactMethod::Email) => contact.email,
        None => contact.phone.or(contact.email),
    };
    let reached_by =
        reached_by.ok_or_else(|| Error::msg("give the phone or email that the contact is reached by"))?;
    let name = contact.name.unwrap_or_else(|| "Somebody".into());
    let place = contact.address.and_then(|address| address.city.or(address.street));
    Ok(match place {
        Some(place) => format!("{name} of {place} is reached by {reached_by}."),
        None => format!("{name} is reached by {reached_by}."),
    })
}

async fn tool_change(server: Server) -> throughline::Result<&'static str> {
    if server.remove_tool("test_added_tool") {
        return Ok("The tool was removed.");
    }
    server.add_tool(tool("test_added_tool", simple_text).description("Comes and goes."))?;
    Ok("The tool was added.")
}

async fn prompt_change(server: Server) -> throughline::Result<&'static str> {
    if server.remove_prompt("test_added_prompt") {
        return Ok("The prompt was removed.");
    }
    server.add_prompt(prompt("test_added_prompt", simple_text).description("Comes and goes."))?;
    Ok("The prompt was added.")
}

async fn resource_update(server: Server) -> String {
    let told = server.resource_updated("test://watched-resource");
    format!("{told} subscribers were told.")
}

/// Between the messages of a call, as long as the suite suggests.
const STEP: Duration = Duration::from_millis(50);

/// When a client whose connection was closed comes back.
const RETRY: Duration = Duration::from_millis(500);

/// The schema that the suite looks for, keyword by keyword.
const CONTACT_SCHEMA: &str = r##"{
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": { "street": { "type": "string" }, "city": { "type": "string" } }
        }
    },
    "properties": {
        "name": { "type": "string" },
        "address": { "$ref": "#/$defs/address" },
        "contactMethod": { "type": "string", "enum": ["phone", "email"] },
        "phone": { "type": "string" },
        "email": { "type": "string" }
    },
    "allOf": [{ "anyOf": [{ "required": ["phone"] }, { "required": ["email"] }] }],
    "if": { "properties": { "contactMethod": { "const": "phone" } }, "required": ["contactMethod"] },
    "then": { "required": ["phone"] },
    "else": { "required": ["email"] },
    "additionalProperties": false
}"##;
