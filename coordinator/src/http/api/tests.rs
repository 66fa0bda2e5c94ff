//! The document says what the handlers take and give.

use std::collections::BTreeSet;

use cullet_proto::v1;
use serde::Serialize;
use serde::de::{DeserializeOwned, IntoDeserializer as _, value};
use serde_json::{Value, json};

use super::super::events::FollowQuery;
use super::super::keys::KeysQuery;
use super::super::log::LogQuery;
use super::super::types::{
    Cancelled, ClusterStatus, ListQuery, RunDetail, RunPage, StepKeys, Submission, Submitted,
};
use super::*;
use crate::event::{Event, Note, RunEnd, RunStart, StepEnd, StepStart, TestSummary};

fn document() -> Value {
    let seat = Arc::new(crate::cluster::Seat::new(1, String::new()));
    let (_, Description(bytes)) = super::super::api(&Arc::new(Metrics::new(seat))).split();
    serde_json::from_slice(&bytes).unwrap()
}

fn names<'a>(names: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    names.into_iter().map(str::to_owned).collect()
}

#[test]
fn every_path_is_described() {
    let document = document();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
    let mut found = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            found.insert(format!("{method} {path}"));
            assert!(operation["summary"].is_string(), "{path} says nothing");
            assert!(operation["responses"]["default"].is_object(), "{path} never fails");
        }
    }
    let expected = [
        "get /api/v1/runs",
        "post /api/v1/runs",
        "get /api/v1/runs/{run}",
        "post /api/v1/runs/{run}/cancel",
        "get /api/v1/runs/{run}/events",
        "get /api/v1/runs/{run}/keys",
        "get /api/v1/runs/{run}/log",
        "get /api/v1/status",
    ];
    assert_eq!(found, names(expected));
}

/// Every reference leads somewhere.
#[test]
fn nothing_is_named_that_is_not_there() {
    fn check(value: &Value, document: &Value) {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(target)) = fields.get("$ref") {
                    assert!(document.pointer(&target[1..]).is_some(), "{target}");
                }
                fields.values().for_each(|value| check(value, document));
            }
            Value::Array(values) => values.iter().for_each(|value| check(value, document)),
            _ => {}
        }
    }
    let document = document();
    check(&document, &document);
}

/// The fields that a type takes, by its own word.
fn taken<T: DeserializeOwned>() -> BTreeSet<String> {
    let unknown = [("no such field".to_owned(), "1".to_owned())].into_iter();
    let unknown = value::MapDeserializer::<_, value::Error>::new(unknown);
    let refused = match T::deserialize(unknown.into_deserializer()) {
        Ok(_) => panic!("it takes anything"),
        Err(error) => error.to_string(),
    };
    let listed = refused.split_once("expected").unwrap().1;
    listed.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn parameters_are_those_that_are_taken() {
    let document = document();
    let described = |path: &str| {
        let parameters = document["paths"][path]["get"]["parameters"].as_array().unwrap();
        let of_query = parameters.iter().filter(|parameter| parameter["in"] == "query");
        of_query.map(|parameter| parameter["name"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>()
    };
    assert_eq!(described("/api/v1/runs"), taken::<ListQuery>());
    assert_eq!(described("/api/v1/runs/{run}/events"), taken::<FollowQuery>());
    assert_eq!(described("/api/v1/runs/{run}/log"), taken::<LogQuery>());
    assert_eq!(described("/api/v1/runs/{run}/keys"), taken::<KeysQuery>());
    let submission = &document["components"]["schemas"]["Submission"];
    let properties = submission["properties"].as_object().unwrap().keys().map(String::as_str);
    assert_eq!(names(properties), taken::<Submission>());
    assert_eq!(submission["required"], json!(["pipeline"]));
}

/// Checks a value against a schema, as far as this document uses the language. Gives the fields that were described.
fn fits(value: &Value, schema: &Value, document: &Value) -> Result<BTreeSet<String>, String> {
    if let Some(target) = schema["$ref"].as_str() {
        return fits(value, document.pointer(&target[1..]).unwrap(), document);
    }
    if let Some(parts) = schema["allOf"].as_array() {
        let parts = parts.iter().map(|part| fits(value, part, document));
        return Ok(parts.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect());
    }
    if let Some(parts) = schema["oneOf"].as_array() {
        let found: Vec<_> = parts.iter().filter_map(|part| fits(value, part, document).ok()).collect();
        return found.into_iter().next().ok_or_else(|| format!("{value} is none of {schema}"));
    }
    if let Some(allowed) = schema["enum"].as_array()
        && !allowed.contains(value)
    {
        return Err(format!("{value} is none of {allowed:?}"));
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    if !schema["type"].as_array().map_or(schema["type"] == kind, |kinds| kinds.contains(&json!(kind))) {
        return Err(format!("{value} is not {}", schema["type"]));
    }
    for element in value.as_array().into_iter().flatten() {
        closed(element, &schema["items"], document)?;
    }
    let mut known = BTreeSet::new();
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        known.insert(name.clone());
        let is_required = schema["required"].as_array().is_some_and(|all| all.contains(&json!(name)));
        match value.get(name) {
            Some(field) => drop(closed(field, property, document)?),
            None if is_required => return Err(format!("{value} has no {name}")),
            None => {}
        }
    }
    Ok(known)
}

/// The same, and nothing else is in it.
fn closed(value: &Value, schema: &Value, document: &Value) -> Result<BTreeSet<String>, String> {
    let known = fits(value, schema, document)?;
    let undescribed = value.as_object().into_iter().flatten().find(|(name, _)| !known.contains(*name));
    match undescribed {
        Some((name, _)) => Err(format!("{name} of {value} is not described")),
        None => Ok(known),
    }
}

fn check(name: &str, value: impl Serialize) {
    let document = document();
    let schema = &document["components"]["schemas"][name];
    let value = serde_json::to_value(value).unwrap();
    closed(&value, schema, &document).unwrap_or_else(|error| panic!("{name}: {error}"));
}

#[test]
fn answers_are_as_described() {
    let run = || v1::Run {
        summary: Some(v1::RunSummary { finished_at_ms: 1, ..v1::RunSummary::default() }),
        steps: vec![v1::StepState { has_exit_code: true, ..v1::StepState::default() }, Default::default()],
        outputs: vec![v1::RunOutput::default()],
        outputs_trouble: "gone".to_owned(),
    };
    let status = || v1::StatusResponse {
        members: vec![v1::Member::default()],
        workers: vec![v1::WorkerStatus::default()],
        ..v1::StatusResponse::default()
    };
    check("Run", RunDetail::from(run()));
    let page = v1::ListRunsResponse { runs: run().summary.into_iter().collect(), ..Default::default() };
    check("RunPage", RunPage::from(page));
    check("Submitted", Submitted { run: String::new(), existed: true });
    check("Cancelled", Cancelled { had_ended: true });
    check("StepKeys", StepKeys::from(v1::ListStepKeysResponse::default()));
    let (earlier, execution) = (vec![v1::StepKey::default()], Some(v1::Execution::default()));
    check(
        "StepKeys",
        StepKeys::from(v1::ListStepKeysResponse {
            no_cache: true,
            earlier,
            execution,
            evicted_at_ms: 5,
            audited: vec!["o".to_owned()],
        }),
    );
    check("ClusterStatus", ClusterStatus::from(v1::StatusResponse::default()));
    check("ClusterStatus", ClusterStatus::from(status()));
    check("Error", super::super::ApiError::route("/x").body());
}

#[test]
fn events_are_as_described() {
    let full = StepEnd {
        action_digest: Some("a/1".to_owned()),
        exit_code: Some(1),
        reason: Some("r".to_owned()),
        tests: Some(TestSummary::default()),
        usage: Some(crate::event::Usage::default()),
        from: Some("shared".to_owned()),
        ..StepEnd::default()
    };
    let text = String::new;
    for event in [
        Event::RunStarted(RunStart { run: text(), pipeline: text(), steps: vec![text()] }),
        Event::StepQueued { step: text() },
        Event::StepStarted(StepStart { step: text(), attempt: 1, worker: text() }),
        Event::StepFinished(full),
        Event::StepFinished(StepEnd::default()),
        Event::Note(Note { level: text(), kind: None, step: Some(text()), text: text() }),
        Event::RunFinished(RunEnd::default()),
        Event::RunFinished(RunEnd {
            shared_cache: Some(crate::event::SharedUse::default()),
            ..RunEnd::default()
        }),
    ] {
        check("RunEvent", Line::of(1, 2, event));
    }
}

#[test]
fn what_is_not_as_described_is_found() {
    let document = document();
    let schema = &document["components"]["schemas"]["Cancelled"];
    for wrong in [json!({}), json!({"had_ended": 1}), json!({"had_ended": true, "x": 1}), json!([])] {
        assert!(closed(&wrong, schema, &document).is_err(), "{wrong}");
    }
}
