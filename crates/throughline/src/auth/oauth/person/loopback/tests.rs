//! What comes in on the port: the answer, and everything else.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::mpsc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::*;

const STATE: &str = "st+te/1=";
/// The state as it is in a query.
const STATE_WRITTEN: &str = "st%2Bte%2F1%3D";

fn page() -> LoginPage {
    LoginPage::new("https://login.example.com/authorize?a=b", STATE, "https://mcp.example.com/mcp")
}

/// A login that waits for its answer.
struct Waiting {
    redirect_uri: String,
    outcome: JoinHandle<Result<Redirect, PromptError>>,
    told: mpsc::Receiver<String>,
    opened: mpsc::Receiver<String>,
}

/// The prompt, and what it tells and opens.
fn prompt() -> (LoopbackCallback, mpsc::Receiver<String>, mpsc::Receiver<String>) {
    let (tell, told) = mpsc::channel();
    let (open, opened) = mpsc::channel();
    let prompt = LoopbackCallback::new()
        .tell(move |line| drop(tell.send(line.to_owned())))
        .browser(move |address| open.send(address.to_owned()).map_err(io::Error::other));
    (prompt, told, opened)
}

async fn waiting() -> Waiting {
    let (prompt, told, opened) = prompt();
    begin(prompt, told, opened).await
}

async fn begin(
    prompt: LoopbackCallback,
    told: mpsc::Receiver<String>,
    opened: mpsc::Receiver<String>,
) -> Waiting {
    let visit = prompt.ready(None).await.unwrap();
    let redirect_uri = visit.redirect_uri().to_owned();
    Waiting { redirect_uri, outcome: tokio::spawn(visit.visit(page())), told, opened }
}

impl Waiting {
    fn host(&self) -> &str {
        self.redirect_uri.strip_prefix("http://").unwrap().strip_suffix("/callback").unwrap()
    }

    fn address(&self) -> SocketAddr {
        self.host().parse().unwrap()
    }

    /// Sends a head, and reads all of the response.
    async fn send(&self, head: &str) -> String {
        exchange(self.address(), head).await
    }

    /// The browser comes back with this query.
    async fn get(&self, query: &str) -> String {
        let host = self.host();
        self.send(&format!("GET /callback?{query} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await
    }

    /// The browser comes back with the answer, and the login has it.
    async fn finish(self) {
        let query = format!("code=c0de&state={STATE_WRITTEN}");
        assert!(self.get(&query).await.starts_with("HTTP/1.1 200 "));
        let redirect = self.outcome.await.unwrap().unwrap();
        assert_eq!(redirect.expose(), format!("{}?{query}", self.redirect_uri));
    }
}

async fn exchange(address: SocketAddr, head: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // Who is refused early may be hung up on while it still speaks.
    let _ = stream.write_all(head.as_bytes()).await;
    let mut response = Vec::new();
    let _ = stream.read_to_end(&mut response).await;
    String::from_utf8(response).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_brings_the_answer() {
    let waiting = waiting().await;
    let opened = tokio::task::block_in_place(|| waiting.opened.recv().unwrap());
    assert_eq!(opened, "https://login.example.com/authorize?a=b");
    let response =
        waiting.get(&format!("code=c0de&state={STATE_WRITTEN}&iss=https%3A%2F%2Flogin.example.com")).await;
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    let lower = response.to_ascii_lowercase();
    for header in [
        "content-type: text/html; charset=utf-8",
        "cache-control: no-store",
        "referrer-policy: no-referrer",
        "content-security-policy: default-src 'none'; frame-ancestors 'none'",
        "connection: close",
    ] {
        assert!(lower.contains(header), "{header} is missing: {response}");
    }
    assert!(!response.contains("c0de") && !response.contains("st+te"), "nothing of the answer is shown");
    let redirect = waiting.outcome.await.unwrap().unwrap();
    let expected = format!("?code=c0de&state={STATE_WRITTEN}&iss=https%3A%2F%2Flogin.example.com");
    assert_eq!(redirect.expose(), waiting.redirect_uri + &expected);
    assert_eq!(format!("{redirect:?}"), "Redirect(..)");
}

#[tokio::test]
async fn an_error_is_an_answer_too() {
    let waiting = waiting().await;
    let query = format!("error=access_denied&error_description=%3Cscript%3E&state={STATE_WRITTEN}");
    let response = waiting.get(&query).await;
    assert!(response.contains("did not succeed") && !response.contains("script"), "{response}");
    assert!(waiting.outcome.await.unwrap().unwrap().expose().ends_with(&query));
}

#[tokio::test]
async fn a_foreign_answer_ends_nothing() {
    let waiting = waiting().await;
    let state = STATE_WRITTEN;
    for query in [
        "code=evil&state=foreign".to_owned(),
        "code=evil".to_owned(),
        "code=evil&state=".to_owned(),
        "error=access_denied".to_owned(),
        format!("state={state}"),
        format!("code=evil&state={state}&state={state}"),
        format!("code=evil&state=foreign&state={state}"),
        format!("code=evil&state={state}x"),
        format!("code=evil&State={state}"),
        String::new(),
    ] {
        let response = waiting.get(&query).await;
        assert!(response.starts_with("HTTP/1.1 400 "), "{query}: {response}");
        assert!(!response.contains("evil"));
    }
    waiting.finish().await;
}

#[tokio::test]
async fn a_page_of_another_name_is_not_answered() {
    let waiting = waiting().await;
    let (host, port) = (waiting.host().to_owned(), waiting.address().port());
    let target = format!("/callback?code=evil&state={STATE_WRITTEN}");
    for foreign in [
        format!("evil.example:{port}"),
        "evil.example".to_owned(),
        "127.0.0.1".to_owned(),
        format!("localhost:{port}"),
        format!("127.0.0.1:{port}.evil.example"),
        format!("evil@127.0.0.1:{port}"),
        format!("127.0.0.1:{}", port ^ 1),
        String::new(),
    ] {
        let response = waiting.send(&format!("GET {target} HTTP/1.1\r\nHost: {foreign}\r\n\r\n")).await;
        assert!(response.starts_with("HTTP/1.1 403 "), "{foreign}: {response}");
    }
    for head in [
        format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nHost: evil.example\r\n\r\n"),
        format!("GET {target} HTTP/1.1\r\n\r\n"),
        format!("GET {target} HTTP/1.0\r\n\r\n"),
        format!("GET http://evil.example{target} HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    ] {
        let response = waiting.send(&head).await;
        let status = response.split(' ').nth(1).unwrap();
        assert!(matches!(status, "400" | "403"), "{head}: {response}");
    }
    waiting.finish().await;
}

#[tokio::test]
async fn only_the_one_request_is_taken() {
    let waiting = waiting().await;
    let (host, query) = (waiting.host().to_owned(), format!("code=c0de&state={STATE_WRITTEN}"));
    for method in ["POST", "HEAD", "OPTIONS", "PUT", "DELETE", "BREW"] {
        let response =
            waiting.send(&format!("{method} /callback?{query} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        assert!(response.starts_with("HTTP/1.1 405 "), "{response}");
        assert!(response.to_ascii_lowercase().contains("allow: get\r\n"), "{response}");
    }
    for path in ["/favicon.ico", "/", "/callback/", "/CALLBACK", "//callback", "/callback%2f"] {
        let response = waiting.send(&format!("GET {path}?{query} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        assert!(response.starts_with("HTTP/1.1 404 "), "{path}: {response}");
    }
    let response = waiting.send("\x16\x03\x01 this is TLS, or anything\r\n\r\n").await;
    assert!(response.is_empty() || response.starts_with("HTTP/1.1 400 "), "{response}");
    waiting.finish().await;
}

#[tokio::test]
async fn an_answer_counts_once() {
    let waiting = waiting().await;
    let (address, host) = (waiting.address(), waiting.host().to_owned());
    waiting.finish().await;
    // The same again, and another one: they are told, and nobody takes them.
    for code in ["c0de", "other"] {
        let again =
            format!("GET /callback?code={code}&state={STATE_WRITTEN} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let response = exchange(address, &again).await;
        assert!(response.starts_with("HTTP/1.1 410 ") && response.contains("is over"), "{response}");
    }
}

#[tokio::test]
async fn what_is_too_large_is_refused() {
    let waiting = waiting().await;
    let host = waiting.host().to_owned();
    let long = "x".repeat(Redirect::MAX_BYTES);
    let response = waiting.get(&format!("code={long}&state={STATE_WRITTEN}")).await;
    assert!(response.starts_with("HTTP/1.1 414 "), "{response}");
    let cookies = "c".repeat(2 * 64 * 1024);
    let response =
        waiting.send(&format!("GET /callback HTTP/1.1\r\nHost: {host}\r\nCookie: {cookies}\r\n\r\n")).await;
    assert!(response.is_empty() || response.starts_with("HTTP/1.1 431 "), "{response}");
    let many = "A: b\r\n".repeat(500);
    let response = waiting.send(&format!("GET /callback HTTP/1.1\r\nHost: {host}\r\n{many}\r\n")).await;
    assert!(response.is_empty() || response.starts_with("HTTP/1.1 431 "), "{response}");
    waiting.finish().await;
}

#[tokio::test]
async fn who_holds_connections_open_keeps_nobody_out() {
    let waiting = waiting().await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(waiting.address()).await.unwrap();
        let _ = stream.write_all(b"GET /callback?code=evil").await;
        silent.push(stream);
    }
    waiting.finish().await;
}

#[tokio::test]
async fn an_answer_is_had_though_its_page_is_not_read() {
    let waiting = waiting().await;
    let mut stream = TcpStream::connect(waiting.address()).await.unwrap();
    let host = waiting.host();
    let head = format!("GET /callback?code=c0de&state={STATE_WRITTEN} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    drop(stream);
    assert!(waiting.outcome.await.unwrap().unwrap().expose().contains("code=c0de"));
}

#[tokio::test]
async fn a_dropped_visit_lets_its_port_go() {
    let waiting = waiting().await;
    let address = waiting.address();
    let taken = TcpListener::bind(address).await;
    assert_eq!(taken.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    waiting.outcome.abort();
    assert!(waiting.outcome.await.unwrap_err().is_cancelled());
    TcpListener::bind(address).await.unwrap();
}

/// Nobody waits in the real world: the clock is the runtime's.
#[tokio::test(start_paused = true)]
async fn a_person_has_ten_minutes() {
    let before = runtime::now();
    let refused = waiting().await.outcome.await.unwrap().unwrap_err();
    assert!(refused.is_timeout() && refused.to_string().contains("start it again"), "{refused}");
    assert!(runtime::now() - before >= Duration::from_secs(600));
}

/// A listener of somebody else's, and its redirect address.
async fn foreign() -> (TcpListener, String) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = format!("http://{}/callback", listener.local_addr().unwrap());
    (listener, address)
}

#[tokio::test(start_paused = true)]
async fn a_fixed_port_in_use_is_said() {
    let (listener, address) = foreign().await;
    let refused = LoopbackCallback::new().redirect_uri(&address).unwrap().ready(None).await.err().unwrap();
    assert!(refused.is_port_taken(), "{refused}");
    let port = listener.local_addr().unwrap().port().to_string();
    assert!(
        refused.to_string().contains(&port) && refused.to_string().contains("name another port"),
        "{refused}"
    );
}

#[tokio::test]
async fn of_two_at_a_fixed_port_the_second_waits_for_the_first() {
    let (listener, address) = foreign().await;
    drop(listener);
    let prompt = LoopbackCallback::new().redirect_uri(&address).unwrap();
    let first = prompt.ready(None).await.unwrap();
    let mut second = prompt.ready(None);
    let polled = std::future::poll_fn(|cx| {
        std::task::Poll::Ready(std::future::Future::poll(std::pin::Pin::new(&mut second), cx))
    });
    assert!(polled.await.is_pending());
    assert_eq!(first.redirect_uri(), address);
    drop(first);
    assert_eq!(second.await.unwrap().redirect_uri(), address);
}

#[tokio::test]
async fn a_wish_is_taken_when_its_port_is_free() {
    let (listener, address) = foreign().await;
    let prompt = LoopbackCallback::new();
    let elsewhere = prompt.ready(Some(&address)).await.unwrap();
    assert_ne!(elsewhere.redirect_uri(), address);
    assert!(elsewhere.redirect_uri().ends_with("/callback"));
    drop(listener);
    assert_eq!(prompt.ready(Some(&address)).await.unwrap().redirect_uri(), address);
    // Its host and path count too, byte for byte.
    let own = prompt.ready(Some("http://localhost/my/path")).await.unwrap();
    assert!(own.redirect_uri().starts_with("http://localhost:") && own.redirect_uri().ends_with("/my/path"));
    let bare = prompt.ready(Some("http://127.0.0.1")).await.unwrap();
    assert!(!bare.redirect_uri().ends_with('/'));
    // One of an application's page is none of this machine.
    let any = prompt.ready(Some("https://app.example.com/callback")).await.unwrap();
    assert!(any.redirect_uri().starts_with("http://127.0.0.1:"));
    // What the program fixed counts more.
    let fixed = prompt.redirect_uri("http://127.0.0.1/fixed").unwrap();
    assert!(fixed.ready(Some(&address)).await.unwrap().redirect_uri().ends_with("/fixed"));
}

#[tokio::test]
async fn localhost_is_both_addresses() {
    let (prompt, _told, _opened) = prompt();
    let prompt = prompt.redirect_uri("http://localhost/callback").unwrap();
    let visit = prompt.ready(None).await.unwrap();
    let redirect_uri = visit.redirect_uri().to_owned();
    let host = redirect_uri.strip_prefix("http://").unwrap().strip_suffix("/callback").unwrap().to_owned();
    let port = host.strip_prefix("localhost:").unwrap().parse().unwrap();
    let outcome = tokio::spawn(visit.visit(page()));
    let has_v6 = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await.is_ok();
    let v6 = has_v6.then_some(IpAddr::V6(Ipv6Addr::LOCALHOST));
    for ip in [Some(IpAddr::V4(Ipv4Addr::LOCALHOST)), v6].into_iter().flatten() {
        let head = format!("GET /favicon.ico HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert!(exchange(SocketAddr::new(ip, port), &head).await.starts_with("HTTP/1.1 404 "));
    }
    let head = format!("GET /callback?code=c&state={STATE_WRITTEN} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let last = v6.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    assert!(exchange(SocketAddr::new(last, port), &head).await.starts_with("HTTP/1.1 200 "));
    assert!(outcome.await.unwrap().unwrap().expose().starts_with(&redirect_uri));
}

#[tokio::test]
async fn an_address_that_is_no_page_is_not_opened() {
    let (prompt, told, opened) = prompt();
    let visit = prompt.ready(None).await.unwrap();
    let refused = visit.visit(LoginPage::new("file:///etc/passwd", STATE, "a server")).await.unwrap_err();
    assert!(refused.to_string().contains("not opened"), "{refused}");
    drop(prompt);
    assert_eq!((opened.recv().ok(), told.recv().ok()), (None, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_browser_the_address_is_told() {
    let (prompt, told, opened) = prompt();
    let prompt = prompt.browser(|_| Err(io::Error::other("there is none")));
    let waiting = begin(prompt, told, opened).await;
    let lines = tokio::task::block_in_place(|| waiting.told.recv().unwrap());
    assert!(lines.starts_with("To log in at https://mcp.example.com/mcp, open this address"), "{lines}");
    assert!(lines.ends_with("\nhttps://login.example.com/authorize?a=b"), "{lines}");
    waiting.finish().await;
}

#[tokio::test]
async fn what_is_told_cannot_rewrite_the_screen() {
    let (prompt, told, _opened) = prompt();
    let visit = prompt.patience(Duration::ZERO).ready(None).await.unwrap();
    let server = "https://evil.example/\u{1b}[2J\u{202e}\r\nYou are logged in";
    let told_of = LoginPage::new("https://login.example.com/", STATE, server);
    assert!(format!("{told_of:?}").len() < 200 && !format!("{told_of:?}").contains(STATE));
    let _ = visit.visit(told_of).await;
    for lines in told.try_iter() {
        assert!(!lines.contains(['\u{1b}', '\u{202e}', '\r']), "{lines:?}");
    }
    let code = DeviceCode::new("https://login.example.com/\u{1b}[2J", "AB\u{7}CD", Duration::from_secs(60));
    assert!(!code.to_string().contains(|c: char| c.is_control()), "{code}");
}

mod pasting {
    use super::*;

    /// A login whose line is pasted, and where it is pasted.
    async fn pasting() -> (Waiting, tokio::io::DuplexStream) {
        let (prompt, told, opened) = prompt();
        let (input, typed) = tokio::io::duplex(64 * 1024);
        let mut prompt = prompt.paste_from(typed);
        prompt.browser = None;
        (begin(prompt, told, opened).await, input)
    }

    #[tokio::test]
    async fn the_address_the_query_and_the_code_are_taken() {
        let whole = format!("code=c0de&state={STATE_WRITTEN}&iss=x");
        let short = format!("code=c%2B0de&state={STATE_WRITTEN}");
        for (line, query) in [
            (format!("REDIRECT?{whole}\n"), &whole),
            (format!("  REDIRECT?{whole}#fragment \r\n"), &whole),
            (format!("{whole}\n"), &whole),
            (format!("?{whole}\n"), &whole),
            ("c+0de\n".to_owned(), &short),
            ("\n\nc+0de\n".to_owned(), &short),
            // The end of the input ends the line.
            ("c+0de".to_owned(), &short),
        ] {
            let (waiting, mut input) = pasting().await;
            let typed = line.replace("REDIRECT", &waiting.redirect_uri);
            input.write_all(typed.as_bytes()).await.unwrap();
            drop(input);
            let redirect = waiting.outcome.await.unwrap().unwrap();
            assert_eq!(redirect.expose(), format!("{}?{query}", waiting.redirect_uri), "{line}");
            assert!(waiting.told.recv().unwrap().contains("paste it here"));
        }
    }

    #[tokio::test]
    async fn a_wrong_line_is_said_and_the_next_one_counts() {
        let (waiting, mut input) = pasting().await;
        let lines = [
            "https://evil.example/callback?code=evil&state=x".to_owned(),
            format!("{}?code=evil&state=foreign", waiting.redirect_uri),
            format!("{}.evil.example?code=evil&state={STATE_WRITTEN}", waiting.redirect_uri),
            waiting.redirect_uri.clone(),
            format!("{}?error=access_denied", waiting.redirect_uri),
            "two words".to_owned(),
            "x".repeat(20_000),
        ];
        for line in &lines {
            input.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        }
        input.write_all(b"c0de\n").await.unwrap();
        let redirect = waiting.outcome.await.unwrap().unwrap();
        assert!(redirect.expose().contains("code=c0de"));
        let told: Vec<_> = waiting.told.try_iter().skip(1).collect();
        assert_eq!(told.len(), lines.len(), "{told:?}");
        assert!(told.iter().all(|line| line.starts_with("That ") && !line.contains("evil")), "{told:?}");
    }

    #[tokio::test]
    async fn a_program_that_writes_nonsense_is_not_listened_to_for_ever() {
        let (waiting, mut input) = pasting().await;
        let writing = tokio::spawn(async move { while input.write_all(b"two words\n").await.is_ok() {} });
        let refused = waiting.outcome.await.unwrap().unwrap_err();
        assert!(refused.is_declined(), "{refused}");
        writing.await.unwrap();
    }

    #[tokio::test]
    async fn a_line_without_an_end_is_not_held() {
        let (waiting, mut input) = pasting().await;
        for _ in 0..64 {
            input.write_all(&[b'x'; 64 * 1024]).await.unwrap();
        }
        input.write_all(b"\nc0de\n").await.unwrap();
        assert!(waiting.outcome.await.unwrap().unwrap().expose().contains("code=c0de"));
    }

    #[tokio::test]
    async fn the_end_of_the_input_ends_the_login() {
        let (waiting, input) = pasting().await;
        drop(input);
        let refused = waiting.outcome.await.unwrap().unwrap_err();
        assert!(refused.is_declined() && refused.to_string().contains("start it again"), "{refused}");
    }

    #[tokio::test]
    async fn a_browser_of_this_machine_is_received_as_well() {
        let (waiting, _input) = pasting().await;
        waiting.finish().await;
    }
}
