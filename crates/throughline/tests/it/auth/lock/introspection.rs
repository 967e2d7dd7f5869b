//! Tokens that an issuer is asked about.

use std::time::Duration;

use serde_json::{Value, json};
use throughline::auth::Introspection;

use super::keys::Key;
use super::{Door, Issuer, NOW, RESOURCE, Time, builder, claims};
use crate::support::{settle, within};

fn introspection(issuer: &Issuer) -> Introspection {
    Introspection::new(issuer.name(), format!("{}/introspect", issuer.name())).client("the server", "s:e/c")
}

fn active(subject: &str) -> Value {
    json!({
        "active": true, "sub": subject, "client_id": "editor", "aud": RESOURCE, "scope": "files:read",
        "exp": NOW + 40, "token_type": "Bearer",
    })
}

#[tokio::test(start_paused = true)]
async fn the_issuer_says_who_it_is() {
    let (issuer, time) = (Issuer::new(&[]), Time::new());
    let door = Door::new(builder(&issuer, &time).introspection(introspection(&issuer)));
    issuer.knows("opaque-1", active("ann"));
    let said = door.with("opaque-1").await;
    assert_eq!(
        said.json()["who"],
        json!({
            "issuer": "https://login.example.com", "subject": "ann", "client": "editor", "scopes": "files:read",
            "until": NOW + 40 + 60,
        }),
    );
    // `the server` and `s:e/c`, each as in a form, and then as in HTTP Basic.
    assert_eq!(issuer.credentials(), ["Basic dGhlJTIwc2VydmVyOnMlM0FlJTJGYw=="]);

    let with = |member: &str, value: Value| {
        let mut answer = active("eve");
        answer[member] = value;
        answer
    };
    let bad = [
        with("active", json!(false)),
        with("active", Value::Null),
        with("active", json!("true")),
        with("aud", json!("https://other.example.com/mcp")),
        with("aud", Value::Null),
        with("exp", json!(NOW - 60)),
        with("nbf", json!(NOW + 61)),
        with("iss", json!("https://other.example.com")),
        with("cnf", json!({ "jkt": "thumbprint" })),
        with("cnf", json!({ "x5t#S256": "thumbprint" })),
        json!({ "active": true, "aud": RESOURCE }),
        json!([]),
    ];
    for (number, answer) in bad.into_iter().enumerate() {
        let token = format!("bad-{number}");
        issuer.knows(&token, answer.clone());
        assert_eq!(door.with(&token).await.refusal(), (401, "invalid_token".to_owned()), "{answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_question_for_many_requests_and_none_past_the_end_of_a_token() {
    let (issuer, time) = (Issuer::new(&[]), Time::new());
    let door = Door::new(builder(&issuer, &time).introspection(introspection(&issuer)).skew(Duration::ZERO));
    issuer.knows("opaque-1", active("ann"));
    let gate = issuer.hold();
    let waiting: Vec<_> = (0..50)
        .map(|_| {
            let door = door.clone();
            tokio::spawn(async move { door.with("opaque-1").await.subject() })
        })
        .collect();
    settle().await;
    gate.open(1_000);
    for waiting in waiting {
        assert_eq!(within(waiting).await.unwrap(), "ann");
    }
    assert_eq!(issuer.asked("/introspect"), 1);

    issuer.set_down(true);
    time.pass(39).await;
    assert_eq!(door.with("opaque-1").await.subject(), "ann");
    time.pass(1).await;
    assert_eq!(door.with("opaque-1").await.status, 503, "it ended, and whether it goes on nobody says");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_was_withdrawn_ends_within_a_minute() {
    let (issuer, time) = (Issuer::new(&[]), Time::new());
    let door = Door::new(builder(&issuer, &time).introspection(introspection(&issuer)));
    let mut answer = active("ann");
    answer["exp"] = json!(NOW + 3600);
    issuer.knows("opaque-1", answer.clone());
    assert_eq!(door.with("opaque-1").await.subject(), "ann");
    issuer.knows("opaque-1", json!({ "active": false }));
    time.pass(59).await;
    assert_eq!(door.with("opaque-1").await.subject(), "ann");
    time.pass(1).await;
    for _ in 0..5 {
        assert_eq!(door.with("opaque-1").await.status, 401);
    }
    assert_eq!(issuer.asked("/introspect"), 2, "that it is no good is known for a while");
    issuer.knows("opaque-1", answer);
    time.pass(10).await;
    assert_eq!(door.with("opaque-1").await.subject(), "ann");

    let strict =
        Door::new(builder(&issuer, &time).introspection(introspection(&issuer).keep_for(Duration::ZERO)));
    let before = issuer.asked("/introspect");
    for _ in 0..3 {
        assert_eq!(strict.with("opaque-1").await.subject(), "ann");
    }
    assert_eq!(issuer.asked("/introspect"), before + 3);
}

#[tokio::test(start_paused = true)]
async fn questions_are_bounded_and_those_who_are_known_wait_for_none() {
    let (issuer, time) = (Issuer::new(&[]), Time::new());
    let door = Door::new(builder(&issuer, &time).introspection(introspection(&issuer)));
    issuer.knows("known", active("ann"));
    assert_eq!(door.with("known").await.subject(), "ann");
    let gate = issuer.hold();
    let waiting: Vec<_> = (0..300)
        .map(|number| {
            let door = door.clone();
            tokio::spawn(async move { door.with(&format!("made-up-{number}")).await.status })
        })
        .collect();
    gate.until_came(256).await;
    assert_eq!(door.with("known").await.subject(), "ann");
    settle().await;
    assert_eq!(issuer.asked("/introspect"), 1 + 256);
    gate.open(1_000);
    let mut statuses = Vec::new();
    for waiting in waiting {
        statuses.push(within(waiting).await.unwrap());
    }
    assert_eq!(statuses.iter().filter(|status| **status == 503).count(), 44);
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 256);
}

#[tokio::test(start_paused = true)]
async fn an_audience_may_be_checked_by_the_issuer_where_that_was_said() {
    let key = Key::ed25519("key");
    let (issuer, time) = (Issuer::new(&[&key]), Time::new());
    let door = Door::new(
        builder(&issuer, &time)
            .jwks(issuer.name())
            .introspection(introspection(&issuer).audience_is_checked_there()),
    );
    let mut answer = active("ann");
    answer["aud"] = Value::Null;
    issuer.knows("opaque-1", answer.clone());
    assert_eq!(door.with("opaque-1").await.subject(), "ann");
    answer["aud"] = json!("https://other.example.com");
    issuer.knows("opaque-2", answer);
    assert_eq!(door.with("opaque-2").await.status, 401, "another one is another one all the same");
    // A token that can be read needs no question.
    let before = issuer.asked("/introspect");
    assert_eq!(door.with(&key.token(&claims(&issuer, "bob"))).await.subject(), "bob");
    assert_eq!(issuer.asked("/introspect"), before);
}
