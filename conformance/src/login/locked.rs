//! Servers of ours behind a lock.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use throughline::auth::{Authorization, Dpop, Introspection, Secret, UnixTime};
use throughline::{Principal, Server, StreamableHttp, serve, tool};
use tokio::net::TcpListener;

use crate::checks::Checked;

/// How long after its expiry a token is taken. A token is good for whole seconds, and a client that counts from when it came
/// must not be refused before it thinks of refreshing.
const SKEW: Duration = Duration::from_secs(2);

/// How the server knows a token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    /// It is a JWT, checked with the keys of the authorization server, and bound to a key where the client wants that.
    Jwt,
    /// The authorization server is asked about it, each time.
    Opaque,
    /// It is a JWT that is bound to a key, and every request needs a proof with a nonce.
    Bound,
}

/// A server that runs.
pub(crate) struct Locked {
    /// Its address, which is the resource that tokens are for.
    pub(crate) url: String,
    clock: Arc<AtomicU64>,
}

impl Locked {
    /// Starts a server on a free port, locked for who has a token of this authorization server.
    pub(crate) async fn start(issuer: &str, kind: Kind) -> Checked<Self> {
        Self::start_at(issuer, kind, ([127, 0, 0, 1], 0).into()).await
    }

    pub(crate) async fn start_at(issuer: &str, kind: Kind, address: SocketAddr) -> Checked<Self> {
        let listener = TcpListener::bind(address).await?;
        let path = if kind == Kind::Opaque { "opaque/mcp" } else { "mcp" };
        let url = format!("http://{}/{path}", listener.local_addr()?);
        let clock = Arc::new(AtomicU64::new(0));
        let ahead = Arc::clone(&clock);
        let lock = Authorization::builder(&url)
            .scopes(["tools:read"])
            .skew(SKEW)
            .clock(move || UnixTime(now() + ahead.load(Ordering::Relaxed)));
        let lock = match kind {
            Kind::Jwt => lock.jwks(issuer).dpop(Dpop::new()),
            Kind::Bound => lock.jwks(issuer).dpop(Dpop::new().required().nonces()),
            Kind::Opaque => {
                let introspection = Introspection::new(issuer, format!("{issuer}/token/introspection"))
                    .client("resource-server", Secret::new("a secret of the resource server"))
                    .keep_for(Duration::ZERO);
                lock.introspection(introspection)
            }
        };
        let endpoint = StreamableHttp::new(server());
        tokio::spawn(serve(listener, lock.build()?.layer(endpoint)).into_future());
        Ok(Self { url, clock })
    }

    /// From now on the server's clock is this far ahead.
    pub(crate) fn ahead(&self, by: Duration) {
        self.clock.store(by.as_secs(), Ordering::Relaxed);
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Says who calls.
#[tool]
async fn whoami(principal: Principal) -> String {
    principal.subject.to_string()
}

/// Needs no more than every request.
#[tool]
async fn read() -> &'static str {
    "read"
}

fn server() -> Server {
    let write = tool("write", || async { "written" }).description("Needs to be allowed to write.");
    Server::new("locked", "1.0.0").tool(whoami).tool(read).tool(write.scopes(["tools:write"]))
}
