//! A Rust crate with vendored dependencies: tests run from stripped binaries.

use std::collections::BTreeMap;

use cullet_tests::{Checkout, User};

const STEPS: usize = 17;

#[test]
fn csv_is_never_built_twice() {
    let (user, checkout) = (User::new(), Checkout::of_example("rust-csv"));
    let cold = user.run(&checkout);
    cold.assert_success();
    assert_eq!(cold.executed().len(), STEPS);

    let elsewhere = Checkout::of_example("rust-csv");
    let warm = user.run(&elsewhere);
    warm.assert_success();
    assert_eq!((warm.executed(), warm.cached().len()), (vec![], STEPS));

    elsewhere.edit("src/src/reader.rs", "can be used to tweak the field", "can be used to alter the field");
    let commented = user.run(&elsewhere);
    commented.assert_success();
    assert_eq!(commented.executed(), ["build", "documentation", "format", "lint"]);

    elsewhere.edit("src/src/writer.rs", "capacity: 8 * (1 << 10)", "capacity: 9 * (1 << 10)");
    let edited = user.run(&elsewhere);
    edited.assert_success();
    let expected =
        [("build", 1), ("documentation", 1), ("format", 1), ("integration", 6), ("lint", 1), ("unit", 6)];
    assert_eq!(edited.executed_by_kind(), BTreeMap::from(expected));
}
