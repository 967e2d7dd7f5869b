//! URIs and arguments that do not go together.

use throughline::{resource, server};

#[resource("demo://{name}")]
async fn unread() -> String {
    String::new()
}

#[resource("demo://fixed")]
async fn unknown(name: String) -> String {
    name
}

#[resource("demo://{name")]
async fn unclosed(name: String) -> String {
    name
}

#[resource("demo://{a}{b}")]
async fn touching(a: String, b: String) -> String {
    a + &b
}

#[resource("demo://{a}", size = 5)]
async fn sized(a: String) -> String {
    a
}

struct Notes;

#[server]
impl Notes {
    #[resource]
    async fn no_uri(&self) -> String {
        String::new()
    }

    #[resource = "notes://all"]
    async fn no_parentheses(&self) -> String {
        String::new()
    }
}

fn main() {}
