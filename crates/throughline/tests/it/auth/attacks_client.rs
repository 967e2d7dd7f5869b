//! What a client is attacked with on its way to a token, and by whom: a server, an authorization server, a page in the browser, a
//! name that turns.
//!
//! Most of it is played on a stage: servers with public names, in memory, whose every answer a test can change and whose every
//! request is written down. Attacks that are tried elsewhere are not tried here again:
//!
//! - the same code or redirect twice, another account's login, a server that refuses every token, scopes that are never granted,
//!   tokens of one server for another: `auth/oauth.rs`
//! - a token of a client that is known no more, a nonce without end, an assertion for another issuer: `auth/grants.rs`
//! - credentials after a redirect and over plain `http`, a provider that never answers: `client/authorize.rs`, and the unit tests of
//!   the connector (`redirects.rs`)
//! - names that turn from public to this machine, before and at the time of the connection: the unit tests of `auth/fetch`
//! - addresses that are written oddly, documents that are none, errors of others, every step in a wrong order: the unit tests of
//!   `throughline_proto::auth` (`flow/tests`, `flow/grants/tests`, `address_rule/tests`), with property tests and a fuzz target
//! - what a page of a stranger can do to the port of the callback: the unit tests of `LoopbackCallback`

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt::{Debug, Write as _};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use throughline::auth::OAuth;
use throughline::auth::flow::LoginBy;
use throughline::auth::oauth::{
    DeviceCode, LoginPage, LoginPrompt, LoginVisit, LoopbackCallback, MemoryTokenStore, PromptError,
    RecordKey, Redirect, TokenStore,
};
use throughline::store::Soon;
use throughline::{AfterRefusal, Client, RequestBody, TokenError};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::support::{Authority, Person, Protected, Rules};

const SERVER: &str = "https://mcp.example.com/mcp";
const RESOURCE: &str = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp";
const ISSUER: &str = "https://login.example.com";
const METADATA: &str = "https://login.example.com/.well-known/oauth-authorization-server";

/// Where the browser comes back to. Nobody listens: the tests answer.
const BACK: &str = "http://127.0.0.1:1/callback";

/// What is at an address.
#[derive(Clone)]
enum Answer {
    Json(u16, Value),
    /// A text of this type.
    Text(&'static str, String),
    Redirect(u16, String),
    /// Bytes without end, each after a pause.
    Endless(Duration),
}

/// All servers of the world.
#[derive(Clone)]
struct Stage(Arc<Mutex<Scene>>);

struct Scene {
    answers: HashMap<String, Answer>,
    /// The address of each request, with its headers and its body.
    seen: Vec<(String, String)>,
    challenge: String,
}

impl Stage {
    /// A server and its authorization server, both honest.
    fn new() -> Self {
        let resource =
            json!({ "resource": SERVER, "authorization_servers": [ISSUER], "scopes_supported": ["read"] });
        let answers = HashMap::from([
            (RESOURCE.to_owned(), Answer::Json(200, resource)),
            (METADATA.to_owned(), Answer::Json(200, metadata(ISSUER))),
            (format!("{ISSUER}/register"), Answer::Json(201, json!({ "client_id": "client-of-login" }))),
            (format!("{ISSUER}/token"), Answer::Json(200, tokens("of-login"))),
        ]);
        let challenge = format!(r#"Bearer resource_metadata="{RESOURCE}""#);
        Self(Arc::new(Mutex::new(Scene { answers, seen: Vec::new(), challenge })))
    }

    fn set(&self, address: &str, answer: Answer) {
        self.0.lock().unwrap().answers.insert(address.to_owned(), answer);
    }

    /// Changes a member of a document.
    fn edit(&self, address: &str, member: &str, value: Value) {
        let mut scene = self.0.lock().unwrap();
        let Some(Answer::Json(_, document)) = scene.answers.get_mut(address) else {
            panic!("no document at {address}")
        };
        document[member] = value;
    }

    fn challenge(&self, challenge: impl Into<String>) {
        self.0.lock().unwrap().challenge = challenge.into();
    }

    /// Another authorization server, with this name.
    fn authority(&self, issuer: &str, name: &str) {
        self.set(
            &format!("{issuer}/.well-known/oauth-authorization-server"),
            Answer::Json(200, metadata(issuer)),
        );
        self.set(
            &format!("{issuer}/register"),
            Answer::Json(201, json!({ "client_id": format!("client-{name}") })),
        );
        self.set(&format!("{issuer}/token"), Answer::Json(200, tokens(name)));
    }

    /// What those were sent whose address begins so.
    fn seen(&self, at: &str) -> Vec<String> {
        let scene = self.0.lock().unwrap();
        scene
            .seen
            .iter()
            .filter(|(address, _)| address.starts_with(at))
            .map(|(_, sent)| sent.clone())
            .collect()
    }

    /// All addresses that were asked.
    fn asked(&self) -> Vec<String> {
        self.0.lock().unwrap().seen.iter().map(|(address, _)| address.clone()).collect()
    }

    fn oauth(&self, person: &Player) -> OAuth {
        OAuth::new()
            .client_name("demo")
            .store(MemoryTokenStore::new())
            .prompt(person.clone())
            .over(self.service())
    }

    fn service(
        &self,
    ) -> impl tower::Service<Request<RequestBody>, Response = Response<Sent>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static {
        let stage = self.clone();
        tower::service_fn(move |request: Request<RequestBody>| {
            let stage = stage.clone();
            async move { Ok(stage.answer(request).await) }
        })
    }

    async fn answer(&self, request: Request<RequestBody>) -> Response<Sent> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let address = parts.uri.to_string();
        let mut scene = self.0.lock().unwrap();
        scene.seen.push((address.clone(), format!("{:?} {}", parts.headers, String::from_utf8_lossy(&body))));
        if address == SERVER {
            let challenge = &scene.challenge;
            return Response::builder()
                .status(401)
                .header("www-authenticate", challenge)
                .body(Sent::of(""))
                .unwrap();
        }
        let answer = scene.answers.get(&address).cloned();
        drop(scene);
        let response = Response::builder();
        match answer {
            None => response.status(404).body(Sent::of("")),
            Some(Answer::Json(status, value)) => response.status(status).body(Sent::of(value.to_string())),
            Some(Answer::Text(kind, text)) => response.header("content-type", kind).body(Sent::of(text)),
            Some(Answer::Redirect(status, to)) => {
                response.status(status).header("location", to).body(Sent::of(""))
            }
            Some(Answer::Endless(pause)) => response.body(Sent::Endless(pause, None)),
        }
        .unwrap()
    }
}

fn metadata(issuer: &str) -> Value {
    json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "registration_endpoint": format!("{issuer}/register"),
        "device_authorization_endpoint": format!("{issuer}/device"),
        "revocation_endpoint": format!("{issuer}/revoke"),
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["none"],
        "authorization_response_iss_parameter_supported": true,
    })
}

fn tokens(name: &str) -> Value {
    json!({
        "access_token": format!("access-{name}"), "refresh_token": format!("refresh-{name}"),
        "token_type": "Bearer", "expires_in": 3600,
    })
}

/// A body.
enum Sent {
    Whole(Option<Bytes>),
    Endless(Duration, Option<Pin<Box<tokio::time::Sleep>>>),
}

impl Sent {
    fn of(text: impl Into<Bytes>) -> Self {
        Self::Whole(Some(text.into()))
    }
}

impl Body for Sent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Endless(pause, _) if pause.is_zero() => {
                Poll::Ready(Some(Ok(Frame::data(vec![b' '; 4096].into()))))
            }
            Self::Endless(pause, waiting) => {
                let sleep = waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(*pause)));
                std::task::ready!(sleep.as_mut().poll(cx));
                *waiting = None;
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b" ")))))
            }
        }
    }
}

type Comes = dyn Fn(&HashMap<String, String>) -> String + Send + Sync;

/// A person, who looks at a page and comes back as the test says, given what was in the address of the page.
#[derive(Clone)]
struct Player {
    pages: Arc<Mutex<Vec<String>>>,
    codes: Arc<Mutex<Vec<DeviceCode>>>,
    comes: Arc<Comes>,
}

impl Player {
    fn who(comes: impl Fn(&HashMap<String, String>) -> String + Send + Sync + 'static) -> Self {
        Self { pages: Arc::default(), codes: Arc::default(), comes: Arc::new(comes) }
    }

    /// Logs in, at an authorization server that does as it should.
    fn honest() -> Self {
        Self::who(|page| format!("{BACK}?code=the-code&state={}&iss={ISSUER}", page["state"]))
    }

    fn pages(&self) -> Vec<String> {
        self.pages.lock().unwrap().clone()
    }
}

fn query(address: &str) -> HashMap<String, String> {
    let query = address.split_once('?').unwrap().1;
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

impl LoginPrompt for Player {
    fn ready(&self, _: Option<&str>) -> Soon<Result<Box<dyn LoginVisit>, PromptError>> {
        Soon::now(Ok(Box::new(self.clone())))
    }

    fn show_code(&self, code: &DeviceCode) -> Soon<Result<(), PromptError>> {
        self.codes.lock().unwrap().push(code.clone());
        Soon::now(Ok(()))
    }
}

impl LoginVisit for Player {
    fn redirect_uri(&self) -> &str {
        BACK
    }

    fn visit(self: Box<Self>, page: LoginPage) -> Soon<Result<Redirect, PromptError>> {
        self.pages.lock().unwrap().push(page.address().to_owned());
        Soon::now(Redirect::new((self.comes)(&query(page.address()))))
    }
}

/// Logs in on this stage, which must fail; gives why.
async fn fails(stage: &Stage, person: &Player) -> TokenError {
    stage.oauth(person).login(SERVER).await.expect_err("an attack that succeeds")
}

#[tokio::test]
async fn on_the_stage_an_honest_login_succeeds() {
    let (stage, person) = (Stage::new(), Player::honest());
    let login = stage.oauth(&person).login(SERVER).await.unwrap();
    assert_eq!((&*login.issuer, &*login.client_id), (ISSUER, "client-of-login"));
    assert!(stage.seen(&format!("{ISSUER}/token"))[0].contains("code=the-code"));
}

/// The person is at one authorization server, and what comes back is from another, which wants its code shown at the first one's
/// token endpoint, or the other way round ([RFC 9207, 1](https://www.rfc-editor.org/rfc/rfc9207#section-1)).
#[tokio::test]
async fn two_issuers_are_not_mixed_up() {
    type Back = fn(&HashMap<String, String>) -> String;
    let answers: [(&str, Back); 8] = [
        ("another issuer", |page| format!("code=c&state={}&iss=https://evil.example", page["state"])),
        ("nearly the same", |page| format!("code=c&state={}&iss={ISSUER}/", page["state"])),
        ("in capitals", |page| format!("code=c&state={}&iss=https://LOGIN.example.com", page["state"])),
        ("none, which was promised", |page| format!("code=c&state={}", page["state"])),
        ("two", |page| format!("code=c&state={}&iss={ISSUER}&iss=https://evil.example", page["state"])),
        ("another state", |page| format!("code=c&state={}x&iss={ISSUER}", page["state"])),
        ("no state", |_| format!("code=c&iss={ISSUER}")),
        ("two states", |page| format!("code=c&state={0}&state={0}&iss={ISSUER}", page["state"])),
    ];
    for (what, back) in answers {
        let (stage, person) = (Stage::new(), Player::who(move |page| format!("{BACK}?{}", back(page))));
        let error = fails(&stage, &person).await;
        assert_eq!(person.pages().len(), 1, "{what}");
        assert!(stage.seen(&format!("{ISSUER}/token")).is_empty(), "{what}: the code is shown to nobody");
        let state = &query(&person.pages()[0])["state"];
        assert!(!format!("{error} {error:?}").contains(&**state), "{what}: {error:?}");
    }
    // What a stranger's error says is not repeated.
    let person = Player::who(|page| {
        format!(
            "{BACK}?error=access_denied&error_description=call+555-0100&state={}&iss=https://evil.example",
            page["state"]
        )
    });
    let error = fails(&Stage::new(), &person).await;
    assert!(!error.to_string().contains("555"), "{error}");
}

#[tokio::test]
async fn the_answer_to_one_login_is_none_to_the_next() {
    let kept = Arc::new(Mutex::new(None::<String>));
    let person = Player::who({
        let kept = Arc::clone(&kept);
        move |page| {
            let answer = format!("{BACK}?code=the-code&state={}&iss={ISSUER}", page["state"]);
            kept.lock().unwrap().get_or_insert(answer).clone()
        }
    });
    let stage = Stage::new();
    let oauth = stage.oauth(&person);
    oauth.login(SERVER).await.unwrap();
    oauth.login(SERVER).await.unwrap_err();
    assert_eq!(stage.seen(&format!("{ISSUER}/token")).len(), 1);
    let [first, second] = &person.pages()[..] else { panic!("two logins") };
    for name in ["state", "code_challenge"] {
        assert_ne!(query(first)[name], query(second)[name], "{name} is of one login");
    }
}

/// The browser is sent back to another place than the one that was asked for, and somebody there pastes what it got.
#[tokio::test]
async fn an_answer_at_another_address_is_none() {
    for place in ["https://evil.example/callback", "http://127.0.0.1:2/callback", "http://127.0.0.1:1/other"]
    {
        let person = Player::who(move |page| format!("{place}?code=c&state={}&iss={ISSUER}", page["state"]));
        let stage = Stage::new();
        fails(&stage, &person).await;
        assert!(stage.seen(&format!("{ISSUER}/token")).is_empty(), "{place}");
    }
}

/// Addresses within the network of the client, and those that are no pages at all.
const INSIDE: [&str; 12] = [
    "http://127.0.0.1:9200",
    "https://localhost",
    "https://[::1]",
    "https://169.254.169.254",
    "https://10.0.0.8",
    "https://192.168.1.1:8443",
    "https://100.64.0.1",
    "https://[fd00::1]",
    "https://[::ffff:10.0.0.8]",
    "https://[64:ff9b::a00:8]",
    "https://2130706433",
    "http://login.example.com",
];

#[tokio::test]
async fn a_public_server_leads_nobody_inside() {
    for address in INSIDE {
        let stage = Stage::new();
        stage.challenge(format!(r#"Bearer resource_metadata="{address}/metadata""#));
        let person = Player::honest();
        fails(&stage, &person).await;
        assert_eq!(
            (stage.asked(), person.pages().len()),
            (vec![SERVER.to_owned()], 0),
            "a challenge with {address}"
        );

        let stage = Stage::new();
        stage.edit(RESOURCE, "authorization_servers", json!([address]));
        fails(&stage, &person).await;
        assert!(stage.seen(address).is_empty() && person.pages().is_empty(), "an issuer at {address}");

        for member in
            ["authorization_endpoint", "token_endpoint", "registration_endpoint", "revocation_endpoint"]
        {
            let stage = Stage::new();
            stage.edit(METADATA, member, json!(format!("{address}/x")));
            fails(&stage, &person).await;
            assert!(stage.seen(address).is_empty() && person.pages().is_empty(), "{member} at {address}");
        }
    }
}

#[tokio::test]
async fn nothing_but_a_page_of_the_web_is_opened() {
    for address in [
        "javascript:alert(1)//",
        "file:///etc/passwd",
        "data:text/html,<script>",
        "smb://evil.example/share",
        "calculator:",
        "--load-extension=/tmp/evil",
        "https://login.example.com/$(touch${IFS}x)`",
        "https://user:password@login.example.com/",
        "https:///authorize",
        "",
    ] {
        let stage = Stage::new();
        stage.edit(METADATA, "authorization_endpoint", json!(address));
        let opened = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&opened);
        let prompt = LoopbackCallback::new().tell(|_| {}).browser(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            Ok(())
        });
        let oauth = stage.oauth(&Player::honest()).prompt(prompt);
        oauth.login(SERVER).await.unwrap_err();
        assert_eq!(opened.load(Ordering::Relaxed), 0, "{address}");
    }
}

#[tokio::test]
async fn metadata_of_another_resource_sends_nobody_to_log_in() {
    for resource in [
        "https://bank.example/mcp",
        "https://mcp.example.com.evil.example/mcp",
        "https://mcp.example.com:8443/mcp",
        "http://mcp.example.com/mcp",
        "https://mcp.example.com/mc",
        "https://mcp.example.com/mcp/other",
        "https://mcp.example.com@bank.example/mcp",
    ] {
        let (stage, person) = (Stage::new(), Player::honest());
        stage.edit(RESOURCE, "resource", json!(resource));
        fails(&stage, &person).await;
        assert!(person.pages().is_empty() && stage.seen(ISSUER).is_empty(), "{resource}");
    }
}

#[tokio::test]
async fn metadata_of_another_issuer_is_not_used() {
    for issuer in ["https://evil.example", "https://login.example.com/", "https://LOGIN.example.com"] {
        let (stage, person) = (Stage::new(), Player::honest());
        stage.edit(METADATA, "issuer", json!(issuer));
        fails(&stage, &person).await;
        assert!(person.pages().is_empty(), "{issuer}");
    }
}

/// An open redirect at an honest server, which somebody has put into an address.
#[tokio::test]
async fn a_redirect_leads_to_no_other_origin() {
    let evil = "https://evil.example";
    for status in [301, 302, 303, 307, 308] {
        for at in [RESOURCE, METADATA] {
            let (stage, person) = (Stage::new(), Player::honest());
            stage.authority(evil, "of-evil");
            stage.set(at, Answer::Redirect(status, format!("{evil}/.well-known/oauth-authorization-server")));
            fails(&stage, &person).await;
            assert!(stage.seen(evil).is_empty() && person.pages().is_empty(), "{status} at {at}");
        }
        // Nor does one that holds secrets, to wherever.
        for to in [format!("{evil}/token"), format!("{ISSUER}/elsewhere")] {
            let (stage, person) = (Stage::new(), Player::honest());
            stage.set(&to, Answer::Json(200, tokens("of-evil")));
            stage.set(&format!("{ISSUER}/token"), Answer::Redirect(status, to.clone()));
            fails(&stage, &person).await;
            assert!(stage.seen(&to).is_empty(), "{status} to {to}");
        }
        let (stage, person) = (Stage::new(), Player::honest());
        stage.set(&format!("{ISSUER}/register"), Answer::Redirect(status, format!("{evil}/register")));
        fails(&stage, &person).await;
        assert!(stage.seen(evil).is_empty(), "{status} of a registration");
    }
}

#[tokio::test]
async fn answers_that_are_none_end_in_a_sentence() {
    let page = || Answer::Text("text/html", "<html><h1>Sign in</h1></html>".to_owned());
    let long = || Answer::Text("application/json", format!("{{\"a\":\"{}\"}}", "x".repeat(2 << 20)));
    let deep = || Answer::Text("application/json", "[".repeat(100_000));
    let endless = || Answer::Endless(Duration::ZERO);
    for at in
        [RESOURCE.to_owned(), METADATA.to_owned(), format!("{ISSUER}/register"), format!("{ISSUER}/token")]
    {
        for answer in [page(), long(), deep(), endless()] {
            let (stage, person) = (Stage::new(), Player::honest());
            stage.set(&at, answer);
            let error = fails(&stage, &person).await.to_string();
            assert!(
                error.len() < 600 && !error.contains("Sign in") && !error.contains("xxx"),
                "{at}: {error}"
            );
        }
    }
}

/// One byte in three seconds, for ever.
#[tokio::test(start_paused = true)]
async fn who_answers_drop_by_drop_is_not_waited_for() {
    for at in
        [RESOURCE.to_owned(), METADATA.to_owned(), format!("{ISSUER}/register"), format!("{ISSUER}/token")]
    {
        let (stage, person) = (Stage::new(), Player::honest());
        stage.set(&at, Answer::Endless(Duration::from_secs(3)));
        let began = tokio::time::Instant::now();
        fails(&stage, &person).await;
        assert_eq!(began.elapsed(), Duration::from_secs(10), "{at}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_code_for_another_device_is_shown_only_if_it_is_one() {
    let device = |code: &str, address: &str, whole: &str| {
        json!({
            "device_code": "d", "user_code": code, "verification_uri": address, "verification_uri_complete": whole,
            "expires_in": 1_000_000_000_u64, "interval": u64::MAX,
        })
    };
    let good = "https://login.example.com/device";
    let log_in = async |answer: Value| {
        let (stage, person) = (Stage::new(), Player::honest());
        stage.set(&format!("{ISSUER}/device"), Answer::Json(200, answer));
        let pending = json!({ "error": "authorization_pending" });
        stage.set(&format!("{ISSUER}/token"), Answer::Json(400, pending));
        let oauth = stage.oauth(&person).login_by(LoginBy::Device);
        oauth.login(SERVER).await.unwrap_err();
        let asked = stage.seen(&format!("{ISSUER}/token")).len();
        let codes = person.codes.lock().unwrap().clone();
        (codes, asked)
    };
    for code in ["", "AB\u{1b}[2JCD", "AB\r\nCD", "\u{202e}DCBA", "A\u{200b}B", &"A".repeat(65)] {
        let (shown, asked) = log_in(device(code, good, good)).await;
        assert!(shown.is_empty() && asked == 0, "{code:?}");
    }
    for address in [
        "javascript:alert(1)",
        "file:///etc/passwd",
        "http://login.example.com/device",
        "https://127.0.0.1/",
        "",
    ] {
        let (shown, asked) = log_in(device("ABCD", address, good)).await;
        assert!(shown.is_empty() && asked == 0, "{address}");
        // The other one may be left out.
        let (shown, _) = log_in(device("ABCD", good, address)).await;
        assert!(shown[0].address_with_code.is_none(), "{address}");
    }
    // It says that the code holds for thirty years, and is asked for half an hour, once a minute.
    let (shown, asked) = log_in(device("ABCD-EFGH", good, good)).await;
    assert_eq!((shown.len(), &*shown[0].code), (1, "ABCD-EFGH"));
    assert!((1..=30).contains(&asked), "{asked}");
}

#[tokio::test]
async fn scopes_without_end_open_no_page_without_end() {
    let (stage, person) = (Stage::new(), Player::honest());
    let scopes: Vec<_> = (0..20_000).map(|number| format!("scope-{number}")).collect();
    stage.edit(RESOURCE, "scopes_supported", json!(scopes));
    stage.challenge(format!(r#"Bearer resource_metadata="{RESOURCE}", scope="{}""#, scopes.join(" ")));
    // Whether it succeeds is of no account.
    let _ = stage.oauth(&person).login(SERVER).await;
    assert!(
        person.pages().iter().all(|page| page.len() < 32 * 1024),
        "{:?}",
        person.pages().iter().map(String::len)
    );
}

/// A server with a scope for each of its tools, and a program that calls one after the other.
#[tokio::test]
async fn a_scope_for_each_tool_does_not_ask_a_person_for_ever() {
    let authority = Authority::start(Rules::default()).await;
    let (server, person) = (Protected::start(&authority).await, Person::default());
    let oauth = OAuth::new().client_name("demo").store(MemoryTokenStore::new()).prompt(person.clone());
    let client = Client::connect(server.url()).authorize(oauth).standalone_stream(false).await.unwrap();
    let tools: Vec<(&'static str, &'static str)> = (0..40)
        .map(|number| (&*format!("\"tool-{number}-\"").leak(), &*format!("scope-{number}").leak()))
        .collect();
    for (tool, scope) in &tools {
        server.needs(tool, scope);
    }
    for (tool, _) in &tools {
        client.call_tool(tool.trim_matches('"'), &()).await.unwrap_err();
    }
    // The login, and as many steps up as a server gets.
    assert_eq!(person.visits(), 1 + 16);
}

/// The server moves to another authorization server, or says so: that one sees nothing of the login at the first.
#[tokio::test]
async fn what_one_issuer_gave_goes_to_no_other() {
    let (stage, store) = (Stage::new(), MemoryTokenStore::new());
    let evil = "https://evil.example";
    let person = Player::who(move |page| {
        let issuer = if page["client_id"] == "client-of-evil" { evil } else { ISSUER };
        format!("{BACK}?code=the-code&state={}&iss={issuer}", page["state"])
    });
    let secret = json!({
        "client_id": "client-of-login", "client_secret": "secret-of-login",
        "token_endpoint_auth_method": "client_secret_post",
    });
    stage.set(&format!("{ISSUER}/register"), Answer::Json(201, secret));
    let oauth = || stage.oauth(&person).store(store.clone());
    oauth().login(SERVER).await.unwrap();
    stage.authority(evil, "of-evil");
    stage.edit(RESOURCE, "authorization_servers", json!([evil]));

    // A refresh goes where its token is from, whatever the server says by now.
    let kept = store.load(&RecordKey::login(SERVER, "demo")).await.unwrap().unwrap();
    assert!(kept.expose().contains("refresh-of-login"));
    stage.set(&format!("{ISSUER}/token"), Answer::Json(400, json!({ "error": "invalid_grant" })));
    let connect = Client::over(stage.service()).uri(SERVER.parse().unwrap());
    connect.authorize(oauth()).await.unwrap_err();
    let refresh = stage.seen(&format!("{ISSUER}/token")).pop().unwrap();
    assert!(refresh.contains("refresh_token=refresh-of-login"), "{refresh}");
    let login = oauth().whoami(SERVER).await.unwrap().unwrap();
    assert_eq!((&*login.issuer, &*login.client_id), (evil, "client-of-evil"));
    assert!(oauth().logout(SERVER).await.unwrap());
    let seen = stage.seen(evil).concat();
    assert!(seen.contains("refresh-of-evil"), "it gets back what it gave");
    for secret in ["refresh-of-login", "access-of-login", "client-of-login", "secret-of-login"] {
        assert!(!seen.contains(secret), "{secret}: {seen}");
    }
}

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

/// A login, a refresh, a step up, refusals and a logout, with everything logged that this program and its libraries log.
#[tokio::test]
async fn secrets_are_in_no_log_and_no_error() {
    let log = Log::default();
    // With one subscriber alone, a test on another thread decides whether an event that both come to is of interest.
    let _second = tracing::Dispatch::new(log.clone());
    let _guard = tracing::subscriber::set_default(log.clone());
    let mut shown = String::new();
    let mut secrets = Vec::new();
    for nonce in [None, Some("nonce-of-the-authority")] {
        let authority = Authority::start(Rules { secrets: true, nonce, ..Rules::default() }).await;
        let (server, person, store) =
            (Protected::start(&authority).await, Person::default(), MemoryTokenStore::new());
        server.wants_nonce("nonce-of-the-server");
        let oauth = OAuth::new().client_name("demo").store(store.clone()).prompt(person.clone());
        let client =
            Client::connect(server.url()).authorize(oauth.clone()).standalone_stream(false).await.unwrap();
        let keep = async |secrets: &mut Vec<String>| {
            let kept = store.load(&RecordKey::login(&server.url(), "demo")).await.unwrap().unwrap();
            let kept: Value = kept.read().unwrap();
            let login = &kept["login"];
            let all = [
                &login["tokens"]["access_token"],
                &login["tokens"]["refresh_token"],
                &login["registration"]["client_secret"],
                &kept["dpop_key"],
            ];
            secrets.extend(all.iter().map(|secret| secret.as_str().unwrap().to_owned()));
        };
        keep(&mut secrets).await;
        authority.expire();
        client.call_tool("count", &()).await.unwrap();
        keep(&mut secrets).await;
        server.needs("tools/call", "write");
        client.call_tool("count", &()).await.unwrap();
        keep(&mut secrets).await;
        authority.revoke();
        person.declines();
        let error = client.call_tool("count", &()).await.unwrap_err();
        let info = oauth.whoami(server.url()).await.unwrap();
        let _ = write!(
            shown,
            "{error} {error:?} {oauth:?} {client:?} {info:?} {store:?} {:?}",
            AfterRefusal::GiveUp
        );
        oauth.logout(server.url()).await.unwrap();
    }
    secrets.sort();
    secrets.dedup();
    // Tokens before and after, client secrets and keys, with a key and without.
    assert!(secrets.len() >= 9, "{secrets:?}");
    let logged = log.0.lock().unwrap().clone();
    assert!(logged.contains("logged in"), "it was listened to");
    for secret in &secrets {
        assert!(!shown.contains(&**secret), "{secret}: {shown}");
        let line = logged.lines().find(|line| line.contains(&**secret));
        assert_eq!(line, None, "{secret}");
    }
    for word in ["code_verifier", "code=", "Basic ", "eyJ"] {
        let line = logged.lines().find(|line| line.contains(word));
        assert_eq!(line, None, "{word}");
    }
}
