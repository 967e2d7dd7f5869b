//! How far a call is, in the last line of the terminal.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use throughline::model::ProgressParams;
use tokio::time::Instant;

use crate::terminal;

/// Shows progress from now on, and takes it away when it is dropped.
pub(super) struct Shown;

impl Shown {
    /// What a call tells of its progress.
    pub(super) fn teller() -> (Self, impl FnMut(ProgressParams) + Send + 'static) {
        let last: Arc<Mutex<Option<Instant>>> = Arc::default();
        let tell = move |progress: ProgressParams| {
            let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let is_end = progress.total.is_some_and(|total| progress.progress >= total);
            // More often nobody can read.
            if !is_end && last.is_some_and(|last| now.duration_since(last) < BETWEEN) {
                return;
            }
            *last = Some(now);
            terminal::set_status(Some(line(&progress, terminal::width())));
        };
        (Self, tell)
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        terminal::set_status(None);
    }
}

/// `[=========>          ]  45 %  reading`, or `12  reading` when nobody knows where it ends.
fn line(progress: &ProgressParams, width: usize) -> String {
    let message = progress.message.as_deref().unwrap_or_default();
    let message = terminal::plain(message).replace(['\n', '\t'], " ");
    let total = progress.total.filter(|total| *total > 0.0 && total.is_finite());
    let line = match total {
        Some(total) => {
            let part = (progress.progress / total).clamp(0.0, 1.0);
            // Both are between 0 and what they are multiplied by.
            let done = (part * BAR as f64) as usize;
            let percent = (part * 100.0) as u8;
            let head = if done < BAR { ">" } else { "" };
            let room = BAR - done - head.len();
            format!("[{}{head}{}] {percent:>3} %  {message}", "=".repeat(done), " ".repeat(room))
        }
        None => format!("{}  {message}", progress.progress),
    };
    cut(line.trim_end(), width.saturating_sub(1))
}

/// As much of a line as fits: one that wraps could not be taken away.
fn cut(line: &str, columns: usize) -> String {
    let mut used = 0;
    line.chars()
        .take_while(|c| {
            // Most of what is beyond here takes two columns.
            used += if *c < '\u{1100}' { 1 } else { 2 };
            used <= columns
        })
        .collect()
}

/// Columns of the bar.
const BAR: usize = 20;
/// Ten a second are a bar that moves.
const BETWEEN: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use throughline::jsonrpc::ProgressToken;

    use super::*;

    fn at(progress: f64, total: Option<f64>, message: &str) -> String {
        let mut params = ProgressParams::new(ProgressToken::Number(1), progress);
        (params.total, params.message) = (total, Some(message.to_owned().into()));
        line(&params, 50)
    }

    #[test]
    fn a_bar_where_the_end_is_known() {
        insta::assert_snapshot!(
            [
                at(0.0, Some(4.0), "begins"),
                at(1.0, Some(4.0), "goes on"),
                at(3.99, Some(4.0), "nearly\nthere\x1b[2J"),
                at(4.0, Some(4.0), ""),
                at(9.0, Some(4.0), "beyond"),
                at(-1.0, Some(4.0), "before"),
                at(3.0, Some(0.0), "no end"),
                at(f64::NAN, Some(1.0), "nothing"),
                at(3.5, None, "reading"),
                at(1.0, Some(2.0), "a message that is longer than the terminal has columns"),
                at(1.0, None, "漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字"),
            ]
            .join("\n"),
            @r"
        [>                   ]   0 %  begins
        [=====>              ]  25 %  goes on
        [===================>]  99 %  nearly there�[2J
        [====================] 100 %
        [====================] 100 %  beyond
        [>                   ]   0 %  before
        3  no end
        [>                   ]   0 %  nothing
        3.5  reading
        [==========>         ]  50 %  a message that is l
        1  漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢
        "
        );
    }
}
