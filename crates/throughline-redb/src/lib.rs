#![doc = include_str!("../README.md")]

mod disk;
mod error;
mod store;
mod writer;

pub use error::{OpenError, OpenErrorKind};
pub use store::RedbStore;
