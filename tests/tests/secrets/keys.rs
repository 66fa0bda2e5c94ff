//! What of secrets is in keys.

use cullet_tests::{Checkout, Outcome, User};

fn run(user: &User, checkout: &Checkout, value: &str, file: &str) -> Outcome {
    let mut command = user.command(checkout.path(), ["run", "--progress", "json", "-f", file]);
    command.env("TOKEN", value).env("OTHER", value).env("XDG_CONFIG_HOME", checkout.path().join("config"));
    let outcome = Outcome::of(&command.output().unwrap());
    outcome.assert_success();
    outcome
}

fn key(outcome: &Outcome) -> String {
    outcome.steps["s"].action_digest.clone().unwrap()
}

fn pipeline(checkout: &Checkout, name: &str, secrets: &str) {
    checkout.write(name, &format!("cullet: 1\nsteps:\n  s: {{ run: 'true', secrets: {{ {secrets} }} }}\n"));
}

#[test]
fn names_and_places_are_in_keys_and_values_only_where_they_are_asked_for() {
    let (user, checkout) = (User::new(), Checkout::of_pipeline(""));
    pipeline(&checkout, "plain.yaml", "TOKEN: env");
    pipeline(&checkout, "same.yaml", "TOKEN: { env: TOKEN }");
    let first = run(&user, &checkout, "value-1", "plain.yaml");
    let second = run(&user, &checkout, "value-2", "plain.yaml");
    assert_eq!((first.executed(), second.cached()), (vec!["s"], vec!["s"]));
    assert_eq!(key(&run(&user, &checkout, "value-1", "same.yaml")), key(&first));
    let mut keys = vec![key(&first)];
    for (name, secrets) in [
        ("name.yaml", "NAME: { env: TOKEN }"),
        ("other.yaml", "TOKEN: { env: OTHER }"),
        ("exposed.yaml", "TOKEN: { env: TOKEN, expose: env }"),
        ("identity.yaml", "TOKEN: { env: TOKEN, identity: true }"),
    ] {
        pipeline(&checkout, name, secrets);
        keys.push(key(&run(&user, &checkout, "value-1", name)));
    }
    keys.push(key(&run(&user, &checkout, "value-2", "identity.yaml")));
    let distinct: std::collections::BTreeSet<_> = keys.iter().collect();
    assert_eq!(distinct.len(), keys.len(), "{keys:?}");
    let again = run(&user, &checkout, "value-2", "identity.yaml");
    assert_eq!(again.cached(), ["s"]);
    // Another salt, another identity.
    std::fs::remove_file(checkout.path().join("config/cullet/secrets-salt")).unwrap();
    assert_eq!(run(&user, &checkout, "value-2", "identity.yaml").executed(), ["s"]);
}
