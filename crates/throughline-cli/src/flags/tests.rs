use super::*;

/// What the command line means. Only those tests that start the binary look at the environment.
fn serve(line: &[&str]) -> Result<Serve, String> {
    let line = ["throughline", "serve"].iter().chain(line).map(OsString::from);
    match parse(line) {
        Ok(Parsed::Serve(settings)) => Ok(*settings),
        Ok(other) => panic!("read as {other:?}"),
        Err(stop) => {
            assert_eq!(stop.code, 2);
            Err(stop.sentence)
        }
    }
}

#[test]
fn lists_are_repeated_or_separated_by_commas() {
    let settings = serve(&[
        "--allow-host",
        "a.example,b.example:8443",
        "--allow-host",
        "c.example",
        "--allow-origin",
        "",
    ]);
    let settings = settings.expect("they are hosts");
    assert!(
        matches!(&settings.hosts, Hosts::Named(hosts) if *hosts == ["a.example", "b.example:8443", "c.example"])
    );
    assert!(settings.origins.is_empty());
    let any = serve(&["--allow-host", "a.example", "--allow-host", "*"]).expect("it is any");
    assert!(matches!(any.hosts, Hosts::Any));
}

#[test]
fn an_era_is_one_of_three() {
    use throughline::Era;
    for (line, era) in [
        (&[][..], Era::Hybrid),
        (&["--era", "hybrid"], Era::Hybrid),
        (&["--era", "modern"], Era::Modern),
        (&["--era", "legacy"], Era::Legacy),
    ] {
        assert_eq!(serve(line).expect("an era").era, era);
    }
    assert!(serve(&["--era", "stone"]).is_err());
}

#[test]
fn addresses_are_a_host_and_a_port() {
    for listen in ["0.0.0.0:0", "localhost:8808", "[::1]:80", "[::]:65535"] {
        assert_eq!(serve(&["--listen", listen]).expect("an address").listen, listen);
    }
    for listen in
        ["8808", ":8808", "localhost", "localhost:", "::1:8808", "localhost:65536", "http://localhost:80"]
    {
        let error = serve(&["--listen", listen]).expect_err(listen);
        assert!(error.contains("give a host and a port"), "{error}");
    }
}

#[test]
fn paths_are_what_a_request_can_have() {
    for path in ["/", "/mcp", "/a/b.c", "/a%20b"] {
        assert_eq!(serve(&["--path", path]).expect("a path").path, path);
    }
    for path in
        ["", "mcp", "/mcp?x=1", "/mcp#a", "/a b", "http://localhost/mcp", "/healthz", "/readyz", "/metrics"]
    {
        assert!(serve(&["--path", path]).is_err(), "{path}");
    }
}

#[test]
fn secrets_seal_and_are_never_shown() {
    assert!(serve(&[]).expect("no secret").seal.is_none());
    assert!(serve(&["--seal-key", ""]).expect("no secret").seal.is_none());
    let (new, old) = ("new-".repeat(8), "old-".repeat(8));
    let settings = serve(&["--seal-key", &new, "--seal-key", &old]).expect("secrets");
    assert!(settings.seal.is_some());
    assert!(!format!("{settings:?}").contains("new-"));

    let file = std::env::temp_dir().join(format!("throughline-seal-key-{}", std::process::id()));
    std::fs::write(&file, format!("{new}\n\n {old}\n")).expect("a file");
    let at_file = format!("@{}", file.display());
    assert!(serve(&["--seal-key", &at_file]).expect("two secrets").seal.is_some());
    std::fs::write(&file, format!("{new}\nshort\n")).expect("a file");
    let error = serve(&["--seal-key", &at_file]).expect_err("a weak one");
    assert!(error.contains("shorter than 32") && !error.contains("short\n"), "{error}");
    std::fs::write(&file, "\n").expect("a file");
    let error = serve(&["--seal-key", &at_file]).expect_err("none");
    assert!(error.contains("is empty"), "{error}");
    std::fs::write(&file, "x".repeat(20_000)).expect("a file");
    let error = serve(&["--seal-key", &at_file]).expect_err("too large");
    assert!(error.contains("is too large"), "{error}");
    std::fs::remove_file(&file).expect("it is there");
    let error = serve(&["--seal-key", &at_file]).expect_err("no file");
    assert!(error.contains("cannot be read"), "{error}");
}

#[test]
fn refusals_are_one_sentence() {
    let refusal = |line: &[&str]| serve(line).expect_err("a refusal");
    insta::assert_snapshot!(refusal(&["--listen", "8808"]), @r#"error: --listen: "8808" is no address; give a host and a port, such as 127.0.0.1:8808 or [::1]:8808."#);
    insta::assert_snapshot!(refusal(&["--path", "mcp"]), @r#"error: --path: "mcp" is no path; give one that begins with a slash, such as /mcp."#);
    insta::assert_snapshot!(refusal(&["--idle-timeout", "0"]), @r#"error: --idle-timeout: "0" would end every session at once; give a time such as 30m."#);
    insta::assert_snapshot!(refusal(&["--seal-key", "sesame"]), @"error: --seal-key: the sealing key is shorter than 32 characters: use a random one, such as `openssl rand -base64 32` writes.");
    insta::assert_snapshot!(refusal(&["--log", "a=b=c"]), @r#"error: --log: "a=b=c" is no filter; give a level such as info, or info,throughline=debug."#);
}
