//! Archives that runs write, in an engine.

use cullet_tests::User;

use super::engine::{Engine, checkout};

#[test]
fn an_archive_is_called_in_an_engine_what_the_pipeline_says() {
    let Some(engine) = Engine::shared() else { return };
    let text = "cullet: 1
name: loading
params: { version: '1.2' }
steps:
  build: { image: 'oci-layout:app', run: 'echo built > /built', outputs: { image: rootfs } }
outputs:
  named.tar: { from: build.image, format: docker-archive, name: 'team/loading:${{ params.version }}' }
  other.tar: { from: build.image, format: docker-archive, name: loading }
  plain.tar: { from: build.image, format: docker-archive }
";
    let checkout = checkout(text);
    User::new().run_with(&checkout, ["--output", "out", "--executor", "sandbox"]).assert_success();
    let before = engine.images();
    for file in ["named.tar", "other.tar", "plain.tar"] {
        let loaded = engine.load(&checkout.path().join("out").join(file));
        assert!(loaded.status.success(), "{loaded:?}");
    }
    let mut new: Vec<String> = engine.images().into_iter().filter(|name| !before.contains(name)).collect();
    new.retain(|name| name.contains("loading"));
    new.sort();
    assert_eq!(new, ["loading:latest", "team/loading:1.2"]);
}
