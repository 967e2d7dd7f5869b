//! An authorization server that counts: the page of a login, codes, and refresh tokens that rotate.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// How often the page was visited.
    pub(super) visits: u32,
    /// How many codes were exchanged.
    pub(super) codes: u32,
    /// How many refresh tokens were.
    pub(super) refreshes: u32,
    /// How many were used again, which a server takes for theft.
    pub(super) reused: u32,
}

pub(super) struct Issuer {
    pub(super) address: SocketAddr,
    counts: Arc<Mutex<Counts>>,
    /// Nothing is answered before it is true.
    open: watch::Sender<bool>,
    _serving: JoinSet<()>,
}

impl Issuer {
    /// It does not answer before it is told to.
    pub(super) async fn closed() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let counts = Arc::<Mutex<Counts>>::default();
        let (open, opened) = watch::channel(false);
        let mut serving = JoinSet::new();
        let state = Arc::clone(&counts);
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(answer(stream, Arc::clone(&state), opened.clone()));
            }
        });
        Self { address, counts, open, _serving: serving }
    }

    pub(super) fn open(&self) {
        self.open.send(true).unwrap();
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts.lock().unwrap().clone()
    }
}

async fn answer(mut stream: TcpStream, counts: Arc<Mutex<Counts>>, mut opened: watch::Receiver<bool>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    opened.wait_for(|open| *open).await.unwrap();
    let head = String::from_utf8(head).unwrap();
    let target = head.split(' ').nth(1).unwrap();
    let (path, query) = target.split_once('?').unwrap();
    let member = |name: &str| {
        let found = query.split('&').find_map(|member| member.strip_prefix(name)?.strip_prefix('='));
        found.map(str::to_owned)
    };
    let response = {
        let mut counts = counts.lock().unwrap();
        match (path, member("refresh_token")) {
            ("/authorize", _) => {
                counts.visits += 1;
                let (back, state) = (member("redirect_uri").unwrap(), member("state").unwrap());
                let code = counts.visits;
                format!(
                    "HTTP/1.1 302 Found\r\nLocation: {back}?code={code}&state={state}\r\nContent-Length: 0\r\n\r\n"
                )
            }
            ("/token", None) => {
                counts.codes += 1;
                ok("0")
            }
            ("/token", Some(token)) if token == counts.refreshes.to_string() => {
                counts.refreshes += 1;
                ok(&counts.refreshes.to_string())
            }
            ("/token", Some(_)) => {
                counts.reused += 1;
                "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n".into()
            }
            _ => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".into(),
        }
    };
    stream.write_all(response.as_bytes()).await.unwrap();
}

fn ok(token: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{token}", token.len())
}
