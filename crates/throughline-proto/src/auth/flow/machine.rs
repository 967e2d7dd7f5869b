use super::authorize;
use super::error::{FlowError, FlowErrorKind};
use super::exchange::Exchange;
use super::find_resource::{FindingResource, Resource};
use super::find_server::{FindingServer, Server};
use super::grants::{self, Polling};
use super::login::{Login, LoginRequest};
use super::pending::PendingLogin;
use super::profile::{ClientProfile, LoginBy};
use super::register::{self, Known, Registering};
use super::registration::Registration;
use super::scopes::Choice;
use super::seed::Seed;
use super::step::{FetchResponse, Step};
use crate::auth::{AddressRule, Algorithm, AuthorizationServer, UnixTime};

/// A login, from a challenge to tokens. Begin it, do what each [`Step`] says, and hand over what came of it; it is over with
/// [`Step::Done`] or [`Step::Fail`].
///
/// ```text
///   login ---> FindingResource ---> FindingServer ---> Registering ---> Visiting ---> Exchanging ---> Done
///                    |                    ^      \________________________^  |             ^
///                    +-- no metadata -----+        (a client id is there)    |  pending()  |
///                                                                            v             |
///   finish <----------------------------------------------------------- PendingLogin ------+
///                                                                                          |
///   refresh -------------------------------------------------------------------------------+
///
///   from each: Fail
/// ```
///
/// ```
/// use bytes::Bytes;
/// use http::{HeaderMap, StatusCode, Uri};
/// use throughline_proto::auth::flow::{ClientProfile, FetchResponse, Flow, LoginRequest, Seed, Step};
/// use throughline_proto::auth::{AddressRule, UnixTime};
///
/// let endpoint = Uri::from_static("https://mcp.example.com/mcp");
/// let profile = ClientProfile::new("Projects CLI").redirect_uri("http://127.0.0.1:7323/callback");
/// let rule = AddressRule::for_server(&endpoint, &[]);
/// let now = UnixTime(1_800_000_000);
/// let (mut flow, step) = Flow::login(LoginRequest::new(endpoint), profile, rule, Seed::new([7; 32]), now);
///
/// let Step::Fetch(request) = step else { panic!("{step:?}") };
/// assert_eq!(request.uri, "https://mcp.example.com/.well-known/oauth-protected-resource/mcp");
/// let body = r#"{"resource":"https://mcp.example.com/mcp","authorization_servers":["https://login.example.com"]}"#;
/// let answer = FetchResponse { status: StatusCode::OK, headers: HeaderMap::new(), body: Bytes::from(body) };
/// let Step::Fetch(request) = flow.handle_response(now, &answer) else { panic!("it asks for metadata") };
/// assert_eq!(request.uri, "https://login.example.com/.well-known/oauth-authorization-server");
/// // .. and so on, until `Step::Visit` and then `Step::Done`.
/// ```
///
/// Specification: [authorization](https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization).
#[derive(Debug)]
pub struct Flow {
    ground: Ground,
    phase: Phase,
}

/// What stays the same all along.
#[derive(Debug)]
pub(super) struct Ground {
    pub(super) profile: ClientProfile,
    pub(super) rule: AddressRule,
    pub(super) seed: Seed,
}

/// What a flow waits for.
pub(super) enum Phase {
    FindingResource(Box<FindingResource>),
    FindingServer(Box<FindingServer>),
    Registering(Box<Registering>),
    Visiting(Box<PendingLogin>),
    Exchanging(Box<Exchange>),
    Polling(Box<Polling>),
    Over,
}

/// The phase that an input leads to, and what is to be done there; or the end.
pub(super) type Moved = Result<(Phase, Step), FlowError>;

impl Flow {
    /// Begins a login: finds out where to log in, and does so.
    ///
    /// `rule` says what may be reached, by [`AddressRule::for_server`] of the endpoint; `seed` is of this flow alone.
    #[must_use]
    pub fn login(
        request: LoginRequest,
        profile: ClientProfile,
        rule: AddressRule,
        seed: Seed,
        now: UnixTime,
    ) -> (Flow, Step) {
        let ground = Ground { profile, rule, seed };
        let moved = ground.ready().and_then(|()| FindingResource::begin(&ground, now, request));
        Flow::at(ground, moved)
    }

    /// Goes on with a login that waited for a person, maybe in another process, with what came back from the browser: an
    /// address, or its query. It is used up with this.
    #[must_use]
    pub fn finish(
        pending: PendingLogin,
        redirect: &str,
        profile: ClientProfile,
        rule: AddressRule,
        seed: Seed,
        now: UnixTime,
    ) -> (Flow, Step) {
        let ground = Ground { profile, rule, seed };
        let moved = authorize::returned(&ground, now, pending, redirect);
        Flow::at(ground, moved)
    }

    /// Gets new tokens with the refresh token of a login. The login stays what is held until [`Step::Done`] brings another: a
    /// refresh token that was rotated is used up only then.
    ///
    /// After a failure with [`FlowError::is_invalid_grant`] read the store again, then log in; see
    /// [`Recovery`](super::Recovery).
    #[must_use]
    pub fn refresh(
        login: &Login,
        profile: ClientProfile,
        rule: AddressRule,
        seed: Seed,
        now: UnixTime,
    ) -> (Flow, Step) {
        let ground = Ground { profile, rule, seed };
        let moved = Exchange::refreshing(login).and_then(|exchange| exchange.begin(&ground, now));
        Flow::at(ground, moved)
    }

    /// Gives the tokens of a login up ([RFC 7009](https://www.rfc-editor.org/rfc/rfc7009)): it ends with [`Step::Revoked`],
    /// or with [`Step::Fail`], for instance where the authorization server takes none back. Forget the login either way.
    #[must_use]
    pub fn revoke(
        login: &Login,
        profile: ClientProfile,
        rule: AddressRule,
        seed: Seed,
        now: UnixTime,
    ) -> (Flow, Step) {
        let ground = Ground { profile, rule, seed };
        let moved = grants::revoking(login).and_then(|exchange| exchange.begin(&ground, now));
        Flow::at(ground, moved)
    }

    /// The answer to [`Step::Fetch`].
    pub fn handle_response(&mut self, now: UnixTime, response: &FetchResponse) -> Step {
        self.step(|ground, phase| match phase {
            Phase::FindingResource(phase) => phase.handle(ground, now, response),
            Phase::FindingServer(phase) => phase.handle(ground, now, response),
            Phase::Registering(phase) => phase.handle(ground, now, response),
            Phase::Exchanging(phase) => phase.handle(ground, now, response),
            phase => Err(phase.out_of_order("a response")),
        })
    }

    /// There was no answer to [`Step::Fetch`], for this reason: a few words without secrets, such as `connection refused`.
    pub fn handle_unreachable(&mut self, now: UnixTime, reason: &str) -> Step {
        self.step(|ground, phase| match phase {
            Phase::FindingResource(phase) => phase.unreachable(ground, now, reason),
            Phase::FindingServer(phase) => phase.unreachable(ground, now, reason),
            Phase::Exchanging(phase) => phase.unreachable(now, reason),
            Phase::Registering(_) => Err(FlowError::new(
                FlowErrorKind::Unavailable,
                format!("the authorization server cannot be reached ({reason}); try again later"),
            )),
            phase => Err(phase.out_of_order("a response")),
        })
    }

    /// What came back from the browser after [`Step::Visit`]: an address, or its query. It counts once: what comes later is
    /// refused.
    pub fn handle_redirect(&mut self, now: UnixTime, redirect: &str) -> Step {
        self.step(|ground, phase| match phase {
            Phase::Visiting(pending) => authorize::returned(ground, now, *pending, redirect),
            phase => Err(phase.out_of_order("a redirect")),
        })
    }

    /// The signature that [`Step::Sign`] asked for, as base64url without padding.
    pub fn handle_signature(&mut self, now: UnixTime, signature: &str) -> Step {
        self.step(|ground, phase| match phase {
            Phase::Exchanging(phase) => phase.signed(ground, now, signature),
            phase => Err(phase.out_of_order("a signature")),
        })
    }

    /// The time of [`Step::Wait`] is over.
    pub fn handle_waited(&mut self, now: UnixTime) -> Step {
        self.step(|ground, phase| match phase {
            Phase::Polling(phase) => phase.waited(ground, now),
            phase => Err(phase.out_of_order("the end of a wait")),
        })
    }

    /// The login that waits for a person, after [`Step::Visit`]: keep it to go on in another process with
    /// [`Flow::finish`]. Go on here or there, not in both.
    #[must_use]
    pub fn pending(&self) -> Option<&PendingLogin> {
        match &self.phase {
            Phase::Visiting(pending) => Some(pending),
            _ => None,
        }
    }

    /// Is it over?
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    fn at(ground: Ground, moved: Moved) -> (Flow, Step) {
        let (phase, step) = ended(moved);
        (Flow { ground, phase }, step)
    }

    fn step(&mut self, next: impl FnOnce(&Ground, Phase) -> Moved) -> Step {
        let phase = std::mem::replace(&mut self.phase, Phase::Over);
        let (phase, step) = ended(next(&self.ground, phase));
        self.phase = phase;
        step
    }
}

/// An error is the end.
fn ended(moved: Moved) -> (Phase, Step) {
    moved.unwrap_or_else(|error| (Phase::Over, Step::Fail(error)))
}

impl Phase {
    fn name(&self) -> &'static str {
        match self {
            Phase::FindingResource(_) => "FindingResource",
            Phase::FindingServer(_) => "FindingServer",
            Phase::Registering(_) => "Registering",
            Phase::Visiting(_) => "Visiting",
            Phase::Exchanging(_) => "Exchanging",
            Phase::Polling(_) => "Polling",
            Phase::Over => "Over",
        }
    }

    pub(super) fn out_of_order(&self, what: &str) -> FlowError {
        let text = match self {
            Phase::Over => "this login is over, and what comes back counts once; log in again".to_owned(),
            phase => format!("the login was handed {what} while it was {}; log in again", phase.name()),
        };
        FlowError::new(FlowErrorKind::OutOfOrder, text)
    }
}

impl std::fmt::Debug for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl Ground {
    /// Has the client what its way to tokens takes? It is told before anything is asked.
    fn ready(&self) -> Result<(), FlowError> {
        match self.profile.login_by {
            LoginBy::Browser => authorize::check_redirect_uri(&self.profile),
            _ => Ok(()),
        }
    }

    /// Are the tokens to be bound to the client's key?
    pub(super) fn binds_tokens(&self, resource: &Resource, metadata: &AuthorizationServer) -> bool {
        if self.profile.dpop_when_asked && !resource.binds_tokens {
            return false;
        }
        self.profile.dpop_key.as_ref().is_some_and(|key| {
            metadata
                .dpop_signing_alg_values_supported
                .iter()
                .flatten()
                .any(|name| Algorithm::named(name) == Some(key.algorithm))
        })
    }
}

/// All metadata is read: what is to be asked for, and as whom?
pub(super) fn server_known(ground: &Ground, now: UnixTime, resource: Resource, server: Server) -> Moved {
    let request = &resource.request;
    // What another authorization server was asked for is nothing that this one knows.
    let held = request.held.as_ref().filter(|held| held.server.issuer == server.metadata.issuer);
    let choice = Choice {
        challenged: request.challenge.as_ref().and_then(|challenge| challenge.scope.as_ref()),
        own: ground.profile.scopes.as_ref(),
        resource: resource.scopes.as_ref(),
        server: server.metadata.scopes_supported.as_ref(),
        before: held.map(|held| &held.requested),
        // Who can log in again without a person needs no refresh token.
        offline: ground.profile.offline_access && ground.profile.login_by.asks_person(),
    };
    let scope = choice.scopes();
    register::begin(ground, now, Known { resource, server, scope })
}

/// There is a client id: how does it get tokens?
pub(super) fn registered(ground: &Ground, now: UnixTime, known: Known, registration: Registration) -> Moved {
    grants::begin(ground, now, known, registration)
}
