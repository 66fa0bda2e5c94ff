//! A Python project: a step per test module, and JUnit reports.

use std::collections::BTreeMap;

use cullet_tests::{Checkout, User};

const STEPS: usize = 24;

#[test]
fn click_is_never_tested_twice() {
    let (user, checkout) = (User::new(), Checkout::of_example("python-click"));
    let cold = user.run(&checkout);
    cold.assert_success();
    assert_eq!(cold.executed().len(), STEPS);

    let elsewhere = Checkout::of_example("python-click");
    let warm = user.run(&elsewhere);
    warm.assert_success();
    assert_eq!((warm.executed(), warm.cached().len()), (vec![], STEPS));

    // The wheel holds the README as well; the code in it is the same.
    elsewhere.edit("src/README.md", "Click", "click");
    let reworded = user.run(&elsewhere);
    reworded.assert_success();
    assert_eq!(reworded.executed(), ["build", "lint", "package"]);

    elsewhere.edit("src/tests/test_parser.py", "import pytest", "import pytest  # noqa");
    let test_edited = user.run(&elsewhere);
    test_edited.assert_success();
    assert_eq!(test_edited.executed(), ["test[module=parser]"]);

    elsewhere.edit(
        "src/src/click/parser.py",
        "from __future__ import annotations",
        "from __future__ import annotations\n\nimport os",
    );
    let edited = user.run_with(&elsewhere, ["build", "test"]);
    edited.assert_success();
    assert_eq!(edited.executed_by_kind(), BTreeMap::from([("build", 1), ("test", 20)]));

    a_failing_test_is_named(&user);
}

/// The report says which test failed, and the log how.
fn a_failing_test_is_named(user: &User) {
    let checkout = Checkout::of_example("python-click");
    let failing = "import pytest\n\n\ndef test_of_ours():\n    assert 'broken' == 'glass'\n";
    checkout.edit("src/tests/test_parser.py", "import pytest\n", failing);
    let output = user.cullet(&checkout, ["run", "--progress", "plain", "--keep-going"]);
    let shown =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{shown}");
    assert!(shown.contains("test_of_ours"), "{shown}");
    assert!(shown.contains("assert 'broken' == 'glass'"), "{shown}");
    let skipped = shown.lines().any(|line| line.contains("package") && line.contains("test[module=parser]"));
    assert!(skipped, "why `package` was skipped:\n{shown}");
}
