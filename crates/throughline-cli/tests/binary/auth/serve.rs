//! `throughline serve --auth`.

use http::{Method, StatusCode};
use serde_json::json;
use throughline_proto::auth::ApiKey;

use super::Files;
use super::authority::{Authority, KNOWN};
use crate::http::Connection;
use crate::process::{Served, binary, run, serve};

/// Calls a tool with this token.
async fn call(server: &Served, token: &str) -> (i32, String, String) {
    let mut command = binary(&["call", &url(server), "echo", "text=hello"]);
    command.env("THROUGHLINE_BEARER", token).env("THROUGHLINE_NO_LOGIN", "1");
    run(command).await
}

fn url(server: &Served) -> String {
    format!("http://{}/mcp", server.address)
}

#[tokio::test]
async fn a_key_opens_the_server() {
    let files = Files::new();
    let (ours, other) = (ApiKey::from_random([1; 32]), ApiKey::from_random([2; 32]));
    let keys = files.write("keys", &format!("# who may come\n\n{} alice tools # not admin\n", ours.digest()));
    let server = serve(&["--auth", "key", "--auth-key-file", &keys]).await;
    assert!(server.greeting.contains("Clients send a key"), "{}", server.greeting);

    let (code, out, error) = call(&server, ours.expose()).await;
    assert_eq!((code, out.as_str()), (0, "hello\n"), "{error}");
    let at_file = format!("@{}", files.write("mine", ours.expose()));
    let (code, out, error) =
        run(binary(&["call", &url(&server), "echo", "text=hi", "--bearer", &at_file])).await;
    assert_eq!((code, out.as_str()), (0, "hi\n"), "{error}");

    let (code, out, error) = call(&server, other.expose()).await;
    assert_eq!((code, out.as_str()), (5, ""), "{error}");
    assert!(!error.contains(other.expose()), "{error}");
    let (code, _, error) = run(binary(&["list", &url(&server), "--no-login"])).await;
    assert_eq!(code, 5);
    assert!(error.contains("--bearer"), "{error}");
}

#[tokio::test]
async fn a_remark_behind_a_key_grants_nothing() {
    let files = Files::new();
    let key = ApiKey::from_random([1; 32]);
    let keys = files.write("keys", &format!("{} alice tools # no admin\n", key.digest()));
    for (scope, code) in [("tools", 0), ("admin", 5), ("no", 5)] {
        let server = serve(&["--auth", "key", "--auth-key-file", &keys, "--auth-scope", scope]).await;
        let (found, _, error) = call(&server, key.expose()).await;
        assert_eq!(found, code, "{scope}: {error}");
    }
}

#[tokio::test]
async fn only_health_is_open_beside_a_locked_endpoint() {
    let files = Files::new();
    let key = ApiKey::from_random([1; 32]);
    let keys = files.write("keys", &format!("{} alice\n", key.digest()));
    let server = serve(&["--auth", "key", "--auth-key-file", &keys, "--sse"]).await;
    let mut connection = Connection::open(server.address).await;
    assert_eq!(connection.page("/healthz").await, (StatusCode::OK, json!({"status": "ok"})));
    assert_eq!(connection.page("/readyz").await.0, StatusCode::OK);
    let with_key = format!("Bearer {}", key.expose());
    for (method, path, inside) in [
        (Method::GET, "/metrics", StatusCode::OK),
        (Method::GET, "/sse", StatusCode::OK),
        (Method::POST, "/messages", StatusCode::BAD_REQUEST),
        (Method::GET, "/nothing", StatusCode::NOT_FOUND),
    ] {
        let refused =
            Connection::open(server.address).await.send(method.clone(), path, &[], "").await.status();
        assert_eq!(refused, StatusCode::UNAUTHORIZED, "{path}");
        let headers =
            [("authorization", &*with_key), ("accept", "*/*"), ("content-type", "application/json")];
        let let_in = Connection::open(server.address).await.send(method, path, &headers, "").await.status();
        assert_eq!(let_in, inside, "{path}");
    }
}

#[tokio::test]
async fn signed_tokens_open_the_server() {
    let authority = Authority::start().await;
    let server = serve(&["--auth", "jwt", "--auth-issuer", &authority.issuer, "--auth-scope", "tools"]).await;
    let resource = url(&server);
    let (code, out, error) = call(&server, &authority.token(&resource, "tools")).await;
    assert_eq!((code, out.as_str()), (0, "hello\n"), "{error}");
    // For another server, and for less than what is needed.
    for (resource, scope) in [("https://other.example/mcp", "tools"), (&*resource, "nothing")] {
        let (code, _, error) = call(&server, &authority.token(resource, scope)).await;
        assert_eq!(code, 5, "{error}");
    }

    let mut connection = Connection::open(server.address).await;
    let (status, document) = connection.page("/.well-known/oauth-protected-resource/mcp").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(document["resource"], resource);
    assert_eq!(document["authorization_servers"], json!([authority.issuer]));
    let refused = connection.send(Method::POST, "/mcp", &[], "").await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    let challenge = refused.headers()["www-authenticate"].to_str().expect("it is text");
    assert!(challenge.contains("/.well-known/oauth-protected-resource/mcp\""), "{challenge}");
}

#[tokio::test]
async fn the_address_that_clients_know_may_be_another() {
    let authority = Authority::start().await;
    let public = "https://mcp.example/tools";
    let jwks = format!("{}/jwks", authority.issuer);
    let line = ["--auth", "jwt", "--auth-issuer", &authority.issuer, "--auth-jwks-url", &jwks];
    let server = serve(&[&line[..], &["--public-url", public, "--auth-audience", "inside"]].concat()).await;
    assert!(server.greeting.contains(&format!("demo at {public}\n")), "{}", server.greeting);
    let here = url(&server);
    for (resource, code) in [(public, 0), ("inside", 0), (&*here, 5)] {
        let (ended, _, error) = call(&server, &authority.token(resource, "")).await;
        assert_eq!(ended, code, "{resource}: {error}");
    }
    // Its host is answered to, and no other one.
    let mut connection = Connection::open(server.address).await;
    let path = "/.well-known/oauth-protected-resource/tools";
    let found = connection.send_to("mcp.example", Method::GET, path, &[], "").await;
    assert_eq!(found.status(), StatusCode::OK);
    let with_token = format!("Bearer {}", authority.token(public, ""));
    for (host, status) in
        [("mcp.example", StatusCode::METHOD_NOT_ALLOWED), ("other.example", StatusCode::FORBIDDEN)]
    {
        let headers = [("authorization", &*with_token)];
        let reply = connection.send_to(host, Method::PUT, "/mcp", &headers, "").await;
        assert_eq!(reply.status(), status, "{host}");
    }
}

#[tokio::test]
async fn tokens_that_say_nothing_are_asked_about() {
    let authority = Authority::start().await;
    authority.give_opaque();
    let files = Files::new();
    let secret = format!("@{}", files.write("secret", &format!("{}\n", KNOWN.1)));
    let address = format!("{}/introspect", authority.issuer);
    let server = serve(&[
        "--auth",
        "introspect",
        "--auth-issuer",
        &authority.issuer,
        "--auth-introspection-url",
        &address,
        "--auth-client-id",
        KNOWN.0,
        "--auth-client-secret",
        &secret,
    ])
    .await;
    let (code, out, error) = call(&server, &authority.token(&url(&server), "tools")).await;
    assert_eq!((code, out.as_str()), (0, "hello\n"), "{error}");
    assert_eq!(authority.count("introspect"), 1, "one call is several requests");
    assert_eq!(call(&server, "made-up").await.0, 5);
}

#[tokio::test]
async fn a_proxy_names_who_comes() {
    let server =
        serve(&["--auth", "proxy", "--auth-proxy", "127.0.0.0/8", "--auth-proxy-header", "X-Who"]).await;
    let (code, out, error) =
        run(binary(&["call", &url(&server), "echo", "text=hello", "--header", "X-Who: ada"])).await;
    assert_eq!((code, out.as_str()), (0, "hello\n"), "{error}");
    assert_eq!(run(binary(&["call", &url(&server), "echo", "text=hello", "--no-login"])).await.0, 5);
    // From elsewhere nobody is believed.
    let server =
        serve(&["--auth", "proxy", "--auth-proxy", "192.0.2.1", "--auth-proxy-header", "X-Who"]).await;
    let line = ["call", &url(&server), "echo", "text=hello", "--no-login", "--header", "X-Who: ada"];
    assert_eq!(run(binary(&line)).await.0, 5);
}

#[tokio::test]
async fn a_lock_that_cannot_work_is_said() {
    let files = Files::new();
    let key = ApiKey::from_random([1; 32]);
    let (none, secret, nameless) = (
        files.write("none", "# nobody\n"),
        files.write("secret", &format!("{} alice\n", key.expose())),
        files.write("nameless", &format!("{} # alice\n", key.digest())),
    );
    let twice = files.write("twice", &format!("{0} alice tools\n\n{0} bob\n", key.digest()));
    let jwt = ["--auth", "jwt", "--auth-issuer"];
    for (line, says) in [
        (&["--auth", "key"][..], "error: --auth key: name the file of the keys"),
        (
            &["--auth", "key", "--auth-key-file", "/nowhere"],
            "error: --auth-key-file: /nowhere cannot be read",
        ),
        (&["--auth", "key", "--auth-key-file", &none], "there is no key in"),
        (&["--auth", "key", "--auth-key-file", &secret], "line 1 of"),
        (&["--auth", "key", "--auth-key-file", &nameless], "does not say whose key it is"),
        (&["--auth", "key", "--auth-key-file", &twice], "line 3 of"),
        (
            &["--auth", "key", "--auth-key-file", &none, "--auth-audience", "a"],
            "error: --auth-audience: it is for --auth jwt",
        ),
        (&["--auth-key-file", &none], "error: --auth-key-file: it is for --auth key; give that"),
        (&["--auth", "jwt"], "error: --auth jwt: say which authorization server gives out the tokens"),
        (&[&jwt[..], &["nonsense"]].concat(), "error: --auth: "),
        (&["--auth", "introspect", "--auth-issuer", "https://a.example"], "say where tokens are asked about"),
        (&["--auth", "proxy"], "say from which addresses the proxy connects"),
        (&["--auth", "proxy", "--auth-proxy", "somewhere"], "is no address of a trusted proxy"),
        (&["--auth-issuer", "https://a.example"], "it is for --auth jwt or --auth introspect"),
        (&["--auth-scope", "tools"], "nobody is asked for scopes with --auth none"),
        (&["--public-url", "mcp.example"], "is no address of an endpoint"),
        (
            &[&jwt[..], &["https://a.example", "--listen", "0.0.0.0:0"]].concat(),
            "error: --public-url: say at which address",
        ),
    ] {
        let mut command = binary(&[&["serve"], line].concat());
        command.env("THROUGHLINE_LISTEN", "127.0.0.1:0");
        let (code, out, error) = run(command).await;
        assert_eq!((code, out.as_str()), (2, ""), "{line:?}: {error}");
        assert!(error.contains(says), "{line:?}: {error}");
        assert!(!error.contains(key.expose()), "{error}");
    }
}
