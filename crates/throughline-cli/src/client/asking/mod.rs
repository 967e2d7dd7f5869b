//! What the server asks its user (elicitation): asked at the prompt, or answered by what was said beforehand.
//!
//! Specification: [elicitation](https://modelcontextprotocol.io/specification/2025-11-25/client/elicitation).

mod field;
mod keyboard;

use std::collections::BTreeMap;
use std::sync::Arc;

use http::Uri;
use throughline::jsonrpc::{Raw, Str};
use throughline::model::{
    ElicitAction, ElicitFormParams, ElicitParams, ElicitResult, ElicitUrlParams, PrimitiveSchema,
};
use tokio::sync::Mutex;

use crate::terminal::{self, Asking};
use keyboard::Keyboard;

/// Where questions are answered, one after another. Cheap to clone.
#[derive(Clone)]
pub(super) struct Desk(Arc<Shared>);

struct Shared {
    /// Who asks.
    server: String,
    /// By field, what was said beforehand.
    answers: Vec<(String, String)>,
    keyboard: Mutex<Keyboard>,
}

/// What was typed ended the question.
struct Ended(ElicitAction);

impl Desk {
    pub(super) fn new(server: String, answers: Vec<(String, String)>) -> Self {
        Self(Arc::new(Shared { server, answers, keyboard: Mutex::default() }))
    }

    /// Answers a question. Dropped, it is given up.
    pub(super) async fn answer(&self, question: ElicitParams) -> ElicitResult {
        let mut keyboard = self.0.keyboard.lock().await;
        let answered = match question {
            ElicitParams::Form(form) => self.answer_form(&mut keyboard, form).await,
            ElicitParams::Url(page) => self.answer_page(&mut keyboard, &page).await,
            _ => Err(Ended(ElicitAction::Decline)),
        };
        answered.unwrap_or_else(|Ended(action)| ElicitResult::new(action))
    }

    async fn answer_form(
        &self,
        keyboard: &mut Keyboard,
        form: ElicitFormParams,
    ) -> Result<ElicitResult, Ended> {
        let known = match self.known(&form) {
            Ok(known) => known,
            Err(why) => {
                terminal::complain_foreign(&format!("--answer: {why}"));
                BTreeMap::new()
            }
        };
        if !known.is_empty() {
            let open = form.requested_schema.properties.iter().any(|(name, _)| !known.contains_key(name));
            if (!open || !terminal::can_ask())
                && let Ok(complete) = form.requested_schema.complete(&raw(&known))
            {
                return Ok(ElicitResult::accept(complete));
            }
        }
        if !terminal::can_ask() {
            let missing =
                form.requested_schema.properties.iter().filter(|(name, _)| !known.contains_key(name));
            let flags: Vec<String> = missing.map(|(name, _)| format!("--answer {name}=VALUE")).collect();
            let how =
                if flags.is_empty() { String::new() } else { format!("; answer with {}", flags.join(" ")) };
            terminal::complain_foreign(&format!(
                "{} asks: {}\nThis is declined, as there is no terminal to ask at{how}.",
                self.0.server,
                flat(&form.message)
            ));
            return Err(Ended(ElicitAction::Decline));
        }
        let asking = Asking::begin();
        terminal::prompt(
            &asking,
            &format!(
                "\n{} asks: {}\n(Ctrl-D closes the question.)\n",
                self.0.server,
                indented(&form.message)
            ),
        );
        let schema = &form.requested_schema;
        let mut content;
        loop {
            content = known.clone();
            let mut can_decline = false;
            for (name, field) in schema.properties.iter().filter(|(name, _)| !known.contains_key(name)) {
                let required = schema.required.contains(name);
                can_decline |= required && field.default_value().is_none();
                if let Some(value) = ask_field(&asking, keyboard, name, field, required).await? {
                    content.insert(name.clone(), value);
                }
            }
            // A single field that had to be typed was seen, and could have been declined.
            if can_decline && schema.properties.len() == 1 {
                break;
            }
            // What is sent, with its defaults and in the form's order.
            let Ok(complete) = schema.complete(&raw(&content)) else { break };
            match self.review(&asking, keyboard, complete.as_str()).await? {
                Review::Send => return Ok(ElicitResult::accept(complete)),
                Review::Edit => {}
            }
        }
        schema.complete(&raw(&content)).map(ElicitResult::accept).map_err(|error| {
            terminal::complain_foreign(&format!(
                "This form cannot be filled in, so it is declined: {error}."
            ));
            Ended(ElicitAction::Decline)
        })
    }

    async fn review(&self, asking: &Asking, keyboard: &mut Keyboard, content: &str) -> Result<Review, Ended> {
        loop {
            terminal::prompt(asking, &format!("Send {content} to {}? [Y]es, no, edit > ", self.0.server));
            match keyboard.line().await.ok_or(Ended(ElicitAction::Cancel))?.trim().to_lowercase().as_str() {
                "" | "y" | "yes" => return Ok(Review::Send),
                "n" | "no" => return Err(Ended(ElicitAction::Decline)),
                "e" | "edit" => return Ok(Review::Edit),
                _ => {}
            }
        }
    }

    async fn answer_page(
        &self,
        keyboard: &mut Keyboard,
        page: &ElicitUrlParams,
    ) -> Result<ElicitResult, Ended> {
        let server = &self.0.server;
        if !terminal::can_ask() {
            terminal::complain_foreign(&format!(
                "{server} asks you to visit {}: {}\nThis is declined, as there is no terminal to ask at.",
                flat(&page.url),
                flat(&page.message)
            ));
            return Err(Ended(ElicitAction::Decline));
        }
        let asking = Asking::begin();
        let host = page.url.parse::<Uri>().ok().and_then(|uri| uri.host().map(str::to_owned));
        let warning = match &host {
            None => "\n  Careful: this is no address of a web page.",
            Some(host) if !host.is_ascii() || host.split('.').any(|part| part.starts_with("xn--")) => {
                "\n  Careful: the name of the host has letters that may look like others."
            }
            Some(_) => "",
        };
        let host = host.map_or_else(String::new, |host| format!("\n  at the host {host}"));
        terminal::prompt(
            &asking,
            &format!(
                "\n{server} asks you to visit a page: {}\n  {}{host}{warning}\nNothing is opened for you. Do you want to visit it? yes, [N]o (Ctrl-D closes the question) > ",
                indented(&page.message),
                flat(&page.url)
            ),
        );
        match keyboard.line().await.ok_or(Ended(ElicitAction::Cancel))?.trim().to_lowercase().as_str() {
            "y" | "yes" => Ok(ElicitResult::new(ElicitAction::Accept)),
            _ => Err(Ended(ElicitAction::Decline)),
        }
    }

    /// The fields of a form that were answered beforehand.
    fn known(&self, form: &ElicitFormParams) -> Result<BTreeMap<Str, Raw>, String> {
        let mut known = BTreeMap::new();
        for (key, text) in &self.0.answers {
            let field = form.requested_schema.properties.iter().find(|(name, _)| *name == key.as_str());
            if let Some((name, schema)) = field {
                let value = field::read(schema, text).map_err(|why| format!("`{key}` {why}"))?;
                known.insert(name.clone(), value);
            }
        }
        Ok(known)
    }
}

enum Review {
    Send,
    Edit,
}

/// Asks until the field takes what was typed; `None` when it is left out.
async fn ask_field(
    asking: &Asking,
    keyboard: &mut Keyboard,
    name: &str,
    schema: &PrimitiveSchema,
    required: bool,
) -> Result<Option<Raw>, Ended> {
    let default = schema.default_value().filter(|default| schema.check(default).is_ok());
    terminal::prompt(asking, &field::question(name, schema, required));
    loop {
        let shown =
            default.as_ref().map_or_else(String::new, |default| format!("[{}] ", field::text(default)));
        terminal::prompt(asking, &format!("{shown}> "));
        let line = keyboard.line().await.ok_or(Ended(ElicitAction::Cancel))?;
        if line.is_empty() {
            return match default {
                None if required => Err(Ended(ElicitAction::Decline)),
                default => Ok(default),
            };
        }
        match field::read(schema, &line) {
            Ok(value) => return Ok(Some(value)),
            Err(why) => terminal::prompt(asking, &format!("It {why}.\n")),
        }
    }
}

fn raw(content: &BTreeMap<Str, Raw>) -> Raw {
    Raw::new(content).expect("names and JSON have a JSON form")
}

/// Text of others as one line.
fn flat(text: &str) -> String {
    text.replace(['\n', '\t'], " ")
}

/// Text of others, so that none of its lines looks like one of this program.
fn indented(text: &str) -> String {
    text.trim_end().replace('\n', "\n  ")
}
