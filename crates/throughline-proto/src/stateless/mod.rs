//! The machine of the revisions without sessions: every request carries all that is needed to answer it.
//!
//! A request that needs input from its client is answered with the questions and a sealed state, and forgotten; the
//! client's retry brings both back. [`Rounds`] is that machine, [`KeyRing`] the lock on the state and [`Binding`] the
//! request that it fits.
//!
//! <https://modelcontextprotocol.io/specification/2026-07-28/basic/index#statelessness>

mod binding;
mod canonical;
mod change;
mod listening;
mod metadata;
mod rounds;
mod seal;
mod state;
mod trace;

pub use binding::Binding;
pub use change::Change;
pub use listening::{Heard, ListenLimits, Listening};
pub use metadata::Metadata;
pub use rounds::{AskNo, AskRefused, InputRequest, InputRequired, Rounds};
pub use seal::{KeyRing, WeakSecret};
pub use trace::TraceContext;
