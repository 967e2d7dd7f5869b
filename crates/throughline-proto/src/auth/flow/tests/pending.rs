//! A login in two halves: begun in one process, finished in another.

use super::*;

fn begin(world: &mut World) -> String {
    let (flow, _) = world.until_visit();
    serde_json::to_string(flow.pending().expect("a person is asked")).unwrap()
}

#[test]
fn a_login_is_finished_in_another_process() {
    let mut world = World::new();
    let kept = begin(&mut world);
    let pending: PendingLogin = serde_json::from_str(&kept).unwrap();
    assert_eq!(pending.endpoint(), ENDPOINT);
    assert_eq!(pending.resource(), ENDPOINT);
    assert_eq!(pending.visit().address, world.visits[0].address);
    assert_eq!(pending.expires_at(), NOW.plus(LOGIN_PATIENCE));
    assert_eq!(pending.registration().client_id, "registered");

    let (flow, step) = Flow::finish(
        pending,
        &world.redirect(),
        world.profile.clone(),
        world.rule(),
        Seed::new([9; 32]),
        NOW,
    );
    let login = world.run(flow, step, false).1.login();
    assert_eq!(login.tokens.access_token.expose(), "access-1");
    assert_eq!(pkce::challenge(&world.token_form()["code_verifier"]), world.visited()["code_challenge"]);
}

#[test]
fn every_check_is_made_there_too() {
    for (redirect, late, kind) in [
        ("code=c&state=guessed&iss={iss}", 0, FlowErrorKind::Redirect),
        ("code=c&state={state}&iss=https://evil.example", 0, FlowErrorKind::ResponseIssuer),
        ("code=c&state={state}", 0, FlowErrorKind::ResponseIssuer),
        ("code=c&state={state}&iss={iss}", 1800, FlowErrorKind::TooLate),
    ] {
        let mut world = World::new();
        world.redirect = redirect;
        let pending: PendingLogin = serde_json::from_str(&begin(&mut world)).unwrap();
        let now = UnixTime(NOW.0 + late);
        let redirect = world.redirect();
        let (flow, step) =
            Flow::finish(pending, &redirect, world.profile.clone(), world.rule(), Seed::new([9; 32]), now);
        world.run(flow, step, false).1.failed(kind);
        assert!(world.asked(TOKEN_AT).is_none());
    }
}

#[test]
fn what_is_kept_cannot_lead_where_nothing_may_be_asked() {
    let mut world = World::new();
    let kept = begin(&mut world).replace("https://login.example.com/token", "https://169.254.169.254/token");
    let pending: PendingLogin = serde_json::from_str(&kept).unwrap();
    let redirect = world.redirect();
    let (flow, step) =
        Flow::finish(pending, &redirect, world.profile.clone(), world.rule(), Seed::new([9; 32]), NOW);
    world.run(flow, step, false).1.failed(FlowErrorKind::Address);
}

#[test]
fn it_shows_no_secret() {
    let mut world = World::new();
    let (flow, _) = world.until_visit();
    let pending = flow.pending().unwrap();
    let shown = format!("{pending:?}");
    assert!(shown.contains(ISSUER));
    for secret in [pending.state().expose(), pending.verifier.expose()] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn only_a_login_that_waits_can_be_kept() {
    let mut world = World::new();
    let (flow, _) = world.begin();
    assert!(flow.pending().is_none() && !flow.is_over());
}
