//! The labels in the files of a sample.

use serde_json::Value;

use crate::data::sources::labels::{Tag, Tags};

/// Fields of a JSON file that may have the label, the likelier first.
const FIELDS: [&str; 5] = ["label", "labels", "cls", "class", "target"];

/// The label in a file `.cls`: a number or a name. The error says what is accepted.
pub fn of_text(bytes: &[u8]) -> Result<Tags, String> {
    let text = std::str::from_utf8(bytes).map(str::trim);
    let text = text
        .ok()
        .filter(|text| !text.is_empty() && !is_negative(text));
    let tag = text.map(|text| Tags::One(Tag::parse(text)));
    tag.ok_or_else(|| "a number from 0 on or a name".into())
}

/// The label in a JSON file, or `None` where it has none. The error says what is accepted.
pub fn of_json(bytes: &[u8]) -> Result<Option<Tags>, String> {
    let value: Value = serde_json::from_slice(bytes).map_err(|error| format!("JSON ({error})"))?;
    let mut fields = FIELDS.iter().filter_map(|field| value.get(field));
    let label = match fields.find(|value| !value.is_null()) {
        None => return Ok(None),
        Some(Value::Array(values)) => values
            .iter()
            .map(tag)
            .collect::<Option<_>>()
            .map(Tags::Several),
        Some(value) => tag(value).map(Tags::One),
    };
    let label = label.ok_or("a number from 0 on, a name, or a list of these")?;
    Ok(Some(label))
}

fn tag(value: &Value) -> Option<Tag> {
    match value {
        Value::String(text) if is_negative(text.trim()) || text.trim().is_empty() => None,
        Value::String(text) => Some(Tag::parse(text.trim())),
        Value::Number(number) => {
            let whole = number
                .as_f64()
                .filter(|value| value.fract() == 0.0 && *value >= 0.0);
            let number = number.as_u64().or(whole.map(|value| value as u64));
            number.map(Tag::Number)
        }
        _ => None,
    }
}

fn is_negative(text: &str) -> bool {
    text.parse::<i64>().is_ok_and(|number| number < 0)
}
