use super::*;

const NOW: UnixTime = UnixTime(1_700_000_000);
const ISSUER: &str = "https://login.example.com";
const HERE: &str = "https://mcp.example.com/mcp";

fn expectation() -> Expectation {
    Expectation::new(ISSUER, HERE)
}

fn good() -> Claims {
    Claims {
        iss: Some(ISSUER.into()),
        sub: Some("ann".into()),
        aud: vec![HERE.into()],
        exp: Some(NOW.plus(Duration::from_secs(3600))),
        nbf: Some(NOW),
        iat: Some(NOW),
        ..Claims::default()
    }
}

fn with(change: impl FnOnce(&mut Claims)) -> Claims {
    let mut claims = good();
    change(&mut claims);
    claims
}

#[test]
fn a_token_for_here_passes() {
    assert_eq!(expectation().check(&good(), NOW), Ok(()));
    for also in [
        with(|claims| claims.aud.insert(0, "another".into())),
        with(|claims| claims.aud = vec!["HTTPS://MCP.example.com:443/mcp".into()]),
        with(|claims| (claims.nbf, claims.iat) = (None, None)),
        with(|claims| (claims.sub, claims.client_id) = (None, Some("client".into()))),
    ] {
        assert_eq!(expectation().check(&also, NOW), Ok(()), "{also:?}");
    }
}

#[test]
fn a_token_for_somewhere_else_does_not() {
    let aud = |audience: &str| with(|claims| claims.aud = vec![audience.into()]);
    for (claims, fault) in [
        // https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization/security-considerations#access-token-privilege-restriction
        (aud("https://mcp.example.com"), TokenFault::Audience),
        (aud("https://mcp.example.com/mcp/admin"), TokenFault::Audience),
        (aud("https://mcp.example.com/mcp2"), TokenFault::Audience),
        (aud("https://mcp.example.com.evil.org/mcp"), TokenFault::Audience),
        (aud("http://mcp.example.com/mcp"), TokenFault::Audience),
        (aud("https://mcp.example.com:8443/mcp"), TokenFault::Audience),
        (aud("*"), TokenFault::Audience),
        (aud(""), TokenFault::Audience),
        (aud(ISSUER), TokenFault::Audience),
        (with(|claims| claims.aud.clear()), TokenFault::Audience),
        (with(|claims| claims.iss = None), TokenFault::Issuer),
        (with(|claims| claims.iss = Some(String::new())), TokenFault::Issuer),
        (with(|claims| claims.iss = Some(format!("{ISSUER}/"))), TokenFault::Issuer),
        (with(|claims| claims.iss = Some("https://LOGIN.example.com".into())), TokenFault::Issuer),
        (with(|claims| claims.iss = Some("https://login.example.com.evil.org".into())), TokenFault::Issuer),
        (with(|claims| claims.sub = None), TokenFault::NoSubject),
        (with(|claims| claims.sub = Some(String::new())), TokenFault::NoSubject),
        (with(|claims| claims.exp = None), TokenFault::NoExpiry),
    ] {
        assert_eq!(expectation().check(&claims, NOW), Err(fault), "{claims:?}");
    }
}

#[test]
fn a_token_has_its_time() {
    let second = Duration::from_secs(1);
    let skew = Expectation::DEFAULT_SKEW;
    let exp = |exp| with(|claims| claims.exp = Some(exp));
    let nbf = |nbf| with(|claims| claims.nbf = Some(nbf));
    let iat = |iat| with(|claims| claims.iat = Some(iat));
    for (claims, expected) in [
        (exp(NOW.minus(skew).plus(second)), Ok(())),
        (exp(NOW.minus(skew)), Err(TokenFault::Expired)),
        (exp(UnixTime(0)), Err(TokenFault::Expired)),
        (exp(UnixTime(u64::MAX)), Ok(())),
        (nbf(NOW.plus(skew)), Ok(())),
        (nbf(NOW.plus(skew).plus(second)), Err(TokenFault::NotYet)),
        (nbf(UnixTime(u64::MAX)), Err(TokenFault::NotYet)),
        (iat(NOW.plus(skew)), Ok(())),
        (iat(NOW.plus(skew).plus(second)), Err(TokenFault::IssuedInFuture)),
    ] {
        assert_eq!(expectation().check(&claims, NOW), expected, "{claims:?}");
    }
    let strict = expectation().with_skew(Duration::ZERO);
    assert_eq!(strict.check(&exp(NOW), NOW), Err(TokenFault::Expired));
    assert_eq!(strict.check(&exp(NOW.plus(second)), NOW), Ok(()));
    assert_eq!(strict.check(&nbf(NOW.plus(second)), NOW), Err(TokenFault::NotYet));
    // A skew that is no skew any more, and a clock that stands.
    assert_eq!(expectation().with_skew(Duration::MAX).check(&exp(UnixTime(0)), NOW), Ok(()));
    assert_eq!(expectation().check(&good(), UnixTime(0)), Err(TokenFault::NotYet));
}

#[test]
fn several_issuers_and_audiences() {
    let expectation = expectation().or_issuer("https://old.example.com").or_audience("api://files");
    let claims = with(|claims| {
        claims.iss = Some("https://old.example.com".into());
        claims.aud = vec!["api://files".into()];
    });
    assert_eq!(expectation.check(&claims, NOW), Ok(()));
    assert_eq!(expectation.check(&good(), NOW), Ok(()));
}

#[test]
fn what_an_issuer_says_of_a_token() {
    let active = |change: fn(&mut Claims)| {
        let mut claims = good();
        claims.active = Some(true);
        change(&mut claims);
        expectation().check_introspected(&claims, NOW)
    };
    assert_eq!(active(|_| {}), Ok(()));
    // https://www.rfc-editor.org/rfc/rfc7662#section-2.2: all but `active` may be missing.
    assert_eq!(active(|claims| (claims.iss, claims.exp) = (None, None)), Ok(()));
    assert_eq!(active(|claims| claims.active = Some(false)), Err(TokenFault::Inactive));
    assert_eq!(active(|claims| claims.active = None), Err(TokenFault::Inactive));
    assert_eq!(active(|claims| claims.iss = Some("https://evil.example".into())), Err(TokenFault::Issuer));
    assert_eq!(active(|claims| claims.aud.clear()), Err(TokenFault::Audience));
    assert_eq!(active(|claims| claims.exp = Some(UnixTime(1))), Err(TokenFault::Expired));
    assert_eq!(
        active(|claims| (claims.exp, claims.nbf) = (None, Some(UnixTime(u64::MAX)))),
        Err(TokenFault::NotYet)
    );
    assert_eq!(active(|claims| (claims.exp, claims.sub) = (None, None)), Err(TokenFault::NoSubject));
}

#[test]
fn a_token_of_another_kind_is_none() {
    let (usual, strict) = (expectation(), expectation().with_token_type(TokenType::AccessToken));
    for typ in ["at+jwt", "AT+JWT", "application/at+jwt", "Application/at+jwt"] {
        assert_eq!((usual.check_type(Some(typ)), strict.check_type(Some(typ))), (Ok(()), Ok(())), "{typ}");
    }
    for typ in [None, Some("JWT"), Some("jwt"), Some("application/jwt")] {
        assert_eq!(
            (usual.check_type(typ), strict.check_type(typ)),
            (Ok(()), Err(TokenFault::Type)),
            "{typ:?}"
        );
    }
    for typ in [
        "dpop+jwt",
        "logout+jwt",
        "secevent+jwt",
        "oauth-id-jag+jwt",
        "token-introspection+jwt",
        "",
        "application/",
        "application/application/at+jwt",
        "applicationé/at+jwt",
        "éééééé/at+jwt",
    ] {
        let faults = (usual.check_type(Some(typ)), strict.check_type(Some(typ)));
        assert_eq!(faults, (Err(TokenFault::Type), Err(TokenFault::Type)), "{typ}");
    }
}
