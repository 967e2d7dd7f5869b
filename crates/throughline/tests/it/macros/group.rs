//! `#[server]` on an `impl` block.

use std::sync::{Arc, Mutex};

use serde_json::json;
use throughline::{Context, Group, Server, State, server};

use super::{call, client, listed, refused, request};

#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

/// Keeps notes.
#[server(name = "notes", version = "2.0.0")]
impl Notes {
    /// Adds a note.
    #[tool(idempotent = false)]
    async fn add(
        &self,
        /// What to keep.
        #[arg(length = 1..=5)]
        text: String,
        cx: Context,
        State(suffix): State<&'static str>,
    ) -> usize {
        cx.progress(1.0).await.expect("the call is not over");
        tokio::task::yield_now().await;
        let mut notes = self.notes();
        notes.push(text + suffix);
        notes.len()
    }

    /// Counts them where it may block.
    #[throughline::tool]
    fn count(&self, #[arg(default = 1)] times: usize) -> usize {
        self.notes().len() * times
    }

    #[tool(name = "version")]
    async fn has_no_self() -> &'static str {
        Self::VERSION
    }

    #[prompt]
    async fn recall(&self, number: usize) -> String {
        format!("Recall {number} of {}.", self.notes().len())
    }

    #[resource("notes://{number}")]
    async fn note(&self, number: usize) -> throughline::Result<String> {
        self.notes().get(number).cloned().ok_or_else(|| throughline::Error::msg("there is no such note"))
    }

    #[resource("notes://all")]
    fn all(&self) -> String {
        self.notes().join(" ")
    }

    #[cfg(any())]
    #[tool]
    fn left_out(&self) {}

    const VERSION: &'static str = "two";

    fn notes(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.0.lock().expect("nobody panics while holding it")
    }
}

#[tokio::test]
async fn methods_share_a_value() {
    let notes = Arc::new(Notes::default());
    let server = Arc::clone(&notes).into_server().state("!");
    let client = client(server).await;
    let about = client.peer();
    let info = about.info.as_ref().expect("it says who it is");
    assert_eq!((&*info.name, &*info.version), ("notes", "2.0.0"));
    assert_eq!(about.instructions.as_deref(), Some("Keeps notes."));

    assert_eq!(call(&client, "add", json!({"text": "one"})).await, "1");
    assert_eq!(call(&client, "add", json!({"text": "two"})).await, "2");
    assert_eq!(
        call(&client, "add", json!({"text": "too long"})).await,
        "error: the argument `text` does not fit: a length of 8 characters is out of range, expected at least 1 and at most 5"
    );
    assert_eq!(call(&client, "count", json!({"times": 10})).await, "20");
    assert_eq!(call(&client, "version", json!({})).await, "two");
    let recalled =
        request(&client, "prompts/get", json!({"name": "recall", "arguments": {"number": "7"}})).await;
    assert_eq!(recalled["messages"][0]["content"]["text"], "Recall 7 of 2.");
    let read = async |uri: &str| {
        request(&client, "resources/read", json!({"uri": uri})).await["contents"][0]["text"].clone()
    };
    assert_eq!(read("notes://1").await, "two!");
    assert_eq!(read("notes://all").await, "one! two!");
    assert_eq!(
        refused(&client, "resources/read", json!({"uri": "notes://5"})).await,
        "-32603: there is no such note"
    );

    assert_eq!(notes.count(1), 2, "a method is called as ever, and the value is the same");
    assert_eq!(Notes::has_no_self().await, "two");
}

#[tokio::test]
async fn a_group_is_part_of_a_server() {
    let server = Server::new("office", "1.0.0").with(Notes::default()).state("");
    let add = listed(server).await;
    assert_eq!(add["description"], "Adds a note.");
    assert_eq!(add["inputSchema"]["properties"]["text"]["description"], "What to keep.");
    assert_eq!(add["annotations"], json!({"idempotentHint": false}));
}

struct Shelf<T>(T);

#[server]
impl<T: ToString + Send + Sync + 'static> Shelf<T> {
    #[tool]
    async fn show(&self) -> String {
        self.0.to_string()
    }
}

#[tokio::test]
async fn a_group_may_be_generic() {
    let client = client(Shelf(42).into_server()).await;
    assert_eq!(&*client.peer().info.as_ref().expect("it says who it is").name, env!("CARGO_PKG_NAME"));
    assert_eq!(call(&client, "show", json!({})).await, "42");
}
