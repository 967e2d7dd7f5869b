//! The shortest server: one tool, on this machine.

use throughline::{Server, tool};

/// Adds two integers.
#[tool]
async fn add(a: i64, b: i64) -> i64 {
    a + b
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    Server::new("hello", "1.0.0").tool(add).serve("127.0.0.1:8808").await
}
