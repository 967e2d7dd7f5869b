//! What is held for one server.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, Uri};
use throughline_proto::auth::dpop::{ProofClaims, proof_header};
use throughline_proto::auth::flow::{Freshness, Login, StepUp, StepUps};
use throughline_proto::auth::{Challenge, ScopeSet, TokenScheme, UnixTime};
use tokio::sync::watch;

use super::flight::Need;
use super::kept::Kept;
use super::{Ready, now};
use crate::auth::oauth::{ClientKey, RecordKey};
use crate::client::{Credentials, TokenError};
use crate::lock::Lock;
use crate::runtime;

/// What is held for one server, and the flight that renews it.
pub(super) struct Account {
    /// The address of its endpoint.
    pub(super) endpoint: Uri,
    pub(super) key: RecordKey,
    state: Mutex<State>,
    /// Held by the one flight.
    pub(super) flying: Arc<tokio::sync::Mutex<()>>,
    /// How many wait for a flight: without any, nobody is asked any more.
    waiting: watch::Sender<usize>,
}

#[derive(Default)]
struct State {
    held: Option<Arc<Held>>,
    /// The store was asked.
    is_loaded: bool,
    /// Flights that are over.
    flights: u64,
    /// Why the last one brought nothing, and whether a person was asked.
    failed: Option<(bool, TokenError)>,
    /// What the store did not take: it counts more than what is there.
    unkept: Option<Kept>,
    /// A refresh that could wait failed: not before this again.
    not_before: Option<Instant>,
    step_ups: StepUps,
    stepped_up: Option<Instant>,
    /// How many steps up there were since they are remembered, whatever they were for.
    steps: u32,
    /// What the server wants to see in proofs.
    nonce: Option<Arc<str>>,
    /// When people logged in because the server refused a request, the latest last.
    on_demand: Vec<Instant>,
}

/// A login, as requests carry it.
pub(super) struct Held {
    pub(super) login: Login,
    pub(super) credentials: Credentials,
    origin: Origin,
    /// The key that the token is bound to.
    key: Option<ClientKey>,
}

/// Where a login comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Store,
    Refresh,
    Login,
}

impl Held {
    pub(super) fn new(kept: &Kept, login: &Login, origin: Origin) -> Result<Self, TokenError> {
        let credentials = match login.tokens.scheme {
            TokenScheme::Bearer => Credentials::bearer(login.tokens.access_token.expose())?,
            TokenScheme::Dpop => Credentials::of_scheme("DPoP", login.tokens.access_token.expose())?,
        };
        let key = match (login.tokens.scheme, &kept.dpop_key) {
            (TokenScheme::Bearer, _) => None,
            (TokenScheme::Dpop, key) => Some(key.as_ref().and_then(ClientKey::of_kept).ok_or_else(no_key)?),
        };
        Ok(Self { login: login.clone(), credentials: credentials.context(&*kept.id), origin, key })
    }

    /// What goes with a request to this address: with a token that is bound to a key, a proof that is made for it alone
    /// ([RFC 9449, 7](https://www.rfc-editor.org/rfc/rfc9449#section-7)).
    pub(super) fn credentials_for(
        &self,
        account: &Account,
        method: &Method,
        uri: &Uri,
    ) -> Result<Option<Credentials>, TokenError> {
        if !self.login.covers(uri) {
            return Ok(None);
        }
        let Some(key) = &self.key else { return Ok(Some(self.credentials.clone())) };
        let (token, nonce) = (self.login.tokens.access_token.expose(), account.nonce());
        let claims =
            ProofClaims::of_request(method, uri, runtime::random_id(), now(), Some(token), nonce.as_deref());
        let proof = proof(key, &claims).ok_or_else(no_key)?;
        let value = HeaderValue::try_from(proof).map_err(|_| no_key())?;
        Ok(Some(self.credentials.clone().and_header(DPOP, value)))
    }

    /// Whether its requests carry proofs.
    pub(super) fn is_bound(&self) -> bool {
        self.key.is_some()
    }

    pub(super) fn freshness(&self, now: UnixTime) -> Freshness {
        self.login.tokens.freshness(now)
    }

    /// Whether a person, or what stands for one, has just got it.
    pub(super) fn is_of_a_login(&self) -> bool {
        self.origin == Origin::Login
    }

    /// Whether it came by a refresh.
    pub(super) fn is_of_a_refresh(&self) -> bool {
        self.origin == Origin::Refresh
    }
}

impl Account {
    pub(super) fn new(endpoint: Uri, resource: &str, client: &str) -> Self {
        Self {
            endpoint,
            key: RecordKey::login(resource, client),
            state: Mutex::default(),
            flying: Arc::default(),
            waiting: watch::Sender::new(0),
        }
    }

    pub(super) fn held(&self) -> Option<Arc<Held>> {
        self.state.locked().held.clone()
    }

    pub(super) fn hold(&self, held: Option<Arc<Held>>) {
        let mut state = self.state.locked();
        state.held = held;
        state.is_loaded = true;
        state.not_before = None;
    }

    /// What can be done for a request at once.
    /// `alone`: a login takes no person.
    pub(super) fn ready(&self, now: UnixTime, alone: bool) -> Ready {
        let state = self.state.locked();
        let Some(held) = &state.held else {
            return if state.is_loaded { Ready::Nothing } else { Ready::Renew(Need::Fresh) };
        };
        match held.freshness(now) {
            Freshness::Fresh => Ready::Use(Arc::clone(held)),
            // What the server says to it tells how to log in.
            _ if held.login.tokens.refresh_token.is_none() && !alone => Ready::Use(Arc::clone(held)),
            Freshness::Due if state.not_before.is_some_and(|at| runtime::now() < at) => {
                Ready::Use(Arc::clone(held))
            }
            _ => Ready::Renew(Need::Fresh),
        }
    }

    /// What the server wants to see in proofs.
    fn nonce(&self) -> Option<Arc<str>> {
        self.state.locked().nonce.clone()
    }

    /// The server gave out another nonce, if it did ([RFC 9449, 9](https://www.rfc-editor.org/rfc/rfc9449#section-9)).
    pub(super) fn take_nonce(&self, headers: &HeaderMap) {
        let given = headers.get(DPOP_NONCE).and_then(|nonce| nonce.to_str().ok());
        if let Some(given) = given.filter(|nonce| !nonce.is_empty() && nonce.len() <= MAX_NONCE) {
            self.state.locked().nonce = Some(Arc::from(given));
        }
    }

    /// What the store did not take; `None`: it took all.
    pub(super) fn set_unkept(&self, kept: Option<Kept>) {
        self.state.locked().unkept = kept;
    }

    pub(super) fn unkept(&self) -> Option<Kept> {
        self.state.locked().unkept.clone()
    }

    /// A refresh that could wait came to nothing.
    pub(super) fn try_later(&self) {
        self.state.locked().not_before = Some(runtime::now() + TRY_LATER);
    }

    /// What to do about a lack of scopes.
    pub(super) fn step_up(&self, operation: &str, requested: &ScopeSet, challenge: &Challenge) -> StepUp {
        let mut state = self.state.locked();
        let at = runtime::now();
        if state.stepped_up.is_none_or(|last| at.saturating_duration_since(last) > STEP_UP_MEMORY) {
            state.step_ups = StepUps::new();
            state.steps = 0;
        }
        state.stepped_up = Some(at);
        if state.steps >= MOST_STEPS_UP {
            return StepUp::GiveUp;
        }
        let step = state.step_ups.decide(self.key.subject(), operation, requested, challenge);
        state.steps += u32::from(step != StepUp::GiveUp);
        step
    }

    /// Whether a person may be asked once more because the server refuses a request. A server that refuses every token would
    /// have a page opened at every call.
    pub(super) fn may_ask_again(&self) -> bool {
        let mut state = self.state.locked();
        let at = runtime::now();
        state.on_demand.retain(|login| at.saturating_duration_since(*login) < ON_DEMAND_MEMORY);
        state.on_demand.len() < MOST_ON_DEMAND
    }

    /// A person logged in because the server refused a request.
    pub(super) fn logged_in_on_demand(&self) {
        self.state.locked().on_demand.push(runtime::now());
    }

    /// How many flights are over.
    pub(super) fn flights(&self) -> u64 {
        self.state.locked().flights
    }

    /// Why the last flight brought nothing, for one that waited for it and would fly no higher. `may_ask`: it would ask a person.
    pub(super) fn failed(&self, may_ask: bool) -> Option<TokenError> {
        let state = self.state.locked();
        let (asked, why) = state.failed.as_ref()?;
        (*asked || !may_ask).then(|| why.clone())
    }

    /// A flight is over.
    pub(super) fn landed(&self, asked: bool, outcome: &Result<(), TokenError>) {
        let mut state = self.state.locked();
        state.flights += 1;
        state.failed = outcome.as_ref().err().map(|why| (asked, why.clone()));
    }

    /// Waits for a flight, until it is dropped.
    pub(super) fn wait(self: &Arc<Self>) -> Waiting {
        self.waiting.send_modify(|count| *count += 1);
        Waiting(Arc::clone(self))
    }

    /// Waits until nobody waits for a flight.
    pub(super) async fn abandoned(&self) {
        let mut waiting = self.waiting.subscribe();
        // Its sender is here.
        let _ = waiting.wait_for(|count| *count == 0).await;
    }

    /// Whether a login that is kept will do, where this one will not.
    pub(super) fn is_fresh(login: &Login) -> bool {
        login.tokens.freshness(now()) != Freshness::Expired
    }
}

/// One that waits for a flight.
pub(super) struct Waiting(Arc<Account>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.send_modify(|count| *count -= 1);
    }
}

/// The proof for one request.
fn proof(key: &ClientKey, claims: &ProofClaims) -> Option<String> {
    let public = key.public();
    let header = proof_header(public.algorithm, &public.public);
    let claims = serde_json::to_string(claims).ok()?;
    let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = key.sign(&input)?;
    Some(format!("{input}.{signature}"))
}

fn no_key() -> TokenError {
    TokenError::new("the key that the token is bound to is not kept with it; log in again")
}

const DPOP: HeaderName = HeaderName::from_static("dpop");
const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// A nonce goes into each proof, and so into a header.
const MAX_NONCE: usize = 1024;

/// A token is due some minutes before its end, so there is time for several tries.
const TRY_LATER: Duration = Duration::from_secs(20);

/// How long it is remembered which scopes were asked for in vain. Whoever is asked to grant them takes some minutes; a program
/// that tries in a loop must not have a person asked at every turn.
const STEP_UP_MEMORY: Duration = Duration::from_secs(10 * 60);

/// How many steps up a server may have people make without a pause of that length. A server names its tools itself, and could want
/// a scope for each of a thousand.
const MOST_STEPS_UP: u32 = 16;

/// How many logins a server may have people make, in so much time. One is usual, and another one when a login was taken back.
const MOST_ON_DEMAND: usize = 4;
const ON_DEMAND_MEMORY: Duration = Duration::from_secs(10 * 60);
