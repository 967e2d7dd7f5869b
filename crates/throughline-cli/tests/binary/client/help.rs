//! The help of the commands, and completions.

use super::super::process::{binary, run};

#[tokio::test]
async fn help_tells_all_that_is_needed() {
    let commands = [
        "call",
        "list",
        "read",
        "prompt",
        "ping",
        "completions",
        "connect",
        "login",
        "logout",
        "whoami",
        "key new",
    ];
    for command in commands {
        let line: Vec<&str> = command.split(' ').chain(["--help"]).collect();
        let (code, help, error) = run(binary(&line)).await;
        assert_eq!((code, error.as_str()), (0, ""));
        insta::assert_snapshot!(format!("{}-help", command.replace(' ', "-")), help);
    }
}

#[tokio::test]
async fn every_shell_gets_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, script, error) = run(binary(&["completions", shell])).await;
        assert_eq!((code, error.as_str()), (0, ""), "{shell}");
        for word in ["throughline", "connect", "prompt", "server-log", "whoami", "auth-issuer"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}

#[tokio::test]
async fn a_wrong_line_ends_with_2_and_says_what_to_write() {
    let url = "http://127.0.0.1:1/mcp";
    let mut says = String::new();
    for line in [
        &["call", "echo", "text=a"][..],
        &["call", url],
        &["call", url, "text=a"],
        &["call", url, "echo", "text"],
        &["call", url, "echo", "text:={"],
        &["call", url, "echo", "text=a", "--json", "{}"],
        &["call", url, "echo", "--json", "{"],
        &["call", url, "echo", "--json", "[]"],
        &["call", url, "echo", "--json", "@/nowhere/at.json"],
        &["call", url, "echo", "--answer", "yes"],
        &["call", url, "echo", "--timeout", "0"],
        &["call", url, "echo", "--root", "/nowhere/at/all"],
        &["call", "echo", "--env", "THROUGHLINE_TEST_NOT_THERE", "--", "server"],
        &["list", url, "toolz"],
        &["list"],
        &["read", url],
        &["prompt", url],
        &["prompt", url, "plan", "topic"],
        &["ping", url, "more"],
        &["ping", url, "--revision", "1999-01-01"],
        &["ping", "http://ann:secret@127.0.0.1:1/mcp"],
        &["login", "mcp.example"],
        &["login", url, "--client-secret", "x"],
        &["login", url, "--login-by", "client", "--client-id", "x"],
        &["login", url, "--client-id", "x", "--client-secret", "@/nowhere/at.all"],
        &["login", url, "--scope", "a\"b"],
        &["login", url, "--redirect-uri", "https://elsewhere.example/"],
        &["call", url, "echo", "--bearer", "@/nowhere/at.all"],
    ] {
        let (code, out, error) = run(binary(line)).await;
        assert_eq!((code, out.as_str()), (2, ""), "{line:?}: {error}");
        says.push_str(&error);
    }
    insta::assert_snapshot!(says);
}
