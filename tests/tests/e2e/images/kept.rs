//! What `cullet cache` makes of blobs of images, and places that are not what they were.

use std::fs;

use cullet_tests::User;

use super::made::Image;
use super::{checkout, locked, names, reason};

const TWO_PLACES: &str = r#"
cullet: 1
steps:
  one: { image: 'oci-layout:one', run: 'cat /layer' }
  two: { image: 'oci-layout:two', run: 'cat /layer > made', outputs: { made: made } }
"#;

#[test]
fn a_place_that_has_changed_does_not_hide_another() {
    for changed in ["one", "two"] {
        let (user, checkout) = (User::new(), checkout(TWO_PLACES));
        for dir in ["one", "two"] {
            Image::default().layout(&checkout.path().join(dir));
        }
        locked(&user, &checkout);
        Image { layers: &["another"], ..Image::default() }.layout(&checkout.path().join(changed));
        let run = user.run_with(&checkout, ["--locked"]);
        assert_eq!(run.exit_code, 0, "{changed}: {}", run.stderr);
        // Where it is nowhere else, that is said.
        Image { layers: &["another"], ..Image::default() }.layout(&checkout.path().join("one"));
        Image { layers: &["another"], ..Image::default() }.layout(&checkout.path().join("two"));
        let run = User::new().run_with(&checkout, ["--locked", "--keep-going"]);
        assert_eq!(run.exit_code, 3);
        assert!(reason(&run, "one").contains("cullet lock --update"), "{}", reason(&run, "one"));
    }
}

#[test]
fn a_tag_beside_a_digest_is_no_part_of_the_directory() {
    let user = User::new();
    let text = "cullet: 1\nimages: { app: { reference: 'oci-layout:app:1.0', digest: 'DIGEST' } }\n\
                steps:\n  a: { image: app, run: 'cat /layer' }\n";
    let checkout = checkout(text);
    let digest = Image::default().layout(&checkout.path().join("app"));
    checkout.edit("cullet.yaml", "DIGEST", &digest);
    user.run(&checkout).assert_success();
}

#[test]
fn the_cache_finds_damaged_blobs_of_images_and_knows_parts_of_them() {
    let (user, checkout) = (User::new(), checkout(TWO_PLACES));
    for dir in ["one", "two"] {
        Image::default().layout(&checkout.path().join(dir));
    }
    user.run(&checkout).assert_success();
    let out = |arguments: &[&str]| {
        let output = user.cullet(&checkout, arguments.iter().copied());
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(out(&["cache", "verify"]).contains("everything is right"));
    let blobs = names(&user, "blobs/sha256");
    assert_eq!(blobs.len(), 2, "the manifest and the configuration");
    let images = user.cache().join("images");
    fs::write(images.join("blobs/sha256").join(&blobs[0]), "damaged").unwrap();
    let said = out(&["cache", "verify"]);
    assert!(said.contains(&format!("damaged blob sha256:{} of an image\n", blobs[0])), "{said}");
    assert!(said.contains("1 removed"), "{said}");
    assert_eq!(names(&user, "blobs/sha256"), [&*blobs[1]]);
    user.run_with(&checkout, ["--no-cache"]).assert_success();

    let part = "0".repeat(64);
    fs::write(images.join("partial").join(&part), vec![0; 5000]).unwrap();
    let stats = || -> serde_json::Value {
        serde_json::from_str(&out(&["cache", "stats", "--format", "json"])).unwrap()
    };
    let with = stats();
    assert_eq!(with["image_parts"], 1, "{with}");
    assert!(out(&["cache", "stats"]).contains("2 blobs and 1 parts of blobs in"));
    fs::remove_file(images.join("partial").join(&part)).unwrap();
    let difference = with["image_bytes"].as_u64().unwrap() - stats()["image_bytes"].as_u64().unwrap();
    assert_eq!(difference, 5000);
    for command in [&["cache", "gc", "--to", "0"][..], &["cache", "clear"]] {
        fs::write(images.join("partial").join(&part), vec![0; 5000]).unwrap();
        out(command);
        assert_eq!(names(&user, "partial"), [""; 0], "{command:?}");
    }
}
