//! Arguments that cannot be, and `#[arg]` misread.

use throughline::{prompt, tool};

#[tool]
async fn borrowed(name: &str) -> String {
    name.to_owned()
}

#[tool]
async fn pattern((a, b): (u8, u8)) -> u8 {
    a + b
}

#[tool]
async fn any(value: impl ToString) -> String {
    value.to_string()
}

#[tool]
async fn unknown(#[arg(optional)] a: u8) -> u8 {
    a
}

#[tool]
async fn no_range(#[arg(range = 5)] a: u8) -> u8 {
    a
}

#[tool]
async fn empty_range(#[arg(range = 10..=1)] a: u8) -> u8 {
    a
}

#[tool]
async fn default_out_of_range(#[arg(default = 11, range = 1..=10)] a: u8) -> u8 {
    a
}

#[tool]
async fn length_of_a_number(#[arg(length = 1..)] a: u8) -> u8 {
    a
}

#[tool]
async fn completed(#[arg(complete = f)] a: u8) -> u8 {
    a
}

#[prompt]
async fn twice(#[arg(default = 1, default = 2)] a: u8) -> String {
    a.to_string()
}

#[tool]
async fn extractor(#[arg(default)] cx: throughline::Context) {
    drop(cx);
}

fn main() {}
