//! Secrets that cannot be had.

use std::process::Output;

use cullet_tests::{Checkout, User};

use crate::support::{config, vault};

fn run(checkout: &Checkout, arguments: &[&str], env: &[(&str, &str)]) -> (Option<i32>, String, User) {
    let user = User::new();
    let arguments = ["run", "--progress", "plain"].iter().chain(arguments).copied();
    let mut command = user.command(checkout.path(), arguments);
    let Output { status, stdout, stderr } = command.envs(env.iter().copied()).output().unwrap();
    let text = String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned();
    (status.code(), text, user)
}

fn pipeline(secrets: &str) -> Checkout {
    let text = "cullet: 1\nsteps:\n  first: { run: echo begun }\n  s:\n    needs: [first]\n    run: 'true'\n    secrets:\n";
    let lines: String = secrets.lines().map(|line| format!("      {}\n", line.trim())).collect();
    Checkout::of_pipeline(&format!("{text}{lines}"))
}

#[test]
fn all_that_are_missing_are_named_before_anything_runs() {
    let checkout = pipeline(
        "A: env
         B: { file: gone.txt }
         C: { command: [sh, -c, 'echo locked >&2; exit 4'] }
         D: { command: [no-such-program] }
         E: { provider: bank }
         F: { env: EMPTY }
         G: { env: SHORT }
         H: { command: [printf, 'a\\0bcd'], expose: env }",
    );
    let (code, text, user) = run(&checkout, &[], &[("EMPTY", ""), ("SHORT", "abc")]);
    assert_eq!(code, Some(2), "{text}");
    let lines = [
        "cullet.yaml:8:7: the secret `A` cannot be had: the environment variable A is not set",
        "cullet.yaml:9:7: the secret `B` cannot be had: the file ./gone.txt cannot be read: No such file or directory (os error 2)",
        "cullet.yaml:10:7: the secret `C` cannot be had: the program `sh` ended with exit status: 4: locked",
        "cullet.yaml:11:7: the secret `D` cannot be had: the program `no-such-program` cannot be started: No such file",
        "cullet.yaml:12:7: the secret `E` cannot be had: there is no provider `bank`",
        "cullet.yaml:13:7: the secret `F` cannot be had: the environment variable EMPTY: it is empty",
        "cullet.yaml:14:7: the secret `G` cannot be had: the environment variable SHORT: it has fewer than 4 bytes",
        "cullet.yaml:15:7: the secret `H` cannot be had: it has a NUL byte",
        "hint: add [secrets.providers.bank] to the configuration file",
    ];
    for line in lines {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(!text.contains("begun") && !user.cache().join("runs").exists(), "{text}");
}

#[test]
fn what_is_not_run_needs_no_secret() {
    let checkout = pipeline("A: env");
    assert_eq!(run(&checkout, &["first"], &[]).0, Some(0));
    checkout.edit("cullet.yaml", "run: 'true'", "run: 'true'\n    if: false");
    assert_eq!(run(&checkout, &[], &[]).0, Some(0));
}

#[test]
fn providers_say_why() {
    let checkout = pipeline("A: { provider: vault, key: other }");
    checkout.write("config.toml", &config(&vault("value-of-vault".to_owned())));
    checkout.write("vault-token", "hvs.cnry/token");
    let env = [("CULLET_CONFIG", "config.toml")];
    let (code, text, _) = run(&checkout, &[], &env);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("there is nothing at secret/data/other of http://127.0.0.1:"), "{text}");
    checkout.write("vault-token", "hvs.other");
    let (code, text, _) = run(&checkout, &[], &env);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("the token may not read secret/data/other") && !text.contains("hvs."), "{text}");
    // Nobody listens there.
    checkout.write("config.toml", &config("http://127.0.0.1:1"));
    let (code, text, _) = run(&checkout, &[], &env);
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("cannot be asked"), "{text}");
}

#[test]
fn plain_processes_have_none() {
    let (code, text, _) = run(&pipeline("A: env"), &["--executor", "plain"], &[("A", "value")]);
    assert_eq!(code, Some(2), "{text}");
    let said = "cullet.yaml:8:7: steps with secrets cannot be executed by the plain executor";
    assert!(text.contains(said), "{text}");
}
