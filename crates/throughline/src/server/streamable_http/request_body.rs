//! Reads the body of a request, bounded in size and time, and all of them together in memory.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http_body::Body;
use throughline_proto::http::{Refusal, RefusalKind};

/// The bytes of large bodies that are being read, or that a running call still needs.
#[derive(Clone)]
pub(in crate::server) struct Bodies(Arc<Room>);

struct Room {
    used: AtomicUsize,
    most: usize,
}

impl Bodies {
    pub(super) fn new(most: usize) -> Self {
        Self(Arc::new(Room { used: AtomicUsize::new(0), most }))
    }
}

/// What one body takes of the room.
///
/// # Drop behavior
///
/// The room is free again.
struct Share {
    room: Arc<Room>,
    bytes: usize,
}

impl Share {
    /// Has it be as large as `bytes`; false when there is no room.
    fn grow(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        let before = self.room.used.fetch_add(more, Ordering::Relaxed);
        self.bytes += more;
        before.saturating_add(more) <= self.room.most
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.room.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A body with its share, which is given back when the last part of the body is gone.
struct Counted {
    body: Bytes,
    #[expect(dead_code, reason = "it acts when it is dropped")]
    share: Share,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

/// The whole body. One that arrives in one piece, as most do, is not copied.
///
/// # Errors
///
/// 413 over `limit` bytes, 408 after `patience`, 503 when large bodies fill their room, 400 when the connection breaks.
pub(in crate::server) async fn read<B>(
    body: B,
    limit: usize,
    patience: Duration,
    bodies: &Bodies,
) -> Result<Bytes, Refusal>
where
    B: Body,
{
    if body.size_hint().lower() > limit as u64 {
        return Err(Refusal::body_too_large(limit));
    }
    let mut body = pin!(body);
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    let mut share = None;
    let mut timer = pin!(None);
    poll_fn(|cx| {
        loop {
            match body.as_mut().poll_frame(cx) {
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                Poll::Ready(Some(Err(_))) => {
                    let why = "the body broke off; send the request again";
                    return Poll::Ready(Err(Refusal::new(RefusalKind::InvalidRequest).with_message(why)));
                }
                Poll::Ready(Some(Ok(frame))) => {
                    let Ok(mut data) = frame.into_data() else { continue };
                    let length = first.len() + rest.len() + data.remaining();
                    if length > limit {
                        return Poll::Ready(Err(Refusal::body_too_large(limit)));
                    }
                    if length > SMALL {
                        let share =
                            share.get_or_insert_with(|| Share { room: Arc::clone(&bodies.0), bytes: 0 });
                        if !share.grow(length) {
                            return Poll::Ready(Err(
                                Refusal::new(RefusalKind::RequestsFull).with_message(FULL)
                            ));
                        }
                    }
                    if first.is_empty() && rest.is_empty() {
                        first = data.copy_to_bytes(data.remaining());
                    } else {
                        rest.extend_from_slice(&std::mem::take(&mut first));
                        rest.extend_from_slice(&data.copy_to_bytes(data.remaining()));
                    }
                }
                Poll::Pending => {
                    // Most bodies are there with their head: no timer is made for them.
                    if timer.is_none() {
                        timer.set(Some(tokio::time::sleep(patience)));
                    }
                    let timer = timer.as_mut().as_pin_mut().expect("it was set above");
                    return timer.poll(cx).map(|()| Err(Refusal::new(RefusalKind::BodyTimeout)));
                }
            }
        }
    })
    .await?;
    let body = if rest.is_empty() { first } else { rest.freeze() };
    Ok(match share {
        None => body,
        Some(share) => Bytes::from_owner(Counted { body, share }),
    })
}

/// Bodies up to this size are not counted: the requests in flight bound how many there are, and nearly all are smaller.
const SMALL: usize = 64 * 1024;

const FULL: &str = "the server holds as many bytes of requests as it may; send this one again later";

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;

    async fn read_one(bodies: &Bodies, bytes: usize) -> Result<Bytes, Refusal> {
        read(Full::new(Bytes::from(vec![b' '; bytes])), 1 << 20, Duration::from_secs(1), bodies).await
    }

    #[tokio::test]
    async fn large_bodies_share_a_room_until_their_last_part_is_gone() {
        let bodies = Bodies::new(3 * SMALL);
        let first = read_one(&bodies, 2 * SMALL).await.unwrap();
        let part = first.slice(1..2);
        drop(first);
        let refused = read_one(&bodies, 2 * SMALL).await.unwrap_err();
        assert_eq!(refused.kind(), RefusalKind::RequestsFull);
        assert_eq!(read_one(&bodies, SMALL).await.unwrap().len(), SMALL, "small ones are not counted");
        drop(part);
        assert_eq!(read_one(&bodies, 2 * SMALL).await.unwrap().len(), 2 * SMALL);
        assert_eq!(bodies.0.used.load(Ordering::Relaxed), 0);
    }
}
