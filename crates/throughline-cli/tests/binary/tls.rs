//! `throughline serve --tls-cert`.

use std::fs;
use std::path::Path;

use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;

use super::process::{Served, binary, run, serve};

/// A certificate for this machine, which signed itself, and its key: two files.
fn write(directory: &Path) {
    let key = KeyPair::generate().expect("a key");
    let names = ["localhost", "127.0.0.1"].map(str::to_owned);
    let params = CertificateParams::new(names).expect("names");
    let certificate = params.self_signed(&key).expect("a certificate");
    fs::write(directory.join("cert.pem"), certificate.pem()).expect("it is written");
    fs::write(directory.join("key.pem"), key.serialize_pem()).expect("it is written");
}

async fn started() -> (TempDir, Served) {
    let directory = tempfile::tempdir().expect("a directory");
    write(directory.path());
    let file = |name: &str| directory.path().join(name).to_string_lossy().into_owned();
    let server = serve(&["--tls-cert", &file("cert.pem"), "--tls-key", &file("key.pem")]).await;
    (directory, server)
}

/// Calls the server, trusting the certificate in this file.
async fn call(server: &Served, trusted: &Path) -> (i32, String, String) {
    let url = format!("https://{}/mcp", server.address);
    let trusted = trusted.to_string_lossy();
    run(binary(&["call", &url, "echo", "text=hello", "--root-cert", &trusted])).await
}

#[tokio::test]
async fn https_is_served_and_called() {
    let (directory, server) = started().await;
    assert!(server.greeting.contains(&format!("\"url\": \"https://{}/mcp\"", server.address)));
    let (code, out, error) = call(&server, &directory.path().join("cert.pem")).await;
    assert_eq!((code, out.as_str()), (0, "hello\n"), "{error}");

    let url = format!("https://{}/mcp", server.address);
    let (code, _, error) = run(binary(&["call", &url, "echo", "text=hello"])).await;
    assert_eq!(code, 1);
    assert!(error.contains("signed by nobody who is trusted here"), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_renewed_certificate_needs_no_restart() {
    let (directory, mut server) = started().await;
    let (trusted, old) = (directory.path().join("cert.pem"), directory.path().join("old.pem"));
    fs::copy(&trusted, &old).expect("it is copied");
    fs::write(directory.path().join("key.pem"), "nonsense").expect("it is written");
    server.signal(rustix::process::Signal::HUP);
    let log = server.logs("the certificate stays as it was").await;
    assert!(log.contains("there is no key (BEGIN PRIVATE KEY)"), "{log}");
    assert_eq!(call(&server, &old).await.0, 0);

    write(directory.path());
    server.signal(rustix::process::Signal::HUP);
    server.logs("the certificate was renewed").await;
    assert_eq!(call(&server, &trusted).await.0, 0);
    assert_eq!(call(&server, &old).await.0, 1);
}
