//! The documentation, the schema and the code say the same.

use std::collections::BTreeSet;

use cullet_pipeline::schema;
use serde_json::Value;

use crate::support::{lines, loaded};

const DOCS: &str = include_str!("../../../docs/pipeline.md");

#[test]
fn every_example_in_the_documentation_is_right() {
    let mut examples = 0;
    for fence in DOCS.split("```yaml\n").skip(1) {
        let example = fence.split("```").next().unwrap();
        if example.starts_with("cullet: 1") {
            let pipeline = loaded(example);
            assert_eq!(lines(pipeline.warnings()), "", "of:\n{example}");
            assert!(!pipeline.plan(&[], &[]).unwrap().steps.is_empty());
            examples += 1;
        }
    }
    assert!(examples >= 5, "the documentation has {examples} examples");
}

/// The keys of every object of the schema that has known ones.
fn keys(schema: &Value) -> BTreeSet<String> {
    let objects = schema["$defs"].as_object().into_iter().flat_map(|defs| defs.values());
    objects
        .filter_map(|object| object["properties"].as_object())
        .flat_map(|map| map.keys().cloned())
        .collect()
}

#[test]
fn every_key_of_the_schema_is_in_a_table_of_the_documentation() {
    let mut missing = keys(&schema());
    assert!(missing.len() > 40, "{missing:?}");
    for row in DOCS.lines().filter_map(|line| line.strip_prefix("| `")) {
        missing.remove(row.split('`').next().unwrap());
    }
    // Explained in a list instead of a table, because axes stand beside them.
    for key in ["include", "exclude"] {
        assert!(DOCS.contains(&format!("- `{key}` is a list of maps")));
    }
    assert!(missing.is_empty(), "not documented: {missing:?}");
}

#[test]
fn the_schema_describes_every_key() {
    let schema = schema();
    for (name, object) in schema["$defs"].as_object().unwrap() {
        for (key, property) in object["properties"].as_object().unwrap() {
            assert!(property["description"].is_string(), "{name}.{key} has no description");
        }
    }
}

#[test]
fn every_reference_of_the_schema_leads_somewhere() {
    let schema = schema();
    let text = schema.to_string();
    for reference in text.split("\"#/$defs/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(schema["$defs"][name].is_object(), "{name}");
    }
    assert_eq!(schema["$ref"], "#/$defs/Document");
    assert_eq!(schema["$defs"]["StepDef"]["additionalProperties"], false);
    assert_eq!(schema["$defs"]["StepDef"]["required"], serde_json::json!(["run"]));
}
