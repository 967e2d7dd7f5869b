//! Prompts, one of them with suggestions for an argument.

use schemars::JsonSchema;
use serde::Deserialize;
use throughline::model::{Content, PromptMessage, ResourceContents};
use throughline::{Completing, Server, prompt};

use crate::media::PIXEL_PNG;

pub(crate) fn register(server: Server) -> Server {
    server
        .prompt(prompt("test_simple_prompt", simple).description("A prompt without arguments."))
        .prompt(
            prompt("test_prompt_with_arguments", with_arguments)
                .description("A prompt with two arguments.")
                .complete("arg1", suggestions),
        )
        .prompt(
            prompt("test_prompt_with_embedded_resource", with_resource)
                .description("A prompt with a resource."),
        )
        .prompt(prompt("test_prompt_with_image", with_image).description("A prompt with a picture."))
}

async fn simple() -> &'static str {
    "This is a simple prompt for testing."
}

#[derive(Deserialize, JsonSchema)]
struct Arguments {
    /// First test argument
    arg1: String,
    /// Second test argument
    arg2: String,
}

async fn with_arguments(args: Arguments) -> String {
    format!("Prompt with arguments: arg1='{}', arg2='{}'", args.arg1, args.arg2)
}

async fn suggestions(completing: Completing) -> Vec<String> {
    let words = ["paris", "park", "party", "test"];
    words.into_iter().filter(|word| word.starts_with(&completing.value)).map(str::to_owned).collect()
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Embedded {
    /// URI of the resource to embed
    resource_uri: String,
}

async fn with_resource(args: Embedded) -> Vec<PromptMessage> {
    let text = "Embedded resource content for testing.";
    let resource = ResourceContents::text(args.resource_uri, text).with_mime_type("text/plain");
    vec![
        PromptMessage::user(Content::resource(resource)),
        PromptMessage::user("Please process the embedded resource above."),
    ]
}

async fn with_image() -> Vec<PromptMessage> {
    vec![
        PromptMessage::user(Content::image(PIXEL_PNG, "image/png")),
        PromptMessage::user("Please analyze the image above."),
    ]
}
