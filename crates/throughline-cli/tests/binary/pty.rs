//! A terminal, as the program sees one.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::Stdio;

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use tokio::process::{Child, Command};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::within;

/// A program that runs with standard input and standard error at a terminal of 80 columns; its standard output is a pipe.
pub(super) struct AtTerminal {
    child: Child,
    keys: File,
    shown: UnboundedReceiver<Vec<u8>>,
    /// Everything that was shown.
    pub(super) screen: String,
    /// How much of it was waited for.
    seen: usize,
}

pub(super) fn at_terminal(mut command: Command) -> AtTerminal {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&master).expect("it is ours");
    unlockpt(&master).expect("it is ours");
    let name = ptsname(&master, Vec::new()).expect("it has a name");
    let slave: OwnedFd =
        open(&*name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).expect("the other side of it");
    let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&master, size).expect("it has a size");
    let input = slave.try_clone().expect("another handle");
    command.stdin(Stdio::from(input)).stderr(Stdio::from(slave)).stdout(Stdio::piped());
    let child = command.spawn().expect("it starts");
    // The command holds the other side too, and the end would never be seen.
    drop(command);
    let keys = File::from(master);
    let mut screen = keys.try_clone().expect("another handle");
    let (send, shown) = unbounded_channel();
    std::thread::spawn(move || {
        let mut chunk = [0; 4096];
        // Linux ends it with an error.
        while let Ok(count @ 1..) = screen.read(&mut chunk) {
            if send.send(chunk[..count].to_vec()).is_err() {
                return;
            }
        }
    });
    AtTerminal { child, keys, shown, screen: String::new(), seen: 0 }
}

impl AtTerminal {
    /// Waits until this is shown, behind what was waited for before.
    pub(super) async fn shows(&mut self, text: &str) {
        loop {
            if let Some(at) = self.screen[self.seen..].find(text) {
                self.seen += at + text.len();
                return;
            }
            let more = within(text, self.shown.recv()).await;
            let more = more.unwrap_or_else(|| panic!("no `{text}` before the end of:\n{}", self.screen));
            self.screen.push_str(std::str::from_utf8(&more).expect("it writes UTF-8"));
        }
    }

    pub(super) fn types(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("it is open");
    }

    /// Sends the signal that Ctrl-C sends.
    pub(super) fn interrupts(&self) {
        let id = self.child.id().expect("it runs").cast_signed();
        let id = rustix::process::Pid::from_raw(id).expect("no process has the id 0");
        rustix::process::kill_process(id, rustix::process::Signal::INT).expect("it is ours");
    }

    /// Waits for its end: exit code, standard output, and all that was shown, escapes written out.
    pub(super) async fn ended(mut self) -> (i32, String, String) {
        let output = within("the end", self.child.wait_with_output()).await.expect("it is ours");
        while let Some(more) = within("the end of the screen", self.shown.recv()).await {
            self.screen.push_str(std::str::from_utf8(&more).expect("it writes UTF-8"));
        }
        let screen =
            self.screen.replace("\r\n", "\n").replace("\r\x1b[K", "<clear>").replace('\x1b', "<esc>");
        let out = String::from_utf8(output.stdout).expect("it writes UTF-8");
        (output.status.code().expect("it was not killed"), out, screen)
    }
}
