//! What the scenarios about authorization want of a client: it logs in when the server asks for it, and does what it came for.

use http::Method;
use serde_json::{Value, json};
use throughline::Client;
use throughline::auth::flow::{ClientId, IdentityProvider, SubjectToken};
use throughline::auth::oauth::{
    ClientKey, LoginPage, LoginPrompt, LoginVisit, MemoryTokenStore, PromptError, Redirect,
};
use throughline::auth::{OAuth, Secret};
use throughline::store::Soon;

use crate::contract::Contract;
use crate::scenarios::{Failure, end};
use crate::web;

/// The client id that is an address, which the suite knows.
const METADATA_DOCUMENT: &str = "https://conformance-test.local/client-metadata.json";

/// Nothing listens there: the answer is read off the redirect.
const CALLBACK: &str = "http://localhost:3000/callback";

/// A client that logs in by its person.
fn oauth() -> OAuth {
    OAuth::new()
        .client_name("conformance-client")
        .metadata_document(METADATA_DOCUMENT)
        .store(MemoryTokenStore::new())
        .prompt(Headless)
}

/// Logs in, with what a person would be asked for.
pub(crate) async fn log_in(contract: &Contract) -> Result<(), Failure> {
    calls(contract, oauth()).await
}

/// Logs in as a client that the authorization server knows.
pub(crate) async fn pre_registered(contract: &Contract) -> Result<(), Failure> {
    let id =
        ClientId::new(told(contract, "client_id")?).secret(Secret::new(told(contract, "client_secret")?));
    calls(contract, oauth().client_id(id)).await
}

/// The client itself is known to the authorization server, by its secret.
pub(crate) async fn client_secret(contract: &Contract) -> Result<(), Failure> {
    calls(contract, robot().client_credentials(with_secret(contract)?)).await
}

/// The same by its key.
pub(crate) async fn signing_key(contract: &Contract) -> Result<(), Failure> {
    let key = ClientKey::pem(told(contract, "private_key_pem")?)?;
    calls(contract, robot().client_credentials(known(contract)?).signing_key(key)).await
}

/// The platform says who the workload is.
pub(crate) async fn workload_identity(contract: &Contract) -> Result<(), Failure> {
    let jwt = Secret::new(told(contract, "valid_jwt")?);
    calls(contract, robot().workload_identity(known(contract)?, move || Soon::now(Ok(jwt.clone())))).await
}

/// An organization's identity provider says who the person is.
pub(crate) async fn enterprise_managed(contract: &Contract) -> Result<(), Failure> {
    let said = Secret::new(told(contract, "idp_id_token")?);
    let provider = IdentityProvider {
        token_endpoint: told(contract, "idp_token_endpoint")?.to_owned(),
        client_id: told(contract, "idp_client_id")?.to_owned(),
        client_secret: None,
        subject_token: said.clone(),
        subject: SubjectToken::IdToken,
    };
    let oauth =
        robot().enterprise_managed(with_secret(contract)?, provider, move || Soon::now(Ok(said.clone())));
    calls(contract, oauth).await
}

/// As whom the authorization server knows the client.
fn known(contract: &Contract) -> Result<ClientId, Failure> {
    Ok(ClientId::new(told(contract, "client_id")?))
}

fn with_secret(contract: &Contract) -> Result<ClientId, Failure> {
    Ok(known(contract)?.secret(Secret::new(told(contract, "client_secret")?)))
}

/// A client that needs no person.
fn robot() -> OAuth {
    OAuth::new().client_name("conformance-client").store(MemoryTokenStore::new())
}

async fn calls(contract: &Contract, oauth: OAuth) -> Result<(), Failure> {
    let client = Client::connect(&contract.url).authorize(oauth).await?;
    client.list_tools().await?;
    client.call_tool("test-tool", &json!({})).await?;
    end(&client).await
}

/// What the suite tells a client beforehand.
fn told<'a>(contract: &'a Contract, name: &str) -> Result<&'a str, Failure> {
    let value = contract.context.as_ref().and_then(|context| context.more.get(name)).and_then(Value::as_str);
    value.ok_or_else(|| format!("the scenario came without `{name}`").into())
}

/// A person without a browser: the suite's authorization server redirects whoever asks.
struct Headless;

impl LoginPrompt for Headless {
    fn ready(&self, _: Option<&str>) -> Soon<Result<Box<dyn LoginVisit>, PromptError>> {
        Soon::now(Ok(Box::new(Headless)))
    }
}

impl LoginVisit for Headless {
    fn redirect_uri(&self) -> &str {
        CALLBACK
    }

    fn visit(self: Box<Self>, page: LoginPage) -> Soon<Result<Redirect, PromptError>> {
        Soon::later(async move {
            let answer = web::send(Method::GET, page.address(), &[], "").await;
            let answer = answer.map_err(|error| PromptError::failed(error.to_string()))?;
            if !answer.status.is_redirection() {
                let text = String::from_utf8_lossy(&answer.body);
                return Err(PromptError::failed(format!(
                    "the page redirects nobody ({}): {text}",
                    answer.status
                )));
            }
            Redirect::new(answer.header("location"))
        })
    }
}
