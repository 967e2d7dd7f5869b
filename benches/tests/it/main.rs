//! The lab as a program: children, pinning, deadlines, table, figures and picture, in a run of a second.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

const LAB: &str = env!("CARGO_BIN_EXE_throughline-benches");

/// Files of one test, gone in the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn lab(arguments: &[&str]) -> Output {
    Command::new(LAB).args(arguments).output().unwrap()
}

#[test]
fn a_quick_run_prints_a_table_and_leaves_figures_and_a_picture() {
    // The build that counts the heap lies beside the lab, where the lab looks for it.
    assert!(PathBuf::from(env!("CARGO_BIN_EXE_throughline-benches-heap")).is_file());
    let folder = Folder::new("quick");
    let (json, svg) = (folder.0.join("figures.json"), folder.0.join("picture.svg"));
    let [json_path, svg_path] = [&json, &svg].map(|path| path.to_str().unwrap());
    let only = ["--quick", "--only", "json,progress,idle", "--targets", "floor,floor-8k,us"];
    let ran = lab(&[&only[..], &["--json", json_path, "--svg", svg_path]].concat());
    assert!(ran.status.success(), "{}", text(&ran.stderr));

    let table = text(&ran.stdout);
    for part in ["a quick run", "in a session?", "at a given rate?", "long streams?", "idle session hold?"] {
        assert!(table.contains(part), "{part} is missing in {table}");
    }
    assert_eq!(table.matches("floor-8k").count(), 2, "in one scenario and in the legend: {table}");

    let figures: serde_json::Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    let lines = figures["lines"].as_array().unwrap();
    let of = |work: &str, target: &str| {
        let is_it = |line: &&serde_json::Value| line["scenario"]["work"] == work && line["target"] == target;
        &lines.iter().find(is_it).unwrap()["outcome"]["measured"]
    };
    assert!(of("json", "us")["units_per_second"].as_f64().unwrap() > 0.0);
    assert!(of("progress", "floor")["cpu_us_per_unit"].as_f64().unwrap() > 0.0);
    assert!(of("idle", "us")["memory"]["heap_bytes"].as_f64().unwrap() > 100.0);

    let again = folder.0.join("images/again.svg");
    assert!(lab(&["picture", json_path, again.to_str().unwrap()]).status.success());
    assert_eq!(fs::read_to_string(again).unwrap(), fs::read_to_string(svg).unwrap());
}

#[test]
fn a_client_is_driven_and_its_connections_are_counted() {
    let folder = Folder::new("client");
    let json = folder.0.join("figures.json");
    let small = ["client", "--clients=us", "--rounds=1", "--calls=20", "--events=50"];
    let ran = lab(&[&small[..], &["--json", json.to_str().unwrap()]].concat());
    assert!(ran.status.success(), "{}", text(&ran.stderr));
    let lines: serde_json::Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    let lines = lines.as_array().unwrap();
    let works: Vec<&str> = lines.iter().map(|line| line["work"].as_str().unwrap()).collect();
    assert_eq!(works, ["json", "sse", "modern-json", "progress", "modern-progress"]);
    for line in &lines[..3] {
        let (work, run) = (&line["work"], &line["runs"][0]);
        // In a session there may be one more: the stream for what belongs to no call, which is opened beside the calls.
        let most = if *work == "modern-json" { 1 } else { 2 };
        let connections = run["connections"].as_u64().unwrap() + run["connections_more"].as_u64().unwrap();
        assert!((1..=most).contains(&connections), "{work}: {connections}");
    }
    assert!(text(&lab(&["client", "--clients=them"]).stderr).contains("there is no client named them"));
    assert!(text(&lab(&["client", "--only=churn"]).stderr).contains("no work of clients named churn"));
}

#[test]
fn what_cannot_be_done_is_said_in_a_sentence() {
    let stderr = |arguments: &[&str]| {
        let ran = lab(arguments);
        assert!(!ran.status.success(), "{arguments:?}");
        text(&ran.stderr)
    };
    assert!(stderr(&["--only", "jsn"]).contains("error: there is no work named jsn; there are json,"));
    assert!(stderr(&["--targets", "them"]).contains("them is left out: there is no target named them"));
    assert!(stderr(&["picture", "/nowhere.json", "x.svg"]).contains("error: could not open /nowhere.json"));
}
