//! HTTP+SSE: against our own server, and against servers that do what ours does not.

mod own;
mod scripted;
