//! A cache whose files are not what they were.

use cullet_tests::{Checkout, User};

use super::support::{blobs, expect, expect_right_cache, fan, files, flip, overwrite, shell};

/// A finished run, whose outputs are in `reference`.
fn finished() -> (User, Checkout) {
    let (user, checkout) = (User::new(), fan("DAMAGED-CACHE"));
    user.run_with(&checkout, ["--output", "reference"]).assert_success();
    (user, checkout)
}

/// The run is green and delivers what it did before; the cache is right after what was found was removed.
#[track_caller]
fn expect_repaired(user: &User, checkout: &Checkout) {
    let run = user.run_with(checkout, ["--output", "out"]);
    run.assert_success();
    shell(checkout.path(), "diff -r reference out; rm -r out");
    assert!(user.cullet(checkout, ["cache", "verify"]).status.success());
    expect_right_cache(user, checkout);
    let again = user.run_with(checkout, ["--output", "out"]);
    again.assert_success();
    shell(checkout.path(), "diff -r reference out; rm -r out");
}

#[test]
fn every_single_blob_turned_or_gone() {
    let (user, checkout) = finished();
    for (number, blob) in blobs(&user).into_iter().enumerate() {
        match number % 3 {
            0 => flip(&blob),
            1 => std::fs::remove_file(&blob).unwrap(),
            _ => overwrite(&blob, b""),
        }
        let run = user.run_with(&checkout, ["--output", "out"]);
        run.assert_success();
        shell(checkout.path(), "diff -r reference out; rm -r out");
    }
    expect_repaired(&user, &checkout);
}

#[test]
fn all_blobs_turned() {
    let (user, checkout) = finished();
    blobs(&user).iter().for_each(|blob| flip(blob));
    expect_repaired(&user, &checkout);
}

#[test]
fn a_turned_blob_that_a_changed_step_needs_is_made_again_and_said() {
    let (user, checkout) = finished();
    let sum = std::fs::read(checkout.path().join("src/f1")).unwrap();
    // Of the inputs of the last step, the one that no source has: a source is read again where it lies.
    let work = std::fs::read(checkout.path().join("reference/final")).unwrap();
    let sorted = files(&user.cache().join("cas")).into_iter().find(|blob| {
        let bytes = std::fs::read(blob).unwrap();
        bytes.len() > sum.len() && bytes.len() < work.len() && work.starts_with(&bytes)
    });
    flip(&sorted.expect("what the first of the four made"));
    checkout.edit("cullet.yaml", "cp -r w all", "cp -rp w all");
    let run = user.cullet(&checkout, ["run", "--output", "out", "--progress", "plain"]);
    expect(&run, 0, &["can no longer be read from the cache: running it again"]);
    shell(checkout.path(), "diff -r reference out");
    expect_right_cache(&user, &checkout);
}

#[test]
fn results_that_are_garbage_or_those_of_others_are_misses() {
    let (user, checkout) = finished();
    let results = || files(&user.cache().join("ac"));
    for (number, result) in results().iter().enumerate() {
        let garbage: Vec<u8> = (0..300).map(|byte: usize| (byte * (number + 7)) as u8).collect();
        overwrite(result, &garbage);
    }
    expect_repaired(&user, &checkout);
    results().iter().for_each(|result| overwrite(result, b""));
    expect_repaired(&user, &checkout);
    let first = std::fs::read(&results()[0]).unwrap();
    results().iter().for_each(|result| overwrite(result, &first));
    expect_repaired(&user, &checkout);
    results().iter().for_each(|result| std::fs::remove_file(result).unwrap());
    expect_repaired(&user, &checkout);
}

#[test]
fn whole_directories_gone() {
    let (user, checkout) = finished();
    for gone in ["cas", "ac", "tmp", "gc", "leases", "work", "runs", "keys", "stat"] {
        std::fs::remove_dir_all(user.cache().join(gone)).unwrap();
        expect_repaired(&user, &checkout);
    }
}

#[test]
fn indexes_full_of_garbage_are_made_anew() {
    let (user, checkout) = finished();
    for dir in ["stat", "keys"] {
        for content in [&b""[..], b"garbage", &[0xff; 5000]] {
            let indexes = files(&user.cache().join(dir));
            assert!(!indexes.is_empty());
            indexes.iter().for_each(|index| overwrite(index, content));
            let run = user.run_with(&checkout, ["--output", "out"]);
            run.assert_success();
            assert_eq!(run.executed(), [""; 0]);
            shell(checkout.path(), "diff -r reference out; rm -r out");
            expect(&user.cullet(&checkout, ["why", "gen"]), 0, &["gen"]);
        }
        // A bit turned here and there, the length right.
        for index in files(&user.cache().join(dir)) {
            let mut bytes = std::fs::read(&index).unwrap();
            bytes.iter_mut().skip(20).step_by(37).for_each(|byte| *byte ^= 0xff);
            overwrite(&index, &bytes);
        }
        assert_eq!(user.run(&checkout).executed(), [""; 0]);
    }
    for name in ["stat", "keys", "runs"] {
        std::fs::remove_dir_all(user.cache().join(name)).unwrap();
        std::fs::write(user.cache().join(name), "in the way").unwrap();
        user.run(&checkout).assert_success();
        std::fs::remove_file(user.cache().join(name)).unwrap();
    }
}
