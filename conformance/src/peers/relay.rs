//! What lies between client and server, and can be cut.

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::checks::Checked;

/// Passes bytes on to a server until its connections are cut.
pub(crate) struct Relay {
    /// The server's URL, with the relay's address.
    pub(crate) url: String,
    cuts: watch::Sender<usize>,
}

impl Relay {
    /// A relay to the server at this URL.
    pub(crate) async fn open(url: &str) -> Checked<Self> {
        let rest = url.strip_prefix("http://").ok_or("the URL of a server begins with http://")?;
        let (server, path) = rest.split_once('/').ok_or("the URL of a server has a path")?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/{path}", listener.local_addr()?);
        let (cuts, cut) = watch::channel(0);
        tokio::spawn(serve(listener, server.to_owned(), cut));
        Ok(Self { url, cuts })
    }

    /// Cuts every connection that there is. New ones are let through.
    pub(crate) fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

async fn serve(listener: TcpListener, server: String, cut: watch::Receiver<usize>) {
    while let Ok((mut client, _)) = listener.accept().await {
        let (server, mut cut) = (server.clone(), cut.clone());
        cut.mark_unchanged();
        tokio::spawn(async move {
            let Ok(mut server) = TcpStream::connect(server).await else { return };
            tokio::select! {
                _ = copy_bidirectional(&mut client, &mut server) => {}
                _ = cut.changed() => {
                    // A reset: nothing that was on its way arrives.
                    let _ = client.set_zero_linger();
                }
            }
        });
    }
}
