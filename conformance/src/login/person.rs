//! The person at the authorization server, who opens what a browser would, and what else can be changed there.

use std::sync::{Arc, Mutex, PoisonError};

use http::Method;
use serde_json::{Value, json};
use throughline::auth::oauth::{DeviceCode, LoginPage, LoginPrompt, LoginVisit, PromptError, Redirect};
use throughline::store::Soon;

use crate::checks::{Checked, same};
use crate::web;

/// Nothing listens there: the answer is read off the redirect.
const CALLBACK: &str = "http://127.0.0.1:8916/callback";

/// The authorization server of `conformance/peers/js/authorization.mjs`. As a prompt it is the person there, who does what is
/// shown at once.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) issuer: String,
    /// Pages that were shown, oldest first.
    shown: Arc<Mutex<Vec<String>>>,
}

impl Person {
    pub(crate) fn new(issuer: String) -> Self {
        Self { issuer, shown: Arc::default() }
    }

    /// Asks for one of the things below `/control` there.
    pub(crate) async fn control(&self, name: &str, body: &Value) -> Checked<Value> {
        let address = format!("{}/control/{name}", self.issuer);
        let answer = web::send(Method::POST, &address, &[], body.to_string()).await?;
        if !answer.status.is_success() {
            return Err(format!("{name}: {}", answer.status).into());
        }
        Ok(serde_json::from_slice(&answer.body)?)
    }

    /// Changes how the authorization server behaves.
    pub(crate) async fn set(&self, changes: Value) -> Checked {
        self.control("set", &changes).await.map(drop)
    }

    /// What is asked for at the token endpoint, with the answer.
    pub(crate) async fn token(&self, form: &str) -> Checked<Value> {
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let answer =
            web::send(Method::POST, &format!("{}/token", self.issuer), &headers, form.to_owned()).await?;
        Ok(serde_json::from_slice(&answer.body)?)
    }

    /// How many requests of each kind were answered since `before`.
    pub(crate) async fn since(&self, before: &Counts) -> Checked<Value> {
        let Counts(before) = before;
        let mut counts = self.counts().await?.0;
        for (kind, count) in counts.as_object_mut().into_iter().flatten() {
            *count = json!(count.as_u64().unwrap_or_default() - before[kind].as_u64().unwrap_or_default());
        }
        if let Some(counts) = counts.as_object_mut() {
            counts.retain(|_, count| *count != 0);
        }
        Ok(counts)
    }

    /// These are the requests that were answered since `before`, introspections left aside.
    pub(crate) async fn answered(&self, before: &Counts, wanted: Value) -> Checked {
        let mut counts = self.since(before).await?;
        if let Some(counts) = counts.as_object_mut() {
            counts.remove("introspection");
        }
        same("what the authorization server answered", counts, wanted)
    }

    pub(crate) async fn counts(&self) -> Checked<Counts> {
        Ok(Counts(self.control("counts", &json!({})).await?))
    }

    /// Opens an address, and says where the browser was sent that is not there.
    pub(crate) async fn visit(&self, address: &str) -> Checked<String> {
        let seen = self.control("visit", &json!({ "address": address })).await?;
        match seen["outside"].as_str() {
            Some(outside) => Ok(outside.to_owned()),
            None => Err(format!("the browser was sent nowhere: {}", seen["text"]).into()),
        }
    }

    /// The page that was shown last.
    pub(crate) fn last_page(&self) -> String {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).last().cloned().unwrap_or_default()
    }

    fn show(&self, address: &str) {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).push(address.to_owned());
    }
}

/// Requests that were answered, by kind.
pub(crate) struct Counts(Value);

impl LoginPrompt for Person {
    fn ready(&self, _: Option<&str>) -> Soon<Result<Box<dyn LoginVisit>, PromptError>> {
        Soon::now(Ok(Box::new(self.clone())))
    }

    fn show_code(&self, code: &DeviceCode) -> Soon<Result<(), PromptError>> {
        let address = code.address_with_code.clone().unwrap_or_default();
        let this = self.clone();
        Soon::later(async move {
            this.show(&address);
            let seen = this.control("visit", &json!({ "address": address })).await;
            seen.map(drop).map_err(|error| PromptError::failed(error.to_string()))
        })
    }
}

impl LoginVisit for Person {
    fn redirect_uri(&self) -> &str {
        CALLBACK
    }

    fn visit(self: Box<Self>, page: LoginPage) -> Soon<Result<Redirect, PromptError>> {
        self.show(page.address());
        Soon::later(async move {
            let came_back = Person::visit(&self, page.address()).await;
            Redirect::new(came_back.map_err(|error| PromptError::failed(error.to_string()))?)
        })
    }
}
