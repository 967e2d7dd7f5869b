//! A client that is given an address makes no connection per call.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use throughline::revision::Revision;
use throughline::{Client, HttpOptions, Proxy, StreamableHttp};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Gate, Loopback, kit};

/// Passes bytes on to a server and counts the connections.
async fn counted(server: SocketAddr) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            counting.fetch_add(1, Ordering::SeqCst);
            let mut server = TcpStream::connect(server).await.unwrap();
            client.set_nodelay(true).unwrap();
            server.set_nodelay(true).unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut client, &mut server).await });
        }
    });
    (address, count)
}

async fn hundred(revision: Revision) -> [usize; 2] {
    let endpoint = StreamableHttp::new(kit::server(&Gate::new()));
    let served = Loopback::serve(&endpoint).await;
    let (address, count) = counted(served.address).await;
    let client = Client::connect(format!("http://{address}/mcp"))
        .http(HttpOptions::new().proxy(Proxy::Off))
        .revision(revision)
        .await
        .unwrap();
    for _ in 0..50 {
        client.list_tools().await.unwrap();
    }
    let json = count.load(Ordering::SeqCst);
    for _ in 0..50 {
        client.call_tool("steps", &json!({ "count": 10 })).await.unwrap();
    }
    let streams = count.load(Ordering::SeqCst);
    client.close().await.unwrap();
    served.stop().await;
    [json, streams]
}

#[tokio::test]
async fn calls_in_a_session_share_connections() {
    let counts = hundred(Revision::V2025_11_25).await;
    assert!(counts[1] <= 4, "{counts:?} connections after 50 answers in JSON, and after 50 streams");
}

#[tokio::test]
async fn calls_without_a_session_share_connections() {
    let counts = hundred(Revision::V2026_07_28).await;
    assert!(counts[1] <= 4, "{counts:?} connections after 50 answers in JSON, and after 50 streams");
}
