//! Lines from the terminal.

use std::io::BufRead;
use std::sync::mpsc::{Sender, channel};

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Reads standard input, one line each time that one is asked for.
#[derive(Default)]
pub(super) struct Keyboard(Option<Reader>);

struct Reader {
    /// Asks for a line.
    ask: Sender<()>,
    /// At most one, as one is asked for at a time.
    lines: UnboundedReceiver<Option<String>>,
    /// A line was asked for and did not come, as nobody waited for it any more.
    waiting: bool,
}

impl Keyboard {
    /// The next line without its end; `None` when there is none (Ctrl-D). A terminal bounds how long it can be.
    ///
    /// # Cancel safety
    ///
    /// What is typed later is the next line.
    pub(super) async fn line(&mut self) -> Option<String> {
        let reader = self.0.get_or_insert_with(Reader::start);
        if !reader.waiting {
            reader.ask.send(()).ok()?;
            reader.waiting = true;
        }
        let line = reader.lines.recv().await;
        reader.waiting = false;
        line.flatten()
    }
}

impl Reader {
    /// A read of the terminal cannot be taken back, so it has a thread of its own, which nobody waits for.
    fn start() -> Self {
        let (ask, asked) = channel();
        let (send, lines) = unbounded_channel();
        std::thread::spawn(move || {
            for () in asked {
                let mut line = String::new();
                let read = std::io::stdin().lock().read_line(&mut line);
                let line = match read {
                    Ok(0) | Err(_) => None,
                    Ok(_) => Some(line.trim_end_matches(['\n', '\r']).to_owned()),
                };
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        Self { ask, lines, waiting: false }
    }
}
