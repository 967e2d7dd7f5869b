//! Logging in, as a client: a machine that is handed answers, and says which requests to make.
//!
//! ```text
//!   401 + Challenge
//!        |
//!        v
//!   Flow::login ----> Step ----> the shell does it ----> Flow::handle_* ----> Step .. ----> Done(Login) | Fail(FlowError)
//!                      Fetch      sends a request         handle_response
//!                      Visit      opens a browser         handle_redirect
//!                      Sign       has the private key     handle_signature
//!                      Wait       has a clock             handle_waited
//! ```
//!
//! - [`Flow`] is the machine: [`login`](Flow::login) from a challenge to tokens, [`finish`](Flow::finish) for a login that
//!   waited in a [`PendingLogin`], [`refresh`](Flow::refresh) for the next tokens, [`revoke`](Flow::revoke) to log out.
//! - [`ClientProfile`] says who the client is, [`LoginRequest`] what it wants to reach, and [`AddressRule`] what may be
//!   reached on the way.
//! - [`Login`] is what comes of it: [`Tokens`], the [`Registration`], and what it takes to refresh them.
//! - [`Tokens::freshness`] and [`Recovery`] say when to refresh, [`StepUps`] when to ask for more scopes, and when no
//!   more.
//!
//! No secret is in an error, in a `Debug` output or in an address, but for what a browser must be told. Whatever a server
//! says is bounded and checked before it is used, and each address before it is reached.
//!
//! [`AddressRule`]: crate::auth::AddressRule
//!
//! Specification: [authorization](https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization).

mod authorize;
mod endpoint_auth;
mod error;
mod exchange;
mod find_resource;
mod find_server;
mod form;
mod grants;
mod login;
mod machine;
mod pending;
mod pkce;
mod profile;
mod redirected;
mod refresh;
mod register;
mod registration;
mod said;
mod scopes;
mod search;
mod seed;
mod sign;
mod step;
mod step_up;
#[cfg(test)]
mod tests;
mod tokens;

pub use endpoint_auth::EndpointAuth;
pub use error::{FlowError, FlowErrorKind, Refusal};
pub use login::{IssuedBy, Login, LoginRequest};
pub use machine::Flow;
pub use pending::{LOGIN_PATIENCE, PendingLogin};
pub use profile::{
    ApplicationType, ClientId, ClientProfile, IdentityProvider, LoginBy, SigningKey, SubjectToken,
};
pub use refresh::{Freshness, Recovery};
pub use registration::{Registration, RegistrationKind};
pub use seed::Seed;
pub use step::{FetchRequest, FetchResponse, Purpose, ShowCode, SignRequest, SignWith, Step, Visit};
pub use step_up::{StepUp, StepUps};
pub use tokens::Tokens;
