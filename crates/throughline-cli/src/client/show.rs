//! What a server answered, as text for people.

use throughline::model::{CallToolResult, Content, GetPromptResult, ReadResourceResult, ResourceContents};

/// What a tool gave: its contents in order, then its structured content, unless a text says the same.
pub(super) fn tool_result(result: &CallToolResult) -> String {
    let structured: Option<serde_json::Value> =
        result.structured_content.as_ref().and_then(|content| content.parse().ok());
    let is_same = |content: &&Content| {
        structured.is_some()
            && content.as_text().and_then(|text| serde_json::from_str(text).ok()) == structured
    };
    let mut parts: Vec<String> =
        result.content.iter().filter(|content| !is_same(content)).map(content).collect();
    if let Some(structured) = &result.structured_content {
        parts.push(pretty(structured.as_str()));
    }
    lines(&parts)
}

pub(super) fn resource(result: &ReadResourceResult) -> String {
    lines(&result.contents.iter().map(contents).collect::<Vec<_>>())
}

/// The messages of a prompt, each below the role that says it.
pub(super) fn prompt(result: &GetPromptResult) -> String {
    let messages = result.messages.iter().map(|message| {
        let role = serde_json::to_value(message.role).ok();
        let role = role.as_ref().and_then(serde_json::Value::as_str).unwrap_or("?");
        format!("{role}:\n{}", content(&message.content))
    });
    lines(&messages.collect::<Vec<_>>())
}

/// JSON as one line: what is between its values is left out.
pub(super) fn one_line(json: &str) -> String {
    let (mut in_string, mut escaped) = (false, false);
    json.chars()
        .filter(|c| {
            if in_string {
                (in_string, escaped) = (*c != '"' || escaped, *c == '\\' && !escaped);
                return true;
            }
            in_string = *c == '"';
            !c.is_ascii_whitespace()
        })
        .collect()
}

/// JSON on as many lines as it has values, in its own order and with its own numbers.
fn pretty(json: &str) -> String {
    let json = one_line(json);
    let mut text = String::with_capacity(json.len() * 2);
    let (mut depth, mut in_string, mut escaped) = (0, false, false);
    let mut rest = json.chars().peekable();
    while let Some(c) = rest.next() {
        if in_string || c == '"' {
            (in_string, escaped) = (!in_string || c != '"' || escaped, in_string && c == '\\' && !escaped);
            text.push(c);
            continue;
        }
        let line = |text: &mut String, depth| {
            text.push('\n');
            text.extend(std::iter::repeat_n("  ", depth));
        };
        match c {
            '{' | '[' => {
                text.push(c);
                if let Some(end) = rest.next_if(|next| matches!(next, '}' | ']')) {
                    text.push(end);
                } else {
                    depth += 1;
                    line(&mut text, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut text, depth);
                text.push(c);
            }
            ',' => {
                text.push(c);
                line(&mut text, depth);
            }
            ':' => text.push_str(": "),
            _ => text.push(c),
        }
    }
    text
}

fn content(content: &Content) -> String {
    match content {
        Content::Text(text) => text.text.to_string(),
        Content::Image(image) => format!("[image: {}, {}]", image.mime_type, size(decoded(&image.data))),
        Content::Audio(audio) => format!("[audio: {}, {}]", audio.mime_type, size(decoded(&audio.data))),
        Content::ResourceLink(link) => {
            let mut line = format!("[resource: {} ({})", link.uri, link.title.as_ref().unwrap_or(&link.name));
            if let Some(kind) = &link.mime_type {
                line.push_str(&format!(", {kind}"));
            }
            if let Some(bytes) = link.size {
                line.push_str(&format!(", {}", size(bytes)));
            }
            line + "]"
        }
        Content::Resource(embedded) => contents(&embedded.resource),
        _ => "[content of a type that is not known here; see it with --output json]".into(),
    }
}

fn contents(contents: &ResourceContents) -> String {
    match contents {
        ResourceContents::Text(text) => text.text.to_string(),
        ResourceContents::Blob(blob) => {
            let kind = blob.mime_type.as_deref().unwrap_or("bytes");
            format!("[{}: {kind}, {}]", blob.uri, size(decoded(&blob.blob)))
        }
    }
}

/// How many bytes a text in Base64 stands for.
fn decoded(base64: &str) -> u64 {
    let digits = base64.bytes().filter(|byte| !matches!(byte, b'=' | b'\n' | b'\r')).count();
    u64::try_from(digits).unwrap_or(u64::MAX) / 4 * 3 + [0, 0, 1, 2][digits % 4]
}

fn size(bytes: u64) -> String {
    match bytes {
        1 => "1 byte".into(),
        0..1024 => format!("{bytes} bytes"),
        1024..0x0010_0000 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1024.0 / 1024.0),
    }
}

fn lines(parts: &[String]) -> String {
    parts.iter().map(|part| format!("{}\n", part.strip_suffix('\n').unwrap_or(part))).collect()
}

#[cfg(test)]
mod tests {
    use throughline::jsonrpc::Raw;
    use throughline::model::{EmbeddedResource, PromptMessage, Resource};

    use super::*;

    #[test]
    fn contents_are_text_or_a_line() {
        let mut link = Resource::new("file:///a", "a");
        link.size = Some(2_000_000);
        let blob = ResourceContents::blob("file:///b", [0; 2000]).with_mime_type("image/gif");
        let result = CallToolResult::new([
            Content::text("two\nlines\n"),
            Content::image([1, 2, 3, 4], "image/png"),
            Content::audio([1], "audio/wav"),
            Content::resource_link(link),
            Content::Resource(Box::new(EmbeddedResource::new(ResourceContents::text(
                "file:///c",
                "embedded",
            )))),
            Content::resource(blob),
            Content::text(r#"{ "a":[2,{}], "b":1, "c\"{":"" }"#),
        ])
        .with_structured_content(Raw::from_json(r#"{"b":1,"a":[2,{}],"c\"{":""}"#).expect("it is JSON"));
        insta::assert_snapshot!(tool_result(&result), @r#"
        two
        lines
        [image: image/png, 4 bytes]
        [audio: audio/wav, 1 byte]
        [resource: file:///a (a), 1.9 MiB]
        embedded
        [file:///b: image/gif, 2.0 KiB]
        {
          "b": 1,
          "a": [
            2,
            {}
          ],
          "c\"{": ""
        }
        "#);
    }

    #[test]
    fn messages_say_who_speaks() {
        let result =
            GetPromptResult::new([PromptMessage::user("Why?"), PromptMessage::assistant("Because.")]);
        assert_eq!(prompt(&result), "user:\nWhy?\nassistant:\nBecause.\n");
    }

    #[test]
    fn json_is_one_line_and_otherwise_as_it_came() {
        assert_eq!(one_line("{ \"a\\\\\" :\n 1.50,\t\"b \\\" c\": [ ] }"), r#"{"a\\":1.50,"b \" c":[]}"#);
    }

    #[test]
    fn sizes_are_those_of_the_bytes() {
        for (text, bytes) in [("", 0), ("AA==", 1), ("AAA=", 2), ("AAAA", 3), ("AAAAAA==", 4), ("AA", 1)] {
            assert_eq!(decoded(text), bytes, "{text}");
        }
    }
}
