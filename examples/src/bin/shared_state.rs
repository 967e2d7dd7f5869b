//! State that all calls share: a notebook. Tools and a resource are methods of one struct.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use schemars::JsonSchema;
use serde::Serialize;
use throughline::{Error, Group, Json, server};

/// Many calls run at once, so what changes is behind a lock.
#[derive(Default)]
struct Notebook {
    notes: Mutex<BTreeMap<u32, String>>,
}

/// A tool that returns `Json<Note>` tells its clients the schema of `Note`, and sends structured content.
#[derive(Serialize, JsonSchema)]
struct Note {
    number: u32,
    text: String,
}

/// The doc comment of the block is what clients are told about the whole server.
///
/// Keeps notes for as long as it runs.
#[server(name = "notebook", version = "1.0.0")]
impl Notebook {
    /// Writes a note down. Read it later as `note://{number}`.
    #[tool]
    async fn write(&self, #[arg(length = 1..=1000)] text: String) -> Json<Note> {
        let mut notes = self.notes();
        let number = notes.last_key_value().map_or(1, |(last, _)| last + 1);
        notes.insert(number, text.clone());
        Json(Note { number, text })
    }

    /// Finds the notes that contain a text.
    #[tool(read_only)]
    async fn find(&self, part: String) -> Json<Vec<Note>> {
        let notes = self.notes();
        let found = notes.iter().filter(|(_, text)| text.contains(&part));
        Json(found.map(|(number, text)| Note { number: *number, text: text.clone() }).collect())
    }

    /// Tears a note out. An error is a text that the client's model reads.
    #[tool(destructive)]
    async fn tear_out(&self, number: u32) -> throughline::Result<String> {
        self.notes().remove(&number).ok_or_else(|| Error::msg(format!("there is no note {number}")))
    }

    /// A note by its number.
    #[resource("note://{number}", mime_type = "text/plain")]
    async fn note(&self, number: u32) -> throughline::Result<String> {
        self.notes().get(&number).cloned().ok_or_else(|| Error::msg(format!("there is no note {number}")))
    }

    // Not marked, so clients cannot call it. Never hold the lock across an `.await`.
    fn notes(&self) -> MutexGuard<'_, BTreeMap<u32, String>> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    // Another address may be given as the first argument.
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8808".into());
    Notebook::default().into_server().serve(address).await
}
