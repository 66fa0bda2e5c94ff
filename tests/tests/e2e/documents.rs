//! The pipelines that people will copy are valid.

use cullet_tests::{Checkout, User, repository_root};

fn assert_valid(user: &User, checkout: &Checkout, what: &str) {
    let output = user.cullet(checkout, ["validate"]);
    assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn pipelines_of_this_repository_are_valid() {
    let user = User::new();
    for path in [
        "cullet.yaml",
        "examples/c-zlib/cullet.yaml",
        "examples/rust-csv/cullet.yaml",
        "examples/python-click/cullet.yaml",
    ] {
        let text = std::fs::read_to_string(repository_root().join(path)).unwrap();
        assert_valid(&user, &Checkout::of_pipeline(&text), path);
    }
}

#[test]
fn the_pipeline_of_this_repository_checks_what_the_test_script_checks() {
    let text = std::fs::read_to_string(repository_root().join("cullet.yaml")).unwrap();
    let output = User::new().cullet(&Checkout::of_pipeline(&text), ["graph"]);
    let graph = String::from_utf8_lossy(&output.stdout);
    for step in ["format", "clippy", "documentation", "test[crate=core]"] {
        assert!(graph.lines().any(|line| line.split(' ').next() == Some(step)), "{step} is not in:\n{graph}");
    }
}

#[test]
fn the_pipeline_of_the_readme_is_valid() {
    let readme = std::fs::read_to_string(repository_root().join("README.md")).unwrap();
    let blocks = readme.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let pipelines: Vec<&str> = blocks.filter(|block| block.starts_with("cullet: 1")).collect();
    assert!(!pipelines.is_empty());
    for pipeline in pipelines {
        assert_valid(&User::new(), &Checkout::of_pipeline(pipeline), "README.md");
    }
}
