//! `throughline login`, `logout` and `whoami`, and the login of every other command.

mod prompt;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use throughline::HttpOptions;
use throughline::auth::flow::{ClientId, LoginBy};
use throughline::auth::oauth::LoginInfo;
use throughline::auth::{OAuth, Secret};

use crate::Stop;
use crate::flags::{At, Login, Output, Way, What};
use crate::signals::Signals;
use crate::terminal;

/// Who logs in where a server asks for it. Logins are kept in the file that all commands share. `pastes`: standard input may be
/// read for it.
///
/// # Errors
///
/// When the command line names something that cannot be.
pub(crate) fn provider(login: &Login, roots: &[Vec<u8>], pastes: bool) -> Result<OAuth, Stop> {
    let prompt = prompt::prompt(login, pastes)
        .map_err(|error| Stop::usage(format!("error: --redirect-uri: {error}.")))?;
    let http = roots.iter().fold(HttpOptions::new(), |http, pem| http.root_certificates(pem));
    let mut oauth = OAuth::new().client_name("throughline").http(http).login_by(match login.by {
        Way::Browser => LoginBy::Browser,
        Way::Device => LoginBy::Device,
        Way::Client => LoginBy::ClientCredentials,
    });
    // What a host logs of its server is read by people, later.
    oauth =
        if pastes && prompt::is_alone(login) { oauth.prompt(prompt::Nobody) } else { oauth.prompt(prompt) };
    if let Some((id, secret)) = &login.client {
        // The address of a document about a client is its id.
        let is_document = id.starts_with("https://") && secret.is_none();
        oauth = if is_document {
            oauth.metadata_document(id)
        } else {
            let id = ClientId::new(id);
            oauth.client_id(match secret {
                Some(secret) => id.secret(Secret::new(secret.0.clone())),
                None => id,
            })
        };
    }
    if !login.scopes.is_empty() {
        oauth = oauth.scopes(login.scopes.clone());
    }
    if let Some(account) = &login.account {
        oauth = oauth.account(account);
    }
    Ok(oauth)
}

/// Logs in or out, or tells who is logged in.
pub(crate) fn run(at: &At) -> Result<(), Stop> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| {
        Stop::failure(format!("error: the system gives no threads to work with: {error}."))
    })?;
    let outcome = runtime.block_on(interruptible(at));
    // A read of the terminal cannot be taken back, and the program must not wait for it.
    runtime.shutdown_timeout(Duration::from_millis(100));
    outcome
}

async fn interruptible(at: &At) -> Result<(), Stop> {
    terminal::start_log(at.log.clone(), at.log_format);
    let signals = Signals::listen()
        .map_err(|error| Stop::failure(format!("error: signals cannot be listened for: {error}.")))?;
    tokio::select! {
        outcome = work(at) => outcome,
        code = signals.first() => {
            Err(Stop { sentence: "interrupted".into(), code: u8::try_from(code).unwrap_or(1) })
        }
    }
}

async fn work(at: &At) -> Result<(), Stop> {
    let oauth = provider(&at.login, &at.roots, true)?;
    let url = &at.url;
    match at.what {
        What::LogIn => {
            let info = oauth.login(url).await.map_err(|error| failed(&error))?;
            print(at, &info);
        }
        What::Tell => match oauth.whoami(url).await.map_err(|error| failed(&error))? {
            Some(info) => print(at, &info),
            None => {
                let sentence = format!(
                    "error: nobody is logged in at {}; `throughline login` does it",
                    terminal::plain(url)
                );
                return Err(Stop { sentence, code: UNAUTHORIZED });
            }
        },
        What::LogOut => {
            let was_there = oauth.logout(url).await.map_err(|error| failed(&error))?;
            terminal::print(&match (at.output, was_there) {
                (Output::Json, _) => json!({ "loggedOut": was_there }).to_string(),
                (Output::Text, true) => format!("logged out at {}", terminal::plain(url)),
                (Output::Text, false) => format!("nobody was logged in at {}", terminal::plain(url)),
            });
        }
    }
    Ok(())
}

fn failed(error: &throughline::TokenError) -> Stop {
    Stop { sentence: format!("error: {}", terminal::plain(&error.to_string())), code: UNAUTHORIZED }
}

fn print(at: &At, info: &LoginInfo) {
    match at.output {
        Output::Json => terminal::print(
            &json!({
                "resource": info.resource,
                "issuer": info.issuer,
                "clientId": info.client_id,
                "scopes": info.scopes.iter().collect::<Vec<_>>(),
                "expiresAt": info.expires_at.map(|at| at.0),
                "renewedByItself": info.is_renewed_by_itself,
            })
            .to_string(),
        ),
        Output::Text => terminal::print_foreign(&text(info, now())),
    }
}

/// What is known of a login, for people.
fn text(info: &LoginInfo, now: u64) -> String {
    let mut text =
        format!("logged in at {}\n  by      {}\n  client  {}\n", info.resource, info.issuer, info.client_id);
    if !info.scopes.is_empty() {
        text.push_str(&format!("  scopes  {}\n", info.scopes));
    }
    let ends = match info.expires_at.map(|at| at.0.saturating_sub(now)) {
        None => "the token says no end".to_owned(),
        Some(0) => "the token has ended".to_owned(),
        Some(left) => format!("the token ends in {}", time(left)),
    };
    let then = if info.is_renewed_by_itself {
        ", and is renewed by itself"
    } else {
        ", and then another login is needed"
    };
    text.push_str(&format!("  until   {ends}{then}\n"));
    text
}

/// Seconds, as precise as people care.
fn time(seconds: u64) -> String {
    let (count, unit) = match seconds {
        0..120 => (seconds, "second"),
        120..7_200 => (seconds / 60, "minute"),
        7_200..172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// As of every command that a server does not let in.
const UNAUTHORIZED: u8 = 5;
