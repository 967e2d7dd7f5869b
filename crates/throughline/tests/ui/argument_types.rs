//! Arguments of types that clients cannot send, or of other types than their options say.

use throughline::tool;

struct Opaque;

#[tool]
async fn opaque(thing: Opaque) {
    drop(thing);
}

#[tool]
async fn range_of_text(#[arg(range = 1..=10)] text: String) -> String {
    text
}

#[tool]
async fn default_of_another_type(#[arg(default = true)] a: u8) -> u8 {
    a
}

fn main() {}
