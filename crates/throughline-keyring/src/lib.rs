#![doc = include_str!("../README.md")]

mod keyring;
mod sealed;
mod store;

pub use store::KeyringTokenStore;
