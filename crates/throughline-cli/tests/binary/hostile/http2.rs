//! HTTP/2 with prior knowledge, frame by frame.

use std::net::SocketAddr;

use super::Target;
use super::raw::Raw;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// Kinds of frames: RFC 9113, section 6.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

// Section 7.
const ENHANCE_YOUR_CALM: u32 = 11;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("it fits a frame").to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A header as a literal that enters no table (RFC 7541, section 6.2.2).
fn literal(name: &str, value: &str) -> Vec<u8> {
    let mut block = vec![0];
    for text in [name, value] {
        // A length with a prefix of seven bits (section 5.1).
        let length = text.len();
        if length < 127 {
            block.push(u8::try_from(length).expect("it is small"));
        } else {
            block.push(127);
            let mut rest = length - 127;
            while rest >= 128 {
                block.push(u8::try_from(rest % 128).expect("it is small") | 128);
                rest /= 128;
            }
            block.push(u8::try_from(rest).expect("it is small"));
        }
        block.extend(text.as_bytes());
    }
    block
}

fn request(method: &str, further: &[(&str, &str)]) -> Vec<u8> {
    let all = [(":method", method), (":scheme", "http"), (":path", "/mcp"), (":authority", "localhost")];
    let all = [
        &all[..],
        &[("content-type", "application/json"), ("accept", "application/json, text/event-stream")],
        further,
    ];
    all.concat().iter().flat_map(|(name, value)| literal(name, value)).collect()
}

/// A connection whose first words were said.
struct Http2(Raw);

impl Http2 {
    async fn open(address: SocketAddr) -> Self {
        let mut raw = Raw::open(address).await;
        raw.send([PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await;
        Self(raw)
    }

    /// The next frame: kind, flags, stream and payload.
    async fn next(&mut self) -> (u8, u8, u32, Vec<u8>) {
        let head = self.0.take(9).await;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let stream = u32::from_be_bytes(head[5..9].try_into().expect("four bytes")) & (u32::MAX >> 1);
        (head[3], head[4], stream, self.0.take(length).await)
    }

    /// The body of the answer on a stream.
    async fn body_of(&mut self, wanted: u32) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let (kind, flags, stream, payload) = self.next().await;
            assert_ne!(kind, GOAWAY, "{payload:?}");
            if stream == wanted && matches!(kind, DATA | HEADERS) {
                if kind == DATA {
                    body.extend(payload);
                }
                if flags & END_STREAM != 0 {
                    return body;
                }
            }
        }
    }

    /// Floods it with these bytes, again and again: it ends the connection, for this reason where that can be read.
    async fn floods(mut self, again: &[u8], most: usize, reason: u32) {
        let mut sent = 0;
        while sent < most && self.0.offer(again).await {
            sent += again.len();
        }
        assert!(sent < most, "it took {sent} bytes");
        self.has_ended("a flood", Some(reason)).await;
    }

    /// It ends the connection, for this reason or for any that is one.
    async fn has_ended(mut self, what: &str, reason: Option<u32>) {
        let said = self.0.closed().await;
        let mut rest = &said[..];
        let mut told = None;
        while rest.len() >= 9 {
            let length = usize::from(rest[0]) << 16 | usize::from(rest[1]) << 8 | usize::from(rest[2]);
            let (kind, payload) = (rest[3], rest.get(9..9 + length).unwrap_or_default());
            if kind == GOAWAY && payload.len() >= 8 {
                told = Some(u32::from_be_bytes(payload[4..8].try_into().expect("four bytes")));
            }
            rest = rest.get(9 + length..).unwrap_or_default();
        }
        // What it said is lost when it closes a socket with bytes that it has not read.
        assert!(
            told.is_none_or(|told| told > 0 && reason.is_none_or(|reason| told == reason)),
            "{what}: it gave {told:?} as the reason, not {reason:?}"
        );
    }
}

const HELLO: &str = super::INITIALIZE;

#[tokio::test]
async fn streams_that_are_opened_and_reset() {
    let target = Target::start(&[]).await;
    let headers = request("POST", &[]);
    // "Rapid reset", CVE-2023-44487.
    let mut http2 = Http2::open(target.address()).await;
    let mut stream = 1;
    let mut open = true;
    while open && stream < 400_000 {
        let mut many = Vec::new();
        for _ in 0..100 {
            many.extend(frame(HEADERS, END_HEADERS, stream, &headers));
            many.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
            stream += 2;
        }
        open = http2.0.offer(&many).await;
    }
    assert!(!open, "it let {stream} streams come and go");
    http2.has_ended("streams without end", Some(ENHANCE_YOUR_CALM)).await;

    // "Made you reset", CVE-2025-8671: it is the server that resets.
    let mut http2 = Http2::open(target.address()).await;
    let (mut stream, mut open) = (1, true);
    while open && stream < 400_000 {
        let mut many = Vec::new();
        for _ in 0..100 {
            many.extend(frame(HEADERS, END_HEADERS, stream, &headers));
            // Its window would overflow.
            many.extend(frame(WINDOW_UPDATE, 0, stream, &(u32::MAX >> 1).to_be_bytes()));
            stream += 2;
        }
        open = http2.0.offer(&many).await;
    }
    assert!(!open, "it let {stream} streams come and go");
    http2.has_ended("streams without end", Some(ENHANCE_YOUR_CALM)).await;
    target.stands(32).await;
}

/// Frames that want an answer each, sent by somebody who reads none: what waits is bounded, and so is what is read.
#[tokio::test]
async fn answers_that_nobody_reads() {
    let target = Target::start(&[]).await;
    for flood in [frame(PING, 0, 0, &[7; 8]), frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0])] {
        let mut http2 = Http2::open(target.address()).await;
        let flood = flood.repeat(1_000);
        let mut taken = 0;
        let others = || async {
            for _ in 0..20 {
                super::serves(target.address()).await;
            }
        };
        while taken < 256 << 20 && http2.0.takes(&flood, others()).await {
            taken += flood.len();
        }
        assert!(taken < 256 << 20, "it took {taken} bytes");
    }
    target.stands(16).await;
}

#[tokio::test]
async fn heads_without_end() {
    let target = Target::start(&[]).await;
    // "CONTINUATION flood", CVE-2024-27316.
    let mut http2 = Http2::open(target.address()).await;
    http2.0.send(frame(HEADERS, 0, 1, &request("POST", &[]))).await;
    let more = frame(CONTINUATION, 0, 1, &literal("x", &"y".repeat(10_000)));
    http2.floods(&more, 64 << 20, ENHANCE_YOUR_CALM).await;
    // Empty ones weigh nothing and end nothing.
    let mut http2 = Http2::open(target.address()).await;
    http2.0.send(frame(HEADERS, 0, 1, &request("POST", &[]))).await;
    http2.floods(&frame(CONTINUATION, 0, 1, &[]).repeat(1_000), 64 << 20, ENHANCE_YOUR_CALM).await;
    // Larger than a head may be, and whole.
    let mut http2 = Http2::open(target.address()).await;
    let value = "y".repeat(15_000);
    http2.0.send(frame(HEADERS, 0, 1, &request("POST", &[]))).await;
    http2.0.send(frame(CONTINUATION, 0, 1, &literal("x", &value))).await;
    http2.0.send(frame(CONTINUATION, END_HEADERS, 1, &literal("x", &value))).await;
    loop {
        let (kind, _, stream, payload) = http2.next().await;
        if (kind, stream) == (HEADERS, 1) {
            // 431 is in no table: it is a literal, "431", behind the index of `:status`.
            assert!(payload.windows(3).any(|digits| digits == b"431") || payload.len() < 8, "{payload:?}");
            break;
        }
        assert_ne!(kind, GOAWAY);
    }
    target.stands(16).await;
}

#[tokio::test]
async fn frames_that_break_the_rules() {
    let target = Target::start(&[]).await;
    let open = frame(HEADERS, END_HEADERS, 1, &request("POST", &[]));
    for (what, frames) in [
        ("DATA of a stream that is idle", frame(DATA, 0, 1, b"x")),
        ("HEADERS of stream 0", frame(HEADERS, END_HEADERS, 0, &request("POST", &[]))),
        ("HEADERS of an even stream", frame(HEADERS, END_HEADERS, 2, &request("POST", &[]))),
        ("a promise of a client", frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2])),
        ("a PING of seven bytes", frame(PING, 0, 0, &[0; 7])),
        ("a PING of a stream", frame(PING, 0, 1, &[0; 8])),
        ("SETTINGS of five bytes", frame(SETTINGS, 0, 0, &[0; 5])),
        ("a window beyond what may be", frame(SETTINGS, 0, 0, &[0, 4, 0xff, 0xff, 0xff, 0xff])),
        ("a window that overflows", frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff])),
        ("a window of nothing", frame(WINDOW_UPDATE, 0, 0, &[0; 4])),
        ("CONTINUATION of nothing", frame(CONTINUATION, END_HEADERS, 1, &[])),
        (
            "a frame within a head",
            [frame(HEADERS, 0, 1, &request("POST", &[])), frame(PING, 0, 0, &[0; 8])].concat(),
        ),
        ("a frame of 16 MB", [&[0xff, 0xff, 0xff, DATA, 0, 0, 0, 0, 1][..], &[0; 100_000]].concat()),
        ("a table entry that is none", frame(HEADERS, END_HEADERS, 1, &[0xff, 0xff, 0xff, 0xff, 0x0f])),
    ] {
        let mut http2 = Http2::open(target.address()).await;
        http2.0.offer(&frames).await;
        http2.has_ended(what, None).await;
    }
    // A preface that is none.
    let mut raw = target.raw().await;
    raw.offer([&PREFACE[..20], b"XXXX"].concat()).await;
    let said = raw.closed().await;
    assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 400 "), "{}", String::from_utf8_lossy(&said));
    // Odd, and allowed.
    let mut http2 = Http2::open(target.address()).await;
    http2.0.send(frame(77, 0xff, 5, b"unknown")).await;
    http2.0.send(frame(PRIORITY, 0, 3, &[0, 0, 0, 1, 0])).await;
    http2.0.send(&open).await;
    http2.0.send(frame(DATA, END_STREAM, 1, HELLO.as_bytes())).await;
    let body = String::from_utf8(http2.body_of(1).await).expect("it is text");
    assert!(body.contains("throughline-demo"), "{body}");
    target.stands(16).await;
}

/// A client that may be sent 2 GiB, and takes none of it: the server sends what its socket takes, and holds no more.
#[tokio::test]
async fn windows_without_bounds() {
    let target = Target::start(&[]).await;
    let session = target.session().await;
    let mut raw = target.raw().await;
    let settings = frame(SETTINGS, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff]);
    let window = frame(WINDOW_UPDATE, 0, 0, &0x7fff_0000_u32.to_be_bytes());
    raw.send([PREFACE, &settings, &window].concat()).await;
    let text = "x".repeat(500_000);
    let message = super::call(&serde_json::json!("a"), "echo", &serde_json::json!({"text": text}));
    for at in 0..40_u32 {
        let stream = 2 * at + 1;
        let message = message.replace(r#""id":"a""#, &format!(r#""id":{at}"#));
        let mut frames =
            frame(HEADERS, END_HEADERS, stream, &request("POST", &[("mcp-session-id", &session)]));
        let mut pieces = message.as_bytes().chunks(16_000).peekable();
        while let Some(piece) = pieces.next() {
            let flags = if pieces.peek().is_none() { END_STREAM } else { 0 };
            frames.extend(frame(DATA, flags, stream, piece));
        }
        let others = async {
            for _ in 0..20 {
                super::serves(target.address()).await;
            }
        };
        if !raw.takes(&frames, others).await {
            break;
        }
    }
    // Each holds its request and its answer at most; 40 of them, and the server's own windows say how many more may come.
    target.stands(96).await;
}

/// As many streams as there may be, with nothing on them.
#[tokio::test]
async fn streams_that_say_nothing() {
    let target = Target::start(&[]).await;
    let mut kept = Vec::new();
    for _ in 0..20 {
        let mut http2 = Http2::open(target.address()).await;
        for at in 0..256 {
            http2.0.send(frame(HEADERS, END_HEADERS, 2 * at + 1, &request("POST", &[]))).await;
        }
        // One more is refused, and the connection lives.
        http2.0.send(frame(HEADERS, END_HEADERS, 513, &request("POST", &[]))).await;
        loop {
            let (kind, _, stream, payload) = http2.next().await;
            assert_ne!(kind, GOAWAY);
            if (kind, stream) == (RST_STREAM, 513) {
                assert_eq!(payload, 7_u32.to_be_bytes(), "REFUSED_STREAM");
                break;
            }
        }
        kept.push(http2);
    }
    // 5,120 requests that wait for their bodies.
    target.stands(96).await;
}
