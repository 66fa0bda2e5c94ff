//! Whether two executions of a step left the same.

use std::collections::{BTreeMap, BTreeSet};

use cullet_cache::{ActionResult, Output};

/// Paths of outputs that two results do not have alike, but for those `besides`: reports say how long tests took.
pub fn differing(one: &ActionResult, other: &ActionResult, besides: &BTreeSet<String>) -> Vec<String> {
    let outputs = |result: &ActionResult| -> BTreeMap<String, Output> {
        let outputs = result.outputs.iter().filter(|output| !besides.contains(&output.path));
        outputs.map(|output| (output.path.clone(), output.clone())).collect()
    };
    let (one, other) = (outputs(one), outputs(other));
    let paths: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    paths.into_iter().filter(|path| one.get(*path) != other.get(*path)).cloned().collect()
}
