//! Whatever a private key signs: who the client is, and which key tokens are bound to.

use super::*;
use crate::auth::dpop::{Jwk, Proof};
use crate::auth::{Algorithm, CompactJws, TokenScheme};

fn key() -> SigningKey {
    let public: Jwk = serde_json::from_value(json!({
        "kty": "EC",
        "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    }))
    .unwrap();
    SigningKey { algorithm: Algorithm::ES256, key_id: Some("key-1".to_owned()), public }
}

/// Stands for what a key makes.
const SIGNATURE: &str = "c2lnbmF0dXJl";

/// Runs on, and signs whatever is to be signed.
fn sign_all(world: &mut World, mut flow: Flow, mut step: Step) -> (Vec<SignRequest>, End) {
    let mut signed = Vec::new();
    loop {
        let (next, end) = world.run(flow, step, true);
        let End::Signing(request) = end else { return (signed, end) };
        flow = next;
        step = flow.handle_signature(NOW, SIGNATURE);
        signed.push(request);
    }
}

fn payload(jws: &str) -> serde_json::Value {
    serde_json::from_slice(&CompactJws::parse(jws).unwrap().payload).unwrap()
}

fn with_key_for_clients() -> World {
    let mut world = World::new();
    world.edit(SERVER_AT, "token_endpoint_auth_methods_supported", json!(["private_key_jwt"]));
    world.profile(|profile| profile.client_id(ClientId::new("given")).assertion_key(key()));
    world
}

fn with_key_for_tokens() -> World {
    let mut world = World::new();
    world.edit(SERVER_AT, "dpop_signing_alg_values_supported", json!(["RS256", "ES256"]));
    world.edit(TOKEN_AT, "token_type", json!("DPoP"));
    world.profile(|profile| profile.dpop_key(key()));
    world
}

#[test]
fn a_client_signs_who_it_is() {
    let mut world = with_key_for_clients();
    let (flow, step) = world.begin();
    let (signed, end) = sign_all(&mut world, flow, step);
    let login = end.login();
    assert_eq!(login.registration.endpoint_auth, EndpointAuth::PrivateKeyJwt);
    assert_eq!(signed.len(), 1);
    assert_eq!(signed[0].with, SignWith::ClientAssertion);

    let form = world.token_form();
    assert_eq!(form["client_id"], "given");
    assert_eq!(form["client_assertion_type"], "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    assert_eq!(form["client_assertion"], format!("{}.{SIGNATURE}", signed[0].input));
    let jws = CompactJws::parse(&form["client_assertion"]).unwrap();
    assert_eq!((&*jws.header.alg, jws.header.kid.as_deref()), ("ES256", Some("key-1")));
    let claims = payload(&form["client_assertion"]);
    assert_eq!(
        claims,
        json!({
            "iss": "given", "sub": "given", "aud": ISSUER, "jti": claims["jti"], "iat": NOW.0, "exp": NOW.0 + 300
        })
    );

    // A new one for each request.
    let (flow, step) = Flow::refresh(&login, world.profile.clone(), world.rule(), Seed::new([8; 32]), NOW);
    let (_, end) = sign_all(&mut world, flow, step);
    end.login();
    assert_ne!(payload(&world.token_form()["client_assertion"])["jti"], claims["jti"]);
}

#[test]
fn a_key_is_used_where_the_server_takes_it() {
    for (listed, method) in [
        (json!(["private_key_jwt", "none"]), EndpointAuth::PrivateKeyJwt),
        (json!(["none"]), EndpointAuth::Public),
        (json!(null), EndpointAuth::Public),
    ] {
        let mut world = World::new();
        world.edit(SERVER_AT, "token_endpoint_auth_methods_supported", listed);
        world.edit(SERVER_AT, "client_id_metadata_document_supported", json!(true));
        world.profile(|profile| profile.metadata_document("https://app.example/c.json").assertion_key(key()));
        let (flow, step) = world.begin();
        let (_, end) = sign_all(&mut world, flow, step);
        assert_eq!(end.login().registration.endpoint_auth, method);
    }
}

#[test]
fn tokens_are_bound_to_a_key() {
    let mut world = with_key_for_tokens();
    let (flow, step) = world.begin();
    let (signed, end) = sign_all(&mut world, flow, step);
    let login = end.login();
    assert_eq!(login.tokens.scheme, TokenScheme::Dpop);
    assert_eq!(signed.len(), 1);
    let asked = world.asked(TOKEN_AT).unwrap();
    let proof = Proof::of_request(&asked.headers).unwrap();
    assert_eq!(proof.key, key().public);
    assert_eq!((&*proof.claims.htm, &*proof.claims.htu), ("POST", "https://login.example.com/token"));
    assert_eq!(proof.claims.iat, NOW);
    assert_eq!((&proof.claims.ath, &proof.claims.nonce), (&None, &None));

    // Refreshing takes a proof, too, and the key that made it.
    let (flow, step) = Flow::refresh(&login, world.profile.clone(), world.rule(), Seed::new([8; 32]), NOW);
    let (signed, end) = sign_all(&mut world, flow, step);
    end.login();
    assert_eq!(signed.len(), 1);
    world.profile = ClientProfile::new("Projects").redirect_uri(BACK_AT);
    world.refresh(&login).failed(FlowErrorKind::NoAuthMethod);
}

#[test]
fn a_nonce_is_taken_up_once() {
    let mut world = with_key_for_tokens();
    let mut wants_nonce = response(400, json!({"error": "use_dpop_nonce"}));
    wants_nonce.headers.insert("dpop-nonce", "nonce-1".parse().unwrap());
    world.answers.insert(TOKEN_AT.to_owned(), wants_nonce);
    let (flow, step) = world.begin();
    let (signed, end) = sign_all(&mut world, flow, step);
    let error = end.failed(FlowErrorKind::TokenRefused);
    assert_eq!(error.refusal().unwrap().code, "use_dpop_nonce");
    assert_eq!(signed.len(), 2, "without the nonce, and with it");
    let proofs: Vec<_> = world
        .asked
        .iter()
        .filter(|asked| asked.line == TOKEN_AT)
        .map(|asked| Proof::of_request(&asked.headers).unwrap().claims)
        .collect();
    assert_eq!(proofs.len(), 2);
    assert_eq!(proofs[0].nonce, None);
    assert_eq!(proofs[1].nonce.as_deref(), Some("nonce-1"));
    assert_ne!(proofs[0].jti, proofs[1].jti);

    // The same code, and the tokens for it.
    let mut world = with_key_for_tokens();
    let (mut flow, step) = world.begin();
    let mut step = step;
    let mut refused = false;
    let login = loop {
        step = match step {
            Step::Fetch(request) if request.purpose == Purpose::Token && !refused => {
                refused = true;
                let mut answer = response(400, json!({"error": "use_dpop_nonce"}));
                answer.headers.insert("dpop-nonce", "nonce-1".parse().unwrap());
                flow.handle_response(NOW, &answer)
            }
            Step::Fetch(request) => {
                let answer = world.fetch(request);
                flow.handle_response(NOW, &answer)
            }
            Step::Visit(visit) => {
                world.visits.push(visit);
                flow.handle_redirect(NOW, &world.redirect())
            }
            Step::Sign(_) => flow.handle_signature(NOW, SIGNATURE),
            Step::Done(login) => break login,
            step => panic!("{step:?}"),
        };
    };
    assert_eq!(login.tokens.scheme, TokenScheme::Dpop);
    assert_eq!(world.token_form()["code"], "the-code");
}

#[test]
fn a_nonce_that_is_none_is_not_taken_up() {
    for nonce in [String::new(), "x".repeat(2000)] {
        let mut world = with_key_for_tokens();
        let mut answer = response(400, json!({"error": "use_dpop_nonce"}));
        answer.headers.insert("dpop-nonce", nonce.parse().unwrap());
        world.answers.insert(TOKEN_AT.to_owned(), answer);
        let (flow, step) = world.begin();
        let (signed, end) = sign_all(&mut world, flow, step);
        end.failed(FlowErrorKind::TokenRefused);
        assert_eq!(signed.len(), 1);
    }
}

#[test]
fn a_server_that_binds_no_tokens_gets_no_proof() {
    for listed in [json!(null), json!([]), json!(["RS256"]), json!(["none"])] {
        let mut world = World::new();
        world.edit(SERVER_AT, "dpop_signing_alg_values_supported", listed);
        world.profile(|profile| profile.dpop_key(key()));
        let login = world.login().login();
        assert_eq!(login.tokens.scheme, TokenScheme::Bearer);
        assert!(!world.asked(TOKEN_AT).unwrap().headers.contains_key("dpop"));
    }
    // Nor is a token taken that is bound to nobody knows what.
    let mut world = World::new();
    world.edit(TOKEN_AT, "token_type", json!("DPoP"));
    world.login().failed(FlowErrorKind::TokenAnswer);
}

#[test]
fn both_are_signed_for_one_request() {
    let mut world = with_key_for_clients();
    world.edit(SERVER_AT, "dpop_signing_alg_values_supported", json!(["ES256"]));
    world.profile(|profile| profile.dpop_key(key()));
    let (flow, step) = world.begin();
    let (signed, end) = sign_all(&mut world, flow, step);
    end.login();
    let with: Vec<SignWith> = signed.iter().map(|request| request.with).collect();
    assert_eq!(with, [SignWith::ClientAssertion, SignWith::Dpop]);
}

#[test]
fn a_signature_that_is_none_goes_nowhere() {
    let mut world = with_key_for_tokens();
    let (flow, step) = world.begin();
    let (mut flow, end) = world.run(flow, step, true);
    assert!(matches!(end, End::Signing(_)));
    let Step::Fail(error) = flow.handle_signature(NOW, "a\r\nb") else { panic!("it is in a header") };
    assert_eq!(error.kind(), FlowErrorKind::NoAuthMethod);
}
