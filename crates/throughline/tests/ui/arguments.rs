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

#[tool]
async fn header_without_a_name(#[arg(header)] a: u8) -> u8 {
    a
}

#[tool]
async fn header_that_is_none(#[arg(header = "my region")] a: u8) -> u8 {
    a
}

#[tool]
async fn header_of_a_fraction(#[arg(header = "Share")] a: Option<f64>) -> f64 {
    a.unwrap_or_default()
}

#[tool]
async fn header_of_a_list(#[arg(header = "Ids")] a: Vec<u8>) -> usize {
    a.len()
}

#[tool]
async fn two_of_a_header(#[arg(header = "Id")] a: u8, #[arg(header = "ID")] b: u8) -> u8 {
    a + b
}

#[tool]
async fn header_twice(#[arg(header = "A", header = "B")] a: u8) -> u8 {
    a
}

#[prompt]
async fn header_of_a_prompt(#[arg(header = "A")] a: String) -> String {
    a
}

fn main() {}
