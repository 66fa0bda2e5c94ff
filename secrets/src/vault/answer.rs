//! What a server answers.

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::{SecretError, SecretValue};

/// The field where a secret has several and none is named.
const USUAL: &str = "value";

/// The value of one field of what was read at a place.
pub(super) fn field(
    body: &Zeroizing<Vec<u8>>,
    version: u8,
    place: &str,
    field: Option<&str>,
) -> Result<SecretValue, SecretError> {
    let missing = |why: &str| SecretError::Missing(format!("{place} {why}"));
    // Texts of serde's errors can have parts of what was read.
    let mut answer: Value =
        serde_json::from_slice(body).map_err(|_| missing("is no JSON: the address is not Vault's"))?;
    let mut data = answer.get_mut("data").map(Value::take).unwrap_or_default();
    if version == 2 {
        data = data.get_mut("data").map(Value::take).unwrap_or_default();
    }
    let found = pick(&data, place, field);
    wipe(data);
    found
}

fn pick(data: &Value, place: &str, field: Option<&str>) -> Result<SecretValue, SecretError> {
    let missing = |why: &str| SecretError::Missing(format!("{place} {why}"));
    let Value::Object(fields) = data else {
        return Err(missing("has no fields: is the version of the key-value engine right?"));
    };
    let Some((name, value)) = chosen(fields, field) else {
        return Err(missing(&match field {
            Some(field) => format!("has no field `{}`; it has {}", field.escape_debug(), names(fields)),
            None => format!("has several fields, {}: name one as PATH#FIELD", names(fields)),
        }));
    };
    let bytes = match value {
        Value::String(text) => text.clone().into_bytes(),
        Value::Null => return Err(missing(&format!("has no value in its field `{}`", name.escape_debug()))),
        // A whole object is often the key of an account, which programs read as JSON.
        other => other.to_string().into_bytes(),
    };
    SecretError::value(format!("{place}, field `{}`", name.escape_debug()), bytes)
}

fn chosen<'a>(fields: &'a Map<String, Value>, field: Option<&'a str>) -> Option<(&'a str, &'a Value)> {
    match field {
        Some(field) => fields.get(field).map(|value| (field, value)),
        None if fields.len() == 1 => fields.iter().next().map(|(name, value)| (name.as_str(), value)),
        None => fields.get(USUAL).map(|value| (USUAL, value)),
    }
}

fn names(fields: &Map<String, Value>) -> String {
    let names: Vec<String> =
        fields.keys().take(10).map(|name| format!("`{}`", name.escape_debug())).collect();
    match names.len() {
        0 => "none".to_owned(),
        _ => names.join(", "),
    }
}

/// The token of a login.
pub(super) fn token(body: &Zeroizing<Vec<u8>>) -> Option<Zeroizing<String>> {
    let mut answer: Value = serde_json::from_slice(body).ok()?;
    match answer.get_mut("auth")?.get_mut("client_token")?.take() {
        Value::String(token) if !token.is_empty() => Some(Zeroizing::new(token)),
        _ => None,
    }
}

/// What the server says of an error; it repeats no values.
pub(super) fn errors(body: &[u8]) -> String {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let errors = answer.get("errors").and_then(Value::as_array).into_iter().flatten();
    let errors: Vec<&str> =
        errors.filter_map(Value::as_str).map(str::trim).filter(|text| !text.is_empty()).collect();
    let text: String =
        errors.join("; ").chars().filter(|character| !character.is_control()).take(300).collect();
    if text.is_empty() { text } else { format!(" ({text})") }
}

/// Overwrites all texts.
fn wipe(value: Value) {
    match value {
        Value::String(text) => drop(Zeroizing::new(text)),
        Value::Array(values) => values.into_iter().for_each(wipe),
        Value::Object(fields) => fields.into_iter().for_each(|(_, value)| wipe(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
