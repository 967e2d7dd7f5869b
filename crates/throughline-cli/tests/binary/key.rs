//! `throughline key new`.

use std::fs;

use serde_json::Value;
use throughline_proto::auth::{ApiKey, ApiKeyDigest};

use super::process::{binary, run};

#[tokio::test]
async fn a_key_is_shown_once_and_its_digest_is_kept() {
    let (code, out, error) = run(binary(&["key", "new", "alice", "--scope", "tools,admin"])).await;
    assert_eq!(code, 0, "{error}");
    let key = ApiKey::parse(&out).expect("standard output is the key and nothing else");
    assert!(error.contains(&format!("\n{} alice tools admin\n", key.digest())), "{error}");
    assert!(!error.contains(key.expose()), "{error}");
}

#[tokio::test]
async fn keys_are_added_to_the_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("keys");
    fs::write(&file, "# ours, and no line end").expect("it is written");
    let path = file.to_string_lossy();
    let mut keys = Vec::new();
    for name in ["alice", "bob"] {
        let (code, out, error) = run(binary(&["key", "new", name, "--file", &path, "--json"])).await;
        assert_eq!((code, error.as_str()), (0, ""));
        let said: Value = serde_json::from_str(&out).expect("it is JSON");
        keys.push((said["key"].as_str().expect("a key").to_owned(), said["line"].clone()));
    }
    let text = fs::read_to_string(&file).expect("it is there");
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    for ((key, line), (kept, name)) in keys.iter().zip(lines[1..].iter().zip(["alice", "bob"])) {
        assert_eq!(line, kept);
        let (digest, rest) = kept.split_once(' ').expect("two words");
        assert!(digest.parse::<ApiKeyDigest>().expect("a digest").matches(key));
        assert_eq!(rest, name);
        assert!(!text.contains(key), "the key itself is not kept");
    }
    assert_ne!(keys[0].0, keys[1].0);
}

#[cfg(unix)]
#[tokio::test]
async fn the_file_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;

    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("keys");
    let (code, out, error) = run(binary(&["key", "new", "--file", &file.to_string_lossy()])).await;
    assert_eq!(code, 0, "{error}");
    assert!(out.starts_with("tl_"), "{out}");
    let mode = fs::metadata(&file).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = fs::read_to_string(&file).expect("it is there");
    assert!(text.contains(" key-"), "a key without a name gets one: {text}");
}

#[tokio::test]
async fn a_name_is_a_word() {
    for line in [&["key", "new", "two words"][..], &["key", "new", "a", "--scope", "\"x\""]] {
        let (code, out, error) = run(binary(line)).await;
        assert_eq!((code, out.as_str()), (2, ""), "{line:?}");
        assert!(error.contains("is no word; write names and scopes without spaces"), "{error}");
    }
    let (code, out, error) = run(binary(&["key", "new", "--file", "/nowhere/keys"])).await;
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(error.contains("error: --file: /nowhere/keys cannot be written"), "{error}");
}
