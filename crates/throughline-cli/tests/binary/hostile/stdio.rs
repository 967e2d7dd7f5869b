//! A parent process that means harm: lines without end, without sense and without text.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};

use super::super::process::binary;
use super::super::within;
use super::{INITIALIZE, PING};

struct Piped {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Piped {
    fn start() -> Self {
        let mut command = binary(&["serve", "--stdio", "--log", "error"]);
        let mut child = command.stdin(Stdio::piped()).spawn().expect("it starts");
        let input = child.stdin.take().expect("it is piped");
        let output = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        Self { child, input, output }
    }

    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        within("that it reads", self.input.write_all(bytes.as_ref())).await.expect("it is open");
    }

    async fn next(&mut self) -> Value {
        let line = within("a line", self.output.next_line()).await.expect("it writes UTF-8");
        serde_json::from_str(&line.expect("it goes on")).expect("every line is a message")
    }

    /// The code of the error that comes next, which has no id.
    async fn refusal(&mut self) -> i64 {
        let message = self.next().await;
        assert_eq!(message.get("id").unwrap_or(&Value::Null), &Value::Null, "{message}");
        message["error"]["code"].as_i64().unwrap_or_else(|| panic!("{message}"))
    }

    /// It serves on, has said nothing of its own, and its peak memory is below this.
    async fn stands(mut self, most_mib: u64) {
        self.send(format!("{INITIALIZE}\n")).await;
        assert_eq!(self.next().await["id"], 0);
        self.send(format!("{PING}\n")).await;
        assert_eq!(self.next().await["result"], json!({}));
        #[cfg(target_os = "linux")]
        {
            let peak = super::peak(self.child.id().expect("it runs"));
            assert!(
                peak < most_mib * 1024,
                "the peak of its memory was {peak} KiB, more than {most_mib} MiB"
            );
        }
        #[cfg(not(target_os = "linux"))]
        let _ = most_mib;
        drop(self.input);
        let status = within("its end", self.child.wait()).await.expect("it is ours");
        let mut log = String::new();
        let mut stderr = self.child.stderr.take().expect("it is piped");
        stderr.read_to_string(&mut log).await.expect("it is UTF-8");
        assert_eq!((status.code(), &*log), (Some(0), ""));
    }
}

#[tokio::test]
async fn a_line_without_end() {
    let mut piped = Piped::start();
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..64 {
        piped.send(&piece).await;
    }
    piped.send("\n").await;
    assert_eq!(piped.refusal().await, -32600);
    // And one that is all but a message.
    piped.send(format!("{}{}\n", &PING[..PING.len() - 1], " ".repeat(64 << 20))).await;
    assert_eq!(piped.refusal().await, -32600);
    piped.stands(64).await;
}

#[tokio::test]
async fn lines_that_are_no_messages() {
    let mut piped = Piped::start();
    for (line, code) in [
        (&b"hello"[..], -32700),
        (b"GET / HTTP/1.1", -32700),
        (b"{", -32700),
        (b"\xff\xfe\x00", -32700),
        (b"\x00\x00\x00\x02{}", -32700),
        (b"Content-Length: 2", -32700),
        (b"null", -32600),
        (b"{}", -32600),
        (b"\"x\"", -32600),
        (br#"{"jsonrpc":"2.0","id":[],"method":"ping"}"#, -32600),
    ] {
        piped.send([line, b"\n"].concat()).await;
        assert_eq!(piped.refusal().await, code, "{}", String::from_utf8_lossy(line));
    }
    // Lines of nothing are nothing.
    piped.send("\n".repeat(100_000)).await;
    piped.send("\r\n".repeat(100_000)).await;
    piped.stands(48).await;
}

/// Garbage by the megabyte, each line answered: whoever reads the answers gets all of them.
#[tokio::test]
async fn lines_by_the_thousand() {
    let mut piped = Piped::start();
    let lines = 20_000;
    let (mut input, mut output) = (piped.input, piped.output);
    let sending = tokio::spawn(async move {
        for _ in 0..lines / 100 {
            input.write_all("garbage\n".repeat(100).as_bytes()).await.expect("it reads");
        }
        input
    });
    for number in 0..lines {
        let line = within("a line", output.next_line()).await.expect("it writes UTF-8").expect("it goes on");
        assert!(line.contains("-32700"), "{number}: {line}");
    }
    piped.input = sending.await.expect("it ends");
    piped.output = output;
    piped.stands(48).await;
}
