//! `Client::stdio`, with real processes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use throughline::revision::Revision;
use throughline::{Client, ServerCommand, Stdio};
use tokio::sync::mpsc;

use super::basics::{approving, check, server};

/// What makes this very test program a server.
const SERVE: &str = "THROUGHLINE_TEST_SERVES";

/// Not a test of its own: the server of the others. The test runner writes lines to its output that are no messages.
#[tokio::test]
async fn serves_when_it_is_told_to() {
    if std::env::var_os(SERVE).is_some() {
        Stdio::new(server()).await.unwrap();
    }
}

fn ourselves() -> ServerCommand {
    ServerCommand::new(std::env::current_exe().unwrap())
        .args(["--exact", "client::stdio::serves_when_it_is_told_to", "--nocapture", "--test-threads=2"])
        .env(SERVE, "1")
}

/// A server of the older era in shell: `case` branches by what a line holds, `$id` being the id of the request.
fn shell(cases: &str) -> ServerCommand {
    let script = format!(
        r#"say() {{ printf '%s\n' "$1"; }}
answer() {{ say "{{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":$1}}"; }}
welcome() {{ answer '{{"protocolVersion":"2025-11-25","capabilities":{{"tools":{{}}}},"serverInfo":{{"name":"shell","version":"1"}}}}'; }}
while read -r line; do
  id=$(say "$line" | sed 's/.*"id":\([0-9]*\).*/\1/')
  case "$line" in
{cases}
    *'"server/discover"'*) say "{{\"jsonrpc\":\"2.0\",\"id\":$id,\"error\":{{\"code\":-32601,\"message\":\"no\"}}}}" ;;
    *'"initialize"'*) welcome ;;
  esac
done"#
    );
    ServerCommand::new("sh").args(["-c", &script])
}

/// The lines of a server's standard error, as they come.
fn heard(command: ServerCommand) -> (ServerCommand, mpsc::UnboundedReceiver<String>) {
    let (tell, heard) = mpsc::unbounded_channel();
    (command.on_stderr(move |line| drop(tell.send(line.to_owned()))), heard)
}

#[tokio::test]
async fn both_eras_are_spoken_with_a_process() {
    for revision in [None, Some(Revision::LATEST_LEGACY)] {
        let mut connect = Client::stdio(ourselves());
        if let Some(revision) = revision {
            connect = connect.revision(revision);
        }
        let client = approving(connect).await.unwrap();
        assert_eq!(client.revision(), revision.unwrap_or(Revision::LATEST));
        check(client).await;
    }
}

#[tokio::test]
async fn a_crash_fails_every_call_at_once_and_says_how_it_ended() {
    let (command, mut heard) = heard(shell(
        r#"    *'"first"'*) echo 'got the first' >&2 ;;
    *'"second"'*) echo 'out of luck' >&2; exit 7 ;;"#,
    ));
    let client = Client::stdio(command).timeout(Duration::from_secs(600)).await.unwrap();
    let first = {
        let client = client.clone();
        tokio::spawn(async move { client.call_tool("first", &json!({})).await })
    };
    assert_eq!(heard.recv().await.as_deref(), Some("got the first"));
    let second = client.call_tool("second", &json!({})).await.unwrap_err();
    for error in [first.await.unwrap().unwrap_err(), second] {
        assert!(error.is_outcome_unknown() && error.is_connection_lost() && !error.is_closed(), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("ended with exit code 7") && text.contains("out of luck"), "{text}");
    }
    let later = client.call_tool("first", &json!({})).await.unwrap_err();
    assert!(later.is_closed() && !later.is_outcome_unknown(), "{later:?}");
    assert!(later.to_string().contains("exit code 7"), "{later}");
    client.close().await.unwrap();
}

#[tokio::test]
async fn a_server_that_ends_when_it_is_asked_what_it_is_is_started_again_once() {
    let starts = Arc::new(Mutex::new(0));
    let count = Arc::clone(&starts);
    let command = shell(r#"    *'"server/discover"'*) echo started >&2; exit 1 ;;"#)
        .on_stderr(move |line| *count.lock().unwrap() += i32::from(line == "started"));
    let client = Client::stdio(command).await.unwrap();
    assert_eq!(client.revision(), Revision::LATEST_LEGACY);
    assert_eq!(client.peer().info.as_ref().map(|info| &*info.name), Some("shell"));
    client.close().await.unwrap();
    assert_eq!(*starts.lock().unwrap(), 1);
}

#[tokio::test]
async fn a_server_that_cannot_run_says_so_after_its_second_start() {
    let starts = Arc::new(Mutex::new(0));
    let count = Arc::clone(&starts);
    let command = ServerCommand::new("sh")
        .args(["-c", "read line; echo 'the variable TOKEN is not set' >&2; exit 3"])
        .on_stderr(move |_| *count.lock().unwrap() += 1);
    let error = Client::stdio(command).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("exit code 3") && text.contains("TOKEN is not set"), "{text}");
    assert!(!error.is_outcome_unknown(), "{error:?}");
    assert_eq!(*starts.lock().unwrap(), 2);
}

#[tokio::test]
async fn a_server_of_the_newer_era_that_ends_is_not_started_again_when_nothing_else_will_do() {
    let starts = Arc::new(Mutex::new(0));
    let count = Arc::clone(&starts);
    let command = ServerCommand::new("sh")
        .args(["-c", "read line; echo started >&2; exit 3"])
        .on_stderr(move |_| *count.lock().unwrap() += 1);
    let error = Client::stdio(command).revision(Revision::LATEST).await.unwrap_err();
    assert!(error.to_string().contains("exit code 3"), "{error}");
    assert_eq!(*starts.lock().unwrap(), 1);
}

#[tokio::test]
async fn a_program_that_is_not_there_cannot_be_started() {
    let error = Client::stdio("there-is-no-such-program").await.unwrap_err();
    assert!(error.to_string().contains("no such program is in PATH"), "{error}");
    assert!(error.is_connection_lost() && !error.is_outcome_unknown(), "{error:?}");
}

#[tokio::test]
async fn lines_that_are_no_messages_are_skipped() {
    let command = shell(
        r#"    *'"tools/list"'*) say 'Listening on port 80'; say ''; say '[1,2'; answer '{"tools":[]}' ;;"#,
    );
    let client = Client::stdio(command).await.unwrap();
    assert_eq!(client.list_tools().await.unwrap(), []);
    client.close().await.unwrap();
}

#[tokio::test]
async fn a_line_without_end_is_skipped_and_not_kept() {
    // 17 MiB in one line, and then the answer.
    let command = shell(
        r#"    *'"tools/list"'*) head -c 17825792 /dev/zero | tr '\0' x; say ''; answer '{"tools":[]}' ;;"#,
    );
    let client = Client::stdio(command).await.unwrap();
    assert_eq!(client.list_tools().await.unwrap(), []);
    client.close().await.unwrap();
}

#[tokio::test]
async fn a_server_that_closes_its_output_is_ended_and_its_calls_fail() {
    let command = shell(r#"    *'"tools/call"'*) exec >&-; exec sleep 600 ;;"#).grace(Duration::ZERO);
    let client = Client::stdio(command).timeout(Duration::from_secs(600)).await.unwrap();
    let error = client.call_tool("x", &json!({})).await.unwrap_err();
    assert!(error.is_outcome_unknown() && error.to_string().contains("closed its output"), "{error}");
}

#[tokio::test]
async fn closing_ends_the_input_and_waits_for_the_last_words() {
    let (command, mut heard) = heard(ServerCommand::new("sh").args([
        "-c",
        r#"while read -r line; do
  case "$line" in
    *'"initialize"'*) printf '%s\n' '{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"s","version":"1"}}}' ;;
  esac
done
printf '%s\n' 'goodbye, standard output' && echo 'goodbye' >&2"#,
    ]));
    let client = Client::stdio(command.grace(Duration::from_secs(600)))
        .revision(Revision::LATEST_LEGACY)
        .await
        .unwrap();
    client.close().await.unwrap();
    assert_eq!(heard.recv().await.as_deref(), Some("goodbye"));
    assert_eq!(heard.recv().await, None, "it has ended");
    assert!(client.ping().await.unwrap_err().is_closed());
}

#[tokio::test]
async fn a_client_that_is_dropped_ends_its_server() {
    let (command, mut heard) = heard(shell(r#"    *'"tools/call"'*) echo called >&2 ;;"#));
    let client = Client::stdio(command).await.unwrap();
    let calling = {
        let client = client.clone();
        tokio::spawn(async move { client.call_tool("x", &json!({})).await })
    };
    assert_eq!(heard.recv().await.as_deref(), Some("called"));
    calling.abort();
    assert!(calling.await.unwrap_err().is_cancelled());
    drop(client);
    // The end of its standard error is the end of the process, which read the end of its input.
    assert_eq!(heard.recv().await, None);
}

#[tokio::test]
async fn closing_fails_the_calls_that_wait() {
    let (command, mut heard) = heard(shell(r#"    *'"tools/call"'*) echo called >&2 ;;"#));
    let client = Client::stdio(command).await.unwrap();
    let calling = {
        let client = client.clone();
        tokio::spawn(async move { client.call_tool("x", &json!({})).await })
    };
    assert_eq!(heard.recv().await.as_deref(), Some("called"));
    client.close().await.unwrap();
    assert!(calling.await.unwrap().unwrap_err().is_closed());
}
