//! Logins as scripts of the wire: a world answers by a table, and what was asked of it is written down.

mod browser;
mod discovery;
mod first_revision;
mod hostile;
mod migration;
mod pending;
mod refreshing;
mod registering;
mod signing;

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderMap, StatusCode, Uri};
use serde_json::json;

use super::*;
use crate::auth::{AddressRule, Challenge, ScopeSet, UnixTime};

const ENDPOINT: &str = "https://mcp.example.com/mcp";
const RESOURCE_AT: &str = "GET https://mcp.example.com/.well-known/oauth-protected-resource/mcp";
const ROOT_RESOURCE_AT: &str = "GET https://mcp.example.com/.well-known/oauth-protected-resource";
const ISSUER: &str = "https://login.example.com";
const SERVER_AT: &str = "GET https://login.example.com/.well-known/oauth-authorization-server";
const OPENID_AT: &str = "GET https://login.example.com/.well-known/openid-configuration";
const REGISTER_AT: &str = "POST https://login.example.com/register";
const TOKEN_AT: &str = "POST https://login.example.com/token";
const BACK_AT: &str = "http://127.0.0.1:7323/callback";
const NOW: UnixTime = UnixTime(1_800_000_000);

/// Everything that a client can reach, and what was asked there.
struct World {
    endpoint: &'static str,
    answers: BTreeMap<String, FetchResponse>,
    /// What comes back from the browser: `{state}` and `{iss}` stand for what the login sent and whom it went to.
    redirect: &'static str,
    profile: ClientProfile,
    request: LoginRequest,
    asked: Vec<Asked>,
    visits: Vec<Visit>,
}

/// One request that arrived.
struct Asked {
    /// Method and address.
    line: String,
    headers: HeaderMap,
    body: String,
}

/// How a login ended.
#[derive(Debug)]
enum End {
    Done(Box<Login>),
    Failed(FlowError),
    /// It waits for a person.
    Waiting,
    /// It waits for a signature.
    Signing(SignRequest),
}

impl World {
    /// A server with metadata, and an authorization server that has all there is.
    fn new() -> World {
        let mut world = World {
            endpoint: ENDPOINT,
            answers: BTreeMap::new(),
            redirect: "http://127.0.0.1:7323/callback?code=the-code&state={state}&iss={iss}",
            profile: ClientProfile::new("Projects").redirect_uri(BACK_AT),
            request: LoginRequest::new(Uri::from_static(ENDPOINT)),
            asked: Vec::new(),
            visits: Vec::new(),
        };
        world.answer(RESOURCE_AT, 200, resource());
        world.answer(SERVER_AT, 200, server());
        world.answer(REGISTER_AT, 201, json!({"client_id": "registered"}));
        world.answer(TOKEN_AT, 200, tokens());
        world
    }

    /// A world in which nothing is anywhere.
    fn empty() -> World {
        let mut world = World::new();
        world.answers.clear();
        world
    }

    fn answer(&mut self, line: &str, status: u16, body: impl ToString) -> &mut World {
        self.answers.insert(line.to_owned(), response(status, body));
        self
    }

    fn remove(&mut self, line: &str) -> &mut World {
        self.answers.remove(line).expect("it was there");
        self
    }

    /// Changes a member of a document that is there; `null` takes it away.
    fn edit(&mut self, line: &str, member: &str, value: serde_json::Value) -> &mut World {
        let known = self.answers.get_mut(line).expect("it is there");
        let mut document: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(&known.body).unwrap();
        if value.is_null() {
            document.remove(member)
        } else {
            document.insert(member.to_owned(), value)
        };
        known.body = Bytes::from(serde_json::to_vec(&document).unwrap());
        self
    }

    fn profile(&mut self, change: impl FnOnce(ClientProfile) -> ClientProfile) -> &mut World {
        self.profile = change(self.profile.clone());
        self
    }

    fn challenged(&mut self, challenge: Challenge) -> &mut World {
        self.request = self.request.clone().challenged(challenge);
        self
    }

    fn rule(&self) -> AddressRule {
        AddressRule::for_server(&Uri::from_static(self.endpoint), &[])
    }

    /// Logs in until it is over, with a person who does what the address says.
    fn login(&mut self) -> End {
        let (flow, step) = self.begin();
        self.run(flow, step, true).1
    }

    /// Logs in until the person is asked.
    fn until_visit(&mut self) -> (Flow, End) {
        let (flow, step) = self.begin();
        self.run(flow, step, false)
    }

    fn begin(&mut self) -> (Flow, Step) {
        self.request.endpoint = Uri::from_static(self.endpoint);
        Flow::login(self.request.clone(), self.profile.clone(), self.rule(), Seed::new([7; 32]), NOW)
    }

    fn refresh(&mut self, login: &Login) -> End {
        let (flow, step) = Flow::refresh(login, self.profile.clone(), self.rule(), Seed::new([8; 32]), NOW);
        self.run(flow, step, false).1
    }

    fn run(&mut self, mut flow: Flow, mut step: Step, person: bool) -> (Flow, End) {
        // More steps than any login has: one that goes on asking is a failure.
        for _ in 0..64 {
            step = match step {
                Step::Fetch(request) => {
                    let response = self.fetch(request);
                    flow.handle_response(NOW, &response)
                }
                Step::Visit(visit) => {
                    self.visits.push(visit);
                    if !person {
                        return (flow, End::Waiting);
                    }
                    let redirect = self.redirect();
                    flow.handle_redirect(NOW, &redirect)
                }
                Step::Sign(request) => return (flow, End::Signing(request)),
                Step::Done(login) => {
                    assert!(flow.is_over());
                    return (flow, End::Done(login));
                }
                Step::Fail(error) => {
                    assert!(flow.is_over());
                    return (flow, End::Failed(error));
                }
                step => panic!("{step:?}"),
            }
        }
        panic!("it goes on and on: {:?}", self.lines());
    }

    /// The redirect that answers the last visit.
    fn redirect(&self) -> String {
        let visit = self.visits.last().expect("a person was asked");
        let issuer = form_urlencoded::byte_serialize(ISSUER.as_bytes()).collect::<String>();
        self.redirect.replace("{state}", visit.state.expose()).replace("{iss}", &issuer)
    }

    fn fetch(&mut self, request: FetchRequest) -> FetchResponse {
        request.rule.check_uri(&request.uri).expect("nothing is asked that may not be");
        let line = format!("{} {}", request.method, request.uri);
        let response = self.answers.get(&line).cloned().unwrap_or_else(|| response(404, "nothing here"));
        let body = String::from_utf8(request.body.to_vec()).unwrap();
        self.asked.push(Asked { line, headers: request.headers, body });
        response
    }

    /// Method and address of all requests so far.
    fn lines(&self) -> Vec<&str> {
        self.asked.iter().map(|asked| &*asked.line).collect()
    }

    fn asked(&self, line: &str) -> Option<&Asked> {
        self.asked.iter().rev().find(|asked| asked.line == line)
    }

    /// The form of the last token request.
    fn token_form(&self) -> BTreeMap<String, String> {
        form(&self.asked(TOKEN_AT).expect("tokens were asked for").body)
    }

    /// The query of the last address that a person was sent to.
    fn visited(&self) -> BTreeMap<String, String> {
        form(self.visits.last().expect("a person was asked").address.split_once('?').unwrap().1)
    }

    /// What the client said when it registered.
    fn registered(&self) -> serde_json::Value {
        serde_json::from_str(&self.asked(REGISTER_AT).expect("it registered").body).unwrap()
    }

    /// Nobody was asked, and no code or secret went anywhere.
    fn assert_nothing_given_away(&self) {
        assert!(self.visits.is_empty(), "a person was asked");
        assert!(self.asked(TOKEN_AT).is_none(), "tokens were asked for");
    }
}

impl End {
    #[track_caller]
    fn login(self) -> Box<Login> {
        match self {
            End::Done(login) => login,
            end => panic!("{end:?}"),
        }
    }

    #[track_caller]
    fn failed(self, kind: FlowErrorKind) -> FlowError {
        match self {
            End::Failed(error) if error.kind() == kind => error,
            end => panic!("{kind:?} expected: {end:?}"),
        }
    }
}

fn response(status: u16, body: impl ToString) -> FetchResponse {
    let status = StatusCode::from_u16(status).unwrap();
    FetchResponse { status, headers: HeaderMap::new(), body: Bytes::from(body.to_string()) }
}

fn form(text: &str) -> BTreeMap<String, String> {
    let mut form = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(text.as_bytes()) {
        assert!(form.insert(name.clone().into_owned(), value.into_owned()).is_none(), "{name} comes twice");
    }
    form
}

fn resource() -> serde_json::Value {
    json!({"resource": ENDPOINT, "authorization_servers": [ISSUER]})
}

fn server() -> serde_json::Value {
    json!({
        "issuer": ISSUER,
        "authorization_endpoint": "https://login.example.com/authorize",
        "token_endpoint": "https://login.example.com/token",
        "registration_endpoint": "https://login.example.com/register",
        "revocation_endpoint": "https://login.example.com/revoke",
        "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["plain", "S256"],
        "token_endpoint_auth_methods_supported": ["none"],
        "authorization_response_iss_parameter_supported": true,
    })
}

fn tokens() -> serde_json::Value {
    json!({"access_token": "access-1", "token_type": "Bearer", "expires_in": 3600, "refresh_token": "refresh-1"})
}

fn set(text: &str) -> ScopeSet {
    ScopeSet::parse(text).unwrap()
}
