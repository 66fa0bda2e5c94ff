//! A C project: one step per compiled file.

use std::collections::BTreeMap;
use std::process::Command;

use cullet_tests::{Checkout, User};

const STEPS: usize = 24;

#[test]
fn zlib_is_never_built_twice() {
    let (user, checkout) = (User::new(), Checkout::of_example("c-zlib"));
    let cold = user.run(&checkout);
    cold.assert_success();
    assert_eq!(cold.executed().len(), STEPS);

    let warm = user.run(&checkout);
    warm.assert_success();
    assert_eq!((warm.executed(), warm.cached().len()), (vec![], STEPS));
    for (name, step) in &warm.steps {
        assert_eq!(step.action_digest, cold.steps[name].action_digest, "{name}");
    }

    another_checkout_hits(&user);
    a_comment_stops_at_the_object(&user);
    an_edit_compiles_one_unit(&user);
    a_test_program_compiles_nothing(&user);
    outputs_are_written_from_the_cache(&user, &checkout);
}

fn another_checkout_hits(user: &User) {
    let elsewhere = Checkout::of_example("c-zlib");
    // Other times, and other permissions as far as they do not make a file executable.
    let touch = "find . -exec touch {} + && chmod -R go-w .";
    let touched = Command::new("sh").args(["-c", touch]).current_dir(elsewhere.path()).status();
    assert!(touched.unwrap().success());
    let run = user.run(&elsewhere);
    run.assert_success();
    assert_eq!((run.executed(), run.cached().len()), (vec![], STEPS));
}

fn a_comment_stops_at_the_object(user: &User) {
    let checkout = Checkout::of_example("c-zlib");
    checkout.edit("src/compress.c", "compress a memory buffer", "compress a buffer");
    let run = user.run(&checkout);
    run.assert_success();
    assert_eq!(run.executed(), ["compile[unit=compress]", "lint"]);
}

fn an_edit_compiles_one_unit(user: &User) {
    let checkout = Checkout::of_example("c-zlib");
    checkout.edit("src/compress.c", "(sourceLen >> 25) + 13", "(sourceLen >> 25) + 14");
    let run = user.run(&checkout);
    run.assert_success();
    let expected = [("archive", 1), ("compile", 1), ("lint", 1), ("package", 1), ("test", 5)];
    assert_eq!(run.executed_by_kind(), BTreeMap::from(expected));
}

fn a_test_program_compiles_nothing(user: &User) {
    let checkout = Checkout::of_example("c-zlib");
    checkout.edit("src/test/example.c", "usage example", "example of use");
    let run = user.run(&checkout);
    run.assert_success();
    assert_eq!(run.executed_by_kind(), BTreeMap::from([("test", 5)]));
}

fn outputs_are_written_from_the_cache(user: &User, checkout: &Checkout) {
    let run = user.run_with(checkout, ["--output", "out"]);
    run.assert_success();
    assert_eq!(run.executed(), Vec::<&str>::new());
    let listing =
        Command::new("tar").args(["-tzf", "out/zlib.tar.gz"]).current_dir(checkout.path()).output().unwrap();
    let listing = String::from_utf8(listing.stdout).unwrap();
    assert!(listing.lines().any(|line| line == "zlib/lib/libz.a"), "{listing}");
}
