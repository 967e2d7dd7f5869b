use std::time::Duration;

use bytes::BytesMut;
use throughline_proto::sse::{
    Decoder, Event, TooLarge, write_event, write_event_with, write_prime, write_retry,
};

use crate::input::Input;

/// Server-sent events: a stream cut into chunks reads as the whole does, within the limit; and what is written comes back.
pub fn sse(data: &[u8]) {
    let mut input = Input::new(data);
    let limit = input.number();
    let cuts: Vec<usize> = input.piece().iter().map(|cut| usize::from(*cut)).collect();
    let stream = input.rest();

    let whole = decoded(limit, [stream]);
    let mut chunks = Vec::new();
    let mut rest = stream;
    for cut in cuts.iter().cycle().take(stream.len()) {
        let (chunk, after) = rest.split_at((*cut).min(rest.len()));
        chunks.push(chunk);
        rest = after;
    }
    chunks.push(rest);
    assert_eq!(decoded(limit, chunks), whole, "chunked is as whole");
    assert_eq!(decoded(limit, stream.chunks(1)), whole, "byte by byte is as whole");
    for event in whole.iter().flatten() {
        let id = event.id.as_ref().map_or(0, String::len);
        assert!(event.data.len() + id + event.event.as_ref().map_or(0, String::len) <= 3 * limit + 1);
        assert!(
            event.id.is_some()
                || event.retry.is_some()
                || !event.data.is_empty()
                || event.event.is_some()
                || has_data(stream)
        );
    }
    roundtrip(stream, &cuts);
}

fn has_data(stream: &[u8]) -> bool {
    stream.windows(4).any(|word| word == b"data")
}

fn decoded<'a>(limit: usize, chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<Result<Event, TooLarge>> {
    let mut decoder = Decoder::new(limit);
    let mut events = Vec::new();
    for chunk in chunks {
        decoder.push(chunk);
        events.extend(std::iter::from_fn(|| decoder.next_event()));
    }
    events
}

/// Any data that is text, under any id that is one line, between a prime and a retry.
fn roundtrip(data: &[u8], cuts: &[usize]) {
    let data = String::from_utf8_lossy(data);
    let id: String = data.chars().filter(|char| !matches!(char, '\r' | '\n' | '\0')).take(40).collect();
    let retry = Duration::from_millis(cuts.iter().sum::<usize>() as u64);
    let mut written = BytesMut::new();
    write_prime(&mut written, "prime", Some(retry));
    write_event(&mut written, Some(&id), data.as_bytes());
    write_event_with(&mut written, "with", |out| out.extend_from_slice(data.as_bytes()));
    write_event(&mut written, None, data.as_bytes());
    write_retry(&mut written, retry);
    let read = decoded(1 << 20, written.chunks(cuts.first().map_or(7, |cut| cut + 1)));
    let read: Vec<Event> = read.into_iter().map(|event| event.expect("it is small")).collect();

    let lines = data.replace("\r\n", "\n").replace('\r', "\n");
    let event = |id: Option<&str>, data: &str| Event {
        id: id.map(str::to_owned),
        data: data.to_owned(),
        ..Event::default()
    };
    let mut wanted = vec![Event { retry: Some(retry), ..event(Some("prime"), "") }];
    wanted.push(event(Some(&id), &lines));
    wanted.push(event(Some("with"), &lines));
    wanted.push(event(None, &lines));
    wanted.push(Event { retry: Some(retry), ..Event::default() });
    assert_eq!(read, wanted);
}
