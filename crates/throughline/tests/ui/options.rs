//! Options that there are not.

use throughline::{prompt, resource, tool};

#[tool(readonly)]
async fn unknown() {}

#[tool(title = "a", title = "b")]
async fn twice() {}

#[tool(title)]
async fn no_text() {}

#[tool(read_only, destructive)]
async fn contradiction() {}

#[tool(needs(telepathy))]
async fn unknown_ability() {}

#[tool(needs)]
async fn no_ability() {}

#[prompt(destructive)]
async fn a_prompt_has_no_hints() -> String {
    String::new()
}

#[resource]
async fn no_uri() -> String {
    String::new()
}

fn main() {}
