//! Credentials: who gives them, when they are refused, and what does not happen meanwhile.

use std::future::IntoFuture;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::StatusCode;
use serde_json::json;
use throughline::model::CacheHints;
use throughline::revision::Revision;
use throughline::store::Soon;
use throughline::{
    AfterRefusal, Client, Connect, Credentials, Refusal, Server, StreamStatus, StreamableHttp, TokenError,
    TokenNeed, TokenProvider, TokenRequest, TransportChoice, resource, tokens, tool,
};

use crate::support::locked::{Lock, Locked};
use crate::support::settle;

/// A server that counts its calls.
fn server(calls: &Arc<AtomicUsize>) -> Server {
    let calls = Arc::clone(calls);
    Server::new("demo", "1.0.0").tool(tool("count", move || {
        calls.fetch_add(1, Ordering::Relaxed);
        async { "counted" }
    }))
}

fn over(lock: &Lock) -> (Connect, Arc<AtomicUsize>) {
    let calls = Arc::<AtomicUsize>::default();
    (Client::over(Locked::new(StreamableHttp::new(server(&calls)), lock)), calls)
}

/// What a provider is asked, in a few words, and what it answers.
#[derive(Clone)]
struct Told(Arc<TellState>);

struct TellState {
    /// The token that is given.
    token: Mutex<Option<String>>,
    context: Mutex<&'static str>,
    refusals: Mutex<Vec<String>>,
    #[allow(clippy::type_complexity, reason = "it is named nowhere else")]
    answer: Box<dyn Fn(&Told, &Refusal) -> Soon<Result<AfterRefusal, TokenError>> + Send + Sync>,
}

impl Told {
    fn new(
        token: Option<&str>,
        answer: impl Fn(&Told, &Refusal) -> Soon<Result<AfterRefusal, TokenError>> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(TellState {
            token: Mutex::new(token.map(str::to_owned)),
            context: Mutex::new("ann"),
            refusals: Mutex::default(),
            answer: Box::new(answer),
        }))
    }

    fn set(&self, token: &str) {
        *self.0.token.lock().unwrap() = Some(token.to_owned());
    }

    fn refusals(&self) -> Vec<String> {
        std::mem::take(&mut self.0.refusals.lock().unwrap())
    }
}

impl TokenProvider for Told {
    fn credentials(&self, _: &TokenRequest<'_>) -> Soon<Result<Option<Credentials>, TokenError>> {
        let token = self.0.token.lock().unwrap().clone();
        let context = *self.0.context.lock().unwrap();
        Soon::now(token.map(|token| Ok(Credentials::bearer(token)?.context(context))).transpose())
    }

    fn refused(&self, refusal: Refusal) -> Soon<Result<AfterRefusal, TokenError>> {
        self.0.refusals.lock().unwrap().push(format!(
            "{} {} {}{}",
            refusal.method,
            refusal.operation,
            refusal.status.as_u16(),
            if refusal.may_ask { "" } else { ", and nobody may be asked" },
        ));
        (self.0.answer)(self, &refusal)
    }
}

/// Gives this token from the first refusal on.
fn giving(token: &'static str) -> Told {
    Told::new(None, move |told, _| {
        told.set(token);
        Soon::now(Ok(AfterRefusal::SendAgain))
    })
}

fn eras() -> [Revision; 2] {
    [Revision::LATEST, Revision::LATEST_LEGACY]
}

#[tokio::test]
async fn a_bearer_token_goes_with_every_request() {
    for revision in eras() {
        let lock = Lock::new("secret");
        let (connect, calls) = over(&lock);
        let client = connect.bearer("secret").revision(revision).await.unwrap();
        client.call_tool("count", &()).await.unwrap();
        client.close().await.unwrap();
        assert_eq!(calls.load(Ordering::Relaxed), 1);
        let seen = lock.seen();
        assert!(seen.iter().all(|request| request.ends_with(" secret 200")), "{seen:?}");
        let has_session = !revision.is_modern();
        assert_eq!(seen.iter().any(|request| request.starts_with("DELETE")), has_session);
    }
}

#[tokio::test]
async fn a_refused_bearer_token_is_an_error_that_says_what_is_wanted() {
    let (connect, _) = over(&Lock::new("secret"));
    let error = connect.bearer("wrong").await.unwrap_err();
    assert!(error.is_unauthorized() && !error.is_login_failed());
    assert_eq!(error.status(), Some(StatusCode::UNAUTHORIZED));
    assert_eq!(error.needed_scopes().unwrap().to_string(), "read");
    assert!(error.challenges()[0].resource_metadata.is_some());
    assert_eq!(
        error.to_string(),
        "the server asks for credentials, or does not accept those that it got (401 Unauthorized); give it a token, or log in",
    );
}

#[tokio::test]
async fn a_token_that_is_none_is_not_sent() {
    let lock = Lock::new("secret");
    for token in ["", "two words", "line\nbreak"] {
        let error = over(&lock).0.bearer(token).await.unwrap_err();
        assert!(error.to_string().contains("no access token has"), "{error}");
    }
    assert_eq!(lock.seen(), Vec::<String>::new());
}

#[tokio::test]
async fn a_refused_request_is_sent_again_with_what_the_provider_has() {
    for revision in eras() {
        let lock = Lock::new("first");
        let (connect, calls) = over(&lock);
        let told = giving("first");
        let client =
            connect.authorize(told.clone()).standalone_stream(false).revision(revision).await.unwrap();
        let begin = if revision.is_modern() { "server/discover" } else { "initialize" };
        assert_eq!(told.refusals(), [format!("POST {begin} 401")]);
        assert_eq!(lock.seen()[..2], ["POST - 401", "POST first 200"]);
        lock.turn("second");
        // What it gives is refused again and again, and then for good.
        let error = client.call_tool("count", &()).await.unwrap_err();
        assert!(error.is_unauthorized() && !error.is_outcome_unknown(), "{error}");
        assert_eq!(lock.seen(), vec!["POST first 401"; 6]);
        assert_eq!(told.refusals(), vec!["POST tools/call count 401"; 5]);
        told.set("second");
        client.call_tool("count", &()).await.unwrap();
        assert_eq!(calls.load(Ordering::Relaxed), 1);
        client.close().await.unwrap();
    }
}

#[tokio::test]
async fn more_scopes_are_asked_for_when_they_are_missing() {
    let lock = Lock::new("t");
    lock.needs("tools/call", "write");
    let (connect, calls) = over(&lock);
    let told = Told::new(Some("t"), |told, refusal| {
        let scopes = refusal.challenges[0].scope.as_ref().unwrap();
        told.set(&format!("t+{scopes}"));
        Soon::now(Ok(AfterRefusal::SendAgain))
    });
    let client = connect.authorize(told.clone()).await.unwrap();
    client.call_tool("count", &()).await.unwrap();
    assert_eq!(told.refusals(), ["POST tools/call count 403"]);
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    // Another 403 is about something else, and no credentials help.
    lock.shut(Some(StatusCode::FORBIDDEN));
    let error = client.call_tool("count", &()).await.unwrap_err();
    assert!(error.is_unauthorized() && error.needed_scopes().is_none());
    assert_eq!(told.refusals(), Vec::<String>::new());
}

#[tokio::test]
async fn what_is_needed_can_be_asked_of_the_error() {
    let lock = Lock::new("t");
    lock.needs("tools/call", "write");
    let (connect, calls) = over(&lock);
    let client = connect.bearer("t").await.unwrap();
    let error = client.call_tool("count", &()).await.unwrap_err();
    assert_eq!(error.needed_scopes().unwrap().to_string(), "write");
    assert!(error.is_unauthorized() && !error.is_outcome_unknown());
    assert_eq!(calls.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_login_that_fails_is_told_in_the_words_of_the_provider() {
    for revision in eras() {
        let (connect, _) = over(&Lock::new("t"));
        let failing = Told::new(None, |_, _| {
            Soon::now(Err(TokenError::new("nobody is at the keyboard; run `login` first").because("eof")))
        });
        let error = connect.authorize(failing).revision(revision).await.unwrap_err();
        assert!(error.is_login_failed() && error.is_unauthorized());
        assert_eq!(error.status(), Some(StatusCode::UNAUTHORIZED));
        assert_eq!(error.needed_scopes().unwrap().to_string(), "read");
        assert_eq!(error.to_string(), "nobody is at the keyboard; run `login` first");
        assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "eof");
    }
    // Also before anything was sent.
    let lock = Lock::new("t");
    let none = tokens(|_| std::future::ready(Err(TokenError::new("the vault is sealed; unseal it"))));
    let error = over(&lock).0.authorize(none).await.unwrap_err();
    assert!(error.is_login_failed() && error.status().is_none());
    assert_eq!(lock.seen(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn the_clocks_stand_still_while_a_person_logs_in() {
    for revision in eras() {
        let lock = Lock::new("t");
        let (connect, calls) = over(&lock);
        let slowly = Told::new(None, |told, _| {
            let told = told.clone();
            Soon::later(async move {
                tokio::time::sleep(Duration::from_secs(600)).await;
                told.set(&format!("{}t", told.0.token.lock().unwrap().clone().unwrap_or_default()));
                Ok(AfterRefusal::SendAgain)
            })
        });
        // The handshake, a notification, a call.
        let connect = connect.authorize(slowly).timeout(Duration::from_secs(30)).revision(revision);
        let client = connect.await.unwrap();
        lock.turn("tt");
        client.notify("notifications/progress", &json!({ "progressToken": 1, "progress": 1 })).await.unwrap();
        lock.turn("ttt");
        client.call_tool("count", &()).max_total(Duration::from_secs(30)).await.unwrap();
        assert_eq!(calls.load(Ordering::Relaxed), 1);
        client.close().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn the_clocks_stand_still_over_http_sse_too() {
    let lock = Lock::new("t");
    let calls = Arc::<AtomicUsize>::default();
    let endpoint = Locked::new(StreamableHttp::new(server(&calls)).http_sse(), &lock);
    let slowly = Told::new(None, |told, refusal| {
        let (told, good) = (told.clone(), if refusal.operation == "tools/call count" { "u" } else { "t" });
        Soon::later(async move {
            tokio::time::sleep(Duration::from_secs(600)).await;
            told.set(good);
            Ok(AfterRefusal::SendAgain)
        })
    });
    let connect = Client::over(endpoint).uri(http::Uri::from_static("http://localhost/sse"));
    let connect = connect.transport(TransportChoice::Sse).timeout(Duration::from_secs(5));
    let client = connect.authorize(slowly).await.unwrap();
    lock.turn("u");
    client.call_tool("count", &()).await.unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    client.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_never_answers_is_given_up() {
    let (connect, _) = over(&Lock::new("t"));
    let stuck = Told::new(None, |_, _| Soon::later(std::future::pending()));
    let error = connect.authorize(stuck).await.unwrap_err();
    assert!(error.is_login_failed());
    assert_eq!(error.to_string(), "no credentials could be had within 900s; log in again");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_given_up_during_a_login_was_never_sent() {
    let lock = Lock::new("t");
    let (connect, calls) = over(&lock);
    let told = Told::new(Some("t"), |_, _| Soon::later(std::future::pending()));
    let client =
        connect.authorize(told).revision(Revision::LATEST_LEGACY).standalone_stream(false).await.unwrap();
    lock.turn("u");
    lock.seen();
    let call = client.call_tool("count", &()).into_future();
    tokio::time::timeout(Duration::from_secs(1), call).await.unwrap_err();
    lock.turn("t");
    settle().await;
    // No cancellation of what the server never took on.
    assert_eq!(lock.seen(), ["POST t 401"]);
    assert_eq!(calls.load(Ordering::Relaxed), 0);
    client.close().await.unwrap();
}

#[tokio::test]
async fn fifty_calls_ask_for_a_token_once() {
    let lock = Lock::new("t0");
    let (connect, calls) = over(&lock);
    let asked = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&asked);
    let vault = tokens(move |need: TokenNeed| {
        let count = counting.fetch_add(1, Ordering::Relaxed);
        async move {
            assert_eq!(need.refused.is_some(), count > 0);
            tokio::task::yield_now().await;
            Ok(format!("t{count}"))
        }
    });
    let client = connect.authorize(vault).await.unwrap();
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    lock.turn("t1");
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let client = client.clone();
        running.spawn(async move { client.call_tool("count", &()).await.map(drop) });
    }
    while let Some(called) = running.join_next().await {
        called.unwrap().unwrap();
    }
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    assert_eq!(calls.load(Ordering::Relaxed), 50);
    // A token that is the same again is given up with.
    lock.turn("elsewhere");
    let same = tokens(|_| std::future::ready(Ok("same".to_owned())));
    let error = over(&lock).0.authorize(same).await.unwrap_err();
    assert!(error.is_unauthorized() && !error.is_login_failed());
}

/// A person gives what is good; without one there is nothing to give.
fn person(good: &'static str) -> Told {
    Told::new(Some("t"), move |told, refusal| {
        if !refusal.may_ask {
            return Soon::now(Ok(AfterRefusal::GiveUp));
        }
        told.set(good);
        Soon::now(Ok(AfterRefusal::SendAgain))
    })
}

#[tokio::test(start_paused = true)]
async fn nobody_is_asked_for_what_nobody_waits_for_and_streams_come_back() {
    for (revision, part, stream) in [
        (Revision::LATEST_LEGACY, "GET", "GET "),
        (Revision::LATEST, "subscriptions/listen", "POST subscriptions/listen"),
    ] {
        let lock = Lock::new("t");
        lock.needs(part, "listen");
        let told = person("u+listen");
        let connect = over(&lock).0.authorize(told.clone()).revision(revision).on_tools_changed(|| {});
        let client = connect.await.unwrap();
        let mut status = client.status();
        status.wait_for(|status| *status == StreamStatus::Unavailable).await.unwrap();
        assert_eq!(told.refusals(), [format!("{stream} 403, and nobody may be asked")]);
        // The login of a call is good for the stream, too.
        lock.turn("u");
        client.call_tool("count", &()).await.unwrap();
        status.wait_for(|status| *status == StreamStatus::Open).await.unwrap();
        assert_eq!(told.refusals(), ["POST tools/call count 401"]);
        lock.turn("gone");
        let closed = client.close().await;
        if revision.is_modern() {
            closed.unwrap();
        } else {
            assert!(closed.unwrap_err().is_unauthorized());
            assert_eq!(told.refusals(), ["DELETE  401, and nobody may be asked"]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_person_is_asked_for_a_subscription_that_is_waited_for() {
    let lock = Lock::new("t");
    lock.needs("subscriptions/listen", "listen");
    let told = person("t+listen");
    let calls = Arc::default();
    let server = server(&calls).resource(resource("demo://a", "a", || async { "a" }));
    let client = Client::over(Locked::new(StreamableHttp::new(server), &lock)).authorize(told.clone());
    let client = client.await.unwrap();
    client.subscribe("demo://a").await.unwrap();
    assert_eq!(told.refusals(), ["POST subscriptions/listen 403"]);
    client.close().await.unwrap();
}

#[tokio::test]
async fn http_sse_has_credentials_on_the_stream_and_on_messages() {
    let lock = Lock::new("t");
    let calls = Arc::<AtomicUsize>::default();
    let endpoint = Locked::new(StreamableHttp::new(server(&calls)).http_sse(), &lock);
    let told = giving("t");
    let connect = Client::over(endpoint).uri(http::Uri::from_static("http://localhost/sse"));
    let client = connect.transport(TransportChoice::Sse).authorize(told.clone()).await.unwrap();
    assert_eq!(told.refusals(), ["GET  401"]);
    client.call_tool("count", &()).await.unwrap();
    lock.turn("u");
    told.set("t");
    let error = client.call_tool("count", &()).await.unwrap_err();
    assert!(error.is_unauthorized(), "{error}");
    assert_eq!(told.refusals(), vec!["POST tools/call count 401"; 5]);
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    client.close().await.unwrap();
}

#[cfg(feature = "client")]
#[tokio::test]
async fn credentials_are_not_sent_to_another_machine_in_the_clear() {
    for connect in [
        Client::connect("http://mcp.example.com/mcp").bearer("t"),
        Client::connect("http://10.0.0.1/mcp").authorize(giving("t")),
    ] {
        let error = connect.await.unwrap_err();
        assert!(error.to_string().contains("use an https:// address"), "{error}");
    }
}

#[tokio::test]
async fn another_person_gets_no_results_of_the_one_before() {
    let lock = Lock::new("t");
    let calls = Arc::<AtomicUsize>::default();
    let kept = server(&calls).cache(CacheHints::private(Duration::from_secs(60)));
    let told = giving("t");
    let client =
        Client::over(Locked::new(StreamableHttp::new(kept), &lock)).authorize(told.clone()).await.unwrap();
    client.list_tools().await.unwrap();
    lock.seen();
    client.list_tools().await.unwrap();
    assert_eq!(lock.seen(), Vec::<String>::new());
    *told.0.context.lock().unwrap() = "bob";
    // Who it is shows with the next request that is sent.
    client.call_tool("count", &()).await.unwrap();
    lock.seen();
    client.list_tools().await.unwrap();
    assert_eq!(lock.seen(), ["POST t 200"]);
}
