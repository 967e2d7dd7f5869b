//! What a client can listen for.

/// A change on the server's side that a [`Listening`](super::Listening) may be there for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Change<'a> {
    /// The list of tools.
    Tools,
    /// The list of prompts.
    Prompts,
    /// The list of resources.
    Resources,
    /// The resource of this URI.
    Resource(&'a str),
}

impl<'a> Change<'a> {
    /// The change that a notification of this method tells, where `resource` is the resource it is about. `None` for every
    /// other notification: those are not listened for.
    ///
    /// ```
    /// use throughline_proto::stateless::Change;
    ///
    /// assert_eq!(Change::told_by("notifications/tools/list_changed", None), Some(Change::Tools));
    /// assert_eq!(
    ///     Change::told_by("notifications/resources/updated", Some("demo://motd")),
    ///     Some(Change::Resource("demo://motd"))
    /// );
    /// assert_eq!(Change::told_by("notifications/com.example/lunch", None), None);
    /// ```
    #[must_use]
    pub fn told_by(method: &str, resource: Option<&'a str>) -> Option<Change<'a>> {
        match (method, resource) {
            ("notifications/tools/list_changed", None) => Some(Change::Tools),
            ("notifications/prompts/list_changed", None) => Some(Change::Prompts),
            ("notifications/resources/list_changed", None) => Some(Change::Resources),
            ("notifications/resources/updated", Some(uri)) => Some(Change::Resource(uri)),
            _ => None,
        }
    }
}
