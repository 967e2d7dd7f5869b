//! The fuzz targets as functions: each takes any bytes, and panics when what it looks at breaks a promise.
//!
//! A program for libFuzzer (`targets/`) calls one of them again and again with bytes that reach new code; the test
//! `corpus` calls each with every file of its corpus (`corpus/<target>/`), on any toolchain.
#![forbid(unsafe_code)]

mod auth;
mod headers;
mod input;
mod json;
mod seal;
mod session;
mod sse;
mod store;

pub use auth::auth;
pub use headers::headers;
pub use json::json;
pub use seal::seal;
pub use session::session;
pub use sse::sse;
pub use store::store;

/// A target: its name and its function.
pub type Target = (&'static str, fn(&[u8]));

/// All targets, by name.
pub const ALL: &[Target] = &[
    ("auth", auth),
    ("headers", headers),
    ("json", json),
    ("seal", seal),
    ("session", session),
    ("sse", sse),
    ("store", store),
];
