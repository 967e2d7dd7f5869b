//! Names that are not allowed, or there twice.

use throughline::{server, tool};

#[tool(name = "two words")]
async fn spaced() {}

#[tool]
async fn größe() {}

#[tool]
async fn twice(#[arg(rename = "b")] a: u8, b: u8) -> u8 {
    a + b
}

struct Notes;

#[server]
impl Notes {
    #[tool(name = "add")]
    async fn first(&self) {}

    #[tool]
    async fn add(&self) {}

    #[prompt]
    async fn recall(&self) -> String {
        String::new()
    }
}

fn main() {}
