//! What is no tool, prompt, resource, template or group.

use throughline::{Server, prompt, resource, tool};

async fn plain(a: u8) -> u8 {
    a
}

#[tool]
async fn add(a: u8) -> u8 {
    a
}

#[tool]
fn blocking(a: u8) -> u8 {
    a
}

#[prompt]
async fn ask() -> String {
    String::new()
}

#[resource("demo://{name}")]
async fn named(name: String) -> String {
    name
}

struct Notes;

fn main() {
    let _ = Server::new("demo", "1").tool(plain);
    let _ = Server::new("demo", "1").tool(ask);
    let _ = Server::new("demo", "1").prompt(add);
    let _ = Server::new("demo", "1").prompt(blocking);
    let _ = Server::new("demo", "1").resource(named);
    let _ = Server::new("demo", "1").template(add);
    let _ = Server::new("demo", "1").with(Notes);
}
