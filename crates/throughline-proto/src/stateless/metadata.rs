use std::borrow::Cow;

use serde::Deserialize;

use crate::http::{Refusal, RefusalKind};
use crate::jsonrpc::{self, MetaOutline, Part, ProgressToken, Raw, reason};
use crate::model::{ClientCapabilities, LoggingLevel};
use crate::revision::Revision;

/// What a request of the modern era says about itself in its `_meta`.
///
/// ```
/// use throughline_proto::http::RefusalKind;
/// use throughline_proto::jsonrpc::{Raw, meta_outline, outline};
/// use throughline_proto::revision::Revision;
/// use throughline_proto::stateless::Metadata;
///
/// let params = Raw::from_json(
///     r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",
///                  "io.modelcontextprotocol/clientCapabilities":{"sampling":{}}}}"#,
/// )?;
/// let meta = meta_outline(outline(Some(&params))?.meta)?;
/// let metadata = Metadata::read(&meta, &Revision::ALL)?;
/// assert!(metadata.revision.is_modern());
/// assert!(metadata.capabilities.sampling.is_some() && metadata.client_info.is_none());
///
/// let refusal = Metadata::read(&Default::default(), &Revision::ALL).unwrap_err();
/// assert_eq!(refusal.kind(), RefusalKind::InvalidParams);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Specification: <https://modelcontextprotocol.io/specification/2026-07-28/basic/index#meta>.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Metadata<'a> {
    /// The revision that the request is written in, always a modern one.
    pub revision: Revision,
    /// What the client can do.
    pub capabilities: ClientCapabilities,
    /// Who it says it is, which nothing verifies, and which it may keep to itself: an object, not looked into.
    pub client_info: Option<Part<'a>>,
    /// The least severe level of log messages to send for this request; `None`: send none.
    pub log_level: Option<LoggingLevel>,
    /// What to name in progress notifications; `None`: send none.
    pub progress_token: Option<ProgressToken>,
}

impl<'a> Metadata<'a> {
    /// Reads and checks it all; `supported` are the revisions that this server speaks, of both eras, to be told to a client
    /// that names none of the modern ones among them.
    ///
    /// The headers are to be [checked](crate::http::check_request_headers) before, against the
    /// [requested version](Metadata::requested_version): where both the headers and the version are wrong, the
    /// headers are what a client can mend.
    ///
    /// # Errors
    ///
    /// [`RefusalKind::InvalidParams`] when the version or the capabilities are missing, or something is not what it should
    /// be; [`RefusalKind::UnsupportedProtocolVersion`].
    pub fn read(meta: &MetaOutline<'a>, supported: &[Revision]) -> Result<Metadata<'a>, Refusal> {
        let date = Metadata::requested_version(meta)?;
        let revision = supported
            .iter()
            .copied()
            .find(|revision| revision.is_modern() && revision.date() == date)
            .ok_or_else(|| Refusal::unsupported_protocol_version(&date, supported))?;
        let capabilities = match required(meta.client_capabilities, "clientCapabilities")? {
            part if part.get() == "{}" => ClientCapabilities::default(),
            part => object(part, "clientCapabilities")?,
        };
        if meta.client_info.is_some_and(|part| !part.get().starts_with('{')) {
            return Err(malformed("clientInfo", "it is no object"));
        }
        let log_level = meta.log_level.map(log_level).transpose()?;
        let progress_token = meta.progress_token.map(progress_token).transpose()?;
        Ok(Metadata { revision, capabilities, client_info: meta.client_info, log_level, progress_token })
    }

    /// The date of the revision that a request says it is written in, whether or not it is known here.
    ///
    /// # Errors
    ///
    /// [`RefusalKind::InvalidParams`] when it is missing or no string.
    pub fn requested_version(meta: &MetaOutline<'a>) -> Result<Cow<'a, str>, Refusal> {
        let part = required(meta.protocol_version, "protocolVersion")?;
        jsonrpc::text(part).ok_or_else(|| malformed("protocolVersion", "it is no string"))
    }
}

fn required<'a>(part: Option<Part<'a>>, name: &str) -> Result<Part<'a>, Refusal> {
    part.ok_or_else(|| {
        Refusal::new(RefusalKind::InvalidParams).with_message(format!(
            "The member \"io.modelcontextprotocol/{name}\" of \"_meta\" is missing. Send it in the params of every request."
        ))
    })
}

fn malformed(name: &str, reason: &str) -> Refusal {
    Refusal::new(RefusalKind::InvalidParams).with_message(format!(
        "The member \"io.modelcontextprotocol/{name}\" of \"_meta\" is malformed: {reason}. Correct it."
    ))
}

/// Reads an object. Asked for because a derived struct would also take an array.
fn object<'a, T: Deserialize<'a>>(part: Part<'a>, name: &str) -> Result<T, Refusal> {
    if !part.get().starts_with('{') {
        return Err(malformed(name, "it is no object"));
    }
    serde_json::from_str(part.get()).map_err(|error| malformed(name, &reason(&error)))
}

fn log_level(part: Part<'_>) -> Result<LoggingLevel, Refusal> {
    let text = jsonrpc::text(part);
    LoggingLevel::ALL.into_iter().find(|level| text.as_deref() == Some(level.as_str())).ok_or_else(|| {
        let names = LoggingLevel::ALL.map(LoggingLevel::as_str).join(", ");
        malformed("logLevel", &format!("it is none of {names}"))
    })
}

fn progress_token(part: Part<'_>) -> Result<ProgressToken, Refusal> {
    // Found in no message, so that the token is a copy, and does not keep the message alive.
    ProgressToken::from_part(&Raw::null(), part)
        .map_err(|error| Refusal::new(RefusalKind::InvalidParams).with_message(error.message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jsonrpc::{meta_outline, outline};

    const CALLER: &str = r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}"#;

    fn read(meta: &str) -> Result<Metadata<'static>, Refusal> {
        // For the whole test program, so that what is read may borrow from it.
        let params = Box::leak(Box::new(Raw::from_json(format!("{{\"_meta\":{meta}}}")).unwrap()));
        Metadata::read(&meta_outline(outline(Some(params)).unwrap().meta).unwrap(), &Revision::ALL)
    }

    /// With the required members, and this one.
    fn read_with(name: &str, value: &str) -> Result<Metadata<'static>, Refusal> {
        read(&format!("{{{CALLER},\"{name}\":{value}}}"))
    }

    #[test]
    fn the_required_members_are_enough() {
        let metadata = read(&format!("{{{CALLER}}}")).unwrap();
        assert_eq!(metadata.revision, Revision::LATEST);
        assert_eq!((metadata.capabilities, metadata.client_info), (ClientCapabilities::default(), None));
        assert_eq!((metadata.log_level, metadata.progress_token), (None, None));
    }

    #[test]
    fn all_of_them_are_read() {
        let metadata = read(
            r#"{"io.modelcontextprotocol/protocolVersion":"2026\u002d07-28",
                "io.modelcontextprotocol/clientCapabilities": { "elicitation":{"form":{}},"com.example":1},
                "io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"},
                "io.modelcontextprotocol/logLevel":"warning","progressToken":"t","x":null}"#,
        )
        .unwrap();
        assert_eq!(metadata.revision, Revision::LATEST);
        assert!(metadata.capabilities.elicitation.is_some_and(|elicitation| elicitation.form));
        assert_eq!(metadata.client_info.map(Part::get), Some(r#"{"name":"c","version":"1"}"#));
        assert_eq!(metadata.log_level, Some(LoggingLevel::Warning));
        assert_eq!(metadata.progress_token, Some(ProgressToken::String("t".into())));
        for level in LoggingLevel::ALL {
            let metadata = read_with("io.modelcontextprotocol/logLevel", &format!("\"{level}\"")).unwrap();
            assert_eq!(metadata.log_level, Some(level));
        }
        assert_eq!(read_with("progressToken", "7").unwrap().progress_token, Some(ProgressToken::Number(7)));
        assert_eq!(
            read(&format!("{{{}}}", CALLER.replace("{}", "{ }"))).unwrap().capabilities,
            ClientCapabilities::default()
        );
    }

    #[test]
    fn what_is_missing_or_malformed_is_said() {
        let missing = |name: &str| {
            format!(
                "The member \"io.modelcontextprotocol/{name}\" of \"_meta\" is missing. Send it in the params of every request."
            )
        };
        let malformed = |name: &str, reason: &str| {
            format!(
                "The member \"io.modelcontextprotocol/{name}\" of \"_meta\" is malformed: {reason}. Correct it."
            )
        };
        let date = r#""io.modelcontextprotocol/protocolVersion":"2026-07-28""#;
        let with =
            |name: &str, value: &str| format!("{{{CALLER},\"io.modelcontextprotocol/{name}\":{value}}}");
        let capabilities =
            |value: &str| format!("{{{date},\"io.modelcontextprotocol/clientCapabilities\":{value}}}");
        for (meta, expected) in [
            ("{}".to_owned(), missing("protocolVersion")),
            (r#"{"io.modelcontextprotocol/clientCapabilities":{}}"#.to_owned(), missing("protocolVersion")),
            (format!("{{{date}}}"), missing("clientCapabilities")),
            (
                r#"{"io.modelcontextprotocol/protocolVersion":20260728}"#.to_owned(),
                malformed("protocolVersion", "it is no string"),
            ),
            (
                r#"{"io.modelcontextprotocol/protocolVersion":null}"#.to_owned(),
                malformed("protocolVersion", "it is no string"),
            ),
            (capabilities("null"), malformed("clientCapabilities", "it is no object")),
            (capabilities("[]"), malformed("clientCapabilities", "it is no object")),
            (capabilities("\"sampling\""), malformed("clientCapabilities", "it is no object")),
            (
                capabilities(r#"{"sampling":true}"#),
                malformed(
                    "clientCapabilities",
                    "invalid type: boolean `true`, expected struct SamplingCapability",
                ),
            ),
            (with("clientInfo", "null"), malformed("clientInfo", "it is no object")),
            (with("clientInfo", r#"["c","1"]"#), malformed("clientInfo", "it is no object")),
            (
                with("logLevel", "\"loud\""),
                malformed(
                    "logLevel",
                    "it is none of debug, info, notice, warning, error, critical, alert, emergency",
                ),
            ),
            (
                format!("{{{CALLER},\"progressToken\":null}}"),
                "The member \"progressToken\" of \"_meta\" must be a string or an integer.".to_owned(),
            ),
        ] {
            let refusal = read(&meta).unwrap_err();
            assert_eq!(
                (refusal.status().as_u16(), refusal.code().0, refusal.message()),
                (400, -32602, expected.as_str()),
                "{meta}"
            );
        }
        for level in ["\"WARNING\"", "\"\"", "3", "null", "[\"info\"]"] {
            assert!(read_with("io.modelcontextprotocol/logLevel", level).is_err(), "{level}");
        }
        for token in ["1.5", "{}", "true", "18446744073709551615"] {
            assert!(read_with("progressToken", token).is_err(), "{token}");
        }
        let refusal = Metadata::read(&MetaOutline::default(), &Revision::ALL).unwrap_err();
        assert_eq!((refusal.status().as_u16(), refusal.code().0), (400, -32602));
    }

    #[test]
    fn a_version_that_is_not_spoken_is_answered_with_those_that_are() {
        let supported = [Revision::V2026_07_28, Revision::V2025_11_25];
        for requested in ["v999.0.0", "2025-11-25", "2025-06-18", "", "2026-07-28 "] {
            let json = format!("{{\"io.modelcontextprotocol/protocolVersion\":\"{requested}\"}}");
            let json = Raw::from_json(json).unwrap();
            let meta: &serde_json::value::RawValue = json.parse().unwrap();
            let meta = meta_outline(Some(meta.into())).unwrap();
            assert_eq!(Metadata::requested_version(&meta).unwrap(), requested);
            // Said before anything else that is wrong with it.
            let refusal = Metadata::read(&meta, &supported).unwrap_err();
            assert_eq!((refusal.status().as_u16(), refusal.code().0), (400, -32022), "{requested}");
            let data =
                format!("{{\"supported\":[\"2026-07-28\",\"2025-11-25\"],\"requested\":\"{requested}\"}}");
            assert_eq!(refusal.error().data.unwrap().as_str(), data);
        }
        // A server of the legacy era alone.
        let params = Raw::from_json(format!("{{\"_meta\":{{{CALLER}}}}}")).unwrap();
        let meta = meta_outline(outline(Some(&params)).unwrap().meta).unwrap();
        let refusal = Metadata::read(&meta, &Revision::LEGACY).unwrap_err();
        assert_eq!(refusal.kind(), RefusalKind::UnsupportedProtocolVersion);
    }
}
