//! A client that logs in by itself, against an authorization server that rotates refresh tokens and ends a login when one is used
//! twice.

use std::future::IntoFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use throughline::auth::flow::ClientId;
use throughline::auth::oauth::{
    FileTokenStore, MemoryTokenStore, Record, RecordKey, StartedLogin, StoreError, StoreLock, TokenStore,
};
use throughline::auth::{OAuth, ScopeSet, Secret};
use throughline::revision::Revision;
use throughline::store::Soon;
use throughline::{Client, ClientError};
use tokio::task::JoinSet;

use super::support::{Authority, Person, Protected, Rules, browse};
use crate::logins::child::Program;
use crate::support::{Gate, settle};

/// An authorization server, a server that trusts it, a person, and a store.
struct World {
    authority: Authority,
    server: Protected,
    person: Person,
    store: MemoryTokenStore,
}

impl World {
    async fn new(rules: Rules) -> Self {
        let authority = Authority::start(rules).await;
        let server = Protected::start(&authority).await;
        Self { authority, server, person: Person::default(), store: MemoryTokenStore::new() }
    }

    /// What another process would have: it shares the store and the person.
    fn oauth(&self) -> OAuth {
        OAuth::new().client_name("demo").store(self.store.clone()).prompt(self.person.clone())
    }

    async fn connect(&self, oauth: &OAuth) -> Result<Client, ClientError> {
        Client::connect(self.server.url()).authorize(oauth.clone()).standalone_stream(false).await
    }

    fn key(&self) -> RecordKey {
        RecordKey::login(&self.server.url(), "demo")
    }

    /// Makes the token that is kept one that ends in ten seconds.
    async fn age(&self) {
        let kept = self.store.load(&self.key()).await.unwrap().unwrap();
        let mut kept: Value = kept.read().unwrap();
        let tokens = &mut kept["login"]["tokens"];
        let end = tokens["expires_at"].as_u64().unwrap();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        assert!(end > now + 3000);
        tokens["issued_at"] = (now - 3590).into();
        tokens["expires_at"] = (now + 10).into();
        self.store.save(&self.key(), &Record::of(&kept).unwrap()).await.unwrap();
    }
}

/// Calls so often at the same time; gives what came of each.
async fn calls(client: &Client, count: usize) -> Vec<Result<(), ClientError>> {
    let mut running = JoinSet::new();
    for _ in 0..count {
        let client = client.clone();
        running.spawn(async move { client.call_tool("count", &()).await.map(drop) });
    }
    running.join_all().await
}

fn all_well(outcomes: Vec<Result<(), ClientError>>) {
    outcomes.into_iter().for_each(|outcome| outcome.unwrap());
}

#[tokio::test]
async fn a_person_logs_in_once_and_never_again() {
    let world = World::new(Rules::default()).await;
    let oauth = world.oauth();
    let client = world.connect(&oauth).await.unwrap();
    all_well(calls(&client, 3).await);
    assert_eq!(world.authority.log(), ["register demo", "authorize read offline_access", "code"]);
    assert_eq!((world.person.visits(), world.server.refused()), (1, 1));
    // Another client of the program, and one of another program.
    all_well(calls(&world.connect(&oauth).await.unwrap(), 1).await);
    all_well(calls(&world.connect(&world.oauth()).await.unwrap(), 1).await);
    assert_eq!(world.authority.log(), Vec::<String>::new());
    assert_eq!((world.person.visits(), world.server.refused(), world.server.calls()), (1, 0, 5));
}

#[tokio::test]
async fn fifty_calls_with_an_expired_token_make_one_refresh() {
    let world = World::new(Rules::default()).await;
    let client = world.connect(&world.oauth()).await.unwrap();
    world.authority.log();
    for _ in 0..3 {
        world.authority.expire();
        all_well(calls(&client, 50).await);
        assert_eq!(world.authority.log(), ["refresh"]);
    }
    assert_eq!((world.person.visits(), world.server.calls()), (1, 150));
}

#[tokio::test]
async fn programs_that_share_a_store_refresh_once() {
    let world = World::new(Rules::default()).await;
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(world.connect(&world.oauth()).await.unwrap());
    }
    world.authority.log();
    world.authority.expire();
    let mut running = JoinSet::new();
    for client in clients {
        running.spawn(async move { calls(&client, 10).await });
    }
    all_well(running.join_all().await.into_iter().flatten().collect());
    // Without looking what the others got, each would use the same refresh token, and all would be logged out.
    assert_eq!(world.authority.log(), ["refresh"]);
    assert_eq!(world.person.visits(), 1);
}

#[tokio::test]
async fn programs_that_start_together_log_in_once() {
    let world = World::new(Rules::default()).await;
    let connecting = (0..5).map(|_| {
        let oauth = world.oauth();
        let url = world.server.url();
        async move { Client::connect(url).authorize(oauth).await.map(drop) }
    });
    let mut running = JoinSet::new();
    connecting.for_each(|connecting| drop(running.spawn(connecting)));
    all_well(running.join_all().await);
    assert_eq!(world.person.visits(), 1);
    assert_eq!(world.authority.log().iter().filter(|did| *did == "code").count(), 1);
}

/// Real processes, a store in files, and the port of a callback.
#[tokio::test]
async fn processes_that_start_together_log_in_once_and_refresh_once() {
    let authority = Authority::start(Rules { slow: true, ..Rules::default() }).await;
    let server = Protected::start(&authority).await;
    let home = tempfile::tempdir().unwrap();
    let store = FileTokenStore::at(home.path()).unwrap();
    let rounds = [&["register demo", "authorize read offline_access", "code"][..], &["refresh"]];
    for (round, expected) in rounds.into_iter().enumerate() {
        let mut programs = Vec::new();
        for _ in 0..3 {
            programs.push(Program::start("connect", &store, Some(&server.url())).await);
        }
        for program in &mut programs {
            program.go().await;
        }
        for program in &mut programs {
            assert_eq!(program.said().await, "trying");
        }
        // One of them is about to get its tokens, and the others want some too.
        authority.gate.until_came(round + 1).await;
        authority.gate.open(1);
        for program in &mut programs {
            assert_eq!(program.said().await, "done");
        }
        assert_eq!(authority.log(), expected);
        authority.expire();
    }
    assert_eq!(server.calls(), 48);
}

#[tokio::test]
async fn a_token_is_refreshed_before_it_ends() {
    let world = World::new(Rules::default()).await;
    drop(world.connect(&world.oauth()).await.unwrap());
    world.age().await;
    world.authority.log();
    world.server.refused();
    all_well(calls(&world.connect(&world.oauth()).await.unwrap(), 20).await);
    assert_eq!(world.authority.log(), ["refresh"]);
    assert_eq!(world.server.refused(), 0, "nobody was refused for it");
    // Where that cannot be done yet, the token is used for as long as it is good.
    world.age().await;
    world.authority.rule(|rules| rules.broken = 1);
    all_well(calls(&world.connect(&world.oauth()).await.unwrap(), 20).await);
    assert_eq!(world.authority.log(), ["refused: temporarily_unavailable"]);
    assert_eq!((world.server.refused(), world.person.visits()), (0, 1));
}

#[tokio::test]
async fn an_authorization_server_that_is_down_is_no_reason_to_ask_a_person() {
    let world = World::new(Rules::default()).await;
    let client = world.connect(&world.oauth()).await.unwrap();
    world.authority.expire();
    world.authority.rule(|rules| rules.broken = usize::MAX);
    let error = client.call_tool("count", &()).await.unwrap_err();
    assert!(error.is_login_failed() && error.is_unauthorized() && !error.is_outcome_unknown());
    assert_eq!(error.to_string(), "the token endpoint answered with status 503; try again later");
    world.authority.rule(|rules| rules.broken = 0);
    all_well(calls(&client, 1).await);
    assert_eq!(world.person.visits(), 1);
}

#[tokio::test]
async fn a_refresh_goes_on_when_the_call_that_began_it_is_given_up() {
    let world = World::new(Rules::default()).await;
    let client = world.connect(&world.oauth()).await.unwrap();
    world.authority.expire();
    world.authority.rule(|rules| rules.slow = true);
    let call = tokio::spawn({
        let client = client.clone();
        async move { client.call_tool("count", &()).await.map(drop) }
    });
    world.authority.gate.until_came(1).await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    world.authority.log();
    world.authority.gate.open(1);
    // Its answer is not lost: with it, the refresh token would be.
    all_well(calls(&client, 5).await);
    assert_eq!(world.authority.log(), ["refresh"]);
    assert_eq!(world.person.visits(), 1);
}

#[tokio::test]
async fn a_login_that_was_taken_back_is_made_anew_with_the_same_client() {
    let world = World::new(Rules::default()).await;
    let client = world.connect(&world.oauth()).await.unwrap();
    world.authority.log();
    world.authority.revoke();
    all_well(calls(&client, 10).await);
    assert_eq!(world.authority.log(), ["refused: invalid_grant", "authorize read offline_access", "code"],);
    assert_eq!(world.person.visits(), 2);
}

#[tokio::test]
async fn more_scopes_are_asked_for_once_and_with_those_before() {
    let world = World::new(Rules::default()).await;
    let client = world.connect(&world.oauth()).await.unwrap();
    world.authority.log();
    world.server.needs("tools/call", "write");
    all_well(calls(&client, 10).await);
    // The client was registered for fewer.
    assert_eq!(world.authority.log(), ["register demo", "authorize read write offline_access", "code"]);
    assert_eq!((world.person.visits(), world.server.calls()), (2, 10));
}

#[tokio::test]
async fn scopes_that_are_not_granted_are_not_asked_for_for_ever() {
    let world = World::new(Rules { grants: Some("read"), ..Rules::default() }).await;
    let client = world.connect(&world.oauth()).await.unwrap();
    world.server.needs("tools/call", "write");
    for _ in 0..3 {
        let error = client.call_tool("count", &()).await.unwrap_err();
        assert!(error.is_login_failed() && error.is_unauthorized());
        assert_eq!(error.needed_scopes(), Some(&ScopeSet::parse("write").unwrap()));
        assert_eq!(
            error.to_string(),
            "the server still asks for the scopes `write` for tools/call count after the login asked for them; ask who runs \
             it to grant them to you",
        );
    }
    assert_eq!((world.person.visits(), world.server.calls()), (2, 0));
    // What needs no more goes on.
    client.list_tools().await.unwrap();
}

#[tokio::test]
async fn who_declines_is_asked_once_for_all_who_wait() {
    let world = World::new(Rules::default()).await;
    let connect = Client::over(world.server.in_memory()).uri(world.server.url().parse().unwrap());
    let client = connect.authorize(world.oauth()).standalone_stream(false).await.unwrap();
    world.authority.revoke();
    let gate = Gate::new();
    world.person.waits_at(&gate);
    world.person.declines();
    world.server.refused();
    let calling = tokio::spawn({
        let client = client.clone();
        async move { calls(&client, 10).await }
    });
    gate.until_came(1).await;
    // In memory all of them are refused, and wait, before the first one has found its person.
    assert_eq!(world.server.refused(), 10);
    settle().await;
    gate.open(100);
    let outcomes = calling.await.unwrap();
    for outcome in outcomes {
        let error = outcome.unwrap_err();
        assert_eq!(error.to_string(), "nobody wants to log in; try again when somebody does");
        assert!(error.is_login_failed());
    }
    assert_eq!((world.person.visits(), world.server.calls()), (2, 0));
}

#[tokio::test]
async fn a_login_that_nobody_waits_for_ends() {
    let world = World::new(Rules::default()).await;
    let gate = Gate::new();
    world.person.waits_at(&gate);
    let connecting = tokio::spawn(Client::connect(world.server.url()).authorize(world.oauth()).into_future());
    gate.until_came(1).await;
    connecting.abort();
    assert!(connecting.await.unwrap_err().is_cancelled());
    gate.open(2);
    // The next one has the lock of the store, so the first login has let it go.
    all_well(calls(&world.connect(&world.oauth()).await.unwrap(), 1).await);
    assert_eq!(world.person.visits(), 2);
    let codes = world.authority.log().iter().filter(|did| *did == "code").count();
    assert_eq!(codes, 1);
}

#[tokio::test]
async fn nobody_is_asked_to_log_in_for_the_end_of_a_session() {
    let world = World::new(Rules::default()).await;
    let connect = Client::connect(world.server.url()).authorize(world.oauth());
    let client = connect.revision(Revision::LATEST_LEGACY).standalone_stream(false).await.unwrap();
    world.authority.log();
    world.authority.expire();
    world.authority.revoke();
    let error = client.close().await.unwrap_err();
    assert!(error.is_unauthorized() && !error.is_login_failed());
    assert_eq!(world.authority.log(), ["refused: invalid_grant"]);
    assert_eq!(world.person.visits(), 1);
}

#[tokio::test]
async fn what_the_authorization_server_says_reaches_the_caller() {
    let world = World::new(Rules { denies: Some("access_denied"), ..Rules::default() }).await;
    let error = world.connect(&world.oauth()).await.unwrap_err();
    assert!(error.is_login_failed());
    assert!(error.to_string().contains("denied") || error.to_string().contains("refused"), "{error}");
    let world = World::new(Rules { registers: false, ..Rules::default() }).await;
    let error = world.connect(&world.oauth()).await.unwrap_err();
    assert!(error.to_string().contains("client id"), "{error}");
    assert_eq!(world.person.visits(), 0);
}

#[tokio::test]
async fn a_client_that_was_registered_beforehand_shows_its_secret() {
    let world = World::new(Rules { registers: false, ..Rules::default() }).await;
    world.authority.register("ours", Some("s3cret:%"), "http://127.0.0.1:1/callback");
    let id = ClientId::new("ours").secret(Secret::new("s3cret:%")).issuer(world.authority.issuer());
    let oauth = world.oauth().client_id(id);
    let client = world.connect(&oauth).await.unwrap();
    world.authority.expire();
    all_well(calls(&client, 5).await);
    assert_eq!(world.authority.log(), ["authorize read offline_access", "code", "refresh"]);
}

#[tokio::test]
async fn tokens_of_one_server_are_not_shown_to_another() {
    let world = World::new(Rules::default()).await;
    let oauth = world.oauth();
    drop(world.connect(&oauth).await.unwrap());
    let other = Protected::start(&world.authority).await;
    let client = Client::connect(other.url()).authorize(oauth).standalone_stream(false).await.unwrap();
    all_well(calls(&client, 2).await);
    // One request without a token, and none with a wrong one.
    assert_eq!(other.refused(), 1);
    assert_eq!(world.person.visits(), 2);
}

#[tokio::test]
async fn a_login_in_two_steps_begins_in_one_process_and_ends_in_another() {
    let world = World::new(Rules::default()).await;
    let hosted = || {
        OAuth::new()
            .client_name("demo")
            .store(world.store.clone())
            .redirect_uri("https://app.example/callback")
    };
    let error = world.connect(&hosted()).await.unwrap_err();
    assert!(error.is_login_failed());
    assert!(error.to_string().contains("begin a login with `OAuth::start`"), "{error}");
    let started = hosted().start(world.server.url()).await.unwrap();
    let kept = serde_json::to_string(&started).unwrap();
    assert!(!format!("{started:?}").contains(started.state()));
    let redirect = browse(&started.address()).await;
    assert!(redirect.starts_with("https://app.example/callback?") && started.is_answered_by(&redirect));

    let elsewhere = hosted();
    let started: StartedLogin = serde_json::from_str(&kept).unwrap();
    // The answer to another login.
    let forged = redirect.replace("state=", "state=x");
    let error = elsewhere.finish(started.clone(), &forged).await.unwrap_err();
    assert!(!error.to_string().contains(started.state()), "{error}");
    let login = elsewhere.finish(started.clone(), &redirect).await.unwrap();
    assert_eq!(login.resource, world.server.url());
    assert_eq!(login.issuer, world.authority.issuer());
    assert!(login.is_renewed_by_itself);
    for oauth in [&elsewhere, &hosted()] {
        all_well(calls(&world.connect(oauth).await.unwrap(), 1).await);
    }
    // A code is good once, and that is no harm to the login.
    elsewhere.finish(started, &redirect).await.unwrap_err();
    all_well(calls(&world.connect(&hosted()).await.unwrap(), 1).await);
    assert_eq!(world.person.visits(), 0);
    let error = world.oauth().start(world.server.url()).await.unwrap_err();
    assert!(error.to_string().contains("`OAuth::redirect_uri`"), "{error}");
}

#[tokio::test]
async fn one_persons_login_does_not_become_anothers() {
    let world = World::new(Rules::default()).await;
    let hosted = |account: &str| {
        let oauth = OAuth::new().client_name("demo").store(world.store.clone());
        oauth.redirect_uri("https://app.example/callback").account(account)
    };
    let started = hosted("ann").start(world.server.url()).await.unwrap();
    let redirect = browse(&started.address()).await;
    let error = hosted("bob").finish(started.clone(), &redirect).await.unwrap_err();
    assert!(error.to_string().contains("another account"), "{error}");
    assert_eq!(hosted("bob").whoami(world.server.url()).await.unwrap(), None);
    hosted("ann").finish(started, &redirect).await.unwrap();
    assert!(hosted("ann").whoami(world.server.url()).await.unwrap().is_some());
}

#[tokio::test]
async fn a_server_that_refuses_every_token_does_not_open_pages_for_ever() {
    let world = World::new(Rules::default()).await;
    let oauth = world.oauth();
    let client = world.connect(&oauth).await.unwrap();
    world.server.refuses();
    let mut errors = Vec::new();
    for _ in 0..10 {
        let error = client.call_tool("count", &()).await.unwrap_err();
        assert!(error.is_login_failed() && error.is_unauthorized());
        errors.push(error.to_string());
    }
    assert_eq!(world.person.visits(), 4);
    assert!(errors[0].contains("has just issued"), "{errors:?}");
    assert!(errors[9].contains("nobody is asked any more"), "{errors:?}");
    // Who wants to log in does.
    oauth.login(world.server.url()).await.unwrap();
    assert_eq!(world.person.visits(), 5);
}

#[tokio::test]
async fn a_login_that_is_damaged_is_made_anew_or_forgotten() {
    let world = World::new(Rules::default()).await;
    let home = tempfile::tempdir().unwrap();
    let oauth = || world.oauth().store(FileTokenStore::at(home.path()).unwrap());
    let file = home.path().join(world.key().name()).with_extension("json");
    let damage = || std::fs::write(&file, "{\"version\":1,").unwrap();
    drop(world.connect(&oauth()).await.unwrap());
    damage();
    let error = oauth().whoami(world.server.url()).await.unwrap_err();
    assert!(error.to_string().contains("delete it, and log in again"), "{error}");
    drop(world.connect(&oauth()).await.unwrap());
    assert!(oauth().whoami(world.server.url()).await.unwrap().is_some());
    assert_eq!(world.person.visits(), 2);
    damage();
    assert!(oauth().logout(world.server.url()).await.unwrap());
    assert_eq!(oauth().whoami(world.server.url()).await.unwrap(), None);
    // That of a newer program is its own.
    std::fs::write(&file, r#"{"version":2}"#).unwrap();
    let error = world.connect(&oauth()).await.unwrap_err();
    assert!(error.is_login_failed() && error.to_string().contains("another version"), "{error}");
    assert_eq!(world.person.visits(), 2);
}

#[tokio::test]
async fn one_can_log_in_look_and_log_out() {
    let world = World::new(Rules::default()).await;
    let oauth = world.oauth();
    assert_eq!(oauth.whoami(world.server.url()).await.unwrap(), None);
    let login = oauth.login(world.server.url()).await.unwrap();
    assert_eq!(login.scopes, ScopeSet::parse("read offline_access").unwrap());
    assert_eq!(
        login.to_string(),
        format!(
            "logged in at {} by {}, with the scopes read offline_access",
            world.server.url(),
            world.authority.issuer()
        ),
    );
    assert_eq!(world.oauth().whoami(world.server.url()).await.unwrap(), Some(login));
    all_well(calls(&world.connect(&world.oauth()).await.unwrap(), 1).await);
    // Another account of the same person is another login.
    assert_eq!(world.oauth().account("work").whoami(world.server.url()).await.unwrap(), None);
    world.authority.log();
    assert!(oauth.logout(world.server.url()).await.unwrap());
    assert!(world.authority.log().contains(&"revoke".to_owned()));
    assert!(!oauth.logout(world.server.url()).await.unwrap());
    assert_eq!(oauth.whoami(world.server.url()).await.unwrap(), None);
    all_well(calls(&world.connect(&oauth).await.unwrap(), 1).await);
    assert_eq!(world.person.visits(), 2);
    let error = oauth.login("mcp.example.com").await.unwrap_err();
    assert!(error.to_string().contains("no scheme"), "{error}");
}

/// A store that takes nothing while it is full.
struct Full {
    store: MemoryTokenStore,
    is_full: Arc<AtomicBool>,
}

impl TokenStore for Full {
    fn load(&self, key: &RecordKey) -> Soon<Result<Option<Record>, StoreError>> {
        self.store.load(key)
    }

    fn save(&self, key: &RecordKey, record: &Record) -> Soon<Result<(), StoreError>> {
        if self.is_full.load(Ordering::Relaxed) {
            return Soon::now(Err(StoreError::unusable("the disk is full; make room")));
        }
        self.store.save(key, record)
    }

    fn delete(&self, key: &RecordKey) -> Soon<Result<(), StoreError>> {
        self.store.delete(key)
    }

    fn lock(&self, key: &RecordKey, patience: Duration) -> Soon<Result<StoreLock, StoreError>> {
        self.store.lock(key, patience)
    }
}

#[tokio::test]
async fn a_store_that_takes_nothing_costs_no_login() {
    let world = World::new(Rules::default()).await;
    let is_full = Arc::<AtomicBool>::default();
    let store = Full { store: world.store.clone(), is_full: Arc::clone(&is_full) };
    let client = world.connect(&world.oauth().store(store)).await.unwrap();
    is_full.store(true, Ordering::Relaxed);
    world.authority.log();
    for _ in 0..3 {
        // The refresh token that is kept is the first one. To use it again would end everything.
        world.authority.expire();
        all_well(calls(&client, 3).await);
    }
    is_full.store(false, Ordering::Relaxed);
    world.authority.expire();
    all_well(calls(&client, 3).await);
    assert_eq!(world.authority.log(), ["refresh"; 4]);
    // What is kept by now is good for others.
    all_well(calls(&world.connect(&world.oauth()).await.unwrap(), 1).await);
    assert_eq!(world.person.visits(), 1);
}

#[tokio::test]
async fn after_a_login_that_nobody_came_back_from_the_client_is_registered_anew() {
    let world = World::new(Rules::default()).await;
    drop(world.connect(&world.oauth()).await.unwrap());
    world.authority.revoke();
    world.authority.expire();
    world.person.stays_away(true);
    let error = world.connect(&world.oauth()).await.unwrap_err();
    assert_eq!(error.to_string(), "nobody finished the login in time; start it again");
    world.person.stays_away(false);
    world.authority.log();
    drop(world.connect(&world.oauth()).await.unwrap());
    assert_eq!(world.authority.log(), ["register demo", "authorize read offline_access", "code"]);
}

#[tokio::test]
async fn a_client_that_is_known_no_more_is_registered_anew() {
    let world = World::new(Rules::default()).await;
    let client = world.connect(&world.oauth()).await.unwrap();
    world.authority.log();
    world.authority.forget_clients();
    world.authority.expire();
    all_well(calls(&client, 5).await);
    assert_eq!(
        world.authority.log(),
        ["refused: invalid_client", "register demo", "authorize read offline_access", "code"],
    );
    assert_eq!(world.person.visits(), 2);
}

#[tokio::test]
async fn no_secret_is_in_what_is_shown() {
    let world = World::new(Rules { secrets: true, ..Rules::default() }).await;
    let oauth = world.oauth();
    let client = world.connect(&oauth).await.unwrap();
    let kept = world.store.load(&world.key()).await.unwrap().unwrap();
    let kept: Value = kept.read().unwrap();
    let shown = format!("{oauth:?} {client:?} {:?}", oauth.whoami(world.server.url()).await.unwrap());
    let tokens = &kept["login"]["tokens"];
    for secret in
        [&tokens["access_token"], &tokens["refresh_token"], &kept["login"]["registration"]["client_secret"]]
    {
        assert_ne!(*secret, json!(null));
        assert!(!shown.contains(secret.as_str().unwrap()), "{shown}");
    }
}
