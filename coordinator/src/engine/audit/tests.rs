use cullet_cache::{ActionResult, LogStream, ObjectOptions, SharedCache, Usage};
use cullet_core::LogCommand;
use cullet_core::spec::RunSpec;
use cullet_digest::DigestFunction;

use super::*;
use crate::engine::StoredResults;
use crate::testing::lone_step;

fn result() -> ActionResult {
    ActionResult {
        exit_code: 0,
        outputs: Vec::new(),
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
    }
}

#[tokio::test]
async fn what_is_in_quarantine_is_found_no_more_in_its_scope_and_why_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let options = ObjectOptions::new(dir.path().join("spool"));
    let cache = SharedCache::open(store.to_str().unwrap(), &options).unwrap();
    let results = StoredResults { cache, trusted: None };
    let (branch, action) = (Scope::Branch("x".to_owned()), DigestFunction::Blake3.digest(b"action"));
    for scope in [&branch, &Scope::Protected] {
        results.only(scope).unwrap().put(&action, &result()).await.unwrap();
    }
    let kept = results.kept().unwrap();
    assert_eq!(Mark::of(&kept, &branch, &action).await.unwrap(), None);
    let mark = Mark { at_ms: 7, outputs: vec!["out".to_owned()] };
    quarantine(&results, (&branch, "app"), &action, &mark).await.unwrap();
    assert!(results.only(&branch).unwrap().get(&action).await.unwrap().is_none());
    assert!(
        results.of(&branch).actions.get(&action).await.unwrap().is_some(),
        "what is protected is another one"
    );
    assert_eq!(Mark::of(&kept, &branch, &action).await.unwrap(), Some(mark));
    assert_eq!(Mark::of(&kept, &Scope::Protected, &action).await.unwrap(), None);
}

#[test]
fn only_what_others_wait_for_keeps_audits_away() {
    let mut state = State::default();
    assert!(!is_idle(&state), "no worker has nothing to do");
    let submit = |state: &mut State, run: u128, tenant: &str| {
        let run = cullet_core::RunId(run);
        let spec = RunSpec { steps: vec![lone_step()], tenant: tenant.into(), ..RunSpec::default() };
        state.apply(&LogCommand::Submit { run, spec: Arc::new(spec), at: 1 });
        let resolution = cullet_core::Resolution::miss(DigestFunction::Blake3.digest(tenant.as_bytes()));
        state.apply(&LogCommand::Resolved { id: StepId { run, step: 0 }, resolution, at: 1 });
    };
    submit(&mut state, 1, TENANT);
    assert!(!waits(&state), "an audit waits for nobody");
    submit(&mut state, 2, "default");
    assert!(waits(&state) && !is_idle(&state));
}
