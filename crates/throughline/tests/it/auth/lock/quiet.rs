//! Nothing of a token is in what is logged, nor in what things say of themselves.

use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex};

use serde_json::json;
use throughline::auth::{ApiKey, ApiKeys, Authorization, Dpop, Introspection, JwtKey, Secret, TrustedProxy};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::keys::Key;
use super::{Door, Issuer, Time, builder, claims, post};

/// Writes down whatever is logged, at every level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Visit for Log {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = writeln!(self.0.lock().unwrap(), "{} = {value:?}", field.name());
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut self.clone());
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut self.clone());
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test(start_paused = true)]
async fn tokens_are_in_no_log() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let (signing, mine) = (Key::ed25519("key"), Key::es256(""));
    let (issuer, time) = (Issuer::new(&[&signing]), Time::new());
    let api_key = ApiKey::from_random([5; 32]);
    let door = Door::new(
        builder(&issuer, &time)
            .jwks(issuer.name())
            .introspection(
                Introspection::new(issuer.name(), format!("{}/introspect", issuer.name()))
                    .client("server", "client-secret"),
            )
            .api_keys(ApiKeys::new().with("ci", api_key.digest()))
            .trusted_proxy(TrustedProxy::new("x-user").at("10.0.0.1"))
            .dpop(Dpop::new().nonces())
            .scopes(["files:read"]),
    );
    let good = signing.token(&claims(&issuer, "ann"));
    let mut narrow = claims(&issuer, "ann");
    narrow["scope"] = json!("");
    let mut bound = claims(&issuer, "ann");
    bound["cnf"] = json!({ "jkt": mine.thumbprint() });
    let bound = signing.token(&bound);
    let proof = mine.proof(&json!({ "jti": "jti-of-a-proof" }));
    let forged = Key::ed25519("key").token(&claims(&issuer, "eve"));
    let secrets: Vec<String> = [
        &*good,
        &signing.token(&narrow),
        &bound,
        &forged,
        api_key.expose(),
        "opaque-token-that-nobody-knows",
        "another~opaque/token==",
    ]
    .map(str::to_owned)
    .to_vec();
    for down in [false, true] {
        issuer.set_down(down);
        for secret in &secrets {
            door.with(secret).await;
            door.send(post().header("authorization", format!("Bearer {secret} {secret}"))).await;
            door.send(post().uri(format!("/mcp?access_token={secret}"))).await;
            door.send(post().header("authorization", format!("DPoP {secret}")).header("dpop", &proof)).await;
            door.send(post().header("authorization", format!("Basic {secret}")).header("x-user", "eve"))
                .await;
        }
        time.pass(400).await;
    }
    let log = log.0.lock().unwrap().clone();
    assert!(log.contains("reason = \"the signature of the token is wrong\""), "{log}");
    assert!(log.contains("an issuer could not be asked about a token"), "{log}");
    let signatures = secrets.iter().filter_map(|secret| secret.rsplit('.').next());
    for secret in secrets.iter().map(String::as_str).chain(signatures).chain([
        &*proof,
        "jti-of-a-proof",
        "client-secret",
        "opaque",
    ]) {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}

#[test]
fn nothing_says_its_secret() {
    let key = ApiKey::from_random([5; 32]);
    let keys = ApiKeys::new().with("ci", key.digest());
    let introspection =
        Introspection::new("https://login.example.com", "https://login.example.com/introspect")
            .client("server", Secret::new("client-secret"));
    let builder = Authorization::builder("https://mcp.example.com")
        .api_keys(keys.clone())
        .introspection(introspection.clone())
        .jwt_key("me", JwtKey::secret("a secret that is shared by us two").unwrap());
    let builder_text = format!("{builder:?}");
    let lock = builder.build().unwrap();
    let said = [
        builder_text,
        format!("{lock:?} {:?}", lock.layer(())),
        format!("{introspection:?} {key:?}"),
        format!("{:?}", JwtKey::secret("a secret that is shared by us two").unwrap()),
        format!("{:?}", Dpop::new().nonces_from([77; 32])),
    ];
    for text in said {
        for secret in [key.expose(), "client-secret", "shared", "77"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}
