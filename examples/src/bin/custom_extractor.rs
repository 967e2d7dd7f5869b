//! A parameter of your own: what a tool needs to know about its call is taken from it before the tool runs, and the
//! client's model never sees it. Here it is the customer, from a header.

use throughline::{Context, Extract, McpError, Needs, Server, tool};

/// Which customer the client belongs to.
struct Customer(String);

impl Extract for Customer {
    /// An error ends the call before the tool runs: an [`McpError`] as a protocol error, any other as a tool error.
    async fn extract(cx: &Context) -> throughline::Result<Self> {
        let header = cx.http_parts().and_then(|parts| parts.headers.get("x-customer"));
        match header.and_then(|value| value.to_str().ok()) {
            Some(name) => Ok(Self(name.to_owned())),
            None => Err(McpError::invalid_params("send the header `X-Customer`").into()),
        }
    }

    /// The heads of HTTP requests are kept only where something says that it reads them.
    fn needs(needs: &mut Needs) {
        needs.http_parts();
    }
}

/// Lists the open orders, newest first.
#[tool(read_only)]
async fn orders(#[extract] customer: Customer, #[arg(default = 10, range = 1..=100)] at_most: u32) -> String {
    format!("the {at_most} newest orders of {}", customer.0)
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let server = Server::new("shop", "1.0.0").tool(orders);
    // Another address may be given as the first argument.
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8808".into());
    server.serve(address).await
}
