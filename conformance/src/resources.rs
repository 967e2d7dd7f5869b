//! Resources: text, bytes, a template, and one to subscribe to.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use throughline::{Server, resource, template};

use crate::media::PIXEL_PNG;

pub(crate) fn register(server: Server) -> Server {
    server
        .resource(
            resource("test://static-text", "Static Text Resource", static_text)
                .description("A text that never changes.")
                .mime_type("text/plain"),
        )
        .resource(
            resource("test://static-binary", "Static Binary Resource", static_binary)
                .description("A picture that never changes.")
                .mime_type("image/png"),
        )
        .resource(
            resource("test://watched-resource", "Watched Resource", watched)
                .description("A text whose subscribers test_trigger_resource_update tells.")
                .mime_type("text/plain"),
        )
        .template(
            template("test://template/{id}/data", "Resource Template", data)
                .description("Data of any id.")
                .mime_type("application/json"),
        )
}

async fn static_text() -> &'static str {
    "This is the content of the static text resource."
}

async fn static_binary() -> Vec<u8> {
    PIXEL_PNG.to_vec()
}

async fn watched() -> &'static str {
    "Watched resource content"
}

#[derive(Deserialize, JsonSchema)]
struct Template {
    id: String,
}

async fn data(template: Template) -> String {
    let id = template.id;
    json!({ "id": id, "templateTest": true, "data": format!("Data for ID: {id}") }).to_string()
}
