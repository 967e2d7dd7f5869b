//! Functions that cannot be tools.

use throughline::{server, tool};

#[tool]
async fn generic<T>() {}

#[tool]
async unsafe fn careful() {}

#[tool]
extern "C" fn foreign() {}

#[tool]
async fn unnamed() -> impl ToString {
    1
}

#[tool]
async fn method(&self) {}

#[tool]
struct Thing;

struct Notes;

#[server]
impl Notes {
    #[tool]
    async fn change(&mut self) {}

    #[tool]
    #[prompt]
    async fn both(&self) -> String {
        String::new()
    }

    #[tool]
    async fn own(&self, other: Option<Self>) {
        drop(other);
    }
}

struct Empty;

#[server]
impl Empty {
    fn nothing(&self) {}
}

struct Other;

#[server]
impl Default for Other {
    fn default() -> Self {
        Self
    }
}

fn main() {}
