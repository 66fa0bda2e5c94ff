//! What a plan says of secrets.

use cullet_pipeline::plan::Identity;

use crate::support::{check, plan};

#[test]
fn secrets_are_planned_with_their_places() {
    let yaml = r#"
cullet: 1
params: { who: prod }
steps:
  s:
    run: x
    secrets:
      TOKEN: env
      B: { file: "${{ params.who }}.pem", expose: env }
      C: { command: [pass, show, "1"], identity: true }
      A: { provider: vault }
      D: { provider: vault, key: app/db#password }
"#;
    let plan = plan(yaml, &[], &[]);
    let found: Vec<(String, String, bool, bool, u32)> = plan.steps[0]
        .settings
        .secrets
        .iter()
        .map(|secret| {
            let wanted = secret.identity == Identity::Wanted;
            (secret.name.clone(), secret.source.text(), secret.in_env, wanted, secret.line)
        })
        .collect();
    let expected = [
        ("A", "provider:vault:A", false, false, 11),
        ("B", "file:prod.pem", true, false, 9),
        ("C", r#"command:["pass", "show", "1"]"#, false, true, 10),
        ("D", "provider:vault:app/db#password", false, false, 12),
        ("TOKEN", "env:TOKEN", false, false, 8),
    ];
    let expected = expected.map(|(name, source, in_env, wanted, line)| {
        (name.to_owned(), source.to_owned(), in_env, wanted, line)
    });
    assert_eq!(found, expected);
}

#[test]
fn services_have_secrets_of_their_step() {
    let yaml = r#"
cullet: 1
params: { which: B }
steps:
  s:
    image: a/b
    run: x
    secrets: { A: env, B: env, C: env }
    services:
      db: { image: a/b, secrets: [C, "${{ params.which }}"] }
      web: { image: a/b }
"#;
    let plan = plan(yaml, &[], &[]);
    let found: Vec<(&str, &[String])> =
        plan.steps[0].settings.services.iter().map(|service| (&*service.name, &*service.secrets)).collect();
    assert_eq!(found, [("db", &["B".to_owned(), "C".to_owned()][..]), ("web", &[])]);
}

#[test]
fn a_service_has_no_other_secrets() {
    check(
        "\
cullet: 1
steps:
  s:
    image: a/b
    run: x
    secrets: { TOKEN: { env: T, expose: env } }
    services:
      a: { image: a/b, secrets: [TOKN, TOKEN, TOKEN] }
      b: { image: a/b, secrets: [TOKEN], env: { TOKEN: '1' } }
      c: { image: a/b, secrets: { TOKEN: env } }
      d: { image: a/b, secrets: TOKEN }
  t: { image: a/b, run: x, services: { a: { image: a/b, secrets: [X] } } }
",
        "\
8:34: error: the step has no secret `TOKN`; did you mean `TOKEN`?
8:47: error: the secret `TOKEN` is named twice
9:7: error: `env` declares the variable `TOKEN` as well; leave one of them out
10:33: error: expected a list, found a map
11:33: error: expected a list, found a string; write `[TOKEN]`
12:67: error: the step has no secret `X`; say in `secrets` of the step where it comes from
",
    );
}
