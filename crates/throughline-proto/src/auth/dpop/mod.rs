//! Tokens that are bound to a key ([RFC 9449](https://www.rfc-editor.org/rfc/rfc9449)): each request brings a proof, signed by
//! that key, that it was made for this request and for no other.
//!
//! A server takes the proof apart ([`Proof::parse`]), checks its signature with the key in it (a matter of whoever has the
//! cryptography), asks the [`DpopRule`] whether it is for this request, and the [`ReplayMemory`] whether it is new. A client
//! signs what [`ProofClaims::of_request`] says.

mod jwk;
mod proof;
mod replay;
mod rule;

pub use jwk::Jwk;
pub use proof::{Proof, ProofClaims, proof_header, token_digest};
pub use replay::ReplayMemory;
pub use rule::{DpopRequest, DpopRule};

#[cfg(test)]
mod tests;
