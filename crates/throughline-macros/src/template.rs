//! The variables of a URI template, with the rules of `throughline::template`.

/// The variables in their order.
///
/// # Errors
///
/// A sentence without its subject, as what is wrong with the template.
pub(crate) fn variables(template: &str) -> Result<Vec<String>, &'static str> {
    let mut variables = Vec::new();
    let mut rest = template;
    let mut touching = false;
    while let Some(open) = rest.find('{') {
        if touching && open == 0 {
            return Err("has two variables that touch; put text between them");
        }
        let close = rest.find('}').ok_or("has a `{` without its `}`")?;
        let inner = rest.get(open + 1..close).ok_or("has a `}` before its `{`")?;
        let name = inner.strip_prefix('+').unwrap_or(inner);
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.') {
            return Err("has a variable whose name is not letters, digits, `_` or `.`");
        }
        if variables.iter().any(|other| other == name) {
            return Err("has the same variable twice");
        }
        variables.push(name.to_owned());
        rest = &rest[close + 1..];
        touching = true;
    }
    Ok(variables)
}

#[cfg(test)]
mod tests {
    use super::variables;

    #[test]
    fn variables_are_found() {
        assert_eq!(variables("db://{table}/{+path}.txt"), Ok(vec!["table".to_owned(), "path".to_owned()]));
        assert_eq!(variables("x://fixed"), Ok(vec![]));
    }

    #[test]
    fn a_wrong_template_says_why() {
        for template in ["x://{a", "x://a}{", "x://{}", "x://{a}{b}", "x://{a}/{a}", "x://{a b}"] {
            assert!(variables(template).is_err(), "{template}");
        }
    }
}
