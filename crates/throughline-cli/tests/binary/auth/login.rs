//! Commands that log in by themselves, and `login`, `logout` and `whoami`.

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};

use super::authority::KNOWN;
use super::browser::visit;
use super::{Files, Locked};
use crate::process::run;
use crate::pty::at_terminal;
use crate::within;

#[tokio::test]
async fn a_call_logs_in_and_the_next_one_need_not() {
    let mut locked = Locked::start(&["--auth-scope", "tools"]).await;
    let calling = tokio::spawn(run(locked.command(&["call", "URL", "echo", "text=hello"])));
    locked.browser.log_in().await;
    let (code, out, error) = calling.await.expect("it ends");
    assert_eq!((code, out.as_str()), (0, "hello\n"), "{error}");
    assert!(error.contains("log in at") && error.contains(&locked.authority.issuer), "{error}");

    for line in [&["call", "URL", "echo", "text=hello"][..], &["list", "URL", "tools"], &["ping", "URL"]] {
        let (code, _, error) = run(locked.command(line)).await;
        assert_eq!((code, error.as_str()), (0, ""), "{line:?}");
    }
    assert_eq!(locked.authority.count("authorize"), 1);
    assert!(locked.browser.opened_no_more().await);
}

#[tokio::test]
async fn three_processes_at_once_open_one_login() {
    let mut locked = Locked::start(&[]).await;
    let calls: Vec<_> =
        (0..3).map(|_| tokio::spawn(run(locked.command(&["call", "URL", "echo", "text=hello"])))).collect();
    locked.browser.log_in().await;
    for call in calls {
        let (code, out, error) = call.await.expect("it ends");
        assert_eq!((code, out.as_str()), (0, "hello\n"), "{error}");
    }
    assert_eq!(locked.authority.count("authorize"), 1);
    assert_eq!(locked.authority.count("register"), 1);
    assert_eq!(locked.authority.count("authorization_code"), 1);
    assert!(locked.browser.opened_no_more().await);
}

/// Both transports of a server are one resource, and each logs in by itself.
#[tokio::test]
async fn clients_of_the_older_transport_log_in_too() {
    let mut locked = Locked::start(&["--sse"]).await;
    let older = locked.url.replace("/mcp", "/sse");
    for line in [
        &["call", &older, "echo", "text=hello", "--transport", "sse"][..],
        &["call", "URL", "echo", "text=hello"],
    ] {
        let calling = tokio::spawn(run(locked.command(line)));
        locked.browser.log_in().await;
        let (code, out, error) = calling.await.expect("it ends");
        assert_eq!((code, out.as_str()), (0, "hello\n"), "{error}");
    }
    let line = ["call", "URL", "echo", "text=hello", "--bearer"];
    let token = locked.authority.token(&locked.url, "");
    let (code, _, error) = run(locked.command(&[&line[..], &[&token]].concat())).await;
    assert_eq!(code, 0, "a token for the endpoint alone: {error}");
}

#[tokio::test]
async fn a_login_is_made_told_and_forgotten() {
    let mut locked = Locked::start(&[]).await;
    let (code, out, error) = run(locked.command(&["whoami", "URL"])).await;
    assert_eq!((code, out.as_str()), (5, ""));
    assert!(error.contains("nobody is logged in at") && error.contains("throughline login"), "{error}");

    let logging_in = tokio::spawn(run(locked.command(&["login", "URL"])));
    locked.browser.log_in().await;
    let (code, out, error) = logging_in.await.expect("it ends");
    assert_eq!(code, 0, "{error}");
    assert!(out.starts_with(&format!("logged in at {}\n", locked.url)), "{out}");
    assert!(out.contains(&locked.authority.issuer) && out.contains("is renewed by itself"), "{out}");

    let (code, out, error) = run(locked.command(&["whoami", "URL", "--output", "json"])).await;
    assert_eq!((code, error.as_str()), (0, ""));
    let told: Value = serde_json::from_str(&out).expect("it is JSON");
    assert_eq!(told["resource"], locked.url);
    assert_eq!(told["issuer"], locked.authority.issuer);
    assert_eq!(told["renewedByItself"], true);
    // An account of another name is another login.
    assert_eq!(run(locked.command(&["whoami", "URL", "--account", "work"])).await.0, 5);

    for says in ["logged out at", "nobody was logged in at"] {
        let (code, out, error) = run(locked.command(&["logout", "URL"])).await;
        assert_eq!((code, error.as_str()), (0, ""));
        assert!(out.starts_with(says), "{out}");
    }
    assert!(locked.authority.count("revoke") > 0, "the authorization server hears of it");
    assert_eq!(run(locked.command(&["whoami", "URL"])).await.0, 5);
    assert_eq!(run(locked.command(&["call", "URL", "echo", "text=a", "--no-login"])).await.0, 5);
    assert_eq!(locked.authority.count("authorize"), 1);
}

#[tokio::test]
async fn a_login_is_renewed_without_anybody() {
    let mut locked = Locked::start(&[]).await;
    // Over at once.
    locked.authority.set_lifetime(0);
    let logging_in = tokio::spawn(run(locked.command(&["login", "URL"])));
    locked.browser.log_in().await;
    assert_eq!(logging_in.await.expect("it ends").0, 0);
    locked.authority.set_lifetime(3600);
    for _ in 0..2 {
        let (code, out, error) = run(locked.command(&["call", "URL", "echo", "text=hello"])).await;
        assert_eq!((code, out.as_str(), error.as_str()), (0, "hello\n", ""));
    }
    assert_eq!(locked.authority.count("refresh_token"), 1);
    assert_eq!(locked.authority.count("authorize"), 1);
}

#[tokio::test]
async fn a_client_may_be_known_beforehand() {
    let mut locked = Locked::start(&[]).await;
    let files = Files::new();
    let secret = format!("@{}", files.write("secret", KNOWN.1));
    let line = ["login", "URL", "--client-id", KNOWN.0, "--client-secret", &secret, "--scope", "tools"];
    let logging_in = tokio::spawn(run(locked.command(&line)));
    let page = locked.browser.opened().await;
    assert!(page.query().is_some_and(|query| query.contains("scope=tools")), "{page}");
    visit(&page).await;
    let (code, out, error) = logging_in.await.expect("it ends");
    assert_eq!(code, 0, "{error}");
    assert!(out.contains(&format!("  client  {}\n", KNOWN.0)) && !out.contains(KNOWN.1), "{out}");
    assert_eq!(locked.authority.count("register"), 0);
    let (code, out, error) = run(locked.command(&["call", "URL", "echo", "text=hello"])).await;
    assert_eq!((code, out.as_str(), error.as_str()), (0, "hello\n", ""));
}

#[tokio::test]
async fn a_client_logs_in_by_its_secret() {
    let locked = Locked::start(&[]).await;
    let files = Files::new();
    let secret = format!("@{}", files.write("secret", KNOWN.1));
    let line = ["call", "URL", "echo", "text=hello", "--login-by", "client", "--client-id", KNOWN.0];
    let line = [&line[..], &["--client-secret", &secret]].concat();
    let (code, out, error) = run(locked.command(&line)).await;
    assert_eq!((code, out.as_str(), error.as_str()), (0, "hello\n", ""));
    assert_eq!(locked.authority.count("client_credentials"), 1);
}

#[tokio::test]
async fn a_code_is_entered_on_another_device() {
    let locked = Locked::start(&[]).await;
    let mut child = locked.command(&["login", "URL", "--login-by", "device"]).spawn().expect("it starts");
    let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
    let line = within("the code", lines.next_line()).await.expect("it is text").expect("it says so");
    assert!(line.contains(&format!("{}/enter", locked.authority.issuer)), "{line}");
    locked.authority.enter(line.split_whitespace().last().expect("it ends with the code"));
    let ended = within("the end", child.wait_with_output()).await.expect("it is ours");
    assert!(String::from_utf8_lossy(&ended.stdout).starts_with("logged in at"));
    let (code, out, error) = run(locked.command(&["call", "URL", "echo", "text=hello"])).await;
    assert_eq!((code, out.as_str(), error.as_str()), (0, "hello\n", ""));
}

/// Neither a terminal nor a browser: a script is told at once.
#[cfg(not(target_os = "macos"))]
#[tokio::test]
async fn where_nobody_is_nobody_is_waited_for() {
    let locked = Locked::start(&[]).await;
    for line in [&["call", "URL", "echo", "text=hello"][..], &["login", "URL"]] {
        let (code, out, error) = run(locked.command_without_browser(line)).await;
        assert_eq!((code, out.as_str()), (5, ""), "{error}");
        assert!(error.contains("neither a terminal nor a browser; run `throughline login`"), "{error}");
    }
    assert_eq!(locked.authority.count("register"), 0);
}

/// Without a terminal nothing is read: the address is said, and a browser on this machine is received.
#[tokio::test]
async fn without_a_terminal_the_address_is_said() {
    let locked = Locked::start(&[]).await;
    let mut command = locked.command(&["call", "URL", "echo", "text=hello", "--no-browser"]);
    let mut child = command.spawn().expect("it starts");
    let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
    let page = loop {
        let line = within("the address", lines.next_line()).await.expect("it is text").expect("it says so");
        if line.contains("/authorize?") {
            break line;
        }
    };
    visit(&page.trim().parse().expect("it is an address")).await;
    let ended = within("the end", child.wait_with_output()).await.expect("it is ours");
    assert_eq!(String::from_utf8_lossy(&ended.stdout), "hello\n");
}

/// At a terminal of a machine without a browser, the address that the browser elsewhere ended up at is pasted.
#[tokio::test]
async fn at_a_terminal_the_answer_can_be_pasted() {
    let locked = Locked::start(&[]).await;
    for browser in [&["--no-browser"][..], &[]] {
        let line = [&["login", "URL"], browser].concat();
        let mut terminal = at_terminal(locked.command_without_browser(&line));
        terminal.shows("open this address in a browser:").await;
        terminal.shows("press Enter.").await;
        let start = terminal.screen.find("http://").expect("an address");
        let page = terminal.screen[start..].split_whitespace().next().expect("it has an end").to_owned();
        let page = page.parse().expect("it is an address");
        let redirect = super::browser::redirect_of(&page).await;
        terminal.types(&format!("{redirect}\n"));
        let (code, out, screen) = terminal.ended().await;
        assert_eq!(code, 0, "{screen}");
        assert!(out.starts_with("logged in at"), "{out}");
    }
}
