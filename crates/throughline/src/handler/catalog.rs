//! Named things in the order they were registered, in pages.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use foldhash::fast::RandomState;
use throughline_proto::jsonrpc::Str;

/// A list that clients page through, and look up by name.
///
/// Each entry gets a number that is never used twice, and the cursor is the number of the last entry seen: entries that
/// come or go between two pages neither repeat nor hide others.
pub(crate) struct Catalog<T> {
    // The names are the server's own: nobody can flood the map with names that meet.
    by_name: HashMap<Str, u64, RandomState>,
    in_order: BTreeMap<u64, Arc<T>>,
    registered: u64,
}

impl<T> Default for Catalog<T> {
    fn default() -> Self {
        Self { by_name: HashMap::default(), in_order: BTreeMap::new(), registered: 0 }
    }
}

impl<T> Clone for Catalog<T> {
    fn clone(&self) -> Self {
        Self { by_name: self.by_name.clone(), in_order: self.in_order.clone(), registered: self.registered }
    }
}

impl<T> Catalog<T> {
    /// False, and nothing is changed, when the name is taken.
    pub(crate) fn insert(&mut self, name: Str, entry: T) -> bool {
        if self.by_name.contains_key(&name) {
            return false;
        }
        self.registered += 1;
        self.by_name.insert(name, self.registered);
        self.in_order.insert(self.registered, Arc::new(entry));
        true
    }

    pub(crate) fn remove(&mut self, name: &str) -> bool {
        self.by_name.remove(name).is_some_and(|number| self.in_order.remove(&number).is_some())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Arc<T>> {
        self.in_order.get(self.by_name.get(name)?)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.in_order.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<T>> {
        self.in_order.values()
    }

    /// A page of at most `size` entries after `cursor` that `shows` takes, and the cursor of the next page where there is
    /// one. `None` for a cursor that this list never gave.
    pub(crate) fn page(
        &self,
        cursor: Option<&str>,
        size: usize,
        shows: impl Fn(&T) -> bool,
    ) -> Option<(Vec<&Arc<T>>, Option<Str>)> {
        let after = match cursor {
            None => 0,
            Some(text) => text.parse::<u64>().ok().filter(|number| (1..=self.registered).contains(number))?,
        };
        let mut rest = self.in_order.range(after + 1..).filter(|(_, entry)| shows(entry));
        let page: Vec<(&u64, &Arc<T>)> = rest.by_ref().take(size).collect();
        let next = rest.next().and(page.last()).map(|(number, _)| Str::from(number.to_string()));
        Some((page.into_iter().map(|(_, entry)| entry).collect(), next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog(names: &[&str]) -> Catalog<String> {
        let mut catalog = Catalog::default();
        for name in names {
            assert!(catalog.insert(Str::from((*name).to_owned()), (*name).to_owned()));
        }
        catalog
    }

    fn names(page: &[&Arc<String>]) -> Vec<String> {
        page.iter().map(|name| name.as_str().to_owned()).collect()
    }

    #[test]
    fn pages_follow_each_other_while_entries_come_and_go() {
        let mut catalog = catalog(&["a", "b", "c", "d"]);
        let (first, next) = catalog.page(None, 2, |_| true).expect("the first page");
        assert_eq!(names(&first), ["a", "b"]);
        let next = next.expect("there is more");
        assert!(catalog.remove("b"));
        assert!(catalog.insert("e".into(), "e".to_owned()));
        let (second, next) =
            catalog.page(Some(&next), 2, |_| true).expect("the cursor holds although its entry is gone");
        assert_eq!(names(&second), ["c", "d"]);
        let (third, next) = catalog.page(next.as_deref(), 2, |_| true).expect("the last page");
        assert_eq!((names(&third), next), (vec!["e".to_owned()], None));
    }

    #[test]
    fn what_is_not_shown_takes_no_room() {
        let catalog = catalog(&["a", "hidden-1", "b", "hidden-2", "c", "hidden-3"]);
        let shows = |name: &String| !name.starts_with("hidden");
        let (first, next) = catalog.page(None, 2, shows).expect("the first page");
        assert_eq!(names(&first), ["a", "b"]);
        let (second, next) = catalog.page(next.as_deref(), 2, shows).expect("the last page");
        assert_eq!(
            (names(&second), next),
            (vec!["c".to_owned()], None),
            "there is nothing after it to be seen"
        );
    }

    #[test]
    fn a_foreign_cursor_is_refused() {
        let catalog = catalog(&["a"]);
        for cursor in ["", "0", "2", "x", "-1"] {
            assert!(catalog.page(Some(cursor), 2, |_| true).is_none(), "{cursor:?}");
        }
    }

    #[test]
    fn a_name_is_taken_once() {
        let mut catalog = catalog(&["a"]);
        assert!(!catalog.insert("a".into(), "again".to_owned()));
        assert_eq!(catalog.get("a").map(|name| name.as_str()), Some("a"));
        assert!(catalog.remove("a") && !catalog.remove("a") && catalog.is_empty());
    }
}
