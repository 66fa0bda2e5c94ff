use cullet_cache::{ActionResult, LogStream, Output, OutputKind, SigningKey, Usage};
use cullet_digest::{DigestFunction, TreeRef};

use super::*;

fn submitter(name: &str, token: Option<&str>, tenants: &[&str], scopes: &[&str]) -> Submitter {
    let patterns = |texts: &[&str]| texts.iter().map(|text| Pattern::new(*text)).collect();
    Submitter {
        name: name.to_owned(),
        token: token.map(|token| TokenHash::of(token.as_bytes())),
        tenants: patterns(tenants),
        scopes: patterns(scopes),
        updates: false,
    }
}

fn policy() -> Policy {
    let submitters = vec![
        submitter("ci", Some("main"), &["web", "docs-*"], &["protected"]),
        submitter("branches", Some("branch"), &["*"], &["branch/*"]),
        submitter("anybody", None, &["*"], &["user/*"]),
    ];
    Policy { submitters, ..Policy::default() }
}

fn check(authorization: Option<&str>, tenant: &str, scope: &str) -> Result<(), String> {
    let policy = policy();
    let rights = policy.rights(authorization.map(str::as_bytes)).map_err(|denied| denied.to_string())?;
    rights.check(tenant, &scope.parse().unwrap()).map_err(|denied| denied.to_string())
}

#[test]
fn a_call_may_do_what_its_token_and_everybody_may() {
    for (authorization, tenant, scope, may) in [
        (Some("Bearer main"), "web", "protected", true),
        (Some("bearer  main "), "docs-x", "protected", true),
        (Some("Bearer main"), "docs", "protected", false),
        (Some("Bearer main"), "web", "branch/x", false),
        (Some("Bearer main"), "web", "user/ada", true),
        (Some("Bearer branch"), "web", "branch/a/b", true),
        (Some("Bearer branch"), "web", "protected", false),
        (None, "web", "user/ada", true),
        (None, "web", "branch/x", false),
        (None, "web", "protected", false),
    ] {
        assert_eq!(check(authorization, tenant, scope).is_ok(), may, "{authorization:?} {tenant} {scope}");
    }
}

#[test]
fn who_may_not_is_told_who_may_and_never_a_token() {
    let refused = check(Some("Bearer branch"), "web", "protected").unwrap_err();
    assert_eq!(refused, "branches may not run anything as protected for the tenant web; ci may");
    let refused = check(None, "else", "protected").unwrap_err();
    let said = "a call without a token (CULLET_CLUSTER_TOKEN) may not run anything as protected for the tenant else; nobody may";
    assert_eq!(refused, said);
    for unknown in ["Bearer canary-token", "Bearer mai", "Bearer mainn"] {
        let refused = check(Some(unknown), "web", "user/ada").unwrap_err();
        assert!(refused.starts_with("nobody has the token of this call") && !refused.contains("canary"));
    }
    for none in ["canary-token", "Basic canary-token", "Bearer", "Bearer  ", ""] {
        let refused = check(Some(none), "web", "user/ada").unwrap_err();
        assert!(refused.contains("has no token") && !refused.contains("canary"), "{none}: {refused}");
    }
    assert!(!format!("{:?}", policy()).contains("main"));
}

#[test]
fn without_submitters_everybody_may_do_everything_and_tokens_mean_nothing() {
    let policy = Policy::default();
    for authorization in [None, Some(&b"Bearer x"[..]), Some(b"?")] {
        policy.rights(authorization).unwrap().check("any", &Scope::Protected).unwrap();
    }
    assert_eq!(policy.default_scope, Scope::Protected);
}

#[test]
fn journals_are_sent_by_whoever_is_named_and_taken_of_whom_the_policy_knows() {
    let sends = |senders: Option<&[&str]>, authorization: Option<&[u8]>| {
        let senders = senders.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        let journals = JournalTrust { senders, ..JournalTrust::default() };
        let policy = Policy { journals, ..policy() };
        policy.rights(authorization).unwrap().sends_journals().map_err(|denied| denied.to_string())
    };
    let ci = Some(&b"Bearer main"[..]);
    assert_eq!(sends(None, ci), Ok("ci".to_owned()), "who has a token is named by it");
    assert_eq!(sends(None, None), Ok("anybody".to_owned()));
    assert_eq!(sends(Some(&["ci", "branches"]), ci), Ok("ci".to_owned()));
    assert_eq!(sends(Some(&["anybody"]), ci), Ok("anybody".to_owned()), "everybody is that as well");
    let refused = "ci may not send journals of break-glass runs; branches may";
    assert_eq!(sends(Some(&["branches"]), ci), Err(refused.to_owned()));
    assert!(sends(Some(&["ci"]), None).unwrap_err().starts_with("a call without a token"));
    assert!(sends(Some(&[]), ci).unwrap_err().ends_with("nobody may"));
    assert!(Policy::default().rights(None).unwrap().sends_journals().is_ok());
    let key = |seed| SigningKey::from_seed(&[seed; 32]).unwrap().public();
    let nobody = JournalTrust::default();
    assert!(nobody.takes(&key(1)) && nobody.is_unverified() && nobody.owner(&key(1)).is_none());
    let ada = JournalTrust { keys: vec![JournalKey { key: key(1), owner: "ada".to_owned() }], ..nobody };
    assert!(ada.takes(&key(1)) && !ada.takes(&key(2)) && !ada.is_unverified());
    assert_eq!(ada.owner(&key(1)), Some("ada"));
}

#[test]
fn a_worker_is_believed_if_it_signed_this_result_of_this_action_in_this_scope() {
    let key = |seed| SigningKey::from_seed(&[seed; 32]).unwrap();
    let action = |text: &str| DigestFunction::Blake3.digest(text.as_bytes());
    let branch = Scope::Branch("x".to_owned());
    let tree = TreeRef::Directory(action("tree"));
    let result = ActionResult {
        exit_code: 0,
        outputs: vec![Output { path: "out".to_owned(), kind: OutputKind::Tree(tree) }],
        stdout: LogStream::default(),
        stderr: LogStream::default(),
        interleaving: Vec::new(),
        worker: "w".to_owned(),
        started_at_ms: 1,
        duration_ms: 1,
        usage: Usage::default(),
        signature: None,
        trees: Vec::new(),
        times: Default::default(),
    };
    let workers = WorkerTrust { keys: vec![key(1).public()], require_signatures: true };
    let paths = ["out".to_owned()];
    let check = |result: &ActionResult| workers.check(&action("a"), &branch, result, (&paths, &[tree]));
    let signed = |seed, scope: &Scope, of: &str| result.clone().signed(&key(seed), scope, &action(of));
    let good = signed(1, &branch, "a");
    assert_eq!(check(&good), Ok(()));
    assert_eq!(check(&result), Err(NotBelieved::Unsigned));
    assert_eq!(check(&signed(2, &branch, "a")), Err(NotBelieved::Stranger { key: key(2).public() }));
    let bad = Err(NotBelieved::Bad { key: key(1).public() });
    assert_eq!(check(&signed(1, &Scope::Protected, "a")), bad, "of another scope");
    assert_eq!(check(&signed(1, &branch, "b")), bad, "of another action");
    assert_eq!(check(&ActionResult { exit_code: 1, ..good.clone() }), bad, "changed");
    let other = TreeRef::Directory(action("other"));
    for outputs in [&[other][..], &[], &[tree, tree]] {
        let checked = workers.check(&action("a"), &branch, &good, (&paths, outputs));
        assert_eq!(checked, Err(NotBelieved::OtherOutputs), "the run goes on with something else");
    }
    let anybody = WorkerTrust { require_signatures: false, ..workers.clone() };
    assert_eq!(anybody.check(&action("a"), &branch, &result, (&[], &[])), Ok(()));
    assert_eq!((workers.asked(), anybody.asked()), (Some(vec![key(1).public()]), None));
}
