//! The commands that speak with a server, against the server of the same binary.

mod call;
mod help;
mod list;
mod ping;
#[cfg(unix)]
mod terminal;

use super::process::{Served, binary, run, serve};

/// A server, and the commands that speak with it.
struct Here {
    server: Served,
    url: String,
}

impl Here {
    async fn with(flags: &[&str]) -> Self {
        let server = serve(flags).await;
        let url = format!("http://{}/mcp", server.address);
        Self { server, url }
    }

    /// Runs a command of which URL is the address: exit code, standard output, standard error.
    async fn run(&self, line: &[&str]) -> (i32, String, String) {
        let line: Vec<&str> =
            line.iter().map(|word| if *word == "URL" { &self.url } else { *word }).collect();
        let (code, out, error) = run(binary(&line)).await;
        (code, self.plain(&out), self.plain(&error))
    }

    /// Output without what differs from run to run.
    fn plain(&self, text: &str) -> String {
        text.replace(&self.server.address.to_string(), "HOST")
    }
}

/// What a command did, for a snapshot.
fn shown((code, out, error): (i32, String, String)) -> String {
    format!("exit code {code}\n--- stdout\n{out}--- stderr\n{error}")
}
