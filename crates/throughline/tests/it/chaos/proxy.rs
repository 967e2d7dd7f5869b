//! A TCP proxy that cuts, stalls, splits and delays, each connection by a plan of its own.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::Random;

/// Passes bytes on between clients and a server, and does it badly once told to.
#[derive(Clone)]
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    rough: AtomicBool,
    connections: AtomicU64,
    done: Done,
    /// Connections to the server whose client is gone without a word. As many are kept as would be forgotten by some
    /// router on the way.
    half_open: Mutex<VecDeque<TcpStream>>,
}

/// What was done to connections.
#[derive(Debug, Default)]
pub(crate) struct Done {
    pub(crate) ended: AtomicUsize,
    pub(crate) reset: AtomicUsize,
    pub(crate) half_open: AtomicUsize,
    pub(crate) stalled: AtomicUsize,
    pub(crate) split: AtomicUsize,
    pub(crate) delayed: AtomicUsize,
}

impl Done {
    /// How many connections were cut, in whatever way.
    pub(crate) fn cuts(&self) -> usize {
        [&self.ended, &self.reset, &self.half_open].map(|count| count.load(Ordering::SeqCst)).iter().sum()
    }
}

/// How a connection is cut.
#[derive(Clone, Copy)]
enum Cut {
    /// FIN to both.
    End,
    /// RST to both.
    Reset,
    /// RST to the client, and nothing to the server.
    HalfOpen,
}

impl Proxy {
    /// A proxy to `server`. The same seed gives the same plans in the order of the connections.
    pub(crate) async fn to(server: SocketAddr, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let state = Arc::<State>::default();
        let proxy = Self { address, state: Arc::clone(&state) };
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.expect("a connection");
                let number = state.connections.fetch_add(1, Ordering::SeqCst);
                let state = Arc::clone(&state);
                tokio::spawn(async move { state.pass(client, server, Random::of(seed, number)).await });
            }
        });
        proxy
    }

    /// From now on connections are treated badly, or well again: then those that are half open end.
    pub(crate) fn rough(&self, yes: bool) {
        self.state.rough.store(yes, Ordering::SeqCst);
        if !yes {
            self.state.half_open.lock().unwrap().clear();
        }
    }

    pub(crate) fn done(&self) -> &Done {
        &self.state.done
    }
}

impl State {
    async fn pass(&self, mut client: TcpStream, server: SocketAddr, mut random: Random) {
        let Ok(mut server) = TcpStream::connect(server).await else { return };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let rough = self.rough.load(Ordering::SeqCst);
        let (mut up, mut down) = (usize::MAX, usize::MAX);
        if rough {
            if random.chance(6) {
                up = random.below(800);
            }
            // One of sixteen within the head or soon after.
            down = if random.chance(6) { random.below(400) } else { 400 + random.below(9_000) };
        }
        let cut = random.pick(&[Cut::End, Cut::Reset, Cut::HalfOpen]);
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let [of_up, of_down] = [(); 2].map(|()| rough.then(|| Random::new(random.next())));
        let is_cut = tokio::select! {
            cut = self.pump(from_client, to_server, up, of_up) => cut,
            cut = self.pump(from_server, to_client, down, of_down) => cut,
        };
        if !is_cut {
            return;
        }
        let done = match cut {
            Cut::End => &self.done.ended,
            Cut::Reset => &self.done.reset,
            Cut::HalfOpen => &self.done.half_open,
        };
        done.fetch_add(1, Ordering::SeqCst);
        match cut {
            Cut::End => {}
            Cut::Reset => {
                let _ = (client.set_zero_linger(), server.set_zero_linger());
            }
            Cut::HalfOpen => {
                let _ = client.set_zero_linger();
                let mut half_open = self.half_open.lock().unwrap();
                if half_open.len() == HALF_OPEN {
                    half_open.pop_front();
                }
                // Not once all is well again: then nobody would end it.
                if self.rough.load(Ordering::SeqCst) {
                    half_open.push_back(server);
                }
            }
        }
    }

    /// Whether the connection is to be cut, and not at its end.
    async fn pump(
        &self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
        mut left: usize,
        mut rough: Option<Random>,
    ) -> bool {
        let mut buffer = [0; 2048];
        loop {
            let Ok(read) = from.read(&mut buffer).await else { return false };
            if read == 0 {
                return false;
            }
            let bytes = &buffer[..read.min(left)];
            let sent = match &mut rough {
                Some(random) => self.send_badly(&mut to, bytes, random).await,
                None => to.write_all(bytes).await,
            };
            if sent.is_err() {
                return false;
            }
            left -= bytes.len();
            if left == 0 {
                return true;
            }
        }
    }

    async fn send_badly(
        &self,
        to: &mut (impl AsyncWrite + Unpin),
        bytes: &[u8],
        random: &mut Random,
    ) -> std::io::Result<()> {
        match random.below(24) {
            0 => {
                self.done.stalled.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(random.within(10..=40))).await;
            }
            1..=2 => {
                self.done.delayed.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(random.within(1..=3))).await;
            }
            3..=5 => {
                self.done.split.fetch_add(1, Ordering::SeqCst);
                let at = random.below(bytes.len());
                let (before, rest) = bytes.split_at(at);
                let (single, after) = rest.split_at(rest.len().min(16));
                to.write_all(before).await?;
                for byte in single {
                    to.write_all(&[*byte]).await?;
                    tokio::task::yield_now().await;
                }
                return to.write_all(after).await;
            }
            _ => {}
        }
        to.write_all(bytes).await
    }
}

/// How many connections may be half open at once.
const HALF_OPEN: usize = 64;
