use proptest::prelude::*;

use super::super::{KEEP_ALIVE, write_event, write_prime, write_retry};
use super::*;

/// Decodes `stream` cut at `cuts` (taken modulo its length), draining after each chunk.
fn decode(stream: &[u8], cuts: &[usize], limit: usize) -> Vec<Result<Event, TooLarge>> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (stream.len() + 1)).collect();
    cuts.extend([0, stream.len()]);
    cuts.sort_unstable();
    let mut decoder = Decoder::new(limit);
    let mut events = Vec::new();
    for pair in cuts.windows(2) {
        decoder.push(&stream[pair[0]..pair[1]]);
        events.extend(std::iter::from_fn(|| decoder.next_event()));
    }
    events
}

/// Decodes whole, then byte by byte, and wants the same.
fn decode_both(stream: &[u8], limit: usize) -> Vec<Result<Event, TooLarge>> {
    let whole = decode(stream, &[], limit);
    let every: Vec<usize> = (0..stream.len()).collect();
    assert_eq!(decode(stream, &every, limit), whole, "byte by byte");
    whole
}

fn events(stream: impl AsRef<[u8]>) -> Vec<Event> {
    decode_both(stream.as_ref(), 1 << 20).into_iter().map(Result::unwrap).collect()
}

fn data(text: &str) -> Event {
    Event { data: text.into(), ..Event::default() }
}

#[test]
fn lines_end_three_ways_and_only_so() {
    for end in ["\n", "\r", "\r\n"] {
        let stream = ["data: a\u{2028}\u{85}b", "data:c", "", "data: d", "", ""].join(end);
        assert_eq!(events(stream), [data("a\u{2028}\u{85}b\nc"), data("d")], "{end:?}");
    }
    assert_eq!(events("data: a\r\n\ndata: b\n\r\n"), [data("a"), data("b")]);
    assert_eq!(events("data: a\r\rdata: b\n\r"), [data("a"), data("b")]);
}

#[test]
fn fields_are_read_as_specified() {
    for (stream, expected) in [
        ("data\n\n", data("")),
        ("data:\n\n", data("")),
        ("data: \n\n", data("")),
        ("data\ndata\n\n", data("\n")),
        ("data:  a \n\n", data(" a ")),
        ("data:a:b\n\n", data("a:b")),
        (": comment\ndata: a\n:\n\n", data("a")),
        ("Data: x\n data: y\nfoo: z\nfoo\ndata: a\n\n", data("a")),
        ("event: e\ndata: a\n\n", Event { event: Some("e".into()), ..data("a") }),
        ("event\ndata: a\n\n", Event { event: Some(String::new()), ..data("a") }),
        ("id: 1\ndata: a\n\n", Event { id: Some("1".into()), ..data("a") }),
        ("id: 1\nid: 2\ndata: a\n\n", Event { id: Some("2".into()), ..data("a") }),
        ("id: 1\nid: 2\0\ndata: a\n\n", Event { id: Some("1".into()), ..data("a") }),
        ("id: 2\0\ndata: a\n\n", data("a")),
        ("id\ndata: a\n\n", Event { id: Some(String::new()), ..data("a") }),
        ("retry: 1500\ndata: a\n\n", Event { retry: Some(Duration::from_millis(1500)), ..data("a") }),
        ("retry: 1\nretry: x\ndata: a\n\n", Event { retry: Some(Duration::from_millis(1)), ..data("a") }),
        // Reported for the sake of resumption, though they have no data.
        ("id: 1\n\n", Event { id: Some("1".into()), ..data("") }),
        ("id: 1\ndata:\n\n", Event { id: Some("1".into()), ..data("") }),
        ("retry: 0\n\n", Event { retry: Some(Duration::ZERO), ..data("") }),
        ("\u{FEFF}data: a\n\n", data("a")),
        ("\u{FEFF}\u{FEFF}data: b\ndata: a\n\n", data("a")),
    ] {
        assert_eq!(events(stream), [expected], "{stream:?}");
    }
}

#[test]
fn retry_takes_digits_only() {
    for value in ["", " ", "-1", "+1", "1.5", "1 ", "0x1", "١", "18446744073709551616"] {
        assert_eq!(events(format!("retry: {value}\n\n")), [], "{value:?}");
    }
}

#[test]
fn blocks_that_say_nothing_are_not_reported() {
    for stream in [
        "",
        "\n\n\r\n",
        ":\n:\n\n",
        "event: e\n\n",
        "foo: bar\n\n",
        "data: cut short",
        "data: cut short\n",
        "\u{FEFF}",
        "id: \0\n\n",
    ] {
        assert_eq!(events(stream), [], "{stream:?}");
    }
}

#[test]
fn a_block_leaves_nothing_behind() {
    assert_eq!(
        events("id: 1\nevent: e\nretry: 5\ndata: a\n\nevent: lost\n\ndata: b\n\n"),
        [
            Event {
                id: Some("1".into()),
                event: Some("e".into()),
                data: "a".into(),
                retry: Some(Duration::from_millis(5))
            },
            data("b"),
        ]
    );
}

#[test]
fn bytes_that_are_not_utf_8_are_replaced() {
    assert_eq!(events(b"data: a\xFFb\n\n"), [data("a\u{FFFD}b")]);
    // Not a byte order mark, although it starts like one.
    assert_eq!(events(b"\xEF\xBBdata: x\ndata: a\n\n"), [data("a")]);
}

#[test]
fn a_keep_alive_dispatches_nothing() {
    let mut stream = BytesMut::new();
    stream.extend_from_slice(b"id: 1\n");
    for _ in 0..1000 {
        stream.extend_from_slice(KEEP_ALIVE);
    }
    stream.extend_from_slice(b"data: a\n\n");
    // Comments take no memory, so any number of them stays within the limit.
    assert_eq!(decode_both(&stream, 10), [Ok(Event { id: Some("1".into()), ..data("a") })]);
}

#[test]
fn the_limit_is_exact_and_the_next_event_is_read() {
    let too_large = Err(TooLarge { limit: 12 });
    for (stream, expected) in [
        // A line of 12 bytes is the most, and then nothing else fits.
        ("data: 123456\n\n", vec![Ok(data("123456"))]),
        ("data: 1234567\n\ndata: b\n\n", vec![too_large.clone(), Ok(data("b"))]),
        ("data: 1234567\r\n\r\ndata: b\r\n\r\n", vec![too_large.clone(), Ok(data("b"))]),
        // Many lines count together.
        ("data: 1\ndata: 2\ndata: 3\n\n", vec![Ok(data("1\n2\n3"))]),
        ("data: 1\ndata: 2\ndata: 3\ndata: 4\n\ndata: b\n\n", vec![too_large.clone(), Ok(data("b"))]),
        // So do an id and a type; an id that is replaced does not.
        ("id: 123456\ndata: 1\n\ndata: b\n\n", vec![too_large.clone(), Ok(data("b"))]),
        ("event: 12345\ndata: 12\n\ndata: b\n\n", vec![too_large.clone(), Ok(data("b"))]),
        ("id: 1\nid: 2\nid: 3\nid: 4\ndata: 1\n\n", vec![Ok(Event { id: Some("4".into()), ..data("1") })]),
        // A line that nobody would keep is bounded too, whether or not it ever ends.
        (": 12345678901\n\ndata: b\n\n", vec![too_large.clone(), Ok(data("b"))]),
        ("data: 123456789012345678901234567890", vec![too_large.clone()]),
        // Everything up to the blank line belongs to the event that was given up.
        ("data: 1234567\ndata: x\nid: y\n\n\n\ndata: b\n\n", vec![too_large.clone(), Ok(data("b"))]),
        // Each is reported by itself.
        ("data: 1234567\n\ndata: 1234567\n\n", vec![too_large.clone(), too_large]),
    ] {
        assert_eq!(decode_both(stream.as_bytes(), 12), expected, "{stream:?}");
    }
}

#[test]
fn an_endless_line_is_not_kept() {
    let mut decoder = Decoder::new(100);
    let mut refused = 0;
    for _ in 0..10_000 {
        decoder.push(&[b'x'; 64]);
        refused += std::iter::from_fn(|| decoder.next_event()).filter(Result::is_err).count();
        assert!(decoder.input.len() <= 100, "{}", decoder.input.len());
    }
    assert_eq!(refused, 1);
    decoder.push(b"\n\ndata: a\n\n");
    assert_eq!(decoder.next_event(), Some(Ok(data("a"))));
}

#[test]
fn too_large_says_what_to_do() {
    assert_eq!(
        TooLarge { limit: 5 }.to_string(),
        "An event of the stream is larger than 5 bytes. Raise the limit, or send smaller events."
    );
}

/// What is written, in the order the writers are called.
#[derive(Clone, Debug)]
enum Written {
    Event { id: Option<String>, data: String },
    Prime { id: String, retry: Option<u32> },
    Retry(u32),
    KeepAlive,
}

fn written() -> impl Strategy<Value = Written> {
    let id = "[a-z0-9:é ]{0,6}";
    let data = prop_oneof!["[a\u{FEFF}: \r\n{}é\"]{0,12}", any::<String>()];
    prop_oneof![
        (prop::option::of(id), data).prop_map(|(id, data)| Written::Event { id, data }),
        (id, prop::option::of(any::<u32>())).prop_map(|(id, retry)| Written::Prime { id, retry }),
        any::<u32>().prop_map(Written::Retry),
        Just(Written::KeepAlive),
    ]
}

/// The mark in place of a byte that is not UTF-8 has three, and the limit is one of memory, wherever the stream is cut.
#[test]
fn what_replaces_bytes_counts() {
    let stream = [&b"data: "[..], &[0xff; 40], b"\n\n"].concat();
    for cuts in [&[][..], &[47], &[10, 20]] {
        assert_eq!(decode(&stream, cuts, 64), [Err(TooLarge { limit: 64 })]);
        assert_eq!(decode(&stream, cuts, 121).len(), 1);
        assert!(decode(&stream, cuts, 121)[0].is_ok());
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(stream in prop::collection::vec(written(), 0..8), cuts in prop::collection::vec(any::<usize>(), 0..12)) {
        let mut out = BytesMut::new();
        let mut expected = Vec::new();
        for written in stream {
            match written {
                Written::Event { id, data } => {
                    write_event(&mut out, id.as_deref(), data.as_bytes());
                    let data = data.replace("\r\n", "\n").replace('\r', "\n");
                    expected.push(Ok(Event { id, data, ..Event::default() }));
                }
                Written::Prime { id, retry } => {
                    let retry = retry.map(|retry| Duration::from_millis(retry.into()));
                    write_prime(&mut out, &id, retry);
                    expected.push(Ok(Event { id: Some(id), retry, ..Event::default() }));
                }
                Written::Retry(retry) => {
                    let retry = Duration::from_millis(retry.into());
                    write_retry(&mut out, retry);
                    expected.push(Ok(Event { retry: Some(retry), ..Event::default() }));
                }
                Written::KeepAlive => out.extend_from_slice(KEEP_ALIVE),
            }
        }
        prop_assert_eq!(&decode(&out, &cuts, 1 << 20), &expected);
        let every: Vec<usize> = (0..out.len()).collect();
        prop_assert_eq!(&decode(&out, &every, 1 << 20), &expected);
    }

    #[test]
    fn chunking_never_matters(
        stream in prop::collection::vec(prop::sample::select(&b"\n\n\r:data id\xEF\xBB\xBF\0x1retry"[..]), 0..80),
        cuts in prop::collection::vec(any::<usize>(), 0..8),
        limit in 0_usize..20,
    ) {
        prop_assert_eq!(decode(&stream, &cuts, limit), decode(&stream, &[], limit));
    }
}
