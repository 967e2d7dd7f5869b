//! A protocol revision is named by its date only in `crates/throughline-proto/src/revision/`: everything else asks a
//! `Revision` what it has, so that one is added or removed in one place. Tests, comments and links to the specification
//! may name dates.

use crate::sh::Result;
use std::fs;
use std::path::{Path, PathBuf};

/// The one folder, from the root, that names revisions.
const HOME: &str = "crates/throughline-proto/src/revision";

/// Fails when library code elsewhere names a revision, and says where.
pub(crate) fn check(root: &Path) -> Result<()> {
    let mut sources = Vec::new();
    for package in entries(&root.join("crates"))? {
        collect(&package.join("src"), &root.join(HOME), &mut sources)?;
    }
    if sources.is_empty() {
        return Err("no source files were found under crates/: the layout check cannot judge".into());
    }
    let mut found = Vec::new();
    for file in sources {
        let text =
            fs::read_to_string(&file).map_err(|e| format!("{} cannot be read: {e}", file.display()))?;
        let shown = file.strip_prefix(root).unwrap_or(&file).display().to_string();
        found.extend(dates(&text).into_iter().map(|(line, date)| format!("  {shown}:{line} names {date}")));
    }
    if found.is_empty() {
        return Ok(());
    }
    Err(format!("revisions are named only in {HOME}/; ask the `Revision` instead:\n{}", found.join("\n")))
}

/// Rust files below `folder` but not below `home`, and no tests.
fn collect(folder: &Path, home: &Path, into: &mut Vec<PathBuf>) -> Result<()> {
    if folder == home || !folder.is_dir() {
        return Ok(());
    }
    for entry in entries(folder)? {
        let stem = entry.file_stem().unwrap_or_default();
        if stem == "tests" {
            continue;
        } else if entry.is_dir() {
            collect(&entry, home, into)?;
        } else if entry.extension().is_some_and(|e| e == "rs") {
            into.push(entry);
        }
    }
    Ok(())
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let read = fs::read_dir(folder).and_then(|list| list.map(|e| e.map(|e| e.path())).collect());
    let mut entries: Vec<PathBuf> = read.map_err(|e| format!("{} cannot be read: {e}", folder.display()))?;
    entries.sort();
    Ok(entries)
}

/// The dates in a file's code, each with its line number from 1: `2025-11-25` or, in a name, `2025_11_25`.
fn dates(text: &str) -> Vec<(usize, String)> {
    let code = code(text);
    let mut found = Vec::new();
    for (number, line) in code.split(|&c| c == '\n').enumerate() {
        for at in 0..line.len() {
            let (before, after) = line.split_at(at);
            if !is_date(after) || before.last().is_some_and(char::is_ascii_digit) {
                continue;
            }
            let before: String = before.iter().collect();
            if !before.ends_with("modelcontextprotocol.io/specification/") {
                found.push((number + 1, line[at..at + 10].iter().collect()));
            }
        }
    }
    found
}

/// Whether a revision's date stands at the front of `text`.
fn is_date(text: &[char]) -> bool {
    let shape = "20dd-dd-dd".chars().zip(text).filter(|&(shape, &c)| match shape {
        'd' => c.is_ascii_digit(),
        '-' => c == '-' || c == '_',
        digit => c == digit,
    });
    shape.count() == 10 && text[4] == text[7] && !text.get(10).is_some_and(char::is_ascii_digit)
}

/// The file with comments and items for tests blanked out, and every line where it was.
fn code(text: &str) -> Vec<char> {
    let (mut code, bare) = strip(text);
    let marks =
        ["#[cfg(test)]", "#[cfg(all(test,", "#![cfg(test)]"].map(|mark| mark.chars().collect::<Vec<_>>());
    let mut at = 0;
    while at < bare.len() {
        let end = match marks.iter().find(|mark| bare[at..].starts_with(mark)) {
            Some(mark) if mark[1] == '!' => bare.len(),
            Some(mark) => item_end(&bare, at + mark.len()),
            None => at + 1,
        };
        if end > at + 1 {
            code[at..end].iter_mut().filter(|c| **c != '\n').for_each(|c| *c = ' ');
        }
        at = end;
    }
    code
}

/// Where the item ends that starts at `from`: at its semicolon or its closing brace.
fn item_end(bare: &[char], from: usize) -> usize {
    // An attribute `[..]` or a list `(..)` may hold both; only what stands outside of them counts.
    let mut open = 0;
    for (at, c) in bare.iter().enumerate().skip(from) {
        match c {
            '(' | '[' | '{' => open += 1,
            ')' | ']' | '}' => open -= 1,
            _ => {}
        }
        if (*c == '}' && open <= 0) || (*c == ';' && open == 0) {
            return at + 1;
        }
    }
    bare.len()
}

/// The file without comments, and the same also without the insides of strings and characters.
fn strip(text: &str) -> (Vec<char>, Vec<char>) {
    let text: Vec<char> = text.chars().collect();
    let (mut code, mut bare) = (text.clone(), text.clone());
    let blank = |out: &mut [char]| out.iter_mut().filter(|c| **c != '\n').for_each(|c| *c = ' ');
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let (length, comment) = match rest {
            ['/', '/', ..] => (rest.iter().position(|&c| c == '\n').unwrap_or(rest.len()), true),
            ['/', '*', ..] => (block_comment(rest), true),
            ['"', ..] => (quoted(rest, '"'), false),
            ['\'', '\\', ..] => (quoted(rest, '\''), false),
            ['\'', _, '\'', ..] => (3, false),
            ['r', '"' | '#', ..]
                if !text[..at].last().is_some_and(|c| is_name(*c) && !matches!(c, 'b' | 'c')) =>
            {
                (raw_string(rest), false)
            }
            _ => (0, false),
        };
        if length > 0 {
            blank(&mut bare[at..at + length]);
            if comment {
                blank(&mut code[at..at + length]);
            }
        }
        at += length.max(1);
    }
    (code, bare)
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The length of a block comment; they nest.
fn block_comment(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match &rest[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// The length of a literal with escapes, both quotes included.
fn quoted(rest: &[char], quote: char) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            '\\' => at += 2,
            c if c == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// The length of `r"..."` or `r#"..."#`; 0 for a raw name such as `r#type`.
fn raw_string(rest: &[char]) -> usize {
    let hashes = rest[1..].iter().take_while(|c| **c == '#').count();
    let open = 1 + hashes;
    if rest.get(open) != Some(&'"') {
        return 0;
    }
    let close: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let inside = rest[open + 1..].windows(close.len()).position(|window| window == close);
    inside.map_or(rest.len(), |at| open + 1 + at + close.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<usize> {
        dates(text).into_iter().map(|(line, _)| line).collect()
    }

    #[test]
    fn a_date_in_code_is_found_with_its_line() {
        let found = dates("fn f() {\n    g(\"2025-11-25\", Revision::V2026_07_28);\n}\n");
        assert_eq!(found, [(2, "2025-11-25".to_owned()), (2, "2026_07_28".to_owned())]);
        assert_eq!(lines("const A: &str = r#\"a \"2025-06-18\" b\"#;"), [1]);
        assert_eq!(lines("let b = br\"2025-06-18\";"), [1]);
    }

    #[test]
    fn comments_and_links_may_name_dates() {
        assert!(
            lines("/// 2025-11-25\n//! 2025-11-25\n/* 2025-11-25 /* 2025-11-25 */ 2025-11-25 */").is_empty()
        );
        assert!(
            lines("link(\"https://modelcontextprotocol.io/specification/2025-11-25/basic\");").is_empty()
        );
    }

    #[test]
    fn what_looks_like_a_comment_or_a_quote_inside_a_literal_hides_nothing() {
        assert_eq!(lines("f(\"// \"); g(\"2025-11-25\");"), [1]);
        assert_eq!(lines("f('\"', '\\'', 'a'); g(\"2025-11-25\");"), [1]);
        assert_eq!(lines("fn f<'a>(x: &'a str) { g(x, \"2025-11-25\") }"), [1]);
        assert_eq!(lines("let r#type = \"/*\"; g(\"2025-11-25\");"), [1]);
        assert_eq!(lines("f(\"\\\\\"); g(\"2025-11-25\"); // \""), [1]);
    }

    #[test]
    fn tests_may_name_dates_and_what_follows_them_may_not() {
        let text = "#[cfg(test)]\n#[allow(x, reason = \"a;b\")]\nmod tests {\n fn f() { \"}\"; \"2025-11-25\"; }\n}\nconst A: &str = \"2025-11-25\";\n";
        assert_eq!(lines(text), [6]);
        assert_eq!(lines("#[cfg(test)]\nmod tests;\nconst A: &str = \"2025-11-25\";"), [3]);
        assert_eq!(lines("#[cfg(not(test))]\nconst A: &str = \"2025-11-25\";"), [2]);
        assert!(lines("#![cfg(test)]\nconst A: &str = \"2025-11-25\";").is_empty());
    }

    #[test]
    fn other_dates_and_numbers_are_left_alone() {
        let text = "\"https://json-schema.org/draft/2020-12/schema\"; 2025_1125; 12025-11-25; \"2025-11_25\"";
        assert!(lines(text).is_empty());
    }

    #[test]
    fn only_the_revision_folder_and_tests_are_exempt() {
        let root = crate::sh::root();
        let mut sources = Vec::new();
        collect(&root.join("crates/throughline-proto/src"), &root.join(HOME), &mut sources).unwrap();
        assert!(sources.iter().any(|file| file.ends_with("src/lib.rs")));
        assert!(!sources.iter().any(|file| file.starts_with(root.join(HOME))));
    }
}
