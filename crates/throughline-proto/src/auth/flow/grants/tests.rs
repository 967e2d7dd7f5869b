use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode, Uri};

use crate::auth::dpop::Jwk;
use crate::auth::flow::{
    ClientId, ClientProfile, FetchRequest, FetchResponse, Flow, FlowErrorKind, IdentityProvider, Login,
    LoginBy, LoginRequest, Purpose, Seed, ShowCode, SigningKey, Step, SubjectToken,
};
use crate::auth::{AddressRule, Algorithm, Secret, UnixTime, base64url};

const START: UnixTime = UnixTime(1_800_000_000);
const ISSUER: &str = "https://login.example.com";
const RESOURCE: &str = "https://mcp.example.com/mcp";

fn endpoint() -> Uri {
    RESOURCE.parse().unwrap()
}

fn answer(status: u16, body: &str) -> FetchResponse {
    FetchResponse {
        status: StatusCode::from_u16(status).unwrap(),
        headers: HeaderMap::new(),
        body: Bytes::copy_from_slice(body.as_bytes()),
    }
}

fn form(request: &FetchRequest) -> HashMap<String, String> {
    let pairs: Vec<(String, String)> = form_urlencoded::parse(&request.body).into_owned().collect();
    let form: HashMap<String, String> = pairs.iter().cloned().collect();
    assert_eq!(pairs.len(), form.len(), "a name comes once: {pairs:?}");
    form
}

/// Reads all metadata, and gives back the step after it.
fn begun(profile: ClientProfile) -> (Flow, Step) {
    let rule = AddressRule::for_server(&endpoint(), &[]);
    let (mut flow, mut step) =
        Flow::login(LoginRequest::new(endpoint()), profile, rule, Seed::new([3; 32]), START);
    loop {
        let Step::Fetch(request) = &step else { return (flow, step) };
        let body = match request.purpose {
            Purpose::ResourceMetadata => format!(
                r#"{{"resource":"{RESOURCE}","authorization_servers":["{ISSUER}"],"scopes_supported":["read"]}}"#
            ),
            Purpose::ServerMetadata => format!(
                r#"{{"issuer":"{ISSUER}","token_endpoint":"{ISSUER}/token","revocation_endpoint":"{ISSUER}/revoke",
                    "device_authorization_endpoint":"{ISSUER}/device","scopes_supported":["read","offline_access"],
                    "dpop_signing_alg_values_supported":["ES256"],
                    "token_endpoint_auth_methods_supported":["none","client_secret_basic","private_key_jwt"]}}"#
            ),
            _ => return (flow, step),
        };
        step = flow.handle_response(START, &answer(200, &body));
    }
}

fn token_request(step: Step) -> FetchRequest {
    match step {
        Step::Fetch(request) if request.purpose == Purpose::Token => request,
        step => panic!("a token request was expected: {step:?}"),
    }
}

fn done(step: Step) -> Login {
    match step {
        Step::Done(login) => *login,
        step => panic!("{step:?}"),
    }
}

fn failed(step: Step) -> (FlowErrorKind, String) {
    match step {
        Step::Fail(error) => (error.kind(), error.to_string()),
        step => panic!("{step:?}"),
    }
}

fn key() -> SigningKey {
    let public: Jwk = serde_json::from_slice(
        br#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#,
    )
    .unwrap();
    SigningKey { algorithm: Algorithm::ES256, key_id: Some("k1".into()), public }
}

const TOKEN: &str = r#"{"access_token":"at","token_type":"Bearer","expires_in":600}"#;

#[test]
fn a_client_logs_in_as_itself_with_its_secret() {
    let id = ClientId::new("me").secret(Secret::new("s3 cret"));
    let profile = ClientProfile::new("job").client_id(id).login_by(LoginBy::ClientCredentials);
    let (mut flow, step) = begun(profile);
    let request = token_request(step);
    let form = form(&request);
    assert_eq!(form["grant_type"], "client_credentials");
    assert_eq!(form["resource"], RESOURCE);
    // No refresh token is wanted by who can log in again alone.
    assert_eq!(form["scope"], "read");
    assert_eq!(form.len(), 3, "{form:?}");
    assert_eq!(request.headers["authorization"], "Basic bWU6czMrY3JldA==");
    let login = done(flow.handle_response(START, &answer(200, TOKEN)));
    assert_eq!(login.tokens.access_token, Secret::new("at"));
    assert!(flow.is_over());
}

#[test]
fn a_client_logs_in_as_itself_with_its_key() {
    let profile = ClientProfile::new("job")
        .client_id(ClientId::new("me"))
        .assertion_key(key())
        .login_by(LoginBy::ClientCredentials);
    let (mut flow, step) = begun(profile);
    let Step::Sign(to_sign) = step else { panic!("{step:?}") };
    let request = token_request(flow.handle_signature(START, "c2ln"));
    let form = form(&request);
    assert_eq!(form["client_assertion"], format!("{}.c2ln", to_sign.input));
    assert_eq!(form["client_assertion_type"], "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    assert!(!request.headers.contains_key("authorization"));
    done(flow.handle_response(START, &answer(200, TOKEN)));
}

#[test]
fn a_client_without_means_or_id_is_told_so() {
    let nothing =
        ClientProfile::new("job").client_id(ClientId::new("me")).login_by(LoginBy::ClientCredentials);
    let (kind, text) = failed(begun(nothing).1);
    assert_eq!(kind, FlowErrorKind::NoAuthMethod);
    assert!(text.contains("needs a secret or a key"), "{text}");
    let unknown = ClientProfile::new("job").login_by(LoginBy::ClientCredentials);
    assert_eq!(failed(begun(unknown).1).0, FlowErrorKind::NoClientId);
}

#[test]
fn an_assertion_is_shown_once() {
    let by = LoginBy::Assertion(Secret::new("platform.jwt"));
    let id = ClientId::new("me").issuer(ISSUER);
    let profile = ClientProfile::new("job").client_id(id).login_by(by);
    let (mut flow, step) = begun(profile.clone());
    let sent = form(&token_request(step));
    assert_eq!(sent["grant_type"], "urn:ietf:params:oauth:grant-type:jwt-bearer");
    assert_eq!((&*sent["assertion"], &*sent["client_id"]), ("platform.jwt", "me"));
    assert_eq!((&*sent["resource"], &*sent["scope"]), (RESOURCE, "read"));
    let (kind, text) = failed(flow.handle_response(START, &answer(400, r#"{"error":"invalid_grant"}"#)));
    assert_eq!(kind, FlowErrorKind::TokenRefused);
    assert!(!text.contains("platform.jwt"));
    assert!(flow.is_over());
}

#[test]
fn an_assertion_is_shown_to_no_other_server_than_it_is_for() {
    let jwt = |claims: &str| format!("e30.{}.c2ln", base64url(claims.as_bytes()));
    let shown = |jwt: String| {
        let by = LoginBy::Assertion(Secret::new(jwt));
        begun(ClientProfile::new("job").client_id(ClientId::new("me")).login_by(by)).1
    };
    let token = format!("{ISSUER}/token");
    for audience in [format!(r#""{ISSUER}""#), format!(r#""{ISSUER}/""#), format!(r#"["x","{token}"]"#)] {
        token_request(shown(jwt(&format!(r#"{{"sub":"job","aud":{audience}}}"#))));
    }
    let foreign = format!(r#"{{"aud":"{ISSUER}.evil.example"}}"#);
    for claims in
        [r#"{"aud":"https://login.other.example"}"#, &foreign, r#"{"sub":"job"}"#, r#"{"aud":7}"#, "[]"]
    {
        let (kind, text) = failed(shown(jwt(claims)));
        assert_eq!(kind, FlowErrorKind::OtherIssuer, "{claims}");
        assert!(text.contains("name it as the issuer of the client id"), "{text}");
    }
    assert_eq!(failed(shown("opaque".into())).0, FlowErrorKind::OtherIssuer);
}

#[test]
fn what_a_server_repeats_of_a_secret_is_not_shown() {
    let refresh = "refresh-0123456789-abcdefghijklmnopqrstuvwxyz";
    for (said, shown) in [
        (format!("no such token: {refresh}"), false),
        // Of a long one the beginning would be left.
        (format!("{}{refresh}", "x".repeat(140)), false),
        ("used up".to_owned(), true),
    ] {
        let refusal = serde_json::json!({ "error": "invalid_grant", "error_description": said }).to_string();
        let mut login = held(true);
        login.tokens.refresh_token = Some(Secret::new(refresh));
        let (mut flow, step) = Flow::refresh(
            &login,
            ClientProfile::new("app"),
            AddressRule::public(),
            Seed::new([1; 32]),
            START,
        );
        token_request(step);
        let Step::Fail(error) = flow.handle_response(START, &answer(400, &refusal)) else {
            panic!("it is refused")
        };
        assert!(error.is_invalid_grant());
        assert_eq!(error.to_string().contains("it says"), shown, "{error}");
        assert!(!format!("{error} {error:?}").contains("refresh-0123"), "{error:?}");
    }
}

fn provider() -> IdentityProvider {
    IdentityProvider {
        token_endpoint: "https://idp.corp.example/token".into(),
        client_id: "me-at-idp".into(),
        client_secret: None,
        subject_token: Secret::new("id.token"),
        subject: SubjectToken::IdToken,
    }
}

fn enterprise() -> (Flow, Step) {
    let id = ClientId::new("me").secret(Secret::new("s"));
    begun(ClientProfile::new("app").client_id(id).login_by(LoginBy::IdentityProvider(provider())))
}

const JAG: &str = r#"{"access_token":"jag","issued_token_type":"urn:ietf:params:oauth:token-type:id-jag","token_type":"N_A"}"#;

#[test]
fn an_identity_provider_vouches() {
    let (mut flow, step) = enterprise();
    let request = token_request(step);
    assert_eq!(request.uri, "https://idp.corp.example/token");
    let sent = form(&request);
    assert_eq!(sent["grant_type"], "urn:ietf:params:oauth:grant-type:token-exchange");
    assert_eq!(sent["requested_token_type"], "urn:ietf:params:oauth:token-type:id-jag");
    assert_eq!(sent["subject_token"], "id.token");
    assert_eq!(sent["subject_token_type"], "urn:ietf:params:oauth:token-type:id_token");
    assert_eq!((&*sent["audience"], &*sent["resource"]), (ISSUER, RESOURCE));
    assert_eq!((&*sent["client_id"], &*sent["scope"]), ("me-at-idp", "read"));
    // The company's own network is where it may be; what a server names may not.
    assert!(request.rule.check_resolved(&request.uri, "10.0.0.8".parse().unwrap()).is_ok());
    assert!(request.rule.check_resolved(&request.uri, "169.254.169.254".parse().unwrap()).is_err());

    let request = token_request(flow.handle_response(START, &answer(200, JAG)));
    assert_eq!(request.uri, format!("{ISSUER}/token").as_str());
    assert!(request.rule.check_resolved(&request.uri, "10.0.0.8".parse().unwrap()).is_err());
    let sent = form(&request);
    assert_eq!(sent["grant_type"], "urn:ietf:params:oauth:grant-type:jwt-bearer");
    assert_eq!(sent["assertion"], "jag");
    assert_eq!(request.headers["authorization"], "Basic bWU6cw==");
    let login = done(flow.handle_response(START, &answer(200, TOKEN)));
    assert_eq!((&*login.server.issuer, &*login.registration.client_id), (ISSUER, "me"));
}

#[test]
fn an_identity_provider_that_does_not_vouch_ends_it() {
    for (status, body, kind) in [
        (400, r#"{"error":"invalid_grant"}"#, FlowErrorKind::TokenRefused),
        (503, "", FlowErrorKind::Unavailable),
        (200, TOKEN, FlowErrorKind::TokenAnswer),
        (200, "<html>", FlowErrorKind::TokenAnswer),
        (302, "", FlowErrorKind::Address),
        (
            200,
            r#"{"access_token":"x","issued_token_type":"urn:ietf:params:oauth:token-type:access_token"}"#,
            FlowErrorKind::TokenAnswer,
        ),
        (
            200,
            r#"{"access_token":"","issued_token_type":"urn:ietf:params:oauth:token-type:id-jag"}"#,
            FlowErrorKind::TokenAnswer,
        ),
    ] {
        let (mut flow, _) = enterprise();
        assert_eq!(failed(flow.handle_response(START, &answer(status, body))).0, kind, "{status} {body}");
    }
}

const DEVICE: &str = r#"{"device_code":"dc","user_code":"WDJB-MJHT","verification_uri":"https://login.example.com/d","verification_uri_complete":"https://login.example.com/d?c=WDJB-MJHT","expires_in":600,"interval":7}"#;

fn device() -> (Flow, Step) {
    begun(ClientProfile::new("tv").client_id(ClientId::new("me")).login_by(LoginBy::Device))
}

fn shown(flow: &mut Flow, body: &str) -> ShowCode {
    match flow.handle_response(START, &answer(200, body)) {
        Step::ShowCode(code) => code,
        step => panic!("{step:?}"),
    }
}

fn waits(step: Step) -> Duration {
    match step {
        Step::Wait(time) => time,
        step => panic!("{step:?}"),
    }
}

#[test]
fn a_code_is_entered_elsewhere() {
    let (mut flow, step) = device();
    let Step::Fetch(request) = step else { panic!("{step:?}") };
    assert_eq!(request.purpose, Purpose::DeviceCode);
    assert_eq!(request.uri, format!("{ISSUER}/device").as_str());
    let sent = form(&request);
    assert_eq!((&*sent["client_id"], &*sent["resource"]), ("me", RESOURCE));
    assert_eq!(sent["scope"], "read offline_access");
    assert!(!sent.contains_key("grant_type"));

    let code = shown(&mut flow, DEVICE);
    assert_eq!((&*code.user_code, &*code.address), ("WDJB-MJHT", "https://login.example.com/d"));
    assert_eq!(code.address_with_code.as_deref(), Some("https://login.example.com/d?c=WDJB-MJHT"));
    let mut now = START;
    let mut wait = waits(flow.handle_waited(now));
    assert_eq!(wait, Duration::from_secs(7));
    for (refusal, next) in [("authorization_pending", 7), ("slow_down", 12), ("authorization_pending", 12)] {
        now = now.plus(wait);
        let sent = form(&token_request(flow.handle_waited(now)));
        assert_eq!(sent["grant_type"], "urn:ietf:params:oauth:grant-type:device_code");
        assert_eq!((&*sent["device_code"], &*sent["client_id"]), ("dc", "me"));
        wait = waits(flow.handle_response(now, &answer(400, &format!(r#"{{"error":"{refusal}"}}"#))));
        assert_eq!(wait, Duration::from_secs(next));
    }
    now = now.plus(wait);
    token_request(flow.handle_waited(now));
    // A server that is silent is asked less often.
    assert_eq!(waits(flow.handle_unreachable(now, "timeout")), Duration::from_secs(24));
    now = now.plus(Duration::from_secs(24));
    token_request(flow.handle_waited(now));
    let login = done(flow.handle_response(now, &answer(200, TOKEN)));
    assert_eq!(login.tokens.issued_at, now);
}

#[test]
fn a_code_that_is_not_entered_ends_it() {
    for (refusal, kind) in [
        ("expired_token", FlowErrorKind::TooLate),
        ("access_denied", FlowErrorKind::Denied),
        ("invalid_grant", FlowErrorKind::TokenRefused),
    ] {
        let (mut flow, _) = device();
        shown(&mut flow, DEVICE);
        let wait = waits(flow.handle_waited(START));
        token_request(flow.handle_waited(START.plus(wait)));
        let refusal = answer(400, &format!(r#"{{"error":"{refusal}"}}"#));
        assert_eq!(failed(flow.handle_response(START.plus(wait), &refusal)).0, kind);
    }
    // Nor is it asked about longer than the code holds.
    let (mut flow, _) = device();
    shown(&mut flow, DEVICE);
    let late = START.plus(Duration::from_secs(595));
    waits(flow.handle_waited(START));
    token_request(flow.handle_waited(late));
    let pending = answer(400, r#"{"error":"authorization_pending"}"#);
    assert_eq!(failed(flow.handle_response(late, &pending)).0, FlowErrorKind::TooLate);
}

#[test]
fn a_code_that_cannot_be_shown_is_refused() {
    let long = "x".repeat(100);
    for (was, is) in [
        ("WDJB-MJHT\"", "a\\u001b[2J\"".to_owned()),
        ("\"user_code\":\"WDJB-MJHT\"", format!("\"user_code\":\"{long}\"")),
        ("https://login.example.com/d\"", "http://login.example.com/d\"".to_owned()),
        ("https://login.example.com/d\"", "javascript:alert(1)\"".to_owned()),
        ("\"dc\"", "\"\"".to_owned()),
        ("600", "\"soon\"".to_owned()),
    ] {
        let (mut flow, _) = device();
        let body = DEVICE.replacen(was, &is, 1);
        assert_ne!(body, DEVICE);
        let step = flow.handle_response(START, &answer(200, &body));
        assert_eq!(failed(step).0, FlowErrorKind::TokenAnswer, "{body}");
    }
    // Intervals are bounded on both sides.
    for (interval, wait) in [("0", 1), ("100000", 60)] {
        let (mut flow, _) = device();
        shown(&mut flow, &DEVICE.replace(":7}", &format!(":{interval}}}")));
        assert_eq!(waits(flow.handle_waited(START)), Duration::from_secs(wait));
    }
}

fn held(refresh_token: bool) -> Login {
    let id = ClientId::new("me").secret(Secret::new("s"));
    let profile = ClientProfile::new("job").client_id(id).login_by(LoginBy::ClientCredentials);
    let (mut flow, _) = begun(profile);
    let mut login = done(flow.handle_response(START, &answer(200, TOKEN)));
    login.tokens.refresh_token = refresh_token.then(|| Secret::new("rt"));
    login
}

fn revoke(login: &Login) -> (Flow, Step) {
    let rule = AddressRule::for_server(&endpoint(), &[]);
    Flow::revoke(login, ClientProfile::new("job"), rule, Seed::new([4; 32]), START)
}

#[test]
fn tokens_are_given_up_the_refresh_token_first() {
    let (mut flow, mut step) = revoke(&held(true));
    for (token, hint, answered) in [
        ("rt", "refresh_token", answer(200, "")),
        ("at", "access_token", answer(400, r#"{"error":"unsupported_token_type"}"#)),
    ] {
        let Step::Fetch(request) = step else { panic!("{step:?}") };
        assert_eq!(request.purpose, Purpose::Revocation);
        assert_eq!(request.uri, format!("{ISSUER}/revoke").as_str());
        let sent = form(&request);
        assert_eq!((&*sent["token"], &*sent["token_type_hint"]), (token, hint));
        assert_eq!(sent.len(), 2, "{sent:?}");
        assert_eq!(request.headers["authorization"], "Basic bWU6cw==");
        step = flow.handle_response(START, &answered);
    }
    assert!(matches!(step, Step::Revoked), "{step:?}");
    let (mut flow, step) = revoke(&held(false));
    let Step::Fetch(request) = step else { panic!("{step:?}") };
    assert_eq!(form(&request)["token"], "at");
    assert_eq!(failed(flow.handle_response(START, &answer(503, ""))).0, FlowErrorKind::Unavailable);
}

#[test]
fn a_server_that_takes_no_tokens_back_says_so() {
    let mut login = held(true);
    login.server.revocation_endpoint = None;
    assert_eq!(failed(revoke(&login).1).0, FlowErrorKind::Metadata);
    // What was kept is held to the rule, too.
    login.server.revocation_endpoint = Some("http://169.254.169.254/revoke".into());
    assert_eq!(failed(revoke(&login).1).0, FlowErrorKind::Address);
}

#[test]
fn tokens_of_every_grant_are_bound_to_the_key() {
    let id = ClientId::new("me").secret(Secret::new("s"));
    let profile =
        ClientProfile::new("job").client_id(id).login_by(LoginBy::ClientCredentials).dpop_key(key());
    let (mut flow, step) = begun(profile);
    assert!(matches!(step, Step::Sign(_)), "{step:?}");
    let request = token_request(flow.handle_signature(START, "cHJvb2Y"));
    assert!(request.headers["dpop"].to_str().unwrap().ends_with(".cHJvb2Y"));
    let login = done(flow.handle_response(START, &answer(200, &TOKEN.replace("Bearer", "DPoP"))));
    assert!(login.tokens.refresh_token.is_none());
}
