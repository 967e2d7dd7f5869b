//! The rules of a client: how it finds out what a server speaks, how it follows a stream through its connections, how long it
//! waits, which addresses it takes and uses, and where it may follow a redirect to.
//!
//! ```text
//!   Negotiation   what to try next, until it is known what the server speaks
//!   Following     one stream through all its connections: its cursor, and what a lost connection means
//!   CallClock     how long one call may still take
//!   Pages         the pages that the user was sent to
//!   write_call    a request with what its revision wants in `_meta`
//!   Subscriber    what is heard of changes, through all its subscriptions
//!   ResponseCache results that are fresh
//!   address       the address of a server, checked
//!   redirect      where the answer to a request sends it
//!   message_endpoint   where a server of HTTP+SSE wants messages
//! ```
//!
//! Nothing here sends or waits: the time and random numbers are arguments, and the shell does what is returned.

mod address;
mod cache;
mod clock;
mod endpoint;
mod envelope;
mod following;
mod negotiation;
mod pages;
mod redirect;
mod subscriber;

pub use address::{BadAddress, address};
pub use cache::{Asked, CacheKey, CacheLimits, ResponseCache};
pub use clock::{CallClock, Overdue, Patience};
pub use endpoint::{BadEndpoint, message_endpoint};
pub use envelope::{Envelope, is_input_required, with_input, write_call};
pub use following::{Ending, Following, Next, RetryPolicy, Stop, StreamKind, session_tag};
pub use negotiation::{
    Answered, Negotiation, Step, TransportChoice, TransportKind, Unreachable, is_era_in_doubt,
};
pub use pages::Pages;
pub(crate) use redirect::resolve;
pub use redirect::{MOST_REDIRECTS, NotFollowed, NotFollowedKind, redirect, same_origin};
pub use subscriber::{Acknowledged, Denial, Hearing, Listen, Subscriber, Told, Wish};
