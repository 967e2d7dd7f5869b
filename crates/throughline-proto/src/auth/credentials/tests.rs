use ::http::HeaderValue;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn read<'a>(headers: &'a HeaderMap, uri: &str) -> Result<(TokenScheme, &'a str), TokenFault> {
    credentials(headers, &uri.parse().unwrap()).map(|found| (found.scheme, found.token))
}

fn headers(values: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(AUTHORIZATION, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

#[test]
fn the_token_of_a_request() {
    let longest = format!("Bearer {}", "a".repeat(MAX_TOKEN));
    let too_long = format!("{longest}a");
    for (values, expected) in [
        (&["Bearer abc"][..], Ok((TokenScheme::Bearer, "abc"))),
        (&["bearer abc"], Ok((TokenScheme::Bearer, "abc"))),
        (&["BEARER   aZ9-._~+/=="], Ok((TokenScheme::Bearer, "aZ9-._~+/=="))),
        (&["DPoP abc"], Ok((TokenScheme::Dpop, "abc"))),
        (&["dpop abc "], Ok((TokenScheme::Dpop, "abc"))),
        (&[&longest], Ok((TokenScheme::Bearer, &longest[7..]))),
        // None, or one of a kind without a token.
        (&[], Err(TokenFault::Missing)),
        (&[""], Err(TokenFault::Missing)),
        (&["Basic YTpi"], Err(TokenFault::Missing)),
        (&["Bearerabc"], Err(TokenFault::Missing)),
        (&["abc"], Err(TokenFault::Missing)),
        (&[" Bearer abc"], Err(TokenFault::Missing)),
        // No token.
        (&["Bearer"], Err(TokenFault::Unreadable)),
        (&["Bearer "], Err(TokenFault::Unreadable)),
        (&["Bearer =="], Err(TokenFault::Unreadable)),
        (&["Bearer a=b"], Err(TokenFault::Unreadable)),
        (&["Bearer a b"], Err(TokenFault::Unreadable)),
        (&["Bearer abc, Bearer abc"], Err(TokenFault::Unreadable)),
        (&["Bearer \"abc\""], Err(TokenFault::Unreadable)),
        (&["Bearer é"], Err(TokenFault::Unreadable)),
        (&["Bearer token=abc"], Err(TokenFault::Unreadable)),
        (&[&too_long], Err(TokenFault::Unreadable)),
        // Two.
        (&["Bearer abc", "Bearer abc"], Err(TokenFault::Malformed)),
        (&["Bearer abc", "Basic YTpi"], Err(TokenFault::Malformed)),
        (&["", "Bearer abc"], Err(TokenFault::Malformed)),
    ] {
        let headers = headers(values);
        assert_eq!(read(&headers, "/mcp"), expected, "{values:?}");
    }
}

#[test]
fn a_token_in_the_address_is_refused_with_one_in_the_header_or_without() {
    for values in [&[][..], &["Bearer abc"]] {
        let headers = headers(values);
        for bad in [
            "/mcp?access_token=abc",
            "/mcp?a=b&access_token=abc",
            "/mcp?access_token",
            "/mcp?access_token=&a",
            "/mcp?a=b&access%5Ftoken=abc",
            "/mcp?%61ccess_token=abc",
        ] {
            assert_eq!(read(&headers, bad), Err(TokenFault::TokenInQuery), "{bad}");
        }
        for good in ["/mcp?my_access_token=a", "/mcp?a=access_token", "/access_token", "/mcp?access_tokens=a"]
        {
            assert_ne!(read(&headers, good), Err(TokenFault::TokenInQuery), "{good}");
        }
    }
}

#[test]
fn a_token_is_not_shown() {
    let headers = headers(&["Bearer secret-token"]);
    let found = credentials(&headers, &Uri::from_static("/")).unwrap();
    assert_eq!(format!("{found:?}"), "Credentials { scheme: Bearer, .. }");
}

proptest! {
    #[test]
    fn what_comes_out_is_a_token(value in vec(any::<u8>(), 0..40), scheme in prop::sample::select(&["Bearer ", "DPoP ", ""][..])) {
        let bytes = [scheme.as_bytes(), &value].concat();
        if let Ok(value) = HeaderValue::from_bytes(&bytes) {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, value)]);
            if let Ok((_, token)) = read(&headers, "/") {
                prop_assert!(!token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()));
                prop_assert!(bytes.windows(token.len()).any(|part| part == token.as_bytes()));
            }
        }
    }
}

#[test]
fn a_token_has_just_the_bytes_that_it_may() {
    for byte in 0..=u8::MAX {
        let expected = byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
        assert_eq!(is_68(byte), expected, "{byte:#x}");
    }
}
