//! Elicitation: a server asks the client's user.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Meta;
use crate::jsonrpc::{ErrorCode, ErrorObject, Raw, Str};

mod form;
mod format;
mod schema;

pub use form::FormError;
pub use schema::{
    BooleanSchema, EnumOption, MultiSelectSchema, NumberSchema, PrimitiveSchema, SingleSelectSchema,
    StringFormat, StringSchema,
};

/// The parameters of `elicitation/create`; see
/// [elicitation](https://modelcontextprotocol.io/specification/2025-11-25/client/elicitation).
///
/// ```
/// use throughline_proto::model::{BooleanSchema, ElicitFormParams, ElicitParams, ElicitSchema};
///
/// let schema = ElicitSchema::new().with_required("approved", BooleanSchema::new());
/// let params = ElicitParams::from(ElicitFormParams::new("Delete it?", schema));
/// assert_eq!(
///     serde_json::to_string(&params)?,
///     r#"{"mode":"form","message":"Delete it?","requestedSchema":{"type":"object","properties":{"approved":{"type":"boolean"}},"required":["approved"]}}"#
/// );
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, try_from = "AnyElicitParams")]
#[non_exhaustive]
pub enum ElicitParams {
    /// The user fills in a form.
    Form(ElicitFormParams),
    /// The user visits an address, and what they enter there never passes through the client.
    Url(ElicitUrlParams),
}

impl From<ElicitFormParams> for ElicitParams {
    fn from(params: ElicitFormParams) -> ElicitParams {
        ElicitParams::Form(params)
    }
}

impl From<ElicitUrlParams> for ElicitParams {
    fn from(params: ElicitUrlParams) -> ElicitParams {
        ElicitParams::Url(params)
    }
}

/// The mode of a form, where it is named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum FormMode {
    /// `form`.
    #[default]
    #[serde(rename = "form")]
    Form,
}

/// The mode of an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum UrlMode {
    /// `url`.
    #[default]
    #[serde(rename = "url")]
    Url,
}

/// Asks the user to fill in a form.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ElicitFormParams {
    /// The mode; absent means a form too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<FormMode>,
    /// What the user is told.
    pub message: Str,
    /// What the form asks for.
    pub requested_schema: ElicitSchema,
    /// What the request carries beside.
    #[serde(rename = "_meta", skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl ElicitFormParams {
    /// Tells the user this and asks for that.
    pub fn new(message: impl Into<Str>, requested_schema: ElicitSchema) -> ElicitFormParams {
        ElicitFormParams { mode: Some(FormMode::Form), message: message.into(), requested_schema, meta: None }
    }

    setters! {
        /// What the request carries beside.
        with_meta(meta: Meta) = Some(meta);
    }
}

/// Asks the user to visit an address; see
/// [URL elicitation](https://modelcontextprotocol.io/specification/2025-11-25/client/elicitation#url-elicitation-requests).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ElicitUrlParams {
    /// The mode.
    pub mode: UrlMode,
    /// Names this elicitation within the server, for the notification that it is complete. The modern era has neither.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elicitation_id: Option<Str>,
    /// Where the user goes.
    pub url: Str,
    /// Why, for the user.
    pub message: Str,
    /// What the request carries beside.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl ElicitUrlParams {
    /// Sends the user to this address, for this reason.
    pub fn new(
        elicitation_id: impl Into<Str>,
        url: impl Into<Str>,
        message: impl Into<Str>,
    ) -> ElicitUrlParams {
        ElicitUrlParams {
            mode: UrlMode::Url,
            elicitation_id: Some(elicitation_id.into()),
            url: url.into(),
            message: message.into(),
            meta: None,
        }
    }

    setters! {
        /// What the request carries beside.
        with_meta(meta: Meta) = Some(meta);
    }
}

/// Both modes in one, because serde's untagged enums buffer what they read and raw JSON does not survive that.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AnyElicitParams {
    mode: Option<Str>,
    message: Str,
    requested_schema: Option<ElicitSchema>,
    elicitation_id: Option<Str>,
    url: Option<Str>,
    #[serde(rename = "_meta")]
    meta: Option<Meta>,
}

impl TryFrom<AnyElicitParams> for ElicitParams {
    type Error = String;

    fn try_from(any: AnyElicitParams) -> Result<ElicitParams, String> {
        match any.mode.as_deref() {
            None | Some("form") => Ok(ElicitParams::Form(ElicitFormParams {
                mode: any.mode.is_some().then_some(FormMode::Form),
                message: any.message,
                requested_schema: any
                    .requested_schema
                    .ok_or("an elicitation in form mode needs the field `requestedSchema`")?,
                meta: any.meta,
            })),
            Some("url") => Ok(ElicitParams::Url(ElicitUrlParams {
                mode: UrlMode::Url,
                elicitation_id: any.elicitation_id,
                url: any.url.ok_or("an elicitation in url mode needs the field `url`")?,
                message: any.message,
                meta: any.meta,
            })),
            Some(other) => Err(format!("the elicitation mode `{other}` is not known here: use form or url")),
        }
    }
}

/// What a form asks for: named fields, each of a primitive type, in the order in which they are shown.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ElicitSchema {
    /// The JSON Schema dialect (`$schema`), if it is named.
    pub dialect: Option<Str>,
    /// The fields.
    pub properties: Vec<(Str, PrimitiveSchema)>,
    /// The names of the fields that must be filled in.
    pub required: Vec<Str>,
}

impl ElicitSchema {
    /// A form without fields.
    #[must_use]
    pub fn new() -> ElicitSchema {
        ElicitSchema::default()
    }

    /// Adds a field that may be left empty.
    #[must_use]
    pub fn with_optional(mut self, name: impl Into<Str>, schema: impl Into<PrimitiveSchema>) -> ElicitSchema {
        self.properties.push((name.into(), schema.into()));
        self
    }

    /// Adds a field that must be filled in.
    #[must_use]
    pub fn with_required(mut self, name: impl Into<Str>, schema: impl Into<PrimitiveSchema>) -> ElicitSchema {
        let name = name.into();
        self.required.push(name.clone());
        self.with_optional(name, schema)
    }
}

impl Serialize for ElicitSchema {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Properties<'a>(&'a [(Str, PrimitiveSchema)]);

        impl Serialize for Properties<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_map(self.0.iter().map(|(name, schema)| (name, schema)))
            }
        }

        #[derive(Serialize)]
        struct Form<'a> {
            #[serde(rename = "$schema", skip_serializing_if = "Option::is_none")]
            dialect: Option<&'a Str>,
            #[serde(rename = "type")]
            kind: &'static str,
            properties: Properties<'a>,
            #[serde(skip_serializing_if = "<[Str]>::is_empty")]
            required: &'a [Str],
        }

        Form {
            dialect: self.dialect.as_ref(),
            kind: "object",
            properties: Properties(&self.properties),
            required: &self.required,
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ElicitSchema {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ElicitSchema, D::Error> {
        struct Properties(Vec<(Str, PrimitiveSchema)>);

        impl<'de> Deserialize<'de> for Properties {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Properties, D::Error> {
                struct Fields;

                impl<'de> Visitor<'de> for Fields {
                    type Value = Properties;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("an object of primitive schemas")
                    }

                    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Properties, A::Error> {
                        let mut fields = Vec::new();
                        let mut names = HashSet::new();
                        while let Some((name, schema)) = map.next_entry::<Str, PrimitiveSchema>()? {
                            if !names.insert(name.clone()) {
                                return Err(A::Error::custom(format_args!(
                                    "the form has two fields `{name}`: name each field once"
                                )));
                            }
                            fields.push((name, schema));
                        }
                        Ok(Properties(fields))
                    }
                }

                deserializer.deserialize_map(Fields)
            }
        }

        #[derive(Deserialize)]
        struct Form {
            #[serde(rename = "$schema")]
            dialect: Option<Str>,
            properties: Properties,
            required: Option<Vec<Str>>,
        }

        let form = Form::deserialize(deserializer)?;
        Ok(ElicitSchema {
            dialect: form.dialect,
            properties: form.properties.0,
            required: form.required.unwrap_or_default(),
        })
    }
}

/// What a user did when asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ElicitAction {
    /// Agreed, and sent the form or agreed to go to the address.
    Accept,
    /// Said no.
    Decline,
    /// Turned away without a choice.
    Cancel,
}

/// The answer to `elicitation/create`.
///
/// ```
/// use throughline_proto::{jsonrpc::Raw, model::{ElicitAction, ElicitResult}};
///
/// let result = ElicitResult::accept(Raw::from_json(r#"{"approved":true}"#)?);
/// assert_eq!(serde_json::to_string(&result)?, r#"{"action":"accept","content":{"approved":true}}"#);
/// assert_eq!(ElicitResult::new(ElicitAction::Decline).content, None);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ElicitResult {
    /// What the user did.
    pub action: ElicitAction,
    /// What the form was filled in with: a JSON object of text, numbers, booleans and lists of text. Only with
    /// [`ElicitAction::Accept`] of a form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Raw>,
    /// What the result carries beside.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl ElicitResult {
    /// The user did this, without filling in a form.
    #[must_use]
    pub fn new(action: ElicitAction) -> ElicitResult {
        ElicitResult { action, content: None, meta: None }
    }

    /// The user filled in the form with this JSON object.
    #[must_use]
    pub fn accept(content: Raw) -> ElicitResult {
        ElicitResult { action: ElicitAction::Accept, content: Some(content), meta: None }
    }

    setters! {
        /// What the result carries beside.
        with_meta(meta: Meta) = Some(meta);
    }
}

/// The parameters of `notifications/elicitation/complete`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ElicitationCompleteParams {
    /// The elicitation that is complete.
    pub elicitation_id: Str,
    /// What the notification carries beside.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl ElicitationCompleteParams {
    /// This elicitation is complete.
    pub fn new(elicitation_id: impl Into<Str>) -> ElicitationCompleteParams {
        ElicitationCompleteParams { elicitation_id: elicitation_id.into(), meta: None }
    }
}

/// The data of the error with which a server refuses a request until the user has visited some addresses; see
/// [the error](https://modelcontextprotocol.io/specification/2025-11-25/client/elicitation#url-elicitation-required-error).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UrlElicitationRequired {
    /// Where the user has to go before the request is sent again.
    pub elicitations: Vec<ElicitUrlParams>,
}

impl UrlElicitationRequired {
    /// The user has to go to these addresses first.
    pub fn new(elicitations: impl Into<Vec<ElicitUrlParams>>) -> UrlElicitationRequired {
        UrlElicitationRequired { elicitations: elicitations.into() }
    }

    /// The error that carries this.
    #[must_use]
    pub fn to_error(&self) -> ErrorObject {
        ErrorObject::new(
            ErrorCode::URL_ELICITATION_REQUIRED,
            "This request needs the user to visit an address first: open those in `data` and send it again.",
        )
        .with_data(self)
    }
}
