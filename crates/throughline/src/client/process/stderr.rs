//! What a server writes to standard error: for the log, or for a callback, and the last of it for the reason of its end.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::oneshot;

use crate::lock::Lock;

/// The user's callback for lines, shared by the processes of one command.
pub(super) type Listener = Arc<Mutex<dyn FnMut(&str) + Send>>;

/// The last lines.
#[derive(Debug, Default)]
pub(super) struct Tail(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    lines: VecDeque<String>,
    bytes: usize,
}

impl Tail {
    /// The lines that are kept, the oldest first.
    pub(super) fn lines(&self) -> Vec<String> {
        self.0.locked().lines.iter().cloned().collect()
    }

    pub(super) fn push(&self, line: &str) {
        let line = cut(line, MOST_BYTES).into_owned();
        let mut kept = self.0.locked();
        kept.bytes += line.len();
        kept.lines.push_back(line);
        while kept.lines.len() > MOST_LINES || kept.bytes > MOST_BYTES {
            let oldest = kept.lines.pop_front().expect("what is kept has lines");
            kept.bytes -= oldest.len();
        }
    }
}

/// Reads until the end, so that the server can always write. `drained` is dropped then.
pub(super) async fn read(
    mut pipe: impl AsyncRead + Unpin,
    program: Arc<str>,
    mut listener: Option<Listener>,
    tail: Arc<Tail>,
    _drained: oneshot::Sender<()>,
) {
    let mut lines = Lines::default();
    let mut each = |line: &str| {
        let plain = plain(line);
        tail.push(&plain);
        let Some(told) = &listener else {
            tracing::info!(target: "throughline::server_stderr", program = %program, "{plain}");
            return;
        };
        // The lock is nobody else's but for another process of the same command.
        if catch_unwind(AssertUnwindSafe(|| (told.locked())(line))).is_err() {
            tracing::warn!(program = %program, "the callback for standard error panicked: its lines go to the log from now on");
            listener = None;
        }
    };
    let mut buffer = vec![0; AT_ONCE];
    // An error is the end too: there is nothing more to read.
    while let Ok(read @ 1..) = pipe.read(&mut buffer).await {
        lines.feed(&buffer[..read], &mut each);
        // A flood must not keep the other tasks of this thread waiting.
        tokio::task::yield_now().await;
    }
    lines.end(&mut each);
}

/// Cuts bytes into lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    line: Vec<u8>,
    /// Whether the rest of the line is left out.
    is_cut: bool,
}

impl Lines {
    pub(super) fn feed(&mut self, mut bytes: &[u8], each: &mut impl FnMut(&str)) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.push(&bytes[..end]);
            self.finish(each);
            bytes = &bytes[end + 1..];
        }
        self.push(bytes);
    }

    /// The last line may lack its end.
    pub(super) fn end(&mut self, each: &mut impl FnMut(&str)) {
        if !self.line.is_empty() {
            self.finish(each);
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        let room = LONGEST_LINE - self.line.len();
        self.is_cut |= bytes.len() > room;
        self.line.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn finish(&mut self, each: &mut impl FnMut(&str)) {
        if std::mem::take(&mut self.is_cut) {
            // Not in the middle of a character.
            if let Err(error) = std::str::from_utf8(&self.line)
                && error.error_len().is_none()
            {
                self.line.truncate(error.valid_up_to());
            }
            self.line.extend_from_slice(CUT.as_bytes());
        } else if self.line.last() == Some(&b'\r') {
            self.line.pop();
        }
        each(&String::from_utf8_lossy(&self.line));
        self.line.clear();
    }
}

/// The line without what a terminal would obey: colours are left out, other control characters become spaces. So a server
/// cannot rewrite the screen of whoever reads its log or an error.
pub(super) fn plain(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut chars = line.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\u{1b}' if chars.next_if_eq(&'[').is_some() => {
                // `ESC [`, parameters, and one character that ends it (ECMA-48, 5.4).
                while chars.next_if(|char| matches!(char, '\u{20}'..='\u{3f}')).is_some() {}
                chars.next_if(|char| matches!(char, '\u{40}'..='\u{7e}'));
            }
            char if char.is_control() => plain.push(' '),
            char => plain.push(char),
        }
    }
    plain.truncate(plain.trim_end().len());
    plain
}

/// The beginning of `line`, with a mark where it was cut.
fn cut(line: &str, most: usize) -> Cow<'_, str> {
    if line.len() <= most {
        return line.into();
    }
    let mut end = most - CUT.len();
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{CUT}", &line[..end]).into()
}

/// Stands where a line was cut.
const CUT: &str = " .. (cut)";

/// The longest line that is told whole: longer than a stack trace on one line, and nothing to hold.
pub(super) const LONGEST_LINE: usize = 16 * 1024;

/// How many of the last lines are kept: a stack trace and what led to it, and still an error message that can be read.
pub(super) const MOST_LINES: usize = 20;
/// How many bytes of them are kept: 20 long lines of a terminal many times over, and small beside a message.
pub(super) const MOST_BYTES: usize = 8 * 1024;

/// How much is read at once.
const AT_ONCE: usize = 8 * 1024;
