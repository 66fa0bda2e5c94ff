//! Source trees with everything in them that a file system can hold.

use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixListener;

use cullet_tests::{Checkout, User};

use super::support::{expect, expect_right_cache, shell};

const COPY: &str = "cullet: 1\nsources: { src: src }\nsteps:\n  \
                    copy: { inputs: { s: src }, run: 'cp -a s o', outputs: { o: o } }\n\
                    outputs: { out: copy.o }\n";

fn checkout(script: &str) -> Checkout {
    let checkout = Checkout::of_pipeline(COPY);
    checkout.write("src/plain", "plain\n");
    shell(&checkout.path().join("src"), script);
    checkout
}

#[test]
fn strange_names_pass_through_unharmed() {
    let names = r#"touch -- "$(printf 'new\nline')" "$(printf 't\tab')" '  sp ' -rf '$HOME' '[x]*?' 'a\b' \
                   "$(printf '\033[31mred')" "$(head -c 255 /dev/zero | tr '\0' n)"; ln -s loop loop; ln -s . self"#;
    let (user, checkout) = (User::new(), checkout(names));
    for _ in 0..2 {
        user.run_with(&checkout, ["--output", "out"]).assert_success();
        shell(checkout.path(), "diff -r --no-dereference src out/out");
    }
    expect_right_cache(&user, &checkout);
}

#[test]
fn a_name_that_is_not_utf8_is_refused_by_name() {
    let (user, checkout) = (User::new(), checkout(r#"touch "$(printf 'l\344t')""#));
    expect(
        &user.cullet(&checkout, ["run"]),
        2,
        &["source 'src'", r"l\xe4t", "not UTF-8", "rename it or exclude it"],
    );
    shell(checkout.path(), "rm src/l*");
    user.run(&checkout).assert_success();
}

#[test]
fn pipes_and_sockets_are_refused_and_not_opened() {
    let (user, checkout) = (User::new(), checkout("mkfifo pipe; mkdir deep; mkfifo deep/pipe"));
    let _socket = UnixListener::bind(checkout.path().join("src/sock")).unwrap();
    let words =
        ["3 entries", "pipe: a FIFO", "deep/pipe: a FIFO", "sock: a socket", "exclude it or remove it"];
    expect(&user.cullet(&checkout, ["run"]), 2, &words);
    checkout.edit("cullet.yaml", "src: src", "src: { path: src, exclude: [pipe, sock] }");
    user.run(&checkout).assert_success();
}

#[test]
fn links_out_of_the_source_are_links_and_nothing_more() {
    let (user, checkout) =
        (User::new(), checkout("ln -s ../secret out; ln -s /etc/passwd abs; ln -s ../.. up"));
    checkout.write("secret", "secret\n");
    checkout.edit(
        "cullet.yaml",
        "cp -a s o",
        "if cat s/out s/abs/.. 2>/dev/null; then exit 9; fi; cp s/plain o",
    );
    let run = user.cullet(&checkout, ["run"]);
    expect(&run, 0, &["out: the symbolic link leads out of the source, to ../secret"]);
    assert!(user.cullet(&checkout, ["run"]).status.success());
}

#[test]
fn a_source_that_is_no_directory_is_named() {
    let (user, checkout) = (User::new(), Checkout::of_pipeline(COPY));
    for (script, word) in [
        ("true", "No such file"),
        ("touch src", "Not a directory"),
        ("rm src; mkfifo src", "Not a directory"),
        ("rm src; ln -s src src", "symbolic links"),
    ] {
        shell(checkout.path(), script);
        expect(&user.cullet(&checkout, ["run"]), 2, &["source 'src' cannot be read", word]);
    }
}

#[test]
fn a_tree_deeper_than_a_path_may_be_long() {
    let (user, checkout) = (User::new(), Checkout::of_pipeline(COPY));
    checkout.write("src/plain", "plain\n");
    checkout.edit("cullet.yaml", "cp -a s o", "cp s/plain o");
    // 40 directories of 200 letters: twice what the kernel takes in one path.
    let name = "d".repeat(200);
    let script = format!("for i in $(seq 40); do mkdir {name}; cd -P {name}; done; echo x > file");
    shell(&checkout.path().join("src"), &script);
    user.run(&checkout).assert_success();
    expect_right_cache(&user, &checkout);
}

/// Whatever the run sees of files that keep changing, what it stores has the digest it says.
#[test]
fn files_that_change_while_they_are_hashed() {
    let (user, checkout) = (User::new(), checkout("head -c 3000000 /dev/zero > big"));
    let big = checkout.path().join("src/big");
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0u32.. {
                let bytes = round.to_le_bytes().repeat(1000 + round as usize % 700_000);
                std::fs::write(&big, bytes).unwrap();
                if done.load(std::sync::atomic::Ordering::Relaxed) {
                    break;
                }
            }
        });
        for _ in 0..5 {
            let run = user.cullet(&checkout, ["run"]);
            let code = run.status.code();
            assert!(code != Some(101) && code.is_some(), "{run:?}");
            expect_right_cache(&user, &checkout);
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    std::fs::write(&big, "settled\n").unwrap();
    user.run_with(&checkout, ["--output", "out"]).assert_success();
    shell(checkout.path(), "diff -r src out/out");
}

/// The step is keyed by what was scanned; a file that is another one by then must not slip in under that key.
#[test]
fn a_file_that_changes_between_scan_and_execution() {
    let (user, checkout) = (User::new(), checkout("echo first > late"));
    checkout.edit("cullet.yaml", "steps:", "steps:\n  first: { run: 'sleep 1' }");
    checkout.edit("cullet.yaml", "{ inputs", "{ needs: [first], inputs");
    let run = super::support::start(&user, &checkout, &["run", "--progress", "plain"]);
    super::support::until("the first step has begun", || user.cache().join("work").is_dir());
    std::thread::sleep(std::time::Duration::from_millis(300));
    shell(checkout.path(), "echo second > src/late");
    let changed = run.output();
    expect(&changed, 3, &["late", "changed while the run was going on; run again"]);
    user.run_with(&checkout, ["--output", "out"]).assert_success();
    shell(checkout.path(), "grep second out/out/late");
    shell(checkout.path(), "echo first > src/late");
    let back = user.run_with(&checkout, ["--output", "out"]);
    back.assert_success();
    assert!(!back.steps["copy"].cached, "nothing was ever stored under the key of what was not executed");
    shell(checkout.path(), "grep first out/out/late");
    expect_right_cache(&user, &checkout);
}

#[test]
fn unreadable_sources_are_named() {
    let probe = tempfile::tempdir().unwrap();
    if std::fs::metadata(probe.path()).unwrap().uid() == 0 {
        return super::unprivileged::unreadable_sources_are_named();
    }
    let (user, checkout) = (User::new(), checkout("touch secret; mkdir dir; chmod 0 secret dir"));
    let run = user.cullet(&checkout, ["run"]);
    shell(&checkout.path().join("src"), "chmod 700 secret dir");
    expect(&run, 2, &["2 entries", "secret: it cannot be read", "dir: it cannot be read", "exclude it"]);
}
