//! The official Rust SDK: its Streamable HTTP service under axum, as its examples mount it.
//!
//! With event streams and sessions it is its default configuration: a stream can be resumed while its call runs, from its last
//! 16 events; with `--events` there is an event store, and it can be resumed afterwards too. In a session it answers by event streams only, whatever it is told; so JSON and sessions exclude each other.

mod events;

use std::error::Error;
use std::sync::Arc;

use axum::Router;
use events::Events;
use peer::Flags;
use rmcp::handler::server::router::tool::{ToolRoute, ToolRouter};
use rmcp::handler::server::tool::{InputResponses, RequestState};
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{
    CallToolResponse, CallToolResult, ContentBlock, ElicitRequest, ElicitRequestParams, ElicitResult,
    ElicitationAction, ElicitationSchema, InputRequest, InputRequests, InputRequiredResult,
    ProgressNotificationParam, RequestStateCodec, ServerCapabilities, ServerConfig, SubscriptionFilter,
};
use rmcp::service::{RequestContext, SubscriptionContext};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, RoleServer, ServerHandler, tool, tool_handler, tool_router};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

fn main() -> Result<(), Box<dyn Error>> {
    peer::run(|flags: &Flags| {
        let config = StreamableHttpServerConfig::default()
            .with_json_response(!flags.is_sse)
            .with_legacy_session_mode(!flags.is_stateless);
        let mut sessions = LocalSessionManager::default();
        if flags.has_events {
            sessions = sessions.with_event_store(Arc::new(Events::default()));
        }
        // Shared, because it asks for a server per session, and without sessions per request.
        let lab = Arc::new(Lab::new(flags.tools));
        let service = StreamableHttpService::new(move || Ok(Arc::clone(&lab)), sessions.into(), config);
        Router::new().nest_service("/mcp", service)
    })
}

struct Lab {
    tool_router: ToolRouter<Self>,
    codec: RequestStateCodec,
    /// Says that the resource changed.
    changes: broadcast::Sender<()>,
}

#[derive(Deserialize, JsonSchema)]
struct Echo {
    text: String,
}

#[derive(Deserialize, JsonSchema)]
struct Count {
    count: u32,
}

#[tool_router]
impl Lab {
    fn new(tools: usize) -> Self {
        let mut tool_router = Self::tool_router();
        for number in 1..=tools.saturating_sub(tool_router.list_all().len()) {
            let mut extra = Self::echo_tool_attr();
            extra.name = format!("extra_{number}").into();
            tool_router.add_route(ToolRoute::new(extra, Self::echo));
        }
        Self {
            tool_router,
            codec: RequestStateCodec::try_new(KEY)
                .expect("it is longer than the 32 bytes that are asked for"),
            changes: broadcast::channel(64).0,
        }
    }

    #[tool(description = "Answers with the text")]
    async fn echo(&self, Parameters(Echo { text }): Parameters<Echo>) -> String {
        text
    }

    #[tool(description = "Answers with the text, but not at once")]
    async fn echo_later(&self, Parameters(Echo { text }): Parameters<Echo>) -> String {
        tokio::task::yield_now().await;
        text
    }

    #[tool(description = "Reports progress so many times")]
    async fn progress(
        &self,
        Parameters(Count { count }): Parameters<Count>,
        context: RequestContext<RoleServer>,
    ) -> Result<String, ErrorData> {
        if let Some(token) = context.meta.get_progress_token() {
            for step in 1..=count {
                let progress = ProgressNotificationParam::new(token.clone(), f64::from(step));
                let sent = context.peer.notify_progress(progress).await;
                sent.map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
            }
        }
        Ok("done".to_owned())
    }

    #[tool(description = "Asks the user, then answers with the text")]
    async fn ask(
        &self,
        Parameters(Echo { text }): Parameters<Echo>,
        RequestState(state): RequestState,
        InputResponses(responses): InputResponses,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some(state) = state else {
            return self.question();
        };
        let invalid = |what: &'static str| ErrorData::invalid_params(what, None);
        self.codec.open(&state).map_err(|_| invalid("the state is not of this server"))?;
        let answer =
            responses.and_then(|mut responses| responses.remove(QUESTION)).ok_or(invalid("no answer"))?;
        let answer: ElicitResult = serde_json::from_value(answer).map_err(|_| invalid("not an answer"))?;
        let is_approved = answer.action == ElicitationAction::Accept
            && answer.content.is_some_and(|content| content["approved"] == true);
        let text = if is_approved { text } else { "no".to_owned() };
        Ok(CallToolResult::success(vec![ContentBlock::text(text)]).into())
    }

    #[tool(description = "Changes the resource")]
    async fn touch(&self) -> String {
        // Nobody may be listening.
        let _ = self.changes.send(());
        "touched".to_owned()
    }
}

impl Lab {
    fn question(&self) -> Result<CallToolResponse, ErrorData> {
        let internal = |error: String| ErrorData::internal_error(error, None);
        let schema = ElicitationSchema::builder()
            .required_bool("approved")
            .build()
            .map_err(|error| internal(error.to_string()))?;
        let params = ElicitRequestParams::FormElicitationParams {
            meta: None,
            message: "Go on?".to_owned(),
            requested_schema: schema,
        };
        let mut requests = InputRequests::new();
        requests.insert(QUESTION.to_owned(), InputRequest::Elicitation(ElicitRequest::new(params)));
        let state = self.codec.seal(b"asked");
        Ok(InputRequiredResult::new(Some(requests), Some(state)).into())
    }
}

#[tool_handler(router = self.tool_router)]
impl ServerHandler for Lab {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_resources()
            .enable_resources_subscribe()
            .build();
        ServerConfig::new(capabilities)
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(requested.supported_by(&self.get_info().capabilities))
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let mut changes = self.changes.subscribe();
        loop {
            tokio::select! {
                () = context.cancelled() => return Ok(()),
                change = changes.recv() => match change {
                    Ok(()) | Err(RecvError::Lagged(_)) => {
                        let told = context.sink().notify_resource_updated(CHANGING).await;
                        told.map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
                    }
                    Err(RecvError::Closed) => return Ok(()),
                },
            }
        }
    }
}

/// Not secret: only the load lab ever sees what it seals.
const KEY: &[u8] = b"the load lab keeps nothing hidden";
const QUESTION: &str = "approval";
const CHANGING: &str = "lab://changing";
