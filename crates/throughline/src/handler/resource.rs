//! Resources: data that the client reads by its URI.

use std::sync::Arc;

use throughline_proto::auth::ScopeSet;
use throughline_proto::jsonrpc::Str;
use throughline_proto::model::{self, Annotations, CacheHints, Icon};

use super::function::{Function, NoArgs};
use super::visibility::Visibility;
use super::{Ability, Caller, Context, IntoResourceResult, Needs, Reply, input};

/// A resource, ready to be registered: made by [`resource`].
#[derive(Clone)]
pub struct ResourceDef {
    pub(crate) resource: model::Resource,
    pub(crate) run: Run,
    pub(crate) needs: Needs,
    pub(crate) visibility: Visibility,
    /// What its callers need.
    pub(crate) scopes: ScopeSet,
    pub(super) cache: Option<CacheHints>,
}

type Run = Arc<dyn Fn(&ResourceDef, Context) -> Reply + Send + Sync>;

/// Makes a resource of a [`Function`] without arguments of its own.
///
/// ```
/// use throughline::resource;
///
/// let motd = resource("demo://motd", "motd", || async { "Have a nice day." }).mime_type("text/plain");
/// ```
pub fn resource<Marker, F>(uri: impl Into<Str>, name: impl Into<Str>, function: F) -> ResourceDef
where
    F: Function<Marker, Args = NoArgs, Output: IntoResourceResult>,
{
    let function = Arc::new(function);
    let run = move |def: &ResourceDef, cx: Context| {
        let (uri, mime_type) = (def.resource.uri.clone(), def.resource.mime_type.clone());
        let keeping = def.keeping();
        let again = F::HAS_CONTEXT.then(|| (cx.clone(), Arc::clone(&function)));
        let future = function.invoke(NoArgs, cx);
        Reply::later(async move {
            let outcome = keeping.say(future.await.into_resource_answer(&uri, mime_type.as_ref()));
            let Some((cx, function)) = again else { return outcome };
            input::answer(cx, outcome, move |cx| {
                let future = function.invoke(NoArgs, cx);
                let (uri, mime_type) = (uri.clone(), mime_type.clone());
                Ok(async move { keeping.say(future.await.into_resource_answer(&uri, mime_type.as_ref())) })
            })
            .await
        })
    };
    ResourceDef {
        resource: model::Resource::new(uri, name),
        run: Arc::new(run),
        needs: F::needs(),
        visibility: Visibility::default(),
        scopes: ScopeSet::new(),
        cache: None,
    }
}

impl ResourceDef {
    /// The client must have declared this ability; a call of one that did not is refused before the function runs.
    pub fn needs(mut self, ability: Ability) -> Self {
        self.needs.ability(ability);
        self
    }

    /// Hides the resource from all callers but those that `admits` takes, as
    /// [`ToolDef::visible_to`](super::ToolDef::visible_to) does. Others hear of no update of it either.
    pub fn visible_to(mut self, admits: impl Fn(&Caller) -> bool + Send + Sync + 'static) -> Self {
        self.visibility.narrow(admits);
        self
    }

    /// The needs of its extractors take the place of what was thought of its context.
    #[doc(hidden)]
    pub fn __extracting(mut self, extractors: &[fn(&mut Needs)]) -> Self {
        self.needs = Needs::default();
        extractors.iter().for_each(|declare| declare(&mut self.needs));
        self
    }

    /// What the resource is.
    pub fn description(mut self, text: impl Into<Str>) -> Self {
        self.resource.description = Some(text.into());
        self
    }

    /// A name for people.
    pub fn title(mut self, text: impl Into<Str>) -> Self {
        self.resource.title = Some(text.into());
        self
    }

    /// The media type of its contents.
    pub fn mime_type(mut self, mime_type: impl Into<Str>) -> Self {
        self.resource.mime_type = Some(mime_type.into());
        self
    }

    /// Its size in bytes, where it is known.
    pub fn size(mut self, bytes: u64) -> Self {
        self.resource.size = Some(bytes);
        self
    }

    /// For whom it is and how much it matters.
    pub fn annotations(mut self, annotations: Annotations) -> Self {
        self.resource.annotations = Some(annotations);
        self
    }

    /// Icons to show.
    pub fn icons(mut self, icons: Vec<Icon>) -> Self {
        self.resource.icons = icons;
        self
    }
}

impl std::fmt::Debug for ResourceDef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResourceDef").field("resource", &self.resource).finish_non_exhaustive()
    }
}
