//! The pages that the user was sent to, until the server says that one is done.

use std::collections::VecDeque;

use crate::jsonrpc::Str;

/// The pages that a client's user may be on; see
/// [completion notifications](https://modelcontextprotocol.io/specification/2025-11-25/client/elicitation#completion-notifications-for-url-mode-elicitation).
#[derive(Debug, Default)]
pub struct Pages {
    open: VecDeque<Str>,
}

impl Pages {
    /// The user is sent to the page of this elicitation. Of too many the oldest is forgotten.
    pub fn open(&mut self, elicitation: &Str) {
        self.close(elicitation);
        if self.open.len() >= MOST_PAGES {
            self.open.pop_front();
        }
        self.open.push_back(elicitation.detached());
    }

    /// The page is done with. False when it is not known, or was done with before: then nobody is to be told.
    pub fn close(&mut self, elicitation: &str) -> bool {
        let place = self.open.iter().position(|open| &**open == elicitation);
        place.and_then(|place| self.open.remove(place)).is_some()
    }
}

/// Nobody has more pages open at a time; a server that never says that one is done must not fill the memory.
const MOST_PAGES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_done_with_once() {
        let mut pages = Pages::default();
        pages.open(&"a".into());
        pages.open(&"a".into());
        assert!(!pages.close("b"));
        assert!(pages.close("a"));
        assert!(!pages.close("a"));
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let mut pages = Pages::default();
        (0..=MOST_PAGES).for_each(|page| pages.open(&page.to_string().into()));
        assert!(!pages.close("0"));
        assert!(pages.close("1") && pages.close(&MOST_PAGES.to_string()));
    }
}
