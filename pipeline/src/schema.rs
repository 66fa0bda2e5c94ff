//! The JSON Schema of the language, made by the types that decode it.

use serde_json::{Value as Json, json};

use crate::decode::{Decode, Defs};
use crate::syntax::Document;

/// A JSON Schema (draft 2020-12) that accepts what [`crate::load`] accepts, except for what only shows when names
/// are resolved.
#[must_use]
pub fn schema() -> Json {
    let mut defs = Defs::new();
    let root = Document::schema(&mut defs);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Cullet pipeline",
        "$ref": root["$ref"],
        "$defs": defs,
    })
}

/// A schema with a description.
pub(crate) fn described(mut schema: Json, lines: &[&str]) -> Json {
    if let Some(object) = schema.as_object_mut() {
        object.insert("description".to_owned(), Json::String(prose(lines)));
    }
    schema
}

/// The lines of a doc comment as one text.
pub(crate) fn prose(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}
