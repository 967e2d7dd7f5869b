//! `--auth`: the lock in front of the endpoint.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use throughline::auth::{ApiKeyDigest, ApiKeys, Authorization, Introspection, Secret, TrustedProxy};

use crate::Stop;
use crate::flags::{By, Lock};

/// Makes the lock. `url`: the address of the endpoint as clients know it. `sse`: HTTP+SSE is behind it too, at addresses of its own.
/// Then tokens are for the whole server, as clients check that they are for the address that they speak with; those for the
/// endpoint alone are taken as well.
pub(super) fn make(lock: &Lock, url: &str, sse: bool) -> Result<Authorization, Stop> {
    let mut builder =
        if sse { Authorization::builder(origin(url)).audience(url) } else { Authorization::builder(url) };
    builder = match &lock.by {
        By::Keys(file) => builder.api_keys(read_keys(file)?),
        By::Jwt { issuer, jwks: None } => builder.jwks(issuer),
        By::Jwt { issuer, jwks: Some(jwks) } => builder.jwks_at(issuer, jwks),
        By::Introspection { issuer, address, client, secret } => builder
            .introspection(Introspection::new(issuer, address).client(client, Secret::new(secret.0.clone()))),
        By::Proxy { networks, header } => {
            let proxy = networks.iter().fold(TrustedProxy::new(header), |proxy, network| proxy.at(network));
            builder.trusted_proxy(proxy)
        }
    };
    for audience in &lock.audiences {
        builder = builder.audience(audience);
    }
    builder.scopes(&lock.scopes).build().map_err(|error| Stop::usage(format!("error: --auth: {error}.")))
}

/// The address without its path.
fn origin(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    let end = url[host..].find('/').map_or(url.len(), |at| host + at);
    &url[..end]
}

/// Reads the keys: on each line a digest, a name and scopes.
fn read_keys(path: &Path) -> Result<ApiKeys, Stop> {
    let name = path.display();
    let wrong = |why: String| Stop::usage(format!("error: --auth-key-file: {why}."));
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(MOST_BYTES + 1).read_to_string(&mut text));
    match read {
        Ok(read) if read as u64 > MOST_BYTES => {
            return Err(wrong(format!("{name} is too large for a file of keys; give the right one")));
        }
        Ok(_) => {}
        Err(error) => {
            return Err(wrong(format!(
                "{name} cannot be read ({error}); `throughline key new --file {name}` makes one"
            )));
        }
    }
    let mut keys = ApiKeys::new();
    let mut seen = HashMap::new();
    for (number, line) in text.lines().enumerate() {
        let number = number + 1;
        // A word that begins with `#` begins a remark, and the words of that are no scopes.
        let mut words = line.split_whitespace().take_while(|word| !word.starts_with('#'));
        let Some(digest) = words.next() else { continue };
        let digest: ApiKeyDigest = digest.parse().map_err(|_| {
            // It may be a key, so it is not repeated.
            wrong(format!(
                "line {number} of {name} does not begin with the digest of a key; write the line that `throughline key new` prints"
            ))
        })?;
        if let Some(before) = seen.insert(*digest.as_bytes(), number) {
            return Err(wrong(format!(
                "line {number} of {name} has the key of line {before} again; each key has one line, with all its scopes"
            )));
        }
        let Some(whose) = words.next() else {
            return Err(wrong(format!(
                "line {number} of {name} does not say whose key it is; write a name behind the digest"
            )));
        };
        keys = keys
            .with_scoped(whose, digest, words)
            .map_err(|error| wrong(format!("line {number} of {name}: {error}")))?;
    }
    if keys.is_empty() {
        return Err(wrong(format!(
            "there is no key in {name}; `throughline key new --file {name}` adds one"
        )));
    }
    Ok(keys)
}

/// Some 10,000 keys.
const MOST_BYTES: u64 = 1024 * 1024;
