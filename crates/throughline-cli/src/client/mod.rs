//! `throughline call`, `list`, `read`, `prompt` and `ping`: one question to a server, and its answer.
//!
//! ```text
//!   Request (flags) --> Client --> the server
//!                         |  progress ------> the last line of the terminal
//!                         |  logs ----------> standard error
//!                         |  forms, pages --> asking, at the prompt
//!                         +- the answer ----> show, to standard output
//! ```

mod arguments;
mod asking;
mod call;
mod list;
mod near;
mod ping;
mod progress;
mod prompt;
mod read;
mod schema;
mod show;

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use throughline::jsonrpc::{ErrorCode, Raw};
use throughline::model::{ClientCapabilities, ListRootsResult, LoggingMessageParams, UrlElicitationRequired};
use throughline::{Client, ClientError, Connect};

use crate::Stop;
use crate::flags::{Ask, Request};
use crate::signals::Signals;
use crate::terminal;

/// Asks, until there is an answer or a signal comes.
pub(crate) fn run(request: Request) -> Result<(), Stop> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| {
        Stop::failure(format!("error: the system gives no threads to work with: {error}."))
    })?;
    let outcome = runtime.block_on(interruptible(request));
    // A read of the terminal cannot be taken back, and the program must not wait for it.
    runtime.shutdown_timeout(Duration::from_millis(100));
    outcome
}

async fn interruptible(request: Request) -> Result<(), Stop> {
    terminal::start_log(request.target.log.clone(), request.target.log_format);
    let signals = Signals::listen()
        .map_err(|error| Stop::failure(format!("error: signals cannot be listened for: {error}.")))?;
    let Opened { connect, client } = open(&request);
    let (outcome, interrupted) = tokio::select! {
        outcome = work(connect, &client, &request) => (outcome, None),
        code = signals.first() => {
            // What was being done is dropped by now, and the server is told with what follows.
            terminal::set_status(None);
            (Ok(()), Some(code))
        }
    };
    terminal::set_status(None);
    if let Some(client) = client.get() {
        match tokio::time::timeout(FAREWELL, client.close()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the session could not be ended"),
            Err(_) => tracing::debug!("the session was not ended in time"),
        }
    }
    match interrupted {
        Some(code) => Err(Stop {
            sentence: match (client.get(), &request.ask) {
                (None, _) => "interrupted: the server had not answered yet, so nothing was called",
                (_, Ask::Call(..)) => {
                    "interrupted: the server was told that the call is cancelled; it may have run in part"
                }
                _ => "interrupted",
            }
            .into(),
            code: u8::try_from(code).unwrap_or(1),
        }),
        None => outcome,
    }
}

async fn work(connect: Connect, place: &Place, request: &Request) -> Result<(), Stop> {
    if let Ask::Ping = request.ask {
        return ping::run(connect, place, request).await;
    }
    let client = connect.await.map_err(|error| failed(&error))?;
    let client = place.get_or_init(|| client);
    match &request.ask {
        Ask::Call(tool, arguments) => call::run(client, tool, arguments, request.output).await,
        Ask::List(lists) => list::run(client, lists, request.output).await,
        Ask::Read(uri) => read::run(client, uri, request.output).await,
        Ask::Prompt(name, given) => prompt::run(client, name, given, request.output).await,
        Ask::Ping => Ok(()),
    }
}

/// Where the client is, once it is connected: it is closed also when the work on it was given up.
type Place = Arc<std::sync::OnceLock<Client>>;

struct Opened {
    connect: Connect,
    client: Place,
}

/// A client that answers and shows what the server asks and says.
fn open(request: &Request) -> Opened {
    let mut connect = request.target.connect().timeout(request.timeout).max_total(request.max_time);
    let level = request.server_log;
    let desk = asking::Desk::new(request.target.name(), request.answers.clone());
    connect = connect
        .on_elicit(move |question| {
            let desk = desk.clone();
            async move { Ok(desk.answer(question).await) }
        })
        .on_log(move |message| {
            // Some servers send more than they were asked for.
            if level.is_some_and(|least| message.level >= least) {
                terminal::complain_foreign(&log_line(&message));
            }
        });
    if !request.roots.is_empty() {
        let roots = request.roots.clone();
        connect = connect.on_roots(move || ready(Ok(ListRootsResult::new(roots.clone()))));
    }
    if let Some(level) = level {
        connect = connect.log_level(level);
    }
    // The standalone stream carries what no call needs, but ping looks at it.
    connect = connect.standalone_stream(matches!(request.ask, Ask::Ping | Ask::Call(..)));
    Opened { connect, client: Place::default() }
}

/// A log message of the server: `[info] research: step 1 of 5`.
fn log_line(message: &LoggingMessageParams) -> String {
    let text = message.data.parse::<String>().unwrap_or_else(|_| show::one_line(message.data.as_str()));
    let level = message.level.as_str();
    match &message.logger {
        Some(logger) => format!("[{level}] {logger}: {text}"),
        None => format!("[{level}] {text}"),
    }
}

/// Why the program cannot go on, and what to do about it.
fn failed(error: &ClientError) -> Stop {
    let mut sentence = terminal::plain(&terminal::sentence(error)).into_owned();
    let mut code = 1;
    if error.is_unauthorized() {
        code = 5;
    } else if error.is_outcome_unknown() {
        code = 4;
    } else if error.is_timeout() {
        code = 4;
        sentence.push_str("; raise --timeout, or --max-time, if it may take longer");
    } else if let Some(pages) = pages_of(error) {
        sentence = format!("the server wants you to visit these pages first; then ask again:{pages}");
    } else if lacks_roots(error) {
        sentence.push_str("; offer a directory with --root DIR");
    }
    if let Some(advice) = advice(error) {
        sentence.truncate(sentence.trim_end_matches('.').len());
        sentence.push_str(advice);
    }
    Stop { sentence: format!("error: {sentence}"), code }
}

/// What to do about a refusal that does not say it itself.
pub(crate) fn advice(error: &ClientError) -> Option<&'static str> {
    let status = error.status().filter(|_| !error.is_outcome_unknown())?;
    if error.is_unauthorized() {
        return Some(
            "; give a token or a key that lets you in with --bearer, or another header with --header",
        );
    }
    if error.error().is_some() {
        return None;
    }
    match status.as_u16() {
        404 | 405 | 410 => Some("; check the path of the address: no MCP endpoint answers there"),
        429 => Some("; ask less often, or later"),
        500.. => Some("; it does not work as it should, so try again later, or tell those who run it"),
        _ => None,
    }
}

/// Whether the server asks only clients with roots to do this.
fn lacks_roots(error: &ClientError) -> bool {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Missing {
        required_capabilities: ClientCapabilities,
    }
    let error = error.error().filter(|error| error.code == ErrorCode::MISSING_CLIENT_CAPABILITY);
    let missing = error.and_then(|error| error.data.as_ref()?.parse::<Missing>().ok());
    missing.is_some_and(|missing| missing.required_capabilities.roots.is_some())
}

/// The pages that an error sends the user to; see
/// [the error](https://modelcontextprotocol.io/specification/2025-11-25/client/elicitation#url-elicitation-required-error).
fn pages_of(error: &ClientError) -> Option<String> {
    let error = error.error().filter(|error| error.code == ErrorCode::URL_ELICITATION_REQUIRED)?;
    let required: UrlElicitationRequired = error.data.as_ref().and_then(|data: &Raw| data.parse().ok())?;
    let pages = required.elicitations.iter().map(|page| format!("\n  {} ({})", page.url, page.message));
    Some(terminal::plain(&pages.collect::<String>()).into_owned())
}

/// How long the end of a session may take: longer than the steps that end a program.
const FAREWELL: Duration = Duration::from_secs(10);
