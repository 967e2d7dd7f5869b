//! What cannot be extracted.

use throughline::{State, tool};

struct Tenant;

#[tool]
async fn unknown(#[extract] tenant: Tenant) {
    drop(tenant);
}

struct Db;

#[tool]
async fn not_clone(State(db): State<Db>) {
    drop(db);
}

/// A type that is named like an extractor.
struct Context;

#[tool]
async fn same_name(cx: Context) {
    drop(cx);
}

fn main() {}
