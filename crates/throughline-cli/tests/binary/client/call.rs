//! `throughline call`, `read` and `prompt`.

use std::process::Stdio;

use serde_json::Value;
use tokio::io::AsyncWriteExt;

use super::super::process::{binary, run};
use super::super::within;
use super::{Here, shown};

/// Every way to the same server says the same.
#[tokio::test]
async fn a_tool_is_called_over_every_transport_and_era() {
    let here = Here::with(&["--sse"]).await;
    let sse = here.url.replace("/mcp", "/sse");
    let program = env!("CARGO_BIN_EXE_throughline");
    let tool = ["research", "topic=whales", "steps=2", "step_ms=0"];
    let mut all = Vec::new();
    for way in [
        &["URL"][..],
        &["--revision", "2025-11-25", "URL"],
        &["--revision", "2025-03-26", "URL"],
        &["--transport", "sse", &sse],
        &[&sse],
    ] {
        all.push(here.run(&[&["call"], way, &tool].concat()).await);
    }
    for revision in ["2026-07-28", "2025-11-25"] {
        let way = ["call", "--revision", revision];
        let program = ["--", program, "serve", "--stdio", "--log", "off"];
        all.push(here.run(&[&way[..], &tool, &program].concat()).await);
    }
    let first = all[0].clone();
    for (at, one) in all.into_iter().enumerate() {
        assert_eq!(one, first, "way {at}");
    }
    insta::assert_snapshot!(shown(first));
}

#[tokio::test]
async fn the_result_is_one_line_of_json_for_programs() {
    let here = Here::with(&[]).await;
    for line in [
        &["call", "-o", "json", "URL", "echo", "text=a\nb"][..],
        &["call", "-o", "json", "URL", "echo", "--json", r#"{"text": "a\nb"}"#],
        &["call", "-o", "json", "URL", "echo", r#"text:="a\nb""#],
    ] {
        let (code, out, error) = here.run(line).await;
        assert_eq!((code, error.as_str()), (0, ""), "{line:?}");
        assert_eq!(out.lines().count(), 1, "{out}");
        let result: Value = serde_json::from_str(&out).expect("it is JSON");
        assert_eq!(result["content"][0]["text"], "a\nb", "{out}");
    }
}

#[tokio::test]
async fn arguments_come_from_standard_input_too() {
    let here = Here::with(&[]).await;
    let mut command = binary(&["call", &here.url, "echo", "--json", "-"]);
    let mut child = command.stdin(Stdio::piped()).spawn().expect("it starts");
    let mut input = child.stdin.take().expect("it is piped");
    input.write_all(br#"{"text": "piped"}"#).await.expect("it reads");
    drop(input);
    let output = within("the end", child.wait_with_output()).await.expect("it is ours");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "piped\n");
}

/// The exit code says what happened, and the sentence what to do.
#[tokio::test]
async fn errors_say_what_to_do() {
    let here = Here::with(&[]).await;
    let mut all = String::new();
    for line in [
        &["call", "URL", "ehco", "text=a"][..],
        &["call", "URL", "ehco", "--json", "{}"],
        &["call", "URL", "echo", "tetx=a"],
        &["call", "URL", "slow"],
        &["call", "URL", "slow", "ms=soon"],
        &["call", "URL", "slow", "ms=-1"],
        &["call", "--revision", "2025-11-25", "URL", "list_project_roots"],
        &["call", "URL", "slow", "ms=600000", "events=0", "--timeout", "50ms"],
        &["read", "URL", "nothing://here"],
        &["prompt", "URL", "plan"],
        &["prompt", "URL", "plan_research", "tpoic=x"],
        &["prompt", "URL", "plan_research"],
        &["call", "URL", "list_project_roots"],
        &["call", "--transport", "sse", "URL", "echo", "text=a"],
        &["call", "echo", "text=a", "--", "/nowhere/at/all"],
    ] {
        all.push_str(&format!("$ {}\n{}", line.join(" "), shown(here.run(line).await)));
    }
    insta::assert_snapshot!(all);
    let (code, out, error) = run(binary(&["call", "http://127.0.0.1:1/mcp", "echo", "text=a"])).await;
    assert_eq!((code, out.as_str()), (1, ""));
    assert_eq!(
        error,
        "error: nothing listens at 127.0.0.1:1; is the server running, and is the port right?\n"
    );
    let elsewhere = here.url.replace("/mcp", "/elsewhere");
    let (code, out, error) = run(binary(&["call", &elsewhere, "echo", "text=a"])).await;
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(error.contains("404") && error.contains("check the path of the address"), "{error}");
}

/// Exit code 5: the server does not let this client in.
#[tokio::test]
async fn who_is_not_let_in_is_told_what_to_give() {
    let here = Here::with(&[]).await;
    // A page of another origin.
    let (code, out, error) =
        here.run(&["call", "--header", "Origin: https://evil.example", "URL", "echo", "text=a"]).await;
    assert_eq!((code, out.as_str()), (5, ""), "{error}");
    assert!(error.contains("403") && error.contains("allow the origin; give a token"), "{error}");
    assert!(error.contains("--bearer") && error.contains("--header"), "{error}");
}

#[tokio::test]
async fn a_form_is_declined_without_a_terminal_unless_it_is_answered() {
    let here = Here::with(&[]).await;
    let mut all = String::new();
    for era in ["2026-07-28", "2025-11-25"] {
        for answer in [&[][..], &["--answer", "allow=yes"], &["--answer", "allow=perhaps"]] {
            let line =
                [&["call", "--revision", era, "URL", "ask_permission", "path=/etc/hosts"], answer].concat();
            all.push_str(&format!("$ {}\n{}", line.join(" "), shown(here.run(&line).await)));
        }
    }
    insta::assert_snapshot!(all);
    let answers = ["from=Rome", "to=Oslo", "people=2", "by=2", "book=true"];
    let mut line = vec!["call", "URL", "plan_trip"];
    answers.iter().for_each(|answer| line.extend(["--answer", *answer]));
    let (code, out, error) = here.run(&line).await;
    assert_eq!((code, error.as_str()), (0, ""));
    assert!(out.contains("(2 by ship from Rome to Oslo) is taken."), "{out}");
}

#[tokio::test]
async fn roots_are_offered() {
    let here = Here::with(&[]).await;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("a b");
    std::fs::create_dir(&path).expect("it is made");
    for era in ["2026-07-28", "2025-11-25"] {
        let root = path.to_str().expect("it is UTF-8");
        let line = ["call", "--revision", era, "URL", "list_project_roots", "--root", root];
        let (code, out, error) = here.run(&line).await;
        assert_eq!((code, error.as_str()), (0, ""));
        assert!(out.starts_with("a b: file:///") && out.ends_with("/a%20b\n"), "{out}");
    }
}

/// The program gets what is named, and nothing else of this environment.
#[cfg(unix)]
#[tokio::test]
async fn a_program_gets_the_variables_that_are_named() {
    let script = r#"echo "A=$A B=$B C=$C" >&2; exec "$0" serve --stdio --log off"#;
    let line = ["call", "echo", "text=a", "--env", "A=1 2", "--env", "B", "--"];
    let program = ["sh", "-c", script, env!("CARGO_BIN_EXE_throughline")];
    let mut command = binary(&[&line[..], &program].concat());
    command.env("B", "inherited").env("C", "secret");
    assert_eq!(run(command).await, (0, "a\n".into(), "A=1 2 B=inherited C=\n".into()));
}

#[tokio::test]
async fn resources_and_prompts_are_text_or_json() {
    let here = Here::with(&[]).await;
    let mut all = String::new();
    for line in [
        &["read", "URL", "guide://tools/echo"][..],
        &["prompt", "URL", "plan_research", "topic=bees", "depth=detailed"],
    ] {
        all.push_str(&shown(here.run(line).await));
        let (code, out, error) = here.run(&[line, &["--output", "json"]].concat()).await;
        assert_eq!((code, error.as_str()), (0, ""));
        let result: Value = serde_json::from_str(out.trim_end()).expect("it is JSON");
        assert!(
            result["contents"][0]["text"].is_string() || result["messages"][0]["role"] == "user",
            "{out}"
        );
    }
    insta::assert_snapshot!(all);
}
