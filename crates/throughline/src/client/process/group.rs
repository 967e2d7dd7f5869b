//! A process group: the process of a server and what it started.

use std::time::Duration;

use crate::runtime;

/// The group of a process that leads one.
///
/// A process that left its group on purpose (`setsid`, as daemons do) is not in it and outlives it.
///
/// # Drop behavior
///
/// A group that was not [let go](Self::let_go) is killed: its supervisor went with the runtime.
#[derive(Debug)]
pub(super) struct Group {
    #[cfg(unix)]
    id: rustix::process::Pid,
    over: bool,
}

impl Group {
    /// The group of `leader`, whom nobody waited for yet.
    #[cfg_attr(not(unix), expect(unused_variables, reason = "there are no groups"))]
    pub(super) fn of(leader: u32) -> Self {
        Self {
            #[cfg(unix)]
            id: i32::try_from(leader)
                .ok()
                .and_then(rustix::process::Pid::from_raw)
                .expect("the id of a process is a positive number of 31 bits"),
            over: false,
        }
    }

    /// Asks every process of the group to end. Without signals nobody can be asked.
    pub(super) fn term(&self) {
        #[cfg(unix)]
        self.signal(rustix::process::Signal::TERM);
    }

    /// Ends every process of the group.
    pub(super) fn kill(&self) {
        #[cfg(unix)]
        self.signal(rustix::process::Signal::KILL);
    }

    /// Waits until every process of the group has ended, at most as long as `within`. The process that leads it was waited
    /// for before, or cannot be. The system tells nobody of the end of a group, so this looks again and again.
    pub(super) async fn gone(&self, within: Duration) -> bool {
        let until = runtime::now() + within;
        let mut pause = SHORTEST_PAUSE;
        while !self.is_gone() {
            if pause >= THOROUGH_FROM && self.only_zombies() {
                // Also the threads of one whose first thread ended before the others, which looks the same.
                self.kill();
                return true;
            }
            let now = runtime::now();
            if now >= until {
                return false;
            }
            runtime::sleep_until(until.min(now + pause)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        true
    }

    /// Whether the group is no more. A process that ended counts until its parent has waited for it, or for an orphan the
    /// system's first process.
    fn is_gone(&self) -> bool {
        #[cfg(unix)]
        {
            use rustix::process::{WaitOptions, test_kill_process_group, waitpgid};
            // In a container that may be us.
            while let Ok(Some(_)) = waitpgid(self.id, WaitOptions::NOHANG) {}
            // An error other than "there is none" says that we may signal nobody in it, and that waiting is in vain.
            test_kill_process_group(self.id).is_err()
        }
        #[cfg(not(unix))]
        true
    }

    /// Whether every process that is left has ended, and only its parent takes no note of it: the first process of many
    /// containers never does. `false` where nobody can say.
    fn only_zombies(&self) -> bool {
        #[cfg(target_os = "linux")]
        {
            // "id (name) state parent group ..", where the name may be anything (proc_pid_stat(5)).
            let lives = |stat: &str| {
                let mut fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields).split(' ');
                let state = fields.next().unwrap_or_default();
                fields.nth(1).and_then(|group| group.parse().ok()) == Some(self.id.as_raw_pid())
                    && !matches!(state, "Z" | "X")
            };
            let Ok(all) = std::fs::read_dir("/proc") else { return false };
            !all.flatten()
                .filter(|entry| entry.file_name().as_encoded_bytes().first().is_some_and(u8::is_ascii_digit))
                .filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok())
                .any(|stat| lives(&stat))
        }
        #[cfg(not(target_os = "linux"))]
        false
    }

    /// Nothing is left to be done. The system may give the number of a group that is gone to another.
    pub(super) fn let_go(&mut self) {
        self.over = true;
    }

    #[cfg(unix)]
    fn signal(&self, signal: rustix::process::Signal) {
        // The number cannot be that of strangers: it is taken as long as anybody is in the group, and we stop signalling
        // right after the process that led it was waited for and nobody was left.
        if let Err(error) = rustix::process::kill_process_group(self.id, signal)
            && error != rustix::io::Errno::SRCH
        {
            tracing::debug!(%error, group = self.id.as_raw_nonzero(), "a process group could not be signalled");
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.over {
            self.kill();
        }
    }
}

/// Processes that obey TERM are mostly gone by the first look.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
/// Short for whoever waits for a close, and no load.
const LONGEST_PAUSE: Duration = Duration::from_millis(64);
/// From this pause on it looks at every process of the system, which takes a few milliseconds and is rarely needed.
const THOROUGH_FROM: Duration = Duration::from_millis(16);

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};

    use rustix::process::{WaitId, WaitIdOptions, waitid};

    use super::*;

    #[tokio::test]
    async fn a_group_of_zombies_is_gone() {
        let mut process = Command::new("cat").process_group(0).stdin(Stdio::piped()).spawn().unwrap();
        let mut group = Group::of(process.id());
        assert!(!group.only_zombies() && !group.is_gone());
        drop(process.stdin.take());
        // Leaves it a zombie.
        waitid(WaitId::Pid(group.id), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).unwrap();
        assert!(group.only_zombies());
        // It is our own child, so it can be waited for.
        assert!(group.gone(Duration::ZERO).await && group.is_gone());
        assert!(process.wait().is_err(), "it was waited for");
        group.let_go();
    }
}
