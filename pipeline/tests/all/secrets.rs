//! What a plan says of secrets.

use cullet_pipeline::plan::Identity;

use crate::support::plan;

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
