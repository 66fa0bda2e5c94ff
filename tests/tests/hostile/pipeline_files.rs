//! Files that are no pipelines, or pipelines that nobody should write.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use cullet_tests::{Checkout, User};

use super::support::{expect, shell};

#[track_caller]
fn refused(text: &str, words: &[&str]) {
    let checkout = Checkout::of_pipeline(text);
    let start = Instant::now();
    expect(&User::new().cullet(&checkout, ["run"]), 2, words);
    assert!(start.elapsed() < Duration::from_secs(20), "it took {:?}", start.elapsed());
}

#[test]
fn ten_thousand_steps_in_a_circle() {
    let mut text = String::from("cullet: 1\nsteps:\n");
    for step in 0..10_000 {
        writeln!(text, "  s{step}: {{ needs: [s{}], run: 'true' }}", (step + 1) % 10_000).unwrap();
    }
    refused(&text, &["circle", "s0", "cullet.yaml:3:3", "help: take one of these"]);
}

#[test]
fn aliases_that_multiply() {
    let mut text = String::from("cullet: 1\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..10 {
        let alias = format!("*a{}", level - 1);
        writeln!(text, "a{level}: &a{level} [{}]", [alias.as_str(); 10].join(", ")).unwrap();
    }
    refused(&text, &["aliases stand for more than 1000000 values", "cullet.yaml:"]);
    refused("cullet: 1\nsteps: &s { a: *s }\n", &["alias stands inside of what it names"]);
}

#[test]
fn nesting_without_end() {
    let brackets = format!("cullet: 1\nsteps: {}{}\n", "[".repeat(200_000), "]".repeat(200_000));
    refused(&brackets, &["nest more than 64 levels deep", "cullet.yaml:2"]);
    let mut block = String::from("cullet: 1\nsteps:\n");
    for level in 1..3000 {
        writeln!(block, "{}a:", " ".repeat(level)).unwrap();
    }
    refused(&block, &["nest more than 64 levels deep"]);
}

#[test]
fn what_is_no_text() {
    let (user, checkout) = (User::new(), Checkout::of_pipeline(""));
    expect(&user.cullet(&checkout, ["run"]), 2, &["the file is empty", "cullet: 1"]);
    shell(checkout.path(), r"printf 'cullet: 1\nname: \377\n' > cullet.yaml");
    expect(&user.cullet(&checkout, ["run"]), 2, &["cullet.yaml:2", "not UTF-8", "hint:"]);
    shell(checkout.path(), "head -c 1000 /dev/zero > cullet.yaml");
    expect(&user.cullet(&checkout, ["run"]), 2, &["cullet.yaml:1"]);
    shell(checkout.path(), "truncate -s 300M cullet.yaml");
    expect(&user.cullet(&checkout, ["run"]), 2, &["larger than"]);
    shell(checkout.path(), "rm cullet.yaml; mkdir cullet.yaml");
    expect(&user.cullet(&checkout, ["run"]), 2, &["cullet.yaml: Is a directory", "hint:"]);
    shell(checkout.path(), "rmdir cullet.yaml; ln -s cullet.yaml cullet.yaml");
    expect(&user.cullet(&checkout, ["run"]), 2, &["symbolic links", "hint:"]);
    shell(checkout.path(), "rm cullet.yaml");
    expect(&user.cullet(&checkout, ["run"]), 2, &["No such file", "hint: name one with -f FILE"]);
}
