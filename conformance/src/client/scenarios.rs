//! What each scenario wants of a client. The names, tools and arguments are the suite's.

use std::future::Future;
use std::pin::Pin;

use serde_json::json;
use throughline::jsonrpc::{Raw, Str};
use throughline::model::{ElicitAction, ElicitResult, InputRequest, ListRootsResult, Tool};
use throughline::{Client, Connect, Round, StreamStatus};

use crate::contract::Contract;
use crate::logins;

/// What a scenario does. The error is a sentence.
pub(crate) type Scenario = fn(&Contract) -> Outcome<'_>;
type Outcome<'a> = Pin<Box<dyn Future<Output = Result<(), Failure>> + 'a>>;
pub(crate) type Failure = Box<dyn std::error::Error>;

/// The scenarios that this client knows, by the suite's names.
pub(crate) const SCENARIOS: &[(&str, Scenario)] = &[
    ("auth/2025-03-26-oauth-endpoint-fallback", |contract| Box::pin(logins::log_in(contract))),
    ("auth/2025-03-26-oauth-metadata-backcompat", |contract| Box::pin(logins::log_in(contract))),
    ("auth/authorization-server-migration", |contract| Box::pin(logins::log_in(contract))),
    ("auth/basic-cimd", |contract| Box::pin(logins::log_in(contract))),
    ("auth/client-credentials-basic", |contract| Box::pin(logins::client_secret(contract))),
    ("auth/client-credentials-jwt", |contract| Box::pin(logins::signing_key(contract))),
    ("auth/dpop", |contract| Box::pin(logins::log_in(contract))),
    ("auth/dpop-nonce", |contract| Box::pin(logins::log_in(contract))),
    ("auth/enterprise-managed-authorization", |contract| Box::pin(logins::enterprise_managed(contract))),
    ("auth/iss-normalized", |contract| Box::pin(logins::log_in(contract))),
    ("auth/iss-not-advertised", |contract| Box::pin(logins::log_in(contract))),
    ("auth/iss-supported", |contract| Box::pin(logins::log_in(contract))),
    ("auth/iss-supported-missing", |contract| Box::pin(logins::log_in(contract))),
    ("auth/iss-unexpected", |contract| Box::pin(logins::log_in(contract))),
    ("auth/iss-wrong-issuer", |contract| Box::pin(logins::log_in(contract))),
    ("auth/metadata-default", |contract| Box::pin(logins::log_in(contract))),
    ("auth/metadata-issuer-mismatch", |contract| Box::pin(logins::log_in(contract))),
    ("auth/metadata-var1", |contract| Box::pin(logins::log_in(contract))),
    ("auth/metadata-var2", |contract| Box::pin(logins::log_in(contract))),
    ("auth/metadata-var3", |contract| Box::pin(logins::log_in(contract))),
    ("auth/offline-access-not-supported", |contract| Box::pin(logins::log_in(contract))),
    ("auth/offline-access-scope", |contract| Box::pin(logins::log_in(contract))),
    ("auth/pre-registration", |contract| Box::pin(logins::pre_registered(contract))),
    ("auth/resource-mismatch", |contract| Box::pin(logins::log_in(contract))),
    ("auth/scope-from-scopes-supported", |contract| Box::pin(logins::log_in(contract))),
    ("auth/scope-from-www-authenticate", |contract| Box::pin(logins::log_in(contract))),
    ("auth/scope-omitted-when-undefined", |contract| Box::pin(logins::log_in(contract))),
    ("auth/scope-retry-limit", |contract| Box::pin(logins::log_in(contract))),
    ("auth/scope-step-up", |contract| Box::pin(logins::log_in(contract))),
    ("auth/token-endpoint-auth-basic", |contract| Box::pin(logins::log_in(contract))),
    ("auth/token-endpoint-auth-none", |contract| Box::pin(logins::log_in(contract))),
    ("auth/token-endpoint-auth-post", |contract| Box::pin(logins::log_in(contract))),
    ("auth/wif-jwt-bearer", |contract| Box::pin(logins::workload_identity(contract))),
    ("elicitation-sep1034-client-defaults", |contract| Box::pin(elicitation_defaults(contract))),
    ("http-custom-headers", |contract| Box::pin(custom_headers(contract))),
    ("http-invalid-tool-headers", |contract| Box::pin(invalid_tool_headers(contract))),
    ("http-standard-headers", |contract| Box::pin(standard_headers(contract))),
    ("initialize", |contract| Box::pin(initialize(contract))),
    ("json-schema-2020-12-preservation", |contract| Box::pin(schema_preservation(contract))),
    ("json-schema-ref-no-deref", |contract| Box::pin(list_tools(contract))),
    ("request-metadata", |contract| Box::pin(request_metadata(contract))),
    ("sep-2322-client-request-state", |contract| Box::pin(request_state(contract))),
    ("sse-retry", |contract| Box::pin(sse_retry(contract))),
    ("tools_call", |contract| Box::pin(tools_call(contract))),
];

/// Our client as its users have it: it finds out what the server speaks.
fn connect(contract: &Contract) -> Connect {
    Client::connect(&contract.url)
}

async fn initialize(contract: &Contract) -> Result<(), Failure> {
    let client = connect(contract).await?;
    client.list_tools().await?;
    end(&client).await
}

async fn list_tools(contract: &Contract) -> Result<(), Failure> {
    let client = connect(contract).await?;
    let tools: Vec<Tool> = client.list_tools().await?;
    named(&tools, "lookup_user")?;
    end(&client).await
}

async fn tools_call(contract: &Contract) -> Result<(), Failure> {
    let client = connect(contract).await?;
    named(&client.list_tools().await?, "add_numbers")?;
    let result = client.call_tool("add_numbers", &json!({ "a": 5, "b": 3 })).await?;
    expect(
        "the sum",
        result.content.first().and_then(|content| content.as_text()),
        "The sum of 5 and 3 is 8",
    )?;
    end(&client).await
}

/// The user accepts the form as it is: the client fills in what the schema says.
async fn elicitation_defaults(contract: &Contract) -> Result<(), Failure> {
    let accept = |_| std::future::ready(Ok(ElicitResult::new(ElicitAction::Accept)));
    let client = connect(contract).on_elicit(accept).await?;
    listening(&client).await?;
    client.list_tools().await?;
    let result = client.call_tool("test_client_elicitation_defaults", &json!({})).await?;
    if result.is_error {
        return Err(format!("the tool failed: {:?}", result.content).into());
    }
    end(&client).await
}

async fn sse_retry(contract: &Contract) -> Result<(), Failure> {
    let client = connect(contract).await?;
    listening(&client).await?;
    client.list_tools().await?;
    let result = client.call_tool("test_reconnection", &json!({})).await?;
    let said = result.content.first().and_then(|content| content.as_text());
    expect("the answer", said, "Reconnection test completed successfully")?;
    end(&client).await
}

async fn request_metadata(contract: &Contract) -> Result<(), Failure> {
    let roots = || std::future::ready(Ok(ListRootsResult::default()));
    let decline = |_| std::future::ready(Ok(ElicitResult::new(ElicitAction::Decline)));
    let no_model = |_| std::future::ready(Err(throughline::McpError::internal("there is no model here")));
    let client = connect(contract).on_roots(roots).on_elicit(decline).on_sample(no_model).await?;
    client.list_tools().await?;
    client.call_tool("any", &json!({})).await?;
    end(&client).await
}

/// Every method whose headers the suite looks at, and every entry that it lists.
async fn standard_headers(contract: &Contract) -> Result<(), Failure> {
    let client = connect(contract).await?;
    for tool in client.list_tools().await? {
        client.call_tool(tool.name, &json!({})).await?;
    }
    for resource in client.list_resources().await? {
        client.read_resource(resource.uri).await?;
    }
    for prompt in client.list_prompts().await? {
        client.get_prompt(prompt.name, &()).await?;
    }
    end(&client).await
}

async fn custom_headers(contract: &Contract) -> Result<(), Failure> {
    let context = contract.context.as_ref().ok_or("the scenario came without its calls")?;
    let client = connect(contract).await?;
    client.list_tools().await?;
    for call in &context.tool_calls {
        client.call_tool(&call.name, &call.arguments).await?;
    }
    end(&client).await
}

/// Calls every tool that the client lets through.
async fn invalid_tool_headers(contract: &Contract) -> Result<(), Failure> {
    let client = connect(contract).await?;
    let tools: Vec<Tool> = client.list_tools().await?;
    named(&tools, "valid_tool")?;
    for tool in tools {
        client.call_tool(tool.name, &json!({ "region": "us-west1" })).await?;
    }
    end(&client).await
}

async fn schema_preservation(contract: &Contract) -> Result<(), Failure> {
    let client = connect(contract).await?;
    let tools: Vec<Tool> = client.list_tools().await?;
    let schema = &named(&tools, "json_schema_2020_12_tool")?.input_schema;
    client.call_tool("json_schema_echo", &json!({ "schema": schema })).await?;
    end(&client).await
}

/// Rounds that the client drives, and one that its user does, with another call in between.
async fn request_state(contract: &Contract) -> Result<(), Failure> {
    let confirmed = Raw::new(&json!({ "confirmed": true }))?;
    let answer = confirmed.clone();
    let accept = move |_| std::future::ready(Ok(ElicitResult::accept(answer.clone())));
    let client = connect(contract).on_elicit(accept).await?;
    client.list_tools().await?;
    let none = json!({});
    client.call_tool("test_mrtr_echo_state", &none).await?;
    client.call_tool("test_mrtr_no_state", &none).await?;

    let Round::InputRequired(required) = client.call_tool("test_mrtr_echo_state", &none).one_round().await?
    else {
        return Err("the tool did not ask".into());
    };
    client.call_tool("test_mrtr_unrelated", &none).await?;
    let accepted = Raw::new(&ElicitResult::accept(confirmed))?;
    let asked =
        required.input_requests.into_iter().filter(|(_, asked)| matches!(asked, InputRequest::Request(_)));
    let answers: Vec<(Str, Raw)> = asked.map(|(name, _)| (name, accepted.clone())).collect();
    client.call_tool("test_mrtr_echo_state", &none).answers(answers, required.request_state).await?;

    client.call_tool("test_mrtr_no_result_type", &none).await?;
    end(&client).await
}

/// Waits until the stream is open that belongs to no call. The suite's servers ask on it, or answer on it what belongs to a
/// call that has no connection, and have nothing to say to who opens it later.
async fn listening(client: &Client) -> Result<(), Failure> {
    client.status().wait_for(|status| *status == StreamStatus::Open).await?;
    Ok(())
}

pub(crate) async fn end(client: &Client) -> Result<(), Failure> {
    Ok(client.close().await?)
}

fn named<'a>(tools: &'a [Tool], name: &str) -> Result<&'a Tool, Failure> {
    tools.iter().find(|tool| *tool.name == *name).ok_or_else(|| format!("there is no tool `{name}`").into())
}

fn expect(what: &str, is: Option<&str>, wanted: &str) -> Result<(), Failure> {
    if is == Some(wanted) { Ok(()) } else { Err(format!("{what} is {is:?}, not `{wanted}`").into()) }
}
