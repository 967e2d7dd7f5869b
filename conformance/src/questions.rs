//! Tools that ask the client: a sample of its model, or forms for its user.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use throughline::model::{
    CreateMessageParams, ElicitSchema, EnumOption, MultiSelectSchema, SamplingContent, SamplingMessage,
    SingleSelectSchema, StringSchema,
};
use throughline::{Ask, Context, Elicit, Server, tool};

pub(crate) fn register(server: Server) -> Server {
    server
        .tool(tool("test_sampling", sampling).description("Asks the client's model."))
        .tool(
            tool("test_elicitation", elicitation)
                .description("Asks the client's user for a name and an address."),
        )
        .tool(
            tool("test_elicitation_sep1034_defaults", defaults)
                .description("Asks the client's user, with a default for each field."),
        )
        .tool(
            tool("test_elicitation_sep1330_enums", enums)
                .description("Asks the client's user to choose, in each form that a choice can have."),
        )
}

#[derive(Deserialize, JsonSchema)]
struct Sampling {
    /// What to ask the model.
    prompt: String,
}

async fn sampling(args: Sampling, cx: Context) -> throughline::Result<String> {
    let answer = cx.sample(CreateMessageParams::new([SamplingMessage::user(args.prompt)], 100)).await?;
    let text: Vec<_> = answer.content.iter().filter_map(SamplingContent::as_text).collect();
    Ok(format!("LLM response: {}", text.join("\n")))
}

#[derive(Deserialize, JsonSchema)]
struct Elicitation {
    /// What to ask the user.
    message: String,
}

async fn elicitation(args: Elicitation, cx: Context) -> throughline::Result<String> {
    let form = ElicitSchema::new()
        .with_required("username", StringSchema::new().with_description("User's response"))
        .with_required("email", StringSchema::new().with_description("User's email address"));
    told("User response", cx.ask(Elicit::<Value>::with_schema(args.message, form))).await
}

/// A form by derive: serde's defaults are the form's.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct Profile {
    /// User name
    name: String,
    /// User age
    age: i64,
    /// User score
    score: f64,
    /// User status
    status: Status,
    /// Verification status
    verified: bool,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Status {
    Active,
    Inactive,
    Pending,
}

impl Default for Profile {
    fn default() -> Self {
        Self { name: "John Doe".into(), age: 30, score: 95.5, status: Status::Active, verified: true }
    }
}

async fn defaults(cx: Context) -> throughline::Result<String> {
    told(
        "Elicitation completed",
        cx.elicit::<Profile>("Please review and update the form fields with defaults"),
    )
    .await
}

/// A form by hand: each way to write a choice.
async fn enums(cx: Context) -> throughline::Result<String> {
    let titled = |prefix: &str, titles: [&str; 3]| {
        (1..)
            .zip(titles)
            .map(|(number, title)| EnumOption::titled(format!("{prefix}{number}"), title.to_owned()))
            .collect::<Vec<_>>()
    };
    let plain = ["option1", "option2", "option3"];
    let form = ElicitSchema::new()
        .with_optional("untitledSingle", SingleSelectSchema::new(plain))
        .with_optional(
            "titledSingle",
            SingleSelectSchema::new(titled("value", ["First Option", "Second Option", "Third Option"])),
        )
        .with_optional(
            "legacyEnum",
            SingleSelectSchema::new(titled("opt", ["Option One", "Option Two", "Option Three"]))
                .with_enum_names(true),
        )
        .with_optional("untitledMulti", MultiSelectSchema::new(plain))
        .with_optional(
            "titledMulti",
            MultiSelectSchema::new(titled("value", ["First Choice", "Second Choice", "Third Choice"])),
        );
    let message = "Please select options from the enum fields";
    told("Elicitation completed", cx.ask(Elicit::<Value>::with_schema(message, form))).await
}

/// What the user did with a form, in the words of the suite. That the client cannot be asked is an error.
async fn told<T>(what: &str, form: Ask<Elicit<T>>) -> throughline::Result<String>
where
    T: Serialize + DeserializeOwned + Send + 'static,
{
    Ok(match form.await {
        Ok(content) => format!("{what}: action=accept, content={}", serde_json::to_string(&content)?),
        Err(error) if error.is_declined() => format!("{what}: action=decline"),
        Err(error) if error.is_cancelled() => format!("{what}: action=cancel"),
        Err(error) => return Err(error.into()),
    })
}
