//! A TCP proxy that cuts connections at random bytes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use super::Random;

/// Passes bytes on between clients and a server, and cuts each connection after a random number of them.
#[derive(Clone)]
pub(crate) struct Cutter {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    cutting: AtomicBool,
    cuts: AtomicUsize,
}

impl Cutter {
    /// A proxy to `server`. It cuts nothing until told to; the same seed gives the same lengths in the order of the
    /// connections.
    pub(crate) async fn to(server: SocketAddr, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let state = Arc::<State>::default();
        let proxy = Self { address, state: Arc::clone(&state) };
        tokio::spawn(async move {
            let mut random = Random::new(seed);
            loop {
                let (client, _) = listener.accept().await.expect("a connection");
                let (up, down) = if state.cutting.load(Ordering::SeqCst) {
                    // Three of four requests get through; an answer is cut anywhere from its first byte on.
                    let up = if random.below(4) == 0 { random.below(900) } else { usize::MAX };
                    (up, random.below(6_000))
                } else {
                    (usize::MAX, usize::MAX)
                };
                tokio::spawn(pass(client, server, up, down, Arc::clone(&state)));
            }
        });
        proxy
    }

    pub(crate) fn cut(&self, yes: bool) {
        self.state.cutting.store(yes, Ordering::SeqCst);
    }

    /// How many connections were cut.
    pub(crate) fn cuts(&self) -> usize {
        self.state.cuts.load(Ordering::SeqCst)
    }
}

/// Both connections are dropped as soon as one direction has passed all it may.
async fn pass(client: TcpStream, server: SocketAddr, up: usize, down: usize, state: Arc<State>) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let was_cut = tokio::select! {
        cut = copy(from_client, to_server, up) => cut,
        cut = copy(from_server, to_client, down) => cut,
    };
    state.cuts.fetch_add(usize::from(was_cut), Ordering::SeqCst);
}

/// Whether the connection is to be cut, and not at its end.
async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut left: usize) -> bool {
    let mut buffer = [0; 4096];
    loop {
        let Ok(read) = from.read(&mut buffer).await else { return false };
        if read == 0 {
            return false;
        }
        let passed = read.min(left);
        if to.write_all(&buffer[..passed]).await.is_err() {
            return false;
        }
        left -= passed;
        if left == 0 {
            return true;
        }
    }
}
