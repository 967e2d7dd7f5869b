use proptest::prelude::*;

use super::*;

fn raw(text: &str) -> Raw {
    Raw::from_json(text.to_owned()).unwrap()
}

fn key(method: &str, params: &str) -> CacheKey {
    CacheKey::of(method, &raw(params)).unwrap()
}

/// A result that is fresh for a second, of about this many bytes.
fn result(scope: &str, filler: usize) -> Raw {
    raw(&format!(r#"{{"ttlMs":1000,"cacheScope":"{scope}","x":"{}"}}"#, "x".repeat(filler)))
}

fn put(cache: &mut ResponseCache, now: Instant, partition: &str, key: &CacheKey, result: &Raw) {
    let asked = cache.ask();
    cache.insert(now, partition, key.clone(), asked, result);
}

#[test]
fn only_what_may_be_kept_has_a_key() {
    for method in [
        "server/discover",
        "tools/list",
        "prompts/list",
        "resources/list",
        "resources/templates/list",
        "resources/read",
    ] {
        assert!(CacheKey::of(method, &Raw::empty_object()).is_some(), "{method}");
        for round in [r#"{"inputResponses":{}}"#, r#"{"requestState":"s"}"#] {
            assert_eq!(CacheKey::of(method, &raw(round)), None, "{method} {round}");
        }
    }
    for method in ["tools/call", "prompts/get", "completion/complete", "subscriptions/listen", "ping", "x/y"]
    {
        assert_eq!(CacheKey::of(method, &Raw::empty_object()), None, "{method}");
    }
}

#[test]
fn a_key_is_everything_but_meta() {
    let page = key("tools/list", r#"{"cursor":"2"}"#);
    assert_eq!(page, key("tools/list", r#"{ "_meta":{"progressToken":1}, "cursor":"2" }"#));
    assert_ne!(page, key("prompts/list", r#"{"cursor":"2"}"#));
    assert_ne!(page, key("tools/list", r#"{"cursor":"3"}"#));
    assert_ne!(page, key("tools/list", r#"{"cursor":"2","x":1}"#));
    assert_ne!(page, key("tools/list", "{}"));
    // An empty cursor is a cursor.
    assert_ne!(key("tools/list", r#"{"cursor":""}"#), key("tools/list", "{}"));
    assert!(page.has_cursor() && !key("tools/list", "{}").has_cursor());
    assert_eq!(
        key("resources/read", r#"{"uri":"a:","x":1}"#),
        key("resources/read", r#"{"x":1,"uri":"a:"}"#)
    );
    // No member can look like two.
    assert_ne!(key("resources/read", r#"{"a":"1,\"b\":2"}"#), key("resources/read", r#"{"a":"1","b":2}"#));
}

#[test]
fn a_result_is_answered_while_it_is_fresh() {
    let (mut cache, start) = (ResponseCache::new(CacheLimits::default()), Instant::now());
    let list = key("tools/list", "{}");
    put(&mut cache, start, "a", &list, &result("private", 0));
    assert!(cache.get(start + Duration::from_millis(999), "a", &list).is_some());
    assert!(cache.get(start + Duration::from_millis(1000), "a", &list).is_none());
    assert!(cache.is_empty(), "what is stale is not kept");
    for stale in
        [r#"{"tools":[]}"#, r#"{"ttlMs":0}"#, r#"{"ttlMs":-5}"#, r#"{"ttlMs":null}"#, r#"{"ttlMs":"9"}"#]
    {
        put(&mut cache, start, "a", &list, &raw(stale));
        assert!(cache.get(start, "a", &list).is_none(), "{stale}");
    }
    // A result that may not be kept replaces one that might.
    put(&mut cache, start, "a", &list, &result("private", 0));
    put(&mut cache, start, "a", &list, &raw(r#"{"tools":[]}"#));
    assert!(cache.get(start, "a", &list).is_none());
    // Longer than any clock runs.
    put(&mut cache, start, "a", &list, &raw(r#"{"ttlMs":18446744073709551615}"#));
    assert!(cache.get(start + Duration::from_secs(1 << 40), "a", &list).is_some());
}

#[test]
fn private_results_stay_in_their_partition() {
    let (mut cache, now) = (ResponseCache::new(CacheLimits::default()), Instant::now());
    let list = key("tools/list", "{}");
    let nobody_said = raw(r#"{"ttlMs":1000}"#);
    for private in [result("private", 0), result("secret", 0), nobody_said] {
        put(&mut cache, now, "a", &list, &private);
        assert!(cache.get(now, "a", &list).is_some() && cache.get(now, "b", &list).is_none());
    }
    put(&mut cache, now, "b", &list, &result("public", 0));
    let own = cache.get(now, "a", &list).unwrap();
    assert!(!own.as_str().contains("public"), "what is one's own comes first");
    assert!(cache.get(now, "c", &list).is_some());
    // What became public is no longer one's own, and the other way.
    put(&mut cache, now, "a", &list, &result("public", 0));
    assert_eq!(cache.len(), 1);
}

#[test]
fn changes_make_what_they_concern_stale() {
    let now = Instant::now();
    let all = [
        key("server/discover", "{}"),
        key("tools/list", "{}"),
        key("tools/list", r#"{"cursor":"2"}"#),
        key("prompts/list", "{}"),
        key("resources/list", "{}"),
        key("resources/templates/list", "{}"),
        key("resources/read", r#"{"uri":"file:///a/"}"#),
        key("resources/read", r#"{"uri":"file:///a/b"}"#),
        key("resources/read", r#"{"uri":"file:///c"}"#),
    ];
    for (method, params, gone) in [
        ("notifications/tools/list_changed", "{}", &[1, 2][..]),
        ("notifications/prompts/list_changed", "{}", &[3]),
        ("notifications/resources/list_changed", "{}", &[4, 5]),
        // A part changed, so the whole did.
        ("notifications/resources/updated", r#"{"uri":"file:///a/b"}"#, &[6, 7]),
        ("notifications/resources/updated", r#"{"uri":"file:///a/"}"#, &[6]),
        ("notifications/resources/updated", r#"{"uri":7}"#, &[]),
        ("notifications/message", "{}", &[]),
    ] {
        let mut cache = ResponseCache::new(CacheLimits::default());
        for key in &all {
            put(&mut cache, now, "a", key, &result("private", 0));
        }
        cache.handle_notification(method, Some(&raw(params)));
        let missing: Vec<usize> =
            (0..all.len()).filter(|at| cache.get(now, "a", &all[*at]).is_none()).collect();
        assert_eq!(missing, gone, "{method} {params}");
    }
}

#[test]
fn what_was_asked_before_a_change_is_not_kept_after_it() {
    let (mut cache, now) = (ResponseCache::new(CacheLimits::default()), Instant::now());
    let (tools, prompts) = (key("tools/list", "{}"), key("prompts/list", "{}"));
    let asked = cache.ask();
    cache.handle_notification("notifications/tools/list_changed", None);
    cache.insert(now, "a", tools.clone(), asked, &result("public", 0));
    cache.insert(now, "a", prompts.clone(), asked, &result("public", 0));
    assert!(cache.get(now, "a", &tools).is_none() && cache.get(now, "a", &prompts).is_some());
    let asked = cache.ask();
    cache.insert(now, "a", tools.clone(), asked, &result("public", 0));
    assert!(cache.get(now, "a", &tools).is_some());
    cache.clear();
    cache.insert(now, "a", tools, asked, &result("public", 0));
    assert!(cache.is_empty());
}

#[test]
fn a_bad_cursor_throws_all_pages_away() {
    let (mut cache, now) = (ResponseCache::new(CacheLimits::default()), Instant::now());
    let (first, second) = (key("tools/list", "{}"), key("tools/list", r#"{"cursor":"2"}"#));
    put(&mut cache, now, "a", &first, &result("private", 0));
    put(&mut cache, now, "a", &key("prompts/list", "{}"), &result("private", 0));
    cache.throw_pages(&second);
    assert!(cache.get(now, "a", &first).is_none());
    assert_eq!(cache.len(), 1);
}

#[test]
fn a_full_cache_forgets_what_is_stale_and_then_what_is_not_used() {
    let now = Instant::now();
    let mut cache = ResponseCache::new(CacheLimits { entries: 3, bytes: 10_000 });
    let of = |name: &str| key("resources/read", &format!(r#"{{"uri":"{name}"}}"#));
    for name in ["a:", "b:", "c:"] {
        put(&mut cache, now, "p", &of(name), &result("private", 0));
    }
    assert!(cache.get(now, "p", &of("a:")).is_some());
    put(&mut cache, now, "p", &of("d:"), &result("private", 0));
    assert!(cache.get(now, "p", &of("b:")).is_none(), "it was not asked for the longest");
    assert!(cache.get(now, "p", &of("a:")).is_some());
    // A second later all of them are stale but one.
    let later = now + Duration::from_millis(500);
    put(&mut cache, later, "p", &of("c:"), &result("private", 0));
    let later = now + Duration::from_millis(1200);
    put(&mut cache, later, "p", &of("e:"), &result("private", 0));
    assert!(cache.get(later, "p", &of("c:")).is_some());
    // What is too large for the whole is not kept at all.
    put(&mut cache, later, "p", &of("f:"), &result("private", 2_600));
    assert!(cache.get(later, "p", &of("f:")).is_none());
}

proptest! {
    /// Whatever is done: both bounds hold, the bytes are those of what is there, and nothing stale or foreign is answered.
    #[test]
    fn bounds_hold(steps in prop::collection::vec((0u8..6, 0u8..12, 0usize..900, 0u64..1500), 1..200)) {
        let limits = CacheLimits { entries: 6, bytes: 3_000 };
        let mut cache = ResponseCache::new(limits);
        let mut now = Instant::now();
        let mut told: HashMap<(u8, u8), Instant> = HashMap::new();
        for (what, which, size, wait) in steps {
            now += Duration::from_millis(wait / 3);
            let partition = ["a", "b"][usize::from(which % 2)];
            let place = (which / 2, which % 2);
            let key = key("resources/read", &format!(r#"{{"uri":"r:{}"}}"#, which / 2));
            match what {
                0..=2 => {
                    put(&mut cache, now, partition, &key, &result("private", size));
                    told.insert(place, now);
                }
                3 => {
                    cache.throw_read(&format!("r:{}", which / 2));
                    told.retain(|(name, _), _| *name != which / 2);
                }
                _ => if cache.get(now, partition, &key).is_some() {
                    let since = told.get(&place).expect("somebody was told this");
                    prop_assert!(now.duration_since(*since) < Duration::from_secs(1));
                }
            }
            prop_assert!(cache.len() <= limits.entries && cache.bytes <= limits.bytes);
            prop_assert_eq!(cache.bytes, cache.entries.values().map(|entry| entry.bytes).sum::<usize>());
        }
    }
}
