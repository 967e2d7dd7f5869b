//! Passes connections on to a server that may be another the next time, and cuts them.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The place where a server is found.
pub(super) struct Relay {
    pub(super) address: SocketAddr,
    /// Changing it cuts every connection.
    server: watch::Sender<Option<SocketAddr>>,
}

impl Relay {
    pub(super) async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("it is bound");
        let (sender, server) = watch::channel(Some(server));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, server.clone()));
            }
        });
        Self { address, server: sender }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Cuts every connection; those that come go to this server.
    pub(super) fn lead_to(&self, server: Option<SocketAddr>) {
        self.server.send_replace(server);
    }

    pub(super) fn cut(&self) {
        self.server.send_modify(|_| {});
    }
}

async fn pass(mut client: TcpStream, mut server: watch::Receiver<Option<SocketAddr>>) {
    let address = *server.borrow_and_update();
    let Some(address) = address else { return };
    let Ok(mut behind) = TcpStream::connect(address).await else { return };
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut behind) => {}
        _ = server.changed() => {}
    }
}
