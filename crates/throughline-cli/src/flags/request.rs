//! What is asked of a server, checked as far as it can be without the server.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use throughline::jsonrpc::Raw;
use throughline::model::{LoggingLevel, Root};

use super::client::{CallArgs, ClientArgs, ListArgs, Output, PingArgs, PromptArgs, ReadArgs, ServerLog};
use super::target::Target;
use crate::Stop;

/// A question to a server, and how it is put.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) target: Target,
    pub(crate) ask: Ask,
    pub(crate) output: Output,
    pub(crate) timeout: Duration,
    pub(crate) max_time: Duration,
    pub(crate) roots: Vec<Root>,
    /// By field, what forms are answered with.
    pub(crate) answers: Vec<(String, String)>,
    pub(crate) server_log: Option<LoggingLevel>,
}

/// What is asked.
#[derive(Debug)]
pub(crate) enum Ask {
    /// To call this tool.
    Call(String, Arguments),
    /// To list these, or all.
    List(Vec<List>),
    /// To read the resource at this URI.
    Read(String),
    /// For this prompt.
    Prompt(String, Vec<Given>),
    /// What it is.
    Ping,
}

/// The arguments of a tool.
pub(crate) type Arguments = Result<Raw, Vec<Given>>;

/// One argument as it was typed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Given {
    pub(crate) key: String,
    pub(crate) value: String,
    /// It is JSON (`KEY:=JSON`), which was checked.
    pub(crate) is_json: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum List {
    Tools,
    Resources,
    Templates,
    Prompts,
}

impl List {
    pub(crate) const ALL: [List; 4] = [List::Tools, List::Resources, List::Templates, List::Prompts];

    pub(crate) fn name(self) -> &'static str {
        match self {
            List::Tools => "tools",
            List::Resources => "resources",
            List::Templates => "templates",
            List::Prompts => "prompts",
        }
    }
}

impl Request {
    pub(super) fn call(args: CallArgs) -> Result<Self, Stop> {
        let CallArgs { words, json, client } = args;
        let (mut request, words) = Self::begin(words, client)?;
        let mut words = words.into_iter();
        let Some(tool) = words.next().filter(|word| !word.contains('=')) else {
            return Err(Stop::usage(
                "error: name the tool to call; `throughline list` shows which there are",
            ));
        };
        let given = words.map(|word| Given::parse(&word)).collect::<Result<Vec<_>, _>>()?;
        let arguments = match json {
            Some(_) if !given.is_empty() => {
                return Err(Stop::usage(
                    "error: --json: these are all the arguments; leave it or the KEY=VALUE out",
                ));
            }
            Some(json) => Ok(read_json(&json)?),
            None => Err(given),
        };
        request.ask = Ask::Call(tool, arguments);
        Ok(request)
    }

    pub(super) fn list(args: ListArgs) -> Result<Self, Stop> {
        let find = |word: &str| List::ALL.into_iter().find(|list| list.name() == word);
        // They may stand before the address too: nothing else is named like them.
        let (lists, rest): (Vec<_>, Vec<_>) = args.words.into_iter().partition(|word| find(word).is_some());
        let (mut request, rest) = Self::begin(rest, args.client)?;
        if let Some(word) = rest.first() {
            return Err(Stop::usage(format!(
                "error: `{word}` is no list; there are tools, resources, templates and prompts"
            )));
        }
        request.ask = Ask::List(lists.iter().filter_map(|word| find(word)).collect());
        Ok(request)
    }

    pub(super) fn read(args: ReadArgs) -> Result<Self, Stop> {
        let (mut request, words) = Self::begin(args.words, args.client)?;
        let [uri] = <[String; 1]>::try_from(words).map_err(|_| {
            Stop::usage("error: give the URI of one resource; `throughline list` shows which there are")
        })?;
        request.ask = Ask::Read(uri);
        Ok(request)
    }

    pub(super) fn prompt(args: PromptArgs) -> Result<Self, Stop> {
        let (mut request, words) = Self::begin(args.words, args.client)?;
        let mut words = words.into_iter();
        let Some(name) = words.next().filter(|word| !word.contains('=')) else {
            return Err(Stop::usage(
                "error: name the prompt to get; `throughline list` shows which there are",
            ));
        };
        let mut given = Vec::new();
        for word in words {
            // Arguments of prompts are texts.
            let (key, value) = word.split_once('=').ok_or_else(|| not_given(&word))?;
            given.push(Given { key: key.into(), value: value.into(), is_json: false });
        }
        request.ask = Ask::Prompt(name, given);
        Ok(request)
    }

    pub(super) fn ping(args: PingArgs) -> Result<Self, Stop> {
        let (request, words) = Self::begin(args.words, args.client)?;
        match words.first() {
            Some(word) => {
                Err(Stop::usage(format!("error: `{word}` is one too many: ping takes the address alone")))
            }
            None => Ok(request),
        }
    }

    fn begin(words: Vec<String>, args: ClientArgs) -> Result<(Self, Vec<String>), Stop> {
        let answers = args.answer.iter().map(|word| {
            let (key, value) = word.split_once('=').ok_or_else(|| {
                Stop::usage(format!("error: --answer: `{word}` is no answer; write KEY=VALUE"))
            })?;
            Ok((key.to_owned(), value.to_owned()))
        });
        let answers = answers.collect::<Result<_, Stop>>()?;
        let roots = args.root.iter().map(|directory| root(directory)).collect::<Result<_, _>>()?;
        let (target, words) = Target::of_client(words, args.program, args.env, args.way)?;
        let request = Self {
            target,
            ask: Ask::Ping,
            output: args.output,
            timeout: positive("--timeout", args.timeout)?,
            max_time: positive("--max-time", args.max_time)?,
            roots,
            answers,
            server_log: level(args.server_log),
        };
        Ok((request, words))
    }
}

impl Given {
    /// Reads `KEY=VALUE` or `KEY:=JSON`.
    fn parse(word: &str) -> Result<Self, Stop> {
        let (key, value) = word.split_once('=').ok_or_else(|| not_given(word))?;
        let Some(key) = key.strip_suffix(':') else {
            return Ok(Self { key: key.into(), value: value.into(), is_json: false });
        };
        if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(value) {
            return Err(Stop::usage(format!("error: {key}: what follows := is no JSON: {error}")));
        }
        Ok(Self { key: key.into(), value: value.into(), is_json: true })
    }
}

fn not_given(word: &str) -> Stop {
    Stop::usage(format!("error: `{word}` is no argument; write KEY=VALUE"))
}

/// Reads the arguments: JSON, `@FILE` or `-`.
fn read_json(json: &str) -> Result<Raw, Stop> {
    let text = match (json, json.strip_prefix('@')) {
        ("-", _) => {
            let mut text = String::new();
            std::io::stdin().take(MOST_JSON).read_to_string(&mut text).map_err(|error| {
                Stop::usage(format!("error: --json: standard input cannot be read: {error}"))
            })?;
            text
        }
        (_, Some(file)) => std::fs::read_to_string(file)
            .map_err(|error| Stop::usage(format!("error: --json: {file} cannot be read: {error}")))?,
        _ => json.to_owned(),
    };
    let raw = Raw::from_json(text.trim().to_owned())
        .map_err(|error| Stop::usage(format!("error: --json: this is no JSON: {error}")))?;
    if !raw.is_object() {
        return Err(Stop::usage(r#"error: --json: give an object, such as '{"text": "hello"}'"#));
    }
    Ok(raw)
}

/// A directory as a root: its `file:` URI.
fn root(directory: &Path) -> Result<Root, Stop> {
    let path = std::fs::canonicalize(directory).map_err(|error| {
        Stop::usage(format!("error: --root: {} cannot be found: {error}", directory.display()))
    })?;
    if !path.is_dir() {
        return Err(Stop::usage(format!("error: --root: {} is no directory", directory.display())));
    }
    let mut uri = String::from("file://");
    let text = path.to_string_lossy();
    // Windows: \\?\C:\a is file:///C:/a.
    let text =
        text.strip_prefix(r"\\?\").map_or(text.to_string(), |rest| format!("/{}", rest.replace('\\', "/")));
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' | b':' => {
                uri.push(char::from(byte));
            }
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    let root = Root::new(uri);
    Ok(match path.file_name() {
        Some(name) => root.with_name(name.to_string_lossy().into_owned()),
        None => root,
    })
}

fn positive(flag: &str, duration: Duration) -> Result<Duration, Stop> {
    if duration.is_zero() {
        return Err(Stop::usage(format!(
            "error: {flag}: no call would be waited for; give a time such as 30s"
        )));
    }
    Ok(duration)
}

fn level(level: ServerLog) -> Option<LoggingLevel> {
    Some(match level {
        ServerLog::Debug => LoggingLevel::Debug,
        ServerLog::Info => LoggingLevel::Info,
        ServerLog::Notice => LoggingLevel::Notice,
        ServerLog::Warning => LoggingLevel::Warning,
        ServerLog::Error => LoggingLevel::Error,
        ServerLog::Critical => LoggingLevel::Critical,
        ServerLog::Alert => LoggingLevel::Alert,
        ServerLog::Emergency => LoggingLevel::Emergency,
        ServerLog::Off => return None,
    })
}

/// More than a server takes.
const MOST_JSON: u64 = 64 * 1024 * 1024;
