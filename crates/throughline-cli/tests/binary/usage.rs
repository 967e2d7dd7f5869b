//! The command line.

use super::process::{binary, run};

#[tokio::test]
async fn help_names_every_option_and_its_variable() {
    let (code, help, error) = run(binary(&["serve", "--help"])).await;
    assert_eq!((code, error.as_str()), (0, ""));
    insta::assert_snapshot!("serve-help", help);
    let (code, help, error) = run(binary(&["connect", "--help"])).await;
    assert_eq!((code, error.as_str()), (0, ""));
    insta::assert_snapshot!("connect-help", help);
    let (code, short, _) = run(binary(&["--help"])).await;
    assert_eq!(code, 0);
    insta::assert_snapshot!("help", short);
}

#[tokio::test]
async fn the_version_is_printed() {
    let (code, version, _) = run(binary(&["--version"])).await;
    assert_eq!((code, version), (0, format!("throughline {}\n", env!("CARGO_PKG_VERSION"))));
}

#[tokio::test]
async fn a_wrong_line_ends_with_2_and_says_why() {
    for (line, says) in [
        (&["serve", "--respons", "json"][..], "unexpected argument '--respons' found"),
        (&["serve", "--response", "xml"], "[possible values: adaptive, sse, json]"),
        (&["serve", "--keep-alive", "15"], "give a unit, as in 15s or 15m"),
        (&["serve", "--max-sessions", "0"], "0 is not in 1.."),
        (&["serve", "--listen", "8808"], "give a host and a port"),
        (&["serve", "--path", "mcp"], "begins with a slash"),
        (
            &["serve", "--allow-host", "http://a.example"],
            "error: --allow-host: \"http://a.example\" is not a host.",
        ),
        (&["serve", "--allow-origin", "a.example"], "error: --allow-origin: \"a.example\" is not an origin."),
        (&["serve", "--log", "a=b=c"], "is no filter"),
        (&["serve", "--data", "d", "--stdio"], "--stdio has none; leave one of the two out"),
        (&["serve", "--stateless", "--data", "d"], "--stateless has none; leave one of the two out"),
        (&["serve", "--era", "modern", "--data", "d"], "--era modern has none; leave one of the two out"),
        (&["serve", "--sse", "--stdio"], "--stdio serves no HTTP; leave one of the two out"),
        (&["serve", "--stateless", "--sse"], "--stateless keeps no sessions; leave one of the two out"),
        (&["serve", "--sse", "--era", "modern"], "--era modern has no sessions; leave one of the two out"),
        (
            &["serve", "--sse", "--sse-path", "/mcp"],
            "error: --sse-path: \"/mcp\" is the path of the MCP endpoint",
        ),
        (
            &["serve", "--sse", "--path", "/m", "--sse-message-path", "/m"],
            "error: --sse-message-path: \"/m\" is",
        ),
        (
            &["serve", "--sse", "--sse-path", "sse"],
            "is no path; give one that begins with a slash, such as /sse",
        ),
        (&["serve", "--sse", "--sse-path", "//a"], "error: --sse-path: \"//a\" is not a path."),
        (&["serve", "--sse", "--sse-message-path", "/readyz"], "is where the server says how it is"),
        (&["serve", "--data", "/dev/null/d"], "error: --data: the directory /dev/null/d cannot be made"),
        (
            &["serve", "--stdio", "--auth", "key", "--auth-key-file", "keys"],
            "error: --auth: whoever starts a server over standard input and output is let in",
        ),
        (&["serve", "--tls-cert", "c.pem"], "error: --tls-cert: give the key of the certificate too"),
        (&["serve", "--tls-key", "k.pem"], "error: --tls-key: give its certificate too"),
        (
            &["serve", "--tls-cert", "/nowhere", "--tls-key", "/nowhere"],
            "error: --tls-cert, --tls-key: /nowhere cannot be read",
        ),
        (&["connect"], "<URL>"),
        (&["connect", "http://a", "--header", "secret value"], "what was given has no colon; give a name"),
        (
            &["connect", "http://a", "--revision", "2020-01-01"],
            "error: --revision: `2020-01-01` is not known here",
        ),
        (&["connect", "http://a", "--root-cert", "/nowhere"], "error: --root-cert: /nowhere cannot be read"),
        (&["serv"], "unrecognized subcommand 'serv'"),
        (&[], "Usage: throughline <COMMAND>"),
    ] {
        let (code, out, error) = run(binary(line)).await;
        assert_eq!((code, out.as_str()), (2, ""), "{line:?}: {error}");
        assert!(error.contains(says), "{line:?}: {error}");
    }
}

#[tokio::test]
async fn a_wrong_variable_is_named() {
    let mut command = binary(&["serve"]);
    command.env("THROUGHLINE_IDLE_TIMEOUT", "soon");
    let (code, _, error) = run(command).await;
    assert_eq!(code, 2);
    assert!(error.contains("'soon' for '--idle-timeout <DURATION>'"), "{error}");
}

/// The README shows the example as it is.
#[test]
fn the_first_server_of_the_readme_is_the_example() {
    let readme = include_str!("../../../../README.md");
    let hello = include_str!("../../../../examples/src/bin/hello.rs");
    let (_, program) = hello.split_once("\n\n").expect("a program below its title");
    // The README keeps a short function on one line.
    let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(squeezed(readme).contains(&squeezed(program)), "copy examples/src/bin/hello.rs into README.md");
}
