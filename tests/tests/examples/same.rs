//! What comes of an example in each place.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use cullet_tests::{Checkout, Outcome, User};
use serde_json::Value;

use super::debian::Registry;
use super::places::{People, Place};

/// The examples, and how many steps they have.
const EXAMPLES: [(&str, usize); 3] = [("c-zlib", 24), ("python-click", 24), ("rust-csv", 17)];

/// An example whose pipeline writes all outputs of all of its steps, so that each is compared.
fn checkout(name: &str) -> Checkout {
    let checkout = Checkout::of_example(name);
    let graph = User::new().cullet(&checkout, ["graph", "--format", "json"]);
    let graph: Value = serde_json::from_slice(&graph.stdout).unwrap();
    let mut outputs = BTreeSet::new();
    for step in graph["steps"].as_array().unwrap() {
        // Of a matrix, all instances are written.
        let name = step["name"].as_str().unwrap().split('[').next().unwrap();
        let of_step = step["outputs"].as_array().unwrap().iter().filter_map(Value::as_str);
        outputs.extend(of_step.map(|output| format!("{name}.{output}")));
    }
    let text = std::fs::read_to_string(checkout.pipeline()).unwrap();
    let (steps, _) = text.rsplit_once("\noutputs:").unwrap();
    let outputs: String = outputs.iter().map(|output| format!("  {output}: {output}\n")).collect();
    checkout.write("cullet.yaml", &format!("{steps}\noutputs:\n{outputs}"));
    checkout
}

/// Every path below a directory, with its kind, mode, link target and content.
fn tree(dir: &Path) -> BTreeSet<String> {
    let script = "find . -printf '%P %y %m %l\\n'; find . -type f -exec sha256sum {} +";
    let output = Command::new("sh").args(["-euc", script]).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// The key of each step, and everything that the run wrote.
type Result = (BTreeMap<String, Option<String>>, BTreeSet<String>);

fn result(outcome: &Outcome, output: &Path) -> Result {
    outcome.assert_success();
    let keys = outcome.steps.iter().map(|(name, step)| (name.clone(), step.action_digest.clone()));
    (keys.collect(), tree(output))
}

/// Fails, and says where they differ, unless both are the same.
fn assert_same(one: &Result, other: &Result, what: &str) {
    let differing: Vec<_> = one.1.symmetric_difference(&other.1).take(20).collect();
    assert!(differing.is_empty(), "{what}: {differing:#?}");
    assert_eq!(one.0, other.0, "{what}");
}

#[test]
fn root_an_ordinary_user_and_docker_get_the_same_and_only_once() {
    let Some(people) = People::gather() else { return };
    let Some(registry) = Registry::with_debian() else { return };
    for (name, steps) in EXAMPLES {
        let checkout = checkout(name);
        let project = people.bring(&checkout);
        let mut first = None;
        for place in Place::ALL {
            let what = format!("{name}, {place:?}");
            let run = |time: &str| {
                let output = format!("{place:?}-{time}");
                let outcome = people.run(place, &project(place), &registry.image(), &output);
                let result = result(&outcome, &project(place).join(&output));
                (outcome, result)
            };
            let (cold, there) = run("cold");
            assert_eq!(cold.executed().len(), steps, "{what}");
            let (warm, again) = run("warm");
            assert_eq!((warm.executed(), warm.cached().len()), (vec![], steps), "{what}");
            assert_same(&there, &again, &format!("{what}, once more"));
            assert_same(first.get_or_insert(there.clone()), &there, &what);
        }
    }
}
