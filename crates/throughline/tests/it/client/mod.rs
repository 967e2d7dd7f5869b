//! The client against our own server, and against servers that do what ours does not.

mod answering;
mod authorize;
mod basics;
#[cfg(feature = "client")]
mod connect;
mod cuts;
mod elicit;
mod hostile;
#[cfg(feature = "client")]
mod http_sse;
mod modern;
mod observed;
mod output;
#[cfg(all(feature = "client", unix))]
mod stdio;
