//! The example `dashboard`, opened in a browser: a page of another origin sees a metric change.

use crate::node::Node;
use crate::server::{self, Server};
use crate::sh::{self, Group, Result};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

/// A browser needs seconds to start on a busy machine, and a metric changes every second.
const LIMIT: Duration = Duration::from_secs(60);

/// What the browser is called, on Debian and elsewhere.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// Why there is nothing to check with; `None` when there is a browser.
pub(crate) fn missing() -> Option<String> {
    find().is_none().then(|| {
        "Chromium is missing: the dashboard is not opened in a browser (`apt-get install chromium`)".into()
    })
}

/// Builds the example, serves it, and opens it.
pub(crate) fn run(root: &Path) -> Result<()> {
    let browser = find().ok_or_else(|| missing().unwrap_or_default())?;
    let node = Node::ready(root)?;
    let dashboard = server::build(root, "throughline-examples", "dashboard")?;
    let logs = root.join("target/xtask");
    let mut serving = Server::start(
        Command::new(dashboard).args(["127.0.0.1:0", "127.0.0.1:0"]),
        &logs.join("dashboard.log"),
        "Open http://127.0.0.1:PORT in a browser.",
        |line| line.strip_prefix("Open ")?.strip_suffix(" in a browser."),
    )?;
    let profile = logs.join(format!("browser-{}", std::process::id()));
    let opened = open(root, &node, browser, &profile, &serving.url);
    // It holds nothing of worth, and that it cannot be removed is no failure of the page.
    let _ = std::fs::remove_dir_all(&profile);
    serving.check_running()?;
    opened
}

fn open(root: &Path, node: &Node, browser: &str, profile: &Path, page: &str) -> Result<()> {
    let mut command = Command::new(browser);
    command
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .args(["--remote-debugging-port=0", "about:blank"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut stderr = None;
    let _browser = Group::start(&mut command, |child| stderr = child.stderr.take())?;
    let stderr = BufReader::new(stderr.expect("the browser's standard error is piped"));
    let (tell, address) = channel();
    std::thread::spawn(move || {
        // All of it is read, so that the browser never waits for a full pipe.
        for line in stderr.lines().map_while(std::io::Result::ok) {
            if let Some(address) = line.strip_prefix("DevTools listening on ") {
                let _ = tell.send(address.to_owned());
            }
        }
    });
    let address = address.recv_timeout(LIMIT).map_err(|_| format!("{browser} did not start"))?;
    let mut watch = node.command();
    watch.arg(root.join("xtask/src/browser.mjs")).args([&address, page]);
    match Group::start(&mut watch, |_| {})?.wait(LIMIT)? {
        Some(status) if status.success() => Ok(()),
        Some(_) => Err("the dashboard shows no metric that changes; what it shows stands above".into()),
        None => Err(format!("{browser} did not answer within {} s", LIMIT.as_secs())),
    }
}

fn find() -> Option<&'static str> {
    NAMES.into_iter().find(|name| sh::capture(Command::new(name).arg("--version")).is_ok())
}
