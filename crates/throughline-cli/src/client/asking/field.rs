//! One field of a form: how it is asked, and how what was typed is read.

use std::fmt::Write;

use throughline::jsonrpc::Raw;
use throughline::model::{EnumOption, NumberSchema, PrimitiveSchema, StringSchema};

use super::flat;

/// What is asked: `Number of people: Who travels. (whole number, 1 to 20)`, choices below it by number.
pub(super) fn question(name: &str, schema: &PrimitiveSchema, required: bool) -> String {
    let (title, description) = match schema {
        PrimitiveSchema::String(schema) => (&schema.title, &schema.description),
        PrimitiveSchema::Number(schema) => (&schema.title, &schema.description),
        PrimitiveSchema::Boolean(schema) => (&schema.title, &schema.description),
        PrimitiveSchema::SingleSelect(schema) => (&schema.title, &schema.description),
        PrimitiveSchema::MultiSelect(schema) => (&schema.title, &schema.description),
        _ => (&None, &None),
    };
    let mut text = flat(title.as_deref().unwrap_or(name));
    if let Some(description) = description {
        let _ = write!(text, ": {}", flat(description));
    }
    let optional = if required { "" } else { "; Enter leaves it out" };
    let enter = match schema.default_value() {
        Some(_) => "; Enter takes what is in brackets",
        None if required => "; Enter declines the form",
        None => optional,
    };
    let _ = writeln!(text, " ({}{enter})", wanted(schema));
    for (at, option) in options(schema).iter().enumerate() {
        let _ = writeln!(text, "  {:>2}  {}", at + 1, flat(option.label()));
    }
    text
}

/// Reads what was typed as a value of the field.
///
/// # Errors
///
/// What the field wants: the rest of a sentence that begins with the field.
pub(super) fn read(schema: &PrimitiveSchema, text: &str) -> Result<Raw, String> {
    let trimmed = text.trim();
    let value = match schema {
        PrimitiveSchema::Boolean(_) => match trimmed.to_lowercase().as_str() {
            "y" | "yes" | "true" => raw(&true),
            "n" | "no" | "false" => raw(&false),
            _ => return Err("must be yes or no".into()),
        },
        PrimitiveSchema::Number(_) => Raw::from_json(trimmed.to_owned())
            .ok()
            .or_else(|| {
                trimmed.parse::<f64>().ok().filter(|number| number.is_finite()).map(|number| raw(&number))
            })
            .ok_or("must be a number")?,
        PrimitiveSchema::SingleSelect(schema) => {
            raw(&chosen(&schema.options, trimmed).ok_or("must be one of the choices, or its number")?)
        }
        PrimitiveSchema::MultiSelect(schema) => {
            let parts = trimmed.split(',').map(str::trim).filter(|part| !part.is_empty() && *part != NONE);
            let chosen: Option<Vec<&str>> = parts.map(|part| chosen(&schema.options, part)).collect();
            raw(&chosen.ok_or("must be some of the choices, or their numbers, with commas")?)
        }
        _ => raw(text),
    };
    schema.check(&value)?;
    Ok(value)
}

/// A value as somebody would type it.
pub(super) fn text(value: &Raw) -> String {
    if let Ok(text) = value.parse::<String>() {
        return flat(&text);
    }
    match value.parse::<Vec<String>>() {
        Ok(list) if list.is_empty() => NONE.into(),
        Ok(list) => flat(&list.join(", ")),
        Err(_) => match value.as_str() {
            "true" => "yes".into(),
            "false" => "no".into(),
            other => other.to_owned(),
        },
    }
}

fn wanted(schema: &PrimitiveSchema) -> String {
    match schema {
        PrimitiveSchema::String(StringSchema { min_length, max_length, format, .. }) => {
            let mut wanted = format.map_or("text", |format| format.description()).to_owned();
            if let Some(range) =
                range(min_length.map(|least| least.to_string()), max_length.map(|most| most.to_string()))
            {
                let _ = write!(wanted, ", {range} characters");
            }
            wanted
        }
        PrimitiveSchema::Number(NumberSchema { integer, minimum, maximum, .. }) => {
            let mut wanted = if *integer { "whole number" } else { "number" }.to_owned();
            if let Some(range) =
                range(minimum.map(|least| least.to_string()), maximum.map(|most| most.to_string()))
            {
                let _ = write!(wanted, ", {range}");
            }
            wanted
        }
        PrimitiveSchema::Boolean(_) => "yes or no".into(),
        PrimitiveSchema::SingleSelect(_) => "one of these".into(),
        PrimitiveSchema::MultiSelect(schema) => {
            let mut wanted = format!("some of these, with commas, or {NONE} for none");
            let (least, most) = (schema.min_items.filter(|least| *least > 0), schema.max_items);
            if let Some(range) =
                range(least.map(|least| least.to_string()), most.map(|most| most.to_string()))
            {
                let _ = write!(wanted, "; {range} of them");
            }
            wanted
        }
        _ => "text".into(),
    }
}

fn range(least: Option<String>, most: Option<String>) -> Option<String> {
    match (least, most) {
        (Some(least), Some(most)) => Some(format!("{least} to {most}")),
        (Some(least), None) => Some(format!("at least {least}")),
        (None, Some(most)) => Some(format!("at most {most}")),
        (None, None) => None,
    }
}

fn options(schema: &PrimitiveSchema) -> &[EnumOption] {
    match schema {
        PrimitiveSchema::SingleSelect(schema) => &schema.options,
        PrimitiveSchema::MultiSelect(schema) => &schema.options,
        _ => &[],
    }
}

/// The value of a choice, by its value, its number or its label.
fn chosen<'a>(options: &'a [EnumOption], text: &str) -> Option<&'a str> {
    let by_value = options.iter().find(|option| option.value == text);
    let by_number = || text.parse::<usize>().ok().and_then(|number| options.get(number.checked_sub(1)?));
    let by_label = || options.iter().find(|option| option.label().to_lowercase() == text.to_lowercase());
    by_value.or_else(by_number).or_else(by_label).map(|option| option.value.as_str())
}

fn raw<T: serde::Serialize + ?Sized>(value: &T) -> Raw {
    Raw::new(value).expect("texts and numbers have a JSON form")
}

/// Typed for an empty list.
const NONE: &str = "-";

#[cfg(test)]
mod tests {
    use serde_json::json;
    use throughline::model::ElicitSchema;

    use super::*;

    fn form() -> ElicitSchema {
        // The order of the fields is part of it.
        let form = r#"{"type": "object", "properties": {
            "name": {"type": "string", "title": "Your name", "minLength": 2},
            "mail": {"type": "string", "format": "email", "description": "Where to write to."},
            "age": {"type": "integer", "minimum": 18, "maximum": 120},
            "score": {"type": "number", "default": 1.5},
            "really": {"type": "boolean", "default": false},
            "by": {"type": "string", "oneOf": [{"const": "t", "title": "Train"}, {"const": "2", "title": "Ship\nof \u001b[2J"}]},
            "colours": {"type": "array", "minItems": 1, "maxItems": 2, "items": {"enum": ["red", "green", "blue"]}, "default": ["red"]}
        }, "required": ["name", "really"]}"#;
        serde_json::from_str(form).expect("it is a form")
    }

    fn field(name: &str) -> PrimitiveSchema {
        form().properties.into_iter().find(|(known, _)| known == name).expect("it is there").1
    }

    #[test]
    fn a_question_says_what_is_wanted() {
        let form = form();
        let questions =
            form.properties.iter().map(|(name, schema)| question(name, schema, form.required.contains(name)));
        insta::assert_snapshot!(crate::terminal::plain(&questions.collect::<String>()), @r"
        Your name (text, at least 2 characters; Enter declines the form)
        mail: Where to write to. (an address of electronic mail (name@example.com); Enter leaves it out)
        age (whole number, 18 to 120; Enter leaves it out)
        score (number; Enter takes what is in brackets)
        really (yes or no; Enter takes what is in brackets)
        by (one of these; Enter leaves it out)
           1  Train
           2  Ship of �[2J
        colours (some of these, with commas, or - for none; 1 to 2 of them; Enter takes what is in brackets)
           1  red
           2  green
           3  blue
        ");
    }

    #[test]
    fn what_is_typed_is_a_value_of_the_field() {
        for (name, text, value) in [
            ("name", " Ada", json!(" Ada")),
            ("age", " 20 ", json!(20)),
            ("score", ".5", json!(0.5)),
            ("really", "Yes", json!(true)),
            ("really", "false", json!(false)),
            ("by", "1", json!("t")),
            ("by", "train", json!("t")),
            ("by", "2", json!("2")),
            ("colours", "1, blue", json!(["red", "blue"])),
        ] {
            let read =
                read(&field(name), text).map(|value| value.parse::<serde_json::Value>().expect("it is JSON"));
            assert_eq!(read, Ok(value), "{name}: {text}");
        }
    }

    #[test]
    fn what_does_not_fit_says_what_would() {
        let says = [
            ("name", "A"),
            ("mail", "nobody"),
            ("age", "17"),
            ("age", "20.5"),
            ("age", "\"20\""),
            ("score", "x"),
            ("really", "maybe"),
            ("by", "3"),
            ("colours", "-"),
            ("colours", "1,2,3"),
            ("colours", "1,pink"),
        ]
        .map(|(name, text)| format!("{name}={text}: It {}.", read(&field(name), text).expect_err(text)));
        insta::assert_snapshot!(says.join("\n"), @r#"
        name=A: It must have at least 2 characters.
        mail=nobody: It must be an address of electronic mail (name@example.com).
        age=17: It must be at least 18.
        age=20.5: It must be a whole number.
        age="20": It must be a whole number.
        score=x: It must be a number.
        really=maybe: It must be yes or no.
        by=3: It must be one of the choices, or its number.
        colours=-: It must hold at least 1 value.
        colours=1,2,3: It must hold at most 2 values.
        colours=1,pink: It must be some of the choices, or their numbers, with commas.
        "#);
    }

    #[test]
    fn defaults_are_shown_as_they_are_typed() {
        let shown = ["score", "really", "colours"]
            .map(|name| text(&field(name).default_value().expect("it has one")));
        assert_eq!(shown, ["1.5", "no", "red"]);
        assert_eq!(text(&raw(&json!([]))), "-");
    }
}
