//! `throughline ping`.

use serde_json::Value;

use super::Here;

/// The text with the times taken out.
fn timeless(text: &str) -> String {
    let line = |line: &str| match line.split_once(" ms") {
        Some((before, after)) => {
            let name = before.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.').trim_end();
            format!("{name}  .. ms{after}\n")
        }
        None => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

#[tokio::test]
async fn it_says_what_was_found_and_what_is_missing() {
    let hybrid = Here::with(&["--sse"]).await;
    let stateless = Here::with(&["--stateless", "--era", "legacy"]).await;
    let json = Here::with(&["--response", "json", "--era", "legacy"]).await;
    let sse = hybrid.url.replace("/mcp", "/sse");
    let mut all = String::new();
    for (here, line) in [
        (&hybrid, &["ping", "URL"][..]),
        (&hybrid, &["ping", "--revision", "2025-11-25", "URL"]),
        (&hybrid, &["ping", &sse]),
        (&stateless, &["ping", "URL"]),
        (&json, &["ping", "URL"]),
        (&hybrid, &["ping", "--", env!("CARGO_BIN_EXE_throughline"), "serve", "--stdio", "--log", "off"]),
    ] {
        let (code, out, error) = here.run(line).await;
        assert_eq!((code, error.as_str()), (0, ""), "{line:?}");
        all.push_str(&timeless(&out));
        all.push('\n');
    }
    insta::assert_snapshot!(all.replace(env!("CARGO_PKG_VERSION"), "VERSION"));
}

#[tokio::test]
async fn it_is_one_line_of_json_for_programs() {
    let here = Here::with(&[]).await;
    let (code, out, error) = here.run(&["ping", "--revision", "2025-11-25", "-o", "json", "URL"]).await;
    assert_eq!((code, error.as_str()), (0, ""));
    let found: Value = serde_json::from_str(out.trim_end()).expect("one line of JSON");
    assert_eq!(found["server"]["name"], "throughline-demo");
    assert_eq!(found["transport"], "streamable");
    assert_eq!(found["revision"], "2025-11-25");
    assert_eq!((&found["sessions"], &found["standaloneStream"]), (&Value::Bool(true), &Value::Bool(true)));
    let steps: Vec<&str> =
        found["steps"].as_array().expect("steps").iter().filter_map(|step| step["step"].as_str()).collect();
    assert_eq!(steps, ["connect", "initialize", "tools/list", "standalone stream"]);
    assert!(found["steps"].as_array().expect("steps").iter().all(|step| step["ms"].is_number()));
}

#[tokio::test]
async fn the_steps_that_were_done_are_there_when_one_fails() {
    let here = Here::with(&[]).await;
    let url = here.url.replace("/mcp", "/nowhere");
    let (code, out, error) = here.run(&["ping", &url]).await;
    assert_eq!(code, 1, "{error}");
    assert!(out.starts_with("connect  ") && out.contains("\nserver/discover "), "{out}");
    assert!(error.contains("404"), "{error}");
}
