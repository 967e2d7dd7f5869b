//! What the suite hands to a client: the URL of its server as the last argument, the rest in the environment.

use serde::Deserialize;
use serde_json::{Map, Value};

const SCENARIO: &str = "MCP_CONFORMANCE_SCENARIO";
const PROTOCOL_VERSION: &str = "MCP_CONFORMANCE_PROTOCOL_VERSION";
const CONTEXT: &str = "MCP_CONFORMANCE_CONTEXT";

/// How the suite started this client.
#[derive(Debug, PartialEq)]
pub(crate) struct Contract {
    /// Where the suite's server listens.
    pub(crate) url: String,
    /// `MCP_CONFORMANCE_SCENARIO`
    pub(crate) scenario: String,
    /// `MCP_CONFORMANCE_PROTOCOL_VERSION`: the date of the revision that the scenario is run at; the pinned suite always says
    /// it. It is no promise of what the server speaks: `json-schema-ref-no-deref` is of 2026-07-28, and its server answers
    /// `initialize` alone.
    pub(crate) revision: Option<String>,
    /// `MCP_CONFORMANCE_CONTEXT`, which few scenarios have.
    pub(crate) context: Option<Context>,
}

/// What a scenario tells its client beforehand.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Context {
    /// The scenario again.
    pub(crate) name: String,
    /// `http-custom-headers`: calls to make as they are.
    #[serde(default)]
    pub(crate) tool_calls: Vec<ToolCall>,
    /// What the others have, credentials above all.
    #[serde(flatten)]
    pub(crate) more: Map<String, Value>,
}

/// A call to make as it is.
#[derive(Debug, Deserialize, PartialEq)]
pub(crate) struct ToolCall {
    pub(crate) name: String,
    /// Some values are null.
    #[serde(default)]
    pub(crate) arguments: Map<String, Value>,
}

impl Contract {
    /// Reads the arguments without the program's name, and the environment.
    ///
    /// # Errors
    ///
    /// A sentence that says what is missing or what is no good.
    pub(crate) fn read(
        arguments: impl Iterator<Item = String>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Contract, String> {
        let url = arguments.last().ok_or("the URL of a server must be the last argument")?;
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(format!("the last argument must be the URL of a server, not `{url}`"));
        }
        let read = |name: &str| environment(name).filter(|value| !value.is_empty());
        let scenario = read(SCENARIO).ok_or_else(|| format!("{SCENARIO} must name the scenario"))?;
        let context = read(CONTEXT).map(|json| serde_json::from_str(&json));
        let context = context.transpose().map_err(|e| format!("{CONTEXT} cannot be read: {e}"))?;
        Ok(Contract { url, scenario, revision: read(PROTOCOL_VERSION), context })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Contract, String> {
        let value = |name: &str| environment.iter().find(|(of, _)| *of == name).map(|(_, v)| (*v).to_owned());
        Contract::read(arguments.iter().map(|argument| (*argument).to_owned()), value)
    }

    #[test]
    fn the_url_is_the_last_argument() {
        let environment = [(SCENARIO, "initialize"), (PROTOCOL_VERSION, "2025-11-25")];
        let contract = read(&["--verbose", "http://localhost:1/mcp"], &environment).unwrap();
        assert_eq!(
            contract,
            Contract {
                url: "http://localhost:1/mcp".into(),
                scenario: "initialize".into(),
                revision: Some("2025-11-25".into()),
                context: None,
            }
        );
        assert!(read(&[], &environment).unwrap_err().contains("last argument"));
        assert!(read(&["http://localhost:1", "x"], &environment).unwrap_err().contains("`x`"));
    }

    #[test]
    fn the_scenario_must_be_named() {
        assert!(read(&["http://x"], &[]).unwrap_err().contains(SCENARIO));
        assert!(read(&["http://x"], &[(SCENARIO, "")]).unwrap_err().contains(SCENARIO));
        // An older suite does not say the revision.
        assert_eq!(read(&["http://x"], &[(SCENARIO, "tools_call")]).unwrap().revision, None);
    }

    #[test]
    fn the_context_brings_calls_and_more() {
        let json = json!({
            "name": "http-custom-headers",
            "toolCalls": [{"name": "a", "arguments": {"b": null, "c": 1}}, {"name": "d"}],
            "client_id": "me",
        });
        let environment = [(SCENARIO, "http-custom-headers"), (CONTEXT, &json.to_string())];
        let context = read(&["http://x"], &environment).unwrap().context.unwrap();
        assert_eq!(context.name, "http-custom-headers");
        let calls: Vec<_> =
            context.tool_calls.iter().map(|call| (call.name.as_str(), call.arguments.len())).collect();
        assert_eq!(calls, [("a", 2), ("d", 0)]);
        assert_eq!(context.tool_calls[0].arguments["b"], Value::Null);
        assert_eq!(context.more["client_id"], "me");
        assert!(read(&["http://x"], &[(SCENARIO, "x"), (CONTEXT, "{")]).unwrap_err().contains(CONTEXT));
    }
}
