//! From plans to specifications.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::convert::Infallible;

use cullet_coordinator::images::{Images, ImagesError};
use cullet_coordinator::submission::{RunOptions, Submission, submission};
use cullet_coordinator::template::{Machine, Templates as _, step_action};
use cullet_core::spec::InputSource;
use cullet_digest::{DigestFunction, TreeRef};
use cullet_pipeline::Plan;

const F: DigestFunction = DigestFunction::Blake3;

fn machine() -> Machine {
    Machine::here(F, "fingerprint".to_owned(), None)
}

fn plan(steps: &str) -> Plan {
    let text = format!("cullet: 1\nname: p\nsources: {{ src: . }}\nsteps:\n{steps}");
    cullet_pipeline::load("cullet.yaml", &text)
        .unwrap_or_else(|problems| panic!("{}", problems.render(false)))
        .plan(&[], &[])
        .unwrap_or_else(|problems| panic!("{}", problems.render(false)))
}

fn options() -> RunOptions {
    RunOptions { cpu_millis: 2000, memory_bytes: 1 << 30, deliver: true, ..RunOptions::default() }
}

fn submitted(plan: Plan) -> Submission {
    let tree = |_, _: &str| Ok::<_, Infallible>(TreeRef::Directory(F.digest(b"")));
    submission(plan, machine(), Images::default(), options(), tree).unwrap()
}

#[test]
fn identical_actions_number_their_outputs_alike_whatever_these_are_called() {
    let plan = plan(
        "  one: { run: make, outputs: { a: x, b: y } }\n  two: { run: make, outputs: { b: x, a: y } }\n  \
         use: { run: cmp 1 2, inputs: { '1': one.a, '2': two.b } }\n",
    );
    let action =
        |step: usize| step_action(&plan.steps[step], &machine(), &Images::default()).encode(F).digest;
    assert_eq!(action(0), action(1));
    let Submission { spec, templates } = submitted(plan);
    let sources: Vec<_> = spec.steps[2].inputs.iter().map(|input| input.source.clone()).collect();
    let x_of = |step| InputSource::Output { step, output: 0 };
    assert_eq!(sources, [x_of(0), x_of(1)]);
    assert_eq!(templates.outputs(0), ["x", "y"]);
    assert_eq!(templates.outputs(1), ["x", "y"]);
}

#[test]
fn a_step_never_asks_for_more_than_there_is() {
    let plan = plan("  big: { run: make, resources: { cpu: 64, memory: 1TiB } }\n");
    let step = &submitted(plan).spec.steps[0];
    assert_eq!((step.cpu_millis, step.memory_bytes), (2000, 1 << 30));
}

#[test]
fn what_changes_a_step_changes_its_key() {
    let key = |text: &str| {
        let plan = plan(&format!("  s: {{ run: make, {text} }}\n"));
        step_action(&plan.steps[0], &machine(), &Images::default()).encode(F).digest
    };
    let keys = [
        key(""),
        key("env: { A: '1' }"),
        key("env: { A: '2' }"),
        key("network: full"),
        key("timeout: 5m"),
        key("outputs: { o: file }"),
        key("outputs: { o: 'fil*' }"),
        key("reports: { junit: file }"),
        key("effects: true"),
    ];
    let distinct: std::collections::BTreeSet<_> = keys.iter().collect();
    assert_eq!(distinct.len(), keys.len());
    for same in ["retries: 3", "resources: { cpu: 2 }", "allow_failure: true", "needs: []"] {
        assert_eq!(key(same), keys[0], "{same} is not what a step computes");
    }
}

#[test]
fn another_toolchain_or_executor_is_another_key() {
    let plan = plan("  s: { run: make }\n");
    let key = |machine: &Machine| step_action(&plan.steps[0], machine, &Images::default()).encode(F).digest;
    let other = Machine { host_image: "other".to_owned(), ..machine() };
    let plain = Machine { executor: Some("plain".to_owned()), ..machine() };
    let keys: std::collections::BTreeSet<_> = [machine(), other, plain].iter().map(key).collect();
    assert_eq!(keys.len(), 3);
}

#[test]
fn an_image_is_its_digest_in_a_key_and_not_its_name() {
    let digest = |digit: &str| format!("sha256:{}", digit.repeat(64));
    let images = |name: &str, digit: &str| Images::of([(name.to_owned(), digest(digit))]).unwrap();
    let key = |name: &str, images: &Images| {
        let plan = plan(&format!("  s: {{ run: make, image: '{name}' }}\n"));
        images.check(&plan).unwrap();
        let action = step_action(&plan.steps[0], &machine(), images);
        assert!(action.platform.contains(&("image".to_owned(), images.digest(name).unwrap().to_owned())));
        action.encode(F).digest
    };
    let first = key("a/b:1", &images("a/b:1", "1"));
    assert_eq!(first, key("oci-layout:dir", &images("oci-layout:dir", "1")), "wherever it came from");
    assert_ne!(first, key("a/b:1", &images("a/b:1", "2")), "a tag that was moved is another image");
}

#[test]
fn an_image_that_nobody_resolved_is_named_with_its_step() {
    let plan = plan("  one: { run: make }\n  two: { run: make, image: 'a/b:1', if: false }\n");
    let refused = Images::default().check(&plan).unwrap_err();
    assert_eq!(refused, ImagesError::Unresolved { reference: "a/b:1".to_owned(), step: "two".to_owned() });
}
