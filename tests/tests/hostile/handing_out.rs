//! Images that are handed out while there is little room for those that they are made of.

use std::fs;

use cullet_tests::{Checkout, User};

use super::made::Image;
use super::stub::{Fault, Stub};
use super::support::{expect, files, is_plain, skip};

const BOUND: u64 = 4 << 20;

#[test]
fn what_was_fetched_to_hand_out_an_image_goes_again() {
    if is_plain() {
        return skip("the plain executor runs no steps in images");
    }
    let checkout = Checkout::of_pipeline("cullet: 1\nsteps:\n  none: { run: 'true' }\n");
    let base = checkout.path().join("base");
    let large = "sand".repeat(2 << 20);
    let digest = Image { layers: &[&large], ..Image::default() }.layout(&base);
    let stub = Stub::new(&base, |_, _| Fault::None);
    let image = stub.reference(&format!("@{digest}"));
    checkout.write(
        "cullet.yaml",
        &format!(
            "cullet: 1\nname: handing-out\nsteps:\n  \
             one: {{ image: '{image}', run: 'touch /made', outputs: {{ image: rootfs }} }}\n\
             outputs: {{ image: one.image }}\n"
        ),
    );
    let user = User::new();
    let run = |arguments: &[&str]| {
        let mut command = user.command(checkout.path(), arguments.iter().copied());
        command.env("CULLET_CACHE_SIZE", BOUND.to_string()).output().unwrap()
    };
    let bytes = || -> u64 {
        let blobs = files(&user.cache().join("images/blobs"));
        blobs.iter().map(|blob| fs::metadata(blob).unwrap().len()).sum()
    };
    expect(&run(&["run"]), 0, &["1 executed"]);
    assert!(bytes() <= BOUND, "{}", bytes());
    // The step is not run, and nobody but whoever hands the image out wants the one below it.
    let before = stub.blob_requests();
    expect(&run(&["run", "--output", "out"]), 0, &["0 executed", "1 cached"]);
    assert!(stub.blob_requests() > before, "all of it was still there");
    assert!(checkout.path().join("out/image/index.json").exists());
    assert!(bytes() <= BOUND, "{}", bytes());
}
