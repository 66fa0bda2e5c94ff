//! What the tests of this crate share.

#![allow(dead_code, reason = "every test file uses its own part of this")]

use cullet_pipeline::{Diagnostics, Pipeline, Plan, load};

/// Loads a pipeline and compares everything it has to say, one problem a line, without the file's name.
#[track_caller]
pub(crate) fn check(yaml: &str, expected: &str) {
    let said = match load("f", yaml) {
        Ok(pipeline) => lines(pipeline.warnings()),
        Err(problems) => lines(&problems),
    };
    assert_eq!(said, expected, "\n--- said:\n{said}\n--- expected:\n{expected}\n--- of:\n{yaml}");
}

/// All problems, one a line, without the file's name.
pub(crate) fn lines(problems: &Diagnostics) -> String {
    problems
        .to_string()
        .lines()
        .map(|line| format!("{}\n", line.strip_prefix("f:").unwrap_or(line)))
        .collect()
}

/// A pipeline that must be right.
#[track_caller]
pub(crate) fn loaded(yaml: &str) -> Pipeline<'_> {
    load("f", yaml).unwrap_or_else(|problems| panic!("{}", problems.render(false)))
}

/// The plan of a pipeline that must be right; parameters as `name=value`.
#[track_caller]
pub(crate) fn plan(yaml: &str, params: &[&str], targets: &[&str]) -> Plan {
    planned(yaml, params, targets).unwrap_or_else(|problems| panic!("{}", problems.render(false)))
}

/// The plan of a pipeline that must load, or what is wrong.
#[track_caller]
pub(crate) fn planned(yaml: &str, params: &[&str], targets: &[&str]) -> Result<Plan, Diagnostics> {
    let params: Vec<(String, String)> = params
        .iter()
        .filter_map(|param| param.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let targets: Vec<String> = targets.iter().map(|target| (*target).to_owned()).collect();
    loaded(yaml).plan(&params, &targets)
}
