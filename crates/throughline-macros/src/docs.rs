//! Doc comments, as descriptions.

use syn::{Attribute, Expr, ExprLit, Lit, Meta};

/// The text of the doc comments among these attributes, up to its first heading: what follows, `# Errors` for instance, is
/// for the reader of the program. `None` when nothing is left.
pub(crate) fn description(attributes: &[Attribute]) -> Option<String> {
    let mut lines = Vec::new();
    for line in attributes.iter().filter_map(doc_text) {
        lines.extend(line.lines().map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end().to_owned()));
        if line.is_empty() {
            lines.push(String::new());
        }
    }
    let mut fenced = false;
    let end = lines.iter().position(|line| {
        fenced ^= line.starts_with("```");
        !fenced && is_heading(line)
    });
    lines.truncate(end.unwrap_or(lines.len()));
    let text = lines.join("\n").trim().to_owned();
    (!text.is_empty()).then_some(text)
}

pub(crate) fn is_doc(attribute: &Attribute) -> bool {
    doc_text(attribute).is_some()
}

fn doc_text(attribute: &Attribute) -> Option<String> {
    match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    }
}

fn is_heading(line: &str) -> bool {
    let rest = line.trim_start_matches('#');
    rest.len() < line.len() && rest.starts_with(' ')
}

#[cfg(test)]
mod tests {
    use super::*;
    use syn::parse_quote;

    fn of(function: syn::ItemFn) -> Option<String> {
        description(&function.attrs)
    }

    #[test]
    fn a_description_ends_at_the_first_heading() {
        let text = of(parse_quote! {
            /// Adds two integers.
            ///
            /// With care.
            ///
            /// # Errors
            ///
            /// None.
            fn add() {}
        });
        assert_eq!(text.as_deref(), Some("Adds two integers.\n\nWith care."));
    }

    #[test]
    fn a_block_comment_is_one_too() {
        let text = of(parse_quote! {
            /** Adds.
             Twice. */
            fn add() {}
        });
        let lines: Vec<&str> = text.as_deref().expect("a text").lines().map(str::trim).collect();
        assert_eq!(lines, ["Adds.", "Twice."]);
    }

    #[test]
    fn without_a_comment_there_is_none() {
        assert_eq!(of(parse_quote! { #[inline] fn add() {} }), None);
        assert_eq!(
            of(parse_quote! { /// # Errors
            fn add() {} }),
            None
        );
    }
}
