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

#[tool(scopes)]
async fn no_scope() {}

#[tool(scopes())]
async fn empty_scopes() {}

#[tool(scopes(files))]
async fn a_scope_is_a_text() {}

#[tool(scopes("files:read files:write"))]
async fn two_scopes_in_one() {}

#[tool(scopes("files:read", "files:read"))]
async fn the_same_scope_twice() {}

#[prompt(scopes("größe"))]
async fn no_such_scope() -> String {
    String::new()
}

#[resource("demo://motd", scopes(""))]
async fn an_empty_scope() -> String {
    String::new()
}

#[prompt(destructive)]
async fn a_prompt_has_no_hints() -> String {
    String::new()
}

#[resource]
async fn no_uri() -> String {
    String::new()
}

fn main() {}
