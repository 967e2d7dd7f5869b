use std::fmt;

use serde_json::value::RawValue;

/// One JSON value within a message that was read: a slice of its text, not a copy.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Part<'a>(&'a str);

impl<'a> Part<'a> {
    /// `text` is one sound JSON value without white space around it.
    pub(super) fn new(text: &'a str) -> Part<'a> {
        Part(text)
    }

    /// Its text.
    pub fn get(self) -> &'a str {
        self.0
    }
}

impl<'a> From<&'a RawValue> for Part<'a> {
    fn from(value: &'a RawValue) -> Part<'a> {
        Part(value.get())
    }
}

impl fmt::Debug for Part<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}
