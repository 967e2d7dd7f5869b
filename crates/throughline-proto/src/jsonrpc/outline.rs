use super::members::Members;
use super::{ErrorCode, ErrorObject, Part, Raw, scan};

/// The members of `params` that a front door, a router or a log wants before anybody reads the parameters in
/// full.
///
/// Each is the JSON value that was there, `null` included; `None` is absence. Nothing is said about their
/// types.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outline<'a> {
    /// `name`, of a tool or a prompt.
    pub name: Option<Part<'a>>,
    /// `uri`, of a resource.
    pub uri: Option<Part<'a>>,
    /// `arguments`, of a tool or a prompt.
    pub arguments: Option<Part<'a>>,
    /// `cursor`, of a list.
    pub cursor: Option<Part<'a>>,
    /// `_meta`; [`meta_outline`] looks into it.
    pub meta: Option<Part<'a>>,
    /// `inputResponses`, which only requests of the modern era carry.
    pub input_responses: Option<Part<'a>>,
    /// `requestState`, which only requests of the modern era carry.
    pub request_state: Option<Part<'a>>,
}

/// The members of `_meta` that this library itself reads.
#[derive(Clone, Copy, Debug, Default)]
pub struct MetaOutline<'a> {
    /// `progressToken`; [`ProgressToken::from_part`](super::ProgressToken::from_part) reads it.
    pub progress_token: Option<Part<'a>>,
    /// `io.modelcontextprotocol/protocolVersion`, which only requests of the modern era carry.
    pub protocol_version: Option<Part<'a>>,
    /// `io.modelcontextprotocol/clientInfo`, which only requests of the modern era carry.
    pub client_info: Option<Part<'a>>,
    /// `io.modelcontextprotocol/clientCapabilities`, which only requests of the modern era carry.
    pub client_capabilities: Option<Part<'a>>,
    /// `io.modelcontextprotocol/logLevel`, which only requests of the modern era carry.
    pub log_level: Option<Part<'a>>,
    /// `traceparent`; [`TraceContext`](crate::stateless::TraceContext) reads it and the next two.
    pub traceparent: Option<Part<'a>>,
    /// `tracestate`.
    pub tracestate: Option<Part<'a>>,
    /// `baggage`.
    pub baggage: Option<Part<'a>>,
}

/// Finds the members of [`Outline`] in one scan, without a copy. Every other member is skipped; no params is
/// an empty outline.
///
/// ```
/// use throughline_proto::jsonrpc::{Raw, outline};
///
/// let params = Raw::from_json(r#"{"name": "add", "arguments": {"a": 1}, "other": true}"#)?;
/// let outline = outline(Some(&params)).expect("an object without duplicates");
/// assert_eq!(outline.arguments.map(|arguments| arguments.get()), Some(r#"{"a": 1}"#));
/// assert!(outline.uri.is_none());
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// # Errors
///
/// Invalid params when `params` is not an object or has one of these members twice.
pub fn outline(params: Option<&Raw>) -> Result<Outline<'_>, ErrorObject> {
    let Some(params) = params else { return Ok(Outline::default()) };
    Outline::of(scan::trusted(&PARAMS, params.as_str()))
}

/// Finds the members of [`MetaOutline`] in a `_meta`, as [`outline`] does in `params`.
///
/// # Errors
///
/// Invalid params when `_meta` is not an object or has one of these members twice.
pub fn meta_outline(meta: Option<Part<'_>>) -> Result<MetaOutline<'_>, ErrorObject> {
    let Some(meta) = meta else { return Ok(MetaOutline::default()) };
    MetaOutline::of(scan::trusted(&META, meta.get()))
}

/// [`outline`] and [`meta_outline`] of the same `params`, in one scan. Without an outline there is nothing in its `_meta`.
pub fn outlines(
    params: Option<&Raw>,
) -> (Result<Outline<'_>, ErrorObject>, Result<MetaOutline<'_>, ErrorObject>) {
    let Some(params) = params else { return (Ok(Outline::default()), Ok(MetaOutline::default())) };
    let (members, meta) = scan::trusted_within(&PARAMS, AT_META, &META, params.as_str()).unzip();
    let outline = Outline::of(members);
    let meta = match &outline {
        Ok(outline) if outline.meta.is_some() => MetaOutline::of(meta.flatten()),
        _ => Ok(MetaOutline::default()),
    };
    (outline, meta)
}

const PARAMS: [&str; 7] = ["name", "uri", "arguments", "cursor", "_meta", "inputResponses", "requestState"];
/// Where `_meta` is among them.
const AT_META: usize = 4;

const META: [&str; 8] = [
    "progressToken",
    "io.modelcontextprotocol/protocolVersion",
    "io.modelcontextprotocol/clientInfo",
    "io.modelcontextprotocol/clientCapabilities",
    "io.modelcontextprotocol/logLevel",
    "traceparent",
    "tracestate",
    "baggage",
];

impl<'a> Outline<'a> {
    fn of(members: Option<Members<'a, 7>>) -> Result<Self, ErrorObject> {
        let [name, uri, arguments, cursor, meta, input_responses, request_state] =
            once(members, &PARAMS, "params")?;
        Ok(Self { name, uri, arguments, cursor, meta, input_responses, request_state })
    }
}

impl<'a> MetaOutline<'a> {
    fn of(members: Option<Members<'a, 8>>) -> Result<Self, ErrorObject> {
        let [
            progress_token,
            protocol_version,
            client_info,
            client_capabilities,
            log_level,
            traceparent,
            tracestate,
            baggage,
        ] = once(members, &META, "_meta")?;
        Ok(Self {
            progress_token,
            protocol_version,
            client_info,
            client_capabilities,
            log_level,
            traceparent,
            tracestate,
            baggage,
        })
    }
}

/// The values of members that occur once at most; `None` is no object.
fn once<'a, const N: usize>(
    members: Option<Members<'a, N>>,
    names: &[&str; N],
    object: &str,
) -> Result<[Option<Part<'a>>; N], ErrorObject> {
    let refuse = |message: String| Err(ErrorObject::new(ErrorCode::INVALID_PARAMS, message));
    let Some(members) = members else {
        return refuse(format!("The member \"{object}\" must be an object."));
    };
    match members.repeated() {
        None => Ok(members.values),
        Some(at) => {
            refuse(format!("The member \"{}\" occurs twice in \"{object}\". Send it once.", names[at]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_among_others_and_null_is_not_absence() {
        let params = Raw::from_json(
            r#"{"x":[{"name":1}],"cursor":null,"uri":"a:b","n\u0061me":7,"_meta":{"progressToken":"t","y":{"progressToken":2}}}"#,
        )
        .unwrap();
        let outline = outline(Some(&params)).unwrap();
        assert_eq!(outline.name.unwrap().get(), "7");
        assert_eq!(outline.uri.unwrap().get(), "\"a:b\"");
        assert_eq!(outline.cursor.unwrap().get(), "null");
        assert!(outline.arguments.is_none());
        let meta = meta_outline(outline.meta).unwrap();
        assert_eq!(meta.progress_token.unwrap().get(), "\"t\"");
        assert!(meta.protocol_version.is_none());
        assert!(meta_outline(None).unwrap().progress_token.is_none());
        assert!(super::outline(None).unwrap().meta.is_none());
        let (at_once, meta_at_once) = outlines(Some(&params));
        assert_eq!(format!("{at_once:?} {meta_at_once:?}"), format!("Ok({outline:?}) Ok({meta:?})"));
    }

    #[test]
    fn every_member_is_found_under_its_own_name() {
        let params = Raw::from_json(
            r#"{"requestState":1,"inputResponses":2,"_meta":{"baggage":3,"tracestate":4,"traceparent":5,
            "io.modelcontextprotocol/logLevel":6,"io.modelcontextprotocol/clientCapabilities":7,
            "io.modelcontextprotocol/clientInfo":8,"io.modelcontextprotocol/protocolVersion":9,"progressToken":10},
            "cursor":11,"arguments":12,"uri":13,"name":14}"#,
        )
        .unwrap();
        let of = outline(Some(&params)).unwrap();
        let params = [of.request_state, of.input_responses, of.cursor, of.arguments, of.uri, of.name];
        assert_eq!(params.map(|part| part.unwrap().get()), ["1", "2", "11", "12", "13", "14"]);
        let of = meta_outline(of.meta).unwrap();
        let meta = [
            of.baggage,
            of.tracestate,
            of.traceparent,
            of.log_level,
            of.client_capabilities,
            of.client_info,
            of.protocol_version,
            of.progress_token,
        ];
        assert_eq!(meta.map(|part| part.unwrap().get()), ["3", "4", "5", "6", "7", "8", "9", "10"]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let message = |params: &'static str| {
            let params = Raw::from_json(params).unwrap();
            let at_once = outlines(Some(&params));
            let outline = match outline(Some(&params)) {
                Err(error) => {
                    assert_eq!(at_once.0.unwrap_err(), error);
                    return (error.code, error.message.into_owned());
                }
                Ok(outline) => outline,
            };
            let error = meta_outline(outline.meta).unwrap_err();
            assert_eq!(at_once.1.unwrap_err(), error);
            (error.code, error.message.into_owned())
        };
        for (params, expected) in [
            ("[]", "The member \"params\" must be an object."),
            ("null", "The member \"params\" must be an object."),
            (r#"{"name":1,"name":1}"#, "The member \"name\" occurs twice in \"params\". Send it once."),
            (
                r#"{"_meta":{},"a":1,"\u005fmeta":{}}"#,
                "The member \"_meta\" occurs twice in \"params\". Send it once.",
            ),
            (r#"{"_meta":null}"#, "The member \"_meta\" must be an object."),
            (r#"{"_meta":"x"}"#, "The member \"_meta\" must be an object."),
            (
                r#"{"_meta":{"progressToken":1,"progressToken":2}}"#,
                "The member \"progressToken\" occurs twice in \"_meta\". Send it once.",
            ),
        ] {
            assert_eq!(message(params), (ErrorCode::INVALID_PARAMS, expected.to_owned()), "{params}");
        }
    }
}
