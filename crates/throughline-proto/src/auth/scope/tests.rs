use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn set(text: &str) -> ScopeSet {
    ScopeSet::parse(text).unwrap()
}

#[test]
fn a_scope_has_the_characters_that_the_standard_gives_it() {
    for good in ["a", "files:read", "https://www.example.com/auth/mail.read", "!", "~", "#[]", "A"] {
        assert_eq!(set(good).iter().collect::<Vec<_>>(), [good]);
    }
    for bad in ["a\"b", "a\\b", "é", "a\tb", "a\nb", "\u{7f}", "\0"] {
        assert!(ScopeSet::parse(bad).is_err(), "{bad:?}");
        assert!(ScopeSet::new().insert(bad).is_err());
    }
    assert!(ScopeSet::new().insert("").is_err());
    assert!(ScopeSet::new().insert("a b").is_err(), "two are not one");
    assert_eq!(set("  a   b a ").to_string(), "a b");
    assert_eq!(set(""), ScopeSet::new());
}

#[test]
fn what_a_peer_wrote_is_read_as_far_as_it_can_be() {
    assert_eq!(ScopeSet::parse_lossy("a \"b\" c\td\né f").to_string(), "a c d f");
    let long =
        vec!["x".repeat(100); 1].join("") + &(0..1_000).map(|n| format!(" scope-{n}")).collect::<String>();
    assert!(ScopeSet::parse(&long).is_err());
    let read = ScopeSet::parse_lossy(&long);
    assert!(read.as_str().len() <= MAX_SCOPES && read.len() > 500);
}

#[test]
fn sets_are_sets() {
    let (a, b) = (set("x y"), set("y z"));
    assert_eq!(a.union(&b).as_str(), "x y z");
    assert_eq!(b.union(&a).as_str(), "y z x");
    assert_eq!(a.union(&b), b.union(&a));
    assert_eq!(a.difference(&b).as_str(), "x");
    assert!(a.is_subset_of(&a.union(&b)) && !a.is_subset_of(&b));
    assert!(ScopeSet::new().is_subset_of(&a) && !a.contains("") && !a.contains("x y"));
    assert_ne!(set("aa b"), set("a bb"));
    assert_eq!(format!("{a:?}"), r#"{"x", "y"}"#);
}

#[test]
fn as_json() {
    let read = |json: &str| serde_json::from_str::<ScopeSet>(json);
    assert_eq!(read(r#""a b""#).unwrap(), set("a b"));
    assert_eq!(read(r#"["a","b"]"#).unwrap(), set("a b"));
    assert_eq!(read(r#"["a b","\"",""]"#).unwrap(), set("a b"));
    assert!(read("7").is_err() && read("[7]").is_err() && read("{}").is_err());
    assert_eq!(serde_json::to_string(&set("a b")).unwrap(), r#""a b""#);
}

#[test]
fn a_hierarchy_is_followed_to_its_end() {
    let hierarchy = ScopeHierarchy::new()
        .implies("admin", "write")
        .and_then(|hierarchy| hierarchy.implies("write", "read"))
        .and_then(|hierarchy| hierarchy.implies("write", "list"))
        .and_then(|hierarchy| hierarchy.implies("owner", "admin"))
        .unwrap();
    for (granted, required, missing) in [
        ("owner", "read list write admin", ""),
        ("admin", "owner read", "owner"),
        ("read", "write list read", "write list"),
        ("", "read", "read"),
        ("owner", "mail", "mail"),
        ("owner", "", ""),
    ] {
        assert_eq!(
            hierarchy.missing(&set(granted), &set(required)).as_str(),
            missing,
            "{granted} for {required}"
        );
    }
}

#[test]
fn a_hierarchy_may_be_a_circle() {
    let circle = ["a", "b", "c"]
        .iter()
        .zip(["b", "c", "a"])
        .fold(ScopeHierarchy::new(), |circle, (from, to)| circle.implies(from, to).unwrap());
    assert!(circle.missing(&set("b"), &set("a b c")).is_empty());
    assert_eq!(circle.missing(&set("d"), &set("a")).as_str(), "a");
    let own = ScopeHierarchy::new().implies("a", "a").unwrap();
    assert_eq!(own.missing(&set("b"), &set("a")).as_str(), "a");
}

#[test]
fn a_hierarchy_has_bounds() {
    assert!(ScopeHierarchy::new().implies("a b", "c").is_err());
    assert!(ScopeHierarchy::new().implies("a", "").is_err());
    // The longest chain, from one end to the other.
    let mut chain = ScopeHierarchy::new();
    for n in 0..hierarchy::MAX_RULES {
        chain = chain.implies(&format!("s{n}"), &format!("s{}", n + 1)).unwrap();
    }
    assert!(chain.includes(&set("s0"), &format!("s{}", hierarchy::MAX_RULES)));
    assert!(chain.implies("one", "more").unwrap_err().to_string().contains("256"));
}

proptest! {
    #[test]
    fn like_a_set_of_texts(a in vec("[a-e]{1,2}", 0..12), b in vec("[a-e]{1,2}", 0..12)) {
        let (x, y) = (ScopeSet::of(&a).unwrap(), ScopeSet::of(&b).unwrap());
        let (m, n): (BTreeSet<_>, BTreeSet<_>) = (a.iter().collect(), b.iter().collect());
        prop_assert_eq!(x.len(), m.len());
        prop_assert_eq!(x.union(&y), ScopeSet::of(m.union(&n)).unwrap());
        prop_assert_eq!(x.difference(&y), ScopeSet::of(m.difference(&n)).unwrap());
        prop_assert_eq!(x.is_subset_of(&y), m.is_subset(&n));
        prop_assert_eq!(x == y, m == n);
        prop_assert_eq!(&ScopeSet::parse(x.as_str()).unwrap(), &x);
        // In the order in which they came.
        let mut seen = BTreeSet::new();
        let order: Vec<_> = a.iter().filter(|scope| seen.insert(*scope)).map(String::as_str).collect();
        prop_assert_eq!(x.iter().collect::<Vec<_>>(), order);
    }

    #[test]
    fn any_text(text in ".{0,200}") {
        let lossy = ScopeSet::parse_lossy(&text);
        prop_assert!(lossy.iter().all(is_scope));
        if let Ok(strict) = ScopeSet::parse(&text) {
            prop_assert_eq!(strict, lossy);
        }
    }

    #[test]
    fn a_hierarchy_is_what_can_be_reached(
        rules in vec((0_usize..6, 0_usize..6), 0..12),
        granted in vec(0_usize..6, 0..3),
        wanted in 0_usize..6,
    ) {
        let name = |n: usize| format!("s{n}");
        let mut hierarchy = ScopeHierarchy::new();
        let mut reach = [[false; 6]; 6];
        for (n, row) in reach.iter_mut().enumerate() {
            row[n] = true;
        }
        for (from, to) in rules {
            hierarchy = hierarchy.implies(&name(from), &name(to)).unwrap();
            reach[from][to] = true;
        }
        for via in 0..6 {
            for from in 0..6 {
                for to in 0..6 {
                    reach[from][to] |= reach[from][via] && reach[via][to];
                }
            }
        }
        let held = ScopeSet::of(granted.iter().map(|n| name(*n))).unwrap();
        let included = granted.iter().any(|from| reach[*from][wanted]);
        prop_assert_eq!(hierarchy.includes(&held, &name(wanted)), included);
    }
}
