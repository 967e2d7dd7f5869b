//! Tokens that a function gives.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http::StatusCode;
use throughline_proto::auth::ScopeSet;
use tokio::sync::Mutex;

use super::{AfterRefusal, Credentials, Refusal, TokenError, TokenProvider, TokenRequest};
use crate::lock::Lock;
use crate::store::Soon;

type Giving = Pin<Box<dyn Future<Output = Result<String, TokenError>> + Send>>;

/// A [`TokenProvider`] that asks a function for tokens: for the first one, and for another when the server refuses the one that
/// it has. Of many who need one at the same time one asks.
///
/// ```
/// use throughline::{Client, Server, StreamableHttp, tokens};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), throughline::ClientError> {
/// let vault = tokens(|_need| async { Ok("the token of the vault".replace(' ', "-")) });
/// let client = Client::over(StreamableHttp::new(Server::new("demo", "1.0.0"))).authorize(vault).await?;
/// # client.close().await
/// # }
/// ```
pub fn tokens<F, Fut>(give: F) -> Tokens
where
    F: Fn(TokenNeed) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<String, TokenError>> + Send + 'static,
{
    Tokens(Arc::new(Inner {
        give: Box::new(move |need| Box::pin(give(need))),
        known: std::sync::Mutex::default(),
        asking: Mutex::default(),
    }))
}

/// Tokens that a function gives; see [`tokens`]. Clones share the token that they have.
#[derive(Clone)]
pub struct Tokens(Arc<Inner>);

struct Inner {
    give: Box<dyn Fn(TokenNeed) -> Giving + Send + Sync>,
    known: std::sync::Mutex<Option<Credentials>>,
    /// Held while the function is asked.
    asking: Mutex<()>,
}

/// Why a token is needed.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct TokenNeed {
    /// The server refused the last one, with this status.
    pub refused: Option<StatusCode>,
    /// The scopes that the server says are needed.
    pub scopes: Option<ScopeSet>,
    /// Whether a person may be asked.
    pub may_ask: bool,
}

impl Inner {
    /// Asks for a token, unless there is another one than `instead_of` by the time that it is this one's turn.
    async fn renew(
        &self,
        need: TokenNeed,
        instead_of: Option<&Credentials>,
    ) -> Result<Credentials, TokenError> {
        let _asking = self.asking.lock().await;
        let known = self.known.locked().clone();
        if let Some(known) = known
            && instead_of.is_none_or(|refused| !known.is_same_token(refused))
        {
            return Ok(known);
        }
        let token = Credentials::bearer((self.give)(need).await?)?;
        *self.known.locked() = Some(token.clone());
        Ok(token)
    }
}

impl TokenProvider for Tokens {
    fn credentials(&self, request: &TokenRequest<'_>) -> Soon<Result<Option<Credentials>, TokenError>> {
        if let Some(known) = &*self.0.known.locked() {
            return Soon::now(Ok(Some(known.clone())));
        }
        let inner = Arc::clone(&self.0);
        let need = TokenNeed { may_ask: request.may_ask, ..TokenNeed::default() };
        Soon::later(async move { inner.renew(need, None).await.map(Some) })
    }

    fn refused(&self, refusal: Refusal) -> Soon<Result<AfterRefusal, TokenError>> {
        let inner = Arc::clone(&self.0);
        Soon::later(async move {
            let Some(used) = &refusal.used else { return Ok(AfterRefusal::SendAgain) };
            let scopes = refusal.challenges.iter().find_map(|challenge| challenge.scope.clone());
            let need = TokenNeed { refused: Some(refusal.status), scopes, may_ask: refusal.may_ask };
            let token = inner.renew(need, Some(used)).await?;
            // The same token again would be refused again.
            Ok(if token.is_same_token(used) { AfterRefusal::GiveUp } else { AfterRefusal::SendAgain })
        })
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}
