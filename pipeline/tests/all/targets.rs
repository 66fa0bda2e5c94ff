//! Which steps a target means.

use crate::support::plan;

const YAML: &str = r#"
cullet: 1
steps:
  test: { matrix: { shard: [1, 2], os: [linux, mac] }, needs: [build], run: x }
  build: { run: x }
"#;

#[test]
fn each_target_is_the_steps_that_it_means() {
    let meant = |targets: &[&str]| -> Vec<Vec<String>> {
        let plan = plan(YAML, &[], targets);
        let name = |index: &u32| plan.steps[*index as usize].name.to_string();
        plan.targets.iter().map(|target| target.iter().map(name).collect()).collect()
    };
    assert!(meant(&[]).is_empty());
    // Part of a matrix, and the axes in another order.
    assert_eq!(
        meant(&["test[os=mac]", "build", "test[os=linux,shard=2]"]),
        [vec!["test[shard=1,os=mac]", "test[shard=2,os=mac]"], vec!["build"], vec!["test[shard=2,os=linux]"],]
    );
    assert_eq!(meant(&["test"])[0].len(), 4);
    let percent = "cullet: 1\nsteps: { a: { matrix: { v: ['x,y', z] }, run: x } }\n";
    let plan = plan(percent, &[], &["a[v=x%2Cy]"]);
    assert_eq!((plan.targets, plan.steps.len()), (vec![vec![0]], 1));
}
