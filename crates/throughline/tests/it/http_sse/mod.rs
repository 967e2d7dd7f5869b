//! The older HTTP+SSE transport: a stream by GET, messages by POST, and a session that lasts as long as its stream.

mod conversation;
mod life;
mod limits;
mod refusals;
