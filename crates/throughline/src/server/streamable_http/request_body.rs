//! Reads the body of a request, bounded in size and time.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http_body::Body;
use throughline_proto::http::{Refusal, RefusalKind};

/// The whole body. One that arrives in one piece, as most do, is not copied.
///
/// # Errors
///
/// 413 over `limit` bytes, 408 after `patience`, 400 when the connection breaks.
pub(crate) async fn read<B>(body: B, limit: usize, patience: Duration) -> Result<Bytes, Refusal>
where
    B: Body,
{
    if body.size_hint().lower() > limit as u64 {
        return Err(Refusal::body_too_large(limit));
    }
    let mut body = pin!(body);
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
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
                    if first.len() + rest.len() + data.remaining() > limit {
                        return Poll::Ready(Err(Refusal::body_too_large(limit)));
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
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}
