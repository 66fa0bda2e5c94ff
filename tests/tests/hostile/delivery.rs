//! `--output` into places that are in the way.

use std::os::unix::fs::MetadataExt as _;

use cullet_tests::{Checkout, User};

use super::disk::Tmpfs;
use super::support::{expect, expect_right_cache, files, shell, skip};

const TEXT: &str = "cullet: 1\nsteps:\n  make:\n    run: 'mkdir d; echo new > d/x; echo new > f; chmod +x f; ln -s x d/l'\n    \
                    outputs: { d: d, f: f }\noutputs: { dir: make.d, sub/file: make.f }\n";

fn made() -> (User, Checkout) {
    let (user, checkout) = (User::new(), Checkout::of_pipeline(TEXT));
    user.run(&checkout).assert_success();
    (user, checkout)
}

#[test]
fn into_a_directory_with_other_things() {
    let (user, checkout) = made();
    shell(checkout.path(), "mkdir -p out/sub; echo mine > out/mine; echo old > out/sub/file");
    for _ in 0..2 {
        expect(&user.cullet(&checkout, ["run", "--output", "out"]), 0, &["2 outputs written to out"]);
        shell(
            checkout.path(),
            "grep mine out/mine; grep new out/sub/file; grep new out/dir/l; test -x out/sub/file",
        );
    }
}

#[test]
fn through_no_link_and_over_no_directory_of_others() {
    let (user, checkout) = made();
    shell(
        checkout.path(),
        "mkdir -p out/sub victim; echo keep > target; ln -s ../../target out/sub/file; ln -s ../victim out/dir",
    );
    let run = user.cullet(&checkout, ["run", "--output", "out"]);
    shell(checkout.path(), "grep keep target; test -z \"$(ls victim)\"");
    expect(&run, 0, &["2 outputs written"]);
    shell(checkout.path(), "test ! -h out/sub/file -a ! -h out/dir; grep new out/sub/file out/dir/x");
    shell(checkout.path(), "rm -r out; mkdir -p out/sub/file; echo precious > out/sub/file/precious");
    let words = ["cannot write the output 'sub/file'", "is a directory", "remove it"];
    expect(&user.cullet(&checkout, ["run", "--output", "out"]), 3, &words);
    shell(
        checkout.path(),
        "grep precious out/sub/file/precious; rm -r out; mkdir out; ln -s ../victim out/sub",
    );
    expect(
        &user.cullet(&checkout, ["run", "--output", "out"]),
        3,
        &["cannot write the output 'sub/file'", "is not a directory"],
    );
    shell(checkout.path(), "test -z \"$(ls victim)\"");
}

#[test]
fn into_what_is_no_directory() {
    let (user, checkout) = made();
    shell(checkout.path(), "touch file; mkdir target; ln -s target link");
    expect(
        &user.cullet(&checkout, ["run", "--output", "file"]),
        3,
        &["cannot write the output", "'file' is not a directory"],
    );
    expect(&user.cullet(&checkout, ["run", "--output", "/proc/nowhere"]), 3, &["cannot write the output"]);
    expect(&user.cullet(&checkout, ["run", "--output", ""]), 2, &["--output"]);
    expect(&user.cullet(&checkout, ["run", "--output", "link"]), 0, &["written to link"]);
    shell(checkout.path(), "grep new target/sub/file");
}

#[test]
fn onto_disks_that_take_nothing() {
    let (user, checkout) = made();
    let Some(full) = Tmpfs::mount("size=64k") else { return skip("this user cannot mount") };
    shell(full.path(), "head -c 65536 /dev/zero > filler || true");
    let out = full.path().join("out").display().to_string();
    expect(
        &user.cullet(&checkout, ["run", "--output", &out]),
        3,
        &["cannot write the output", "No space left"],
    );
    full.remount("ro");
    expect(&user.cullet(&checkout, ["run", "--output", &out]), 3, &["cannot write the output", "Read-only"]);
    expect_right_cache(&user, &checkout);
    user.run_with(&checkout, ["--output", "out"]).assert_success();
}

#[test]
fn what_is_written_shares_nothing_with_the_cache() {
    let (user, checkout) = made();
    user.run_with(&checkout, ["--output", "out"]).assert_success();
    for file in files(&checkout.path().join("out")) {
        assert_eq!(std::fs::metadata(&file).unwrap().nlink(), 1, "{}", file.display());
    }
    shell(checkout.path(), "echo changed >> out/sub/file; echo changed > out/dir/x; chmod 0 out/sub/file");
    expect_right_cache(&user, &checkout);
    let again = user.run_with(&checkout, ["--output", "again"]);
    again.assert_success();
    assert_eq!(again.executed(), [""; 0]);
    shell(checkout.path(), "test \"$(cat again/sub/file again/dir/x)\" = \"$(printf 'new\\nnew')\"");
}
