//! Lists, page by page or all at once.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use throughline_proto::jsonrpc::ErrorCode;
use throughline_proto::model::{
    Cursor, ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult, ListToolsResult,
    PaginatedParams, Prompt, Resource, ResourceTemplate, Tool,
};

use super::core::{Core, Transport};
use super::{Calling, ClientError};

/// A list that was not asked for yet: `.await` it for all of its entries, or take a [page](Self::page).
///
/// # Errors
///
/// A [`ClientError`] of any of its calls, or when there are more pages than [allowed](Self::max_pages), or more than 100,000
/// entries.
///
/// # Cancel safety
///
/// Dropping the future cancels the call for the page that is being asked for.
#[must_use = "a list is asked for when it is awaited"]
pub struct Listing<'a, T> {
    core: &'a Arc<Core>,
    max_pages: usize,
    fresh: bool,
    entries: PhantomData<T>,
}

/// What can be listed.
pub trait Listed: Sized + Send + 'static {
    /// One page.
    type Page: DeserializeOwned + Send;
    #[doc(hidden)]
    const METHOD: &'static str;
    #[doc(hidden)]
    fn take(page: Self::Page, core: &dyn Learning) -> (Vec<Self>, Option<Cursor>);
}

#[doc(hidden)]
pub trait Learning {
    fn learn(&self, tools: &mut Vec<Tool>);
}

impl Learning for Core {
    fn learn(&self, tools: &mut Vec<Tool>) {
        // Where nothing is repeated in headers, the annotations mean nothing.
        let reads_annotations = matches!(self.transport, Transport::Http(_)) && self.is_modern();
        self.tools.learn(tools, reads_annotations);
    }
}

impl<'a, T: Listed> Listing<'a, T> {
    pub(crate) fn new(core: &'a Arc<Core>) -> Self {
        Self { core, max_pages: MOST_PAGES, fresh: false, entries: PhantomData }
    }

    /// As many pages as are read at most; more are an error. Default: 1,000.
    pub fn max_pages(mut self, most: usize) -> Self {
        self.max_pages = most;
        self
    }

    /// Asks the server, also when the list is still [fresh](super::Connect::cache).
    pub fn fresh(mut self) -> Self {
        self.fresh = true;
        self
    }

    /// One page: the first without a cursor, else what follows where the cursor was given.
    pub fn page(self, cursor: Option<Cursor>) -> Calling<'a, T::Page> {
        let params = PaginatedParams { cursor, ..PaginatedParams::default() };
        let calling = Calling::new(self.core, T::METHOD, &params);
        if self.fresh { calling.fresh() } else { calling }
    }

    pub(crate) async fn into_all(self) -> Result<Vec<T>, ClientError> {
        let (core, most) = (self.core, self.max_pages);
        let (mut all, mut cursor) = (Vec::new(), None);
        let mut again = core.config.cache.is_some() && core.is_modern();
        for _ in 0..most {
            let listing = Listing::<T> { core, max_pages: most, fresh: self.fresh, entries: PhantomData };
            let has_cursor = cursor.is_some();
            let page = match listing.page(cursor).await {
                Err(error) if has_cursor && again && is_bad_cursor(&error) => {
                    // The cursor may be one of a page that was kept. Those are thrown away by now, so it begins anew, once:
                    // https://modelcontextprotocol.io/specification/2026-07-28/server/utilities/caching#interaction-with-pagination
                    again = false;
                    all.clear();
                    cursor = None;
                    continue;
                }
                page => page?,
            };
            let (entries, next) = T::take(page, &**core);
            all.extend(entries);
            if all.len() > MOST_ENTRIES {
                return Err(ClientError::peer(format!("its list has more than {MOST_ENTRIES} entries")));
            }
            match next {
                Some(next) => cursor = Some(next),
                None => return Ok(all),
            }
        }
        Err(ClientError::peer(format!(
            "its list has more than {most} pages; raise `max_pages` if that is right"
        )))
    }
}

impl<'a, T: Listed> IntoFuture for Listing<'a, T> {
    type Output = Result<Vec<T>, ClientError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.into_all())
    }
}

impl<T> fmt::Debug for Listing<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listing").field("max_pages", &self.max_pages).finish_non_exhaustive()
    }
}

macro_rules! listed {
    ($($entry:ty, $page:ty, $method:literal, $field:ident;)*) => {$(
        impl Listed for $entry {
            type Page = $page;
            const METHOD: &'static str = $method;

            fn take(page: $page, _core: &dyn Learning) -> (Vec<Self>, Option<Cursor>) {
                (page.$field, page.next_cursor)
            }
        }
    )*};
}

listed! {
    Prompt, ListPromptsResult, "prompts/list", prompts;
    Resource, ListResourcesResult, "resources/list", resources;
    ResourceTemplate, ListResourceTemplatesResult, "resources/templates/list", resource_templates;
}

impl Listed for Tool {
    type Page = ListToolsResult;
    const METHOD: &'static str = "tools/list";

    fn take(mut page: ListToolsResult, core: &dyn Learning) -> (Vec<Self>, Option<Cursor>) {
        core.learn(&mut page.tools);
        (page.tools, page.next_cursor)
    }
}

fn is_bad_cursor(error: &ClientError) -> bool {
    error.error().is_some_and(|error| error.code == ErrorCode::INVALID_PARAMS)
}

/// A server whose list never ends must not fill the memory.
const MOST_PAGES: usize = 1_000;
/// As above: pages may be large.
const MOST_ENTRIES: usize = 100_000;
