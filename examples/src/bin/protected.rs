//! A server behind a lock. With an issuer as the second argument it takes that one's tokens; otherwise the key whose digest
//! the environment says (`MCP_KEY_DIGEST`; `throughline key new` makes both).

use std::error::Error;

use throughline::auth::{ApiKeys, Authorization, ScopeHierarchy};
use throughline::{Authorized, Server, StreamableHttp, serve, tool};

/// Says who calls.
#[tool]
async fn whoami(caller: Authorized) -> String {
    format!("{}, who may {}", caller.principal().subject, caller.scopes())
}

/// Removes a file. It never runs for a caller without the scope, who is asked to get it.
#[tool(destructive, scopes("files:write"))]
async fn remove(name: String) -> String {
    format!("removed {name}")
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or("127.0.0.1:8808".into());
    let listener = tokio::net::TcpListener::bind(&address).await?;

    // The address that clients use. Behind a proxy it is the proxy's, with https.
    let lock = Authorization::builder(format!("http://{address}/mcp"))
        .scopes(["files:read"])
        .hierarchy(ScopeHierarchy::new().implies("files:write", "files:read")?);
    let lock = match arguments.next() {
        Some(issuer) => lock.jwks(issuer),
        None => {
            let digest = std::env::var("MCP_KEY_DIGEST")
                .map_err(|_| "set MCP_KEY_DIGEST to the digest of a key, or name an issuer: protected ADDRESS ISSUER")?
                .parse()?;
            lock.api_keys(ApiKeys::new().with_scoped("operator", digest, ["files:read"])?)
        }
    };
    let endpoint = StreamableHttp::new(Server::new("files", "1.0.0").tool(whoami).tool(remove));
    serve(listener, lock.build()?.layer(endpoint)).await?;
    Ok(())
}
