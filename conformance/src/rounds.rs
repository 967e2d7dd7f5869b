//! Tools and a prompt that ask in rounds, where a revision has them: the call is answered with what is asked, and comes
//! again with the answers. On a session the same functions ask the client while they run.

use schemars::JsonSchema;
use serde::Deserialize;
use throughline::model::{CreateMessageParams, CreateMessageResult, SamplingContent, SamplingMessage};
use throughline::{Ability, Context, Elicit, InputRequired, Server, prompt, tool};

pub(crate) fn register(server: Server) -> Server {
    server
        .tool(
            tool("test_input_required_result_elicitation", hello)
                .description("Asks the user for a name, with an answer of its own making."),
        )
        .tool(
            tool("test_input_required_result_request_state", request_state)
                .description("Asks the user to confirm, and writes down that it did."),
        )
        .tool(
            tool("test_input_required_result_sampling", capital)
                .description("Asks the client's model for a capital."),
        )
        .tool(
            tool("test_input_required_result_list_roots", roots)
                .description("Asks the client for its roots."),
        )
        .tool(
            tool("test_input_required_result_multiple_inputs", multiple_inputs)
                .description("Asks the user, the model and for the roots, all in one round."),
        )
        .tool(
            tool("test_input_required_result_multi_round", multi_round)
                .description("Asks the user twice, one round after the other."),
        )
        .tool(
            tool("test_input_required_result_tampered_state", confirmation)
                .description("Asks the user to confirm; a state that was changed on the way is refused."),
        )
        .tool(
            tool("test_input_required_result_capabilities", capabilities)
                .description("Asks what the client declared that it can be asked."),
        )
        .tool(
            tool("test_streaming_elicitation", confirmation)
                .description("Asks the user to confirm, never with a request on the response's stream."),
        )
        .tool(
            tool("test_missing_capability", missing_capability)
                .description("Takes a client whose model can be asked.")
                .needs(Ability::Sampling),
        )
        .prompt(
            prompt("test_input_required_result_prompt", with_context)
                .description("A prompt that asks the user for its context."),
        )
}

/// A form with a name.
#[derive(Deserialize, JsonSchema)]
struct Name {
    name: String,
}

#[derive(Deserialize, JsonSchema)]
struct Color {
    color: String,
}

#[derive(Deserialize, JsonSchema)]
struct Confirmation {
    ok: bool,
}

#[derive(Deserialize, JsonSchema)]
struct About {
    context: String,
}

/// Keeps nothing between its rounds: any call with a name that can be read is answered.
async fn hello(cx: Context) -> throughline::Result<String> {
    match cx.input_responses().get::<Elicit<Name>>("user_name") {
        Some(Ok(Name { name })) => Ok(format!("Hello, {name}!")),
        Some(Err(error)) if error.is_declined() || error.is_cancelled() => Ok("Hello, stranger!".into()),
        _ => Err(InputRequired::new().ask("user_name", Elicit::<Name>::new("What is your name?")).into()),
    }
}

/// Takes an answer only together with the state of the round that asked.
async fn request_state(cx: Context) -> throughline::Result<String> {
    const ASKED: &str = "asked to confirm";
    let asked = cx.request_state::<String>()?.is_some_and(|state| state == ASKED);
    match cx.input_responses().get::<Elicit<Confirmation>>("confirm") {
        Some(Ok(Confirmation { ok })) if asked => Ok(format!("state-ok, and confirmed: {ok}")),
        Some(Err(error)) if error.is_declined() || error.is_cancelled() => Ok("It is not confirmed.".into()),
        _ => {
            let question = Elicit::<Confirmation>::new("Please confirm");
            Err(InputRequired::new().ask("confirm", question).state(&ASKED).into())
        }
    }
}

async fn capital(cx: Context) -> throughline::Result<String> {
    let answer = cx.sample(question("What is the capital of France?", 100)).key("capital_question").await?;
    Ok(text_of(&answer))
}

async fn roots(cx: Context) -> throughline::Result<String> {
    let roots = cx.roots().key("client_roots").await?;
    let uris: Vec<_> = roots.iter().map(|root| root.uri.as_str()).collect();
    Ok(format!("The client's roots: {}", uris.join(", ")))
}

async fn multiple_inputs(cx: Context) -> throughline::Result<String> {
    let name = cx.elicit::<Name>("What is your name?").key("user_name");
    let greeting = cx.sample(question("Generate a greeting", 50)).key("greeting");
    let roots = cx.roots().key("client_roots");
    let (Name { name }, greeting, roots) = cx.ask_all((name, greeting, roots)).await?;
    Ok(format!("{} {name} has {} roots.", text_of(&greeting), roots.len()))
}

async fn multi_round(cx: Context) -> throughline::Result<String> {
    let Name { name } = cx.elicit("Step 1: What is your name?").key("step1").await?;
    let Color { color } = cx.elicit("Step 2: What is your favorite color?").key("step2").await?;
    Ok(format!("{name} likes {color}."))
}

async fn confirmation(cx: Context) -> throughline::Result<&'static str> {
    let Confirmation { ok } = cx.elicit("Please confirm").key("confirm").await?;
    Ok(if ok { "It is confirmed." } else { "It is not confirmed." })
}

async fn capabilities(cx: Context) -> throughline::Result<String> {
    let Some(client) = cx.caller().client() else {
        return Ok("The client did not say what it can do.".into());
    };
    let mut answers = Vec::new();
    if client.capabilities.sampling.is_some() {
        let answer = cx.sample(question("Generate a greeting", 50)).key("greeting").await?;
        answers.push(text_of(&answer));
    }
    if client.capabilities.elicitation.is_some_and(|elicitation| elicitation.has_form()) {
        let Name { name } = cx.elicit("What is your name?").key("user_name").await?;
        answers.push(name);
    }
    if client.capabilities.roots.is_some() {
        answers.push(format!("{} roots", cx.roots().key("client_roots").await?.len()));
    }
    Ok(format!("The client's answers: {}", answers.join(", ")))
}

async fn missing_capability() -> &'static str {
    "The client's model can be asked."
}

async fn with_context(cx: Context) -> throughline::Result<String> {
    let About { context } = cx.elicit("What context should the prompt use?").key("user_context").await?;
    Ok(format!("A prompt about {context}."))
}

fn question(text: &'static str, max_tokens: u64) -> CreateMessageParams {
    CreateMessageParams::new([SamplingMessage::user(SamplingContent::text(text))], max_tokens)
}

fn text_of(answer: &CreateMessageResult) -> String {
    answer.content.iter().filter_map(SamplingContent::as_text).collect()
}
