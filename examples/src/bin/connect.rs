//! Connects to any server by its address alone, or by the command that starts it, and prints what it found.
//!
//! ```text
//! connect https://example.com/mcp
//! connect -- npx -y @modelcontextprotocol/server-everything
//! ```

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example speaks on its terminal")]

use std::process::ExitCode;

use throughline::{Client, ClientError, Connect};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let connect = match &arguments[..] {
        [dashes, command @ ..] if dashes == "--" && !command.is_empty() => Client::stdio(command.to_vec()),
        [address] if address != "--" => Client::connect(address),
        _ => {
            eprintln!("usage: connect ADDRESS\n       connect -- COMMAND [ARGUMENT]..");
            return ExitCode::from(2);
        }
    };
    match look(connect).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn look(connect: Connect) -> Result<(), ClientError> {
    // Finds out which transport and which revision the server speaks.
    let client = connect.await?;
    let peer = client.peer();
    match &peer.info {
        Some(info) => println!("{} {}", info.name, info.version),
        None => println!("a server that does not say who it is"),
    }
    println!("speaks {}", client.revision());
    if peer.capabilities.tools.is_some() {
        for tool in client.list_tools().await? {
            let description = tool.description.as_deref().unwrap_or_default();
            println!("  {:20} {}", tool.name, description.lines().next().unwrap_or_default());
        }
    }
    client.close().await
}
