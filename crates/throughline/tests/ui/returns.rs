//! What cannot be returned.

use throughline::{prompt, resource, tool};

struct Thing;

#[tool]
async fn thing() -> Thing {
    Thing
}

#[tool]
fn blocking_thing() -> Thing {
    Thing
}

#[prompt]
async fn number() -> u8 {
    1
}

#[resource("demo://number")]
async fn number_again() -> u8 {
    1
}

#[tool]
async fn not_send() -> u8 {
    let shared = std::rc::Rc::new(1);
    std::future::ready(()).await;
    *shared
}

fn main() {}
