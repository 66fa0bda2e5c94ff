//! What people will copy from the page about secrets.

use cullet_tests::{Checkout, User, repository_root};

fn blocks(page: &str, kind: &str) -> Vec<String> {
    let text = std::fs::read_to_string(repository_root().join(page)).unwrap();
    let begin = format!("```{kind}\n");
    text.split(&begin).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

#[test]
fn pipelines_and_configurations_are_valid() {
    let page = "docs/secrets.md";
    let (pipelines, configurations) = (blocks(page, "yaml"), blocks(page, "toml"));
    let pipelines: Vec<&String> = pipelines.iter().filter(|block| block.starts_with("cullet: 1")).collect();
    assert!(!pipelines.is_empty() && !configurations.is_empty());
    let user = User::new();
    for pipeline in &pipelines {
        for configuration in &configurations {
            let checkout = Checkout::of_pipeline(pipeline);
            checkout.write("config.toml", configuration);
            let mut command = user.command(checkout.path(), ["validate"]);
            let output = command.env("CULLET_CONFIG", "config.toml").output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{pipeline}\n{configuration}\n{said}");
        }
    }
}
