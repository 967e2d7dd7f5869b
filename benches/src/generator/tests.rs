//! Every load against every target of ours, and against one that answers otherwise.

use super::*;
use crate::scenario::MAX_CONNECTIONS;
use crate::target::serve::{BuiltIn, serve};
use crate::target::{Key, Settings};

#[test]
fn what_is_kept_on_the_disk_comes_back() {
    for work in ["sse", "replay"] {
        does(BuiltIn::UsDurable, work.parse().unwrap());
    }
}

#[test]
fn a_token_opens_the_lock_and_without_it_nobody_comes_in() {
    for target in [Key::Es256, Key::Rs256].map(BuiltIn::UsLocked) {
        for work in ["verified", "modern-verified"] {
            does(target, work.parse().unwrap());
        }
    }
    let work = "modern-verified".parse().unwrap();
    let locked = BuiltIn::UsLocked(Key::Es256);
    let refused = load_with_token(locked, None, work, work, None).unwrap_err().to_string();
    assert!(refused.contains("401 Unauthorized"), "{refused}");
}

/// Loads a target that serves `served` and expects the answers of `expected`.
fn load_target(target: BuiltIn, served: Work, expected: Work, rate: Option<f64>) -> Result<Measured> {
    load_with_token(target, target.token(), served, expected, rate)
}

fn load_with_token(
    target: BuiltIn,
    token: Option<&str>,
    served: Work,
    expected: Work,
    rate: Option<f64>,
) -> Result<Measured> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut address = format!("http://{}/mcp", listener.local_addr().unwrap());
        if let Some(token) = token {
            address += &format!(" {token}");
        }
        let address = address.parse().unwrap();
        tokio::spawn(serve(target, listener, Settings::of(served), Some(|| 4_096)));
        let options = Options {
            address,
            work: expected,
            connections: 3,
            requests: Some(9),
            warm_up: 3,
            seconds: 1.0,
            rate,
            server_pid: None,
            give_up: 60,
        };
        load(&options).await
    })
}

#[test]
fn every_target_does_every_work() {
    for target in [BuiltIn::Floor { coalesces: false }, BuiltIn::Us] {
        for work in Work::all() {
            does(target, work);
        }
    }
    does(BuiltIn::Floor { coalesces: true }, "progress".parse().unwrap());
}

fn does(target: BuiltIn, work: Work) {
    let measured = load_target(target, work, work, None)
        .unwrap_or_else(|error| panic!("{work} against {target:?}: {error}"));
    let expected = match work.task {
        Task::Idle | Task::IdleStreams => 3,
        _ => 9 * work.units_per_answer(),
    };
    assert_eq!(measured.units, expected, "{work} against {target:?}");
}

#[test]
fn a_rate_can_be_given() {
    let work = "json".parse().unwrap();
    let measured = load_target(BuiltIn::Us, work, work, Some(10_000.0)).unwrap();
    assert_eq!(measured.units, 9);
}

#[test]
fn heap_bytes_are_asked_for() {
    let work = "idle".parse().unwrap();
    let memory = load_target(BuiltIn::Us, work, work, None).unwrap().memory.unwrap();
    assert_eq!((memory.sessions, memory.heap_bytes, memory.rss_bytes), (3, Some(0.0), None));
}

#[test]
fn an_answer_of_another_form_fails_the_run() {
    let floor = BuiltIn::Floor { coalesces: false };
    let load = |served: &str, expected: &str| {
        load_target(floor, served.parse().unwrap(), expected.parse().unwrap(), None).unwrap_err().to_string()
    };
    assert_eq!(load("json", "sse"), "the answer is not text/event-stream as the work asks");
    assert_eq!(load("sse", "json"), "the answer is not application/json as the work asks");
    assert_eq!(load("modern-json", "modern-sse"), "the answer is not text/event-stream as the work asks");
    assert_eq!(load("stateless-json", "json"), "no session was opened");
    assert_eq!(load("json", "stateless-json"), "a session was opened where there should be none");
    assert_eq!(load("json", "list-100"), "request 10000000 asked for 100 tools and got 0");
}

#[test]
fn more_than_may_be_is_refused() {
    let options = |connections, rate| Options {
        address: "http://127.0.0.1:1/mcp".parse().unwrap(),
        work: "json".parse().unwrap(),
        connections,
        requests: None,
        warm_up: 0,
        seconds: 1.0,
        rate,
        server_pid: None,
        give_up: 1,
    };
    options(1, Some(1_000.0)).check().unwrap();
    options(MAX_CONNECTIONS + 1, None).check().unwrap_err();
    options(1, Some(0.0)).check().unwrap_err();
}
