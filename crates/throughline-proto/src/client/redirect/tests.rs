use ::http::HeaderValue;

use super::*;

fn go(
    status: u16,
    method: &Method,
    from: &str,
    location: &str,
    followed: u32,
) -> Result<Option<Uri>, NotFollowed> {
    let mut headers = HeaderMap::new();
    headers.insert(LOCATION, HeaderValue::from_bytes(location.as_bytes()).unwrap());
    redirect(StatusCode::from_u16(status).unwrap(), &headers, method, &from.parse().unwrap(), followed)
}

fn post(location: &str) -> Result<Option<Uri>, NotFollowed> {
    go(307, &Method::POST, "https://example.com/a/b?c=d", location, 0)
}

#[test]
fn four_statuses_are_followed_and_keep_the_method() {
    for status in [301, 302, 307, 308] {
        for method in [Method::POST, Method::GET, Method::DELETE] {
            let next = go(status, &method, "http://a:1/x", "/y", 0).unwrap();
            assert_eq!(next.unwrap(), "http://a:1/y", "{status} {method}");
        }
    }
}

#[test]
fn others_are_no_redirects() {
    for status in [200, 202, 300, 304, 305, 400, 404, 500] {
        assert_eq!(go(status, &Method::POST, "http://a/x", "http://b/", 0), Ok(None), "{status}");
    }
}

#[test]
fn see_other_is_for_what_has_no_message() {
    assert_eq!(go(303, &Method::GET, "http://a/x", "/y", 0).unwrap().unwrap(), "http://a/y");
    for method in [Method::POST, Method::DELETE] {
        let refused = go(303, &method, "http://a/x", "/y?z=1", 0).unwrap_err();
        assert_eq!(refused.kind(), NotFollowedKind::SeeOther);
        assert_eq!(
            refused.to_string(),
            format!(
                "`http://a/x` answered a {method} with 303 and points to `http://a/y`, which would drop the message \
                 and read that page; connect to the address of the MCP endpoint itself"
            ),
        );
    }
}

/// [The examples of RFC 3986](https://www.rfc-editor.org/rfc/rfc3986#section-5.4), as far as they stay at the origin.
#[test]
fn references_are_resolved() {
    for (reference, to) in [
        ("g", "http://a/b/c/g"),
        ("./g", "http://a/b/c/g"),
        ("g/", "http://a/b/c/g/"),
        ("/g", "http://a/g"),
        ("//a/g", "http://a/g"),
        ("?y", "http://a/b/c/d;p?y"),
        ("g?y", "http://a/b/c/g?y"),
        ("g?y/./x", "http://a/b/c/g?y/./x"),
        ("#s", "http://a/b/c/d;p?q"),
        ("g#s", "http://a/b/c/g"),
        ("g?y#s", "http://a/b/c/g?y"),
        (";x", "http://a/b/c/;x"),
        ("", "http://a/b/c/d;p?q"),
        (".", "http://a/b/c/"),
        ("./", "http://a/b/c/"),
        ("..", "http://a/b/"),
        ("../", "http://a/b/"),
        ("../g", "http://a/b/g"),
        ("../..", "http://a/"),
        ("../../g", "http://a/g"),
        ("../../../g", "http://a/g"),
        ("/./g", "http://a/g"),
        ("/../g", "http://a/g"),
        ("g..", "http://a/b/c/g.."),
        ("./g/.", "http://a/b/c/g/"),
        ("g/../h", "http://a/b/c/h"),
        ("http://a", "http://a/"),
        ("HTTP://A:80/g", "http://A:80/g"),
        ("x/y:z", "http://a/b/c/x/y:z"),
    ] {
        let next = go(308, &Method::POST, "http://a/b/c/d;p?q", reference, 0).unwrap();
        assert_eq!(next.unwrap(), to, "{reference}");
    }
}

#[test]
fn another_origin_is_refused() {
    for location in [
        "https://example.org/a",
        "http://example.com/a",
        "https://example.com:8443/a",
        "https://example.com:99999/a",
        "//example.org/a",
        "https://sub.example.com/",
        "https://example.com@example.org/",
        "https://user:word@example.com/",
        "https://example.com.example.org/",
        "ftp://example.com/a",
    ] {
        let refused = post(location).unwrap_err();
        assert_eq!(refused.kind(), NotFollowedKind::OtherOrigin, "{location}");
        assert!(!refused.to_string().contains("word"), "{refused}");
    }
    assert_eq!(
        post("https://example.org/login?token=secret#x").unwrap_err().to_string(),
        "`https://example.com/a/b` redirects (307) to `https://example.org/login`, which is another origin, so \
         nothing was sent there; connect to that address itself if you trust it"
    );
}

#[test]
fn a_default_port_is_no_difference() {
    assert!(post("https://EXAMPLE.com:443/x").unwrap().is_some());
    assert!(go(301, &Method::GET, "http://a:80/", "http://a/x", 0).unwrap().is_some());
}

#[test]
fn what_is_no_address_is_refused() {
    for location in ["mailto:a@b", "https://", "https:///x", "//", "/\u{7f}", "/a b", "/ü", "data:,x"] {
        let mut headers = HeaderMap::new();
        let Ok(value) = HeaderValue::from_bytes(location.as_bytes()) else { continue };
        headers.insert(LOCATION, value);
        let from = Uri::from_static("http://a/");
        let refused = redirect(StatusCode::FOUND, &headers, &Method::POST, &from, 0).unwrap_err();
        assert_ne!(refused.kind(), NotFollowedKind::TooMany, "{location}: {refused}");
    }
    let none =
        redirect(StatusCode::FOUND, &HeaderMap::new(), &Method::POST, &Uri::from_static("http://a/"), 0);
    assert_eq!(none.unwrap_err().kind(), NotFollowedKind::NoLocation);
}

#[test]
fn a_circle_ends() {
    for followed in 0..MOST_REDIRECTS {
        assert!(go(307, &Method::POST, "http://a/x", "/x", followed).unwrap().is_some());
    }
    let refused = go(307, &Method::POST, "http://a/x", "/x", MOST_REDIRECTS).unwrap_err();
    assert_eq!(refused.kind(), NotFollowedKind::TooMany);
}
