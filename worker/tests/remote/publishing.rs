//! Inputs from the shared store, results to it, and a store in trouble.

use std::sync::atomic::Ordering;

use cullet_cache::{ActionResult, LogStream, Scope};
use cullet_digest::{Digest, Directory, DirectoryNode, FileNode, NodeName};
use cullet_proto::v1::attempt_finished::Outcome;
use cullet_proto::v1::{Start, StartInput, Tree};

use crate::fixture::{FUNCTION, Fixture, key, start, start_in};
use crate::peer::Peer;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_stumbles_is_asked_again() {
    let mut peer = Peer::start().await;
    let fixture = Fixture::new(&[&peer.address]);
    fixture.shared.failures.store(2, Ordering::Relaxed);
    let mut call = peer.welcome().await;
    call.start(&start(0, 1, "echo x > out", &["out"])).await;
    let finished = call.finished().await;
    assert!(matches!(finished.outcome, Some(Outcome::Succeeded(_))), "{finished:?}");
    assert_eq!(fixture.shared.tries.load(Ordering::Relaxed), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_keeps_what_it_leaves_in_the_cache_until_others_have_it_and_nothing_while_it_runs() {
    let mut peer = Peer::start().await;
    let fixture = Fixture::new(&[&peer.address]);
    let leases = || std::fs::read_dir(fixture.path("cache/leases")).unwrap().count();
    let mut call = peer.welcome().await;
    let script = "touch D/begun; until [ -e D/go ]; do sleep 0.05; done; echo x > out";
    let script = script.replace('D', fixture.path("").to_str().unwrap());
    call.start(&start(0, 1, &script, &["out"])).await;
    fixture.until("begun").await;
    assert_eq!(leases(), 0);
    fixture.shared.failures.store(4, Ordering::Relaxed);
    std::fs::write(fixture.path("go"), "").unwrap();
    while fixture.shared.tries.load(Ordering::Relaxed) == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(leases(), 1);
    let finished = call.finished().await;
    assert!(matches!(finished.outcome, Some(Outcome::Succeeded(_))), "{finished:?}");
    assert_eq!(leases(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_success_that_cannot_be_stored_is_none_and_a_failure_stays_one() {
    let mut peer = Peer::start().await;
    let fixture = Fixture::new(&[&peer.address]);
    fixture.shared.failures.store(usize::MAX, Ordering::Relaxed);
    let mut call = peer.welcome().await;
    let noisy = "i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done; echo why >&2; echo x > out; ";
    call.start(&start(0, 1, &format!("{noisy} exit 0"), &["out"])).await;
    call.start(&start(1, 1, &format!("{noisy} exit 4"), &["out"])).await;
    for _ in 0..2 {
        let finished = call.finished().await;
        let result = ActionResult::decode(FUNCTION, finished.result.clone()).unwrap();
        assert_eq!((result.outputs.len(), result.stdout), (0, LogStream::default()));
        assert_eq!(result.stderr, LogStream::Inline("why\n".into()));
        let trouble = "what it left cannot be stored where others find it: the bucket is on fire";
        match (finished.attempt.unwrap().step, finished.outcome.unwrap()) {
            (0, Outcome::Infra(infra)) => assert_eq!(infra.reason, trouble),
            (1, Outcome::Failed(failed)) => {
                assert_eq!((failed.exit_code, &*finished.notes), (4, &[trouble.to_owned()][..]))
            }
            other => panic!("{other:?}"),
        }
    }
    // For two seconds each, with pauses that grow from a tenth of one.
    let tries = fixture.shared.tries.load(Ordering::Relaxed);
    assert!((6..=16).contains(&tries), "{tries}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_success_is_signed_for_the_scope_that_it_is_made_for_and_a_failure_is_not() {
    let mut peer = Peer::start().await;
    let _fixture = Fixture::new(&[&peer.address]);
    let mut call = peer.welcome().await;
    let branch = Scope::Branch("x".to_owned());
    let scripts = [("", "echo x > out; echo said"), ("branch/x", "echo x > out"), ("branch/x", "exit 3")];
    for (step, (scope, script)) in (0..).zip(scripts) {
        let asked = Start { scope: scope.to_owned(), ..start(step, 1, script, &["out"]) };
        let action = asked.action.clone().unwrap();
        let action = Digest::from_wire(FUNCTION, &action.hash, action.size_bytes).unwrap();
        call.start(&asked).await;
        let finished = call.finished().await;
        let result = ActionResult::decode(FUNCTION, finished.result.clone()).unwrap();
        let signer = |scope: &Scope| result.signer(scope, &action).map(|key| key.to_string());
        let ours = Some(key().public().to_string());
        let expected = match step {
            0 => (ours, None),
            1 => (None, ours),
            _ => (None, None),
        };
        assert_eq!((signer(&Scope::Protected), signer(&branch)), expected, "{script}");
    }
}

fn input(path: &str, tree: &Tree) -> StartInput {
    StartInput { path: path.to_owned(), tree: Some(tree.clone()), holders: vec![] }
}

async fn put(fixture: &Fixture, bytes: impl Into<Vec<u8>>) -> Digest {
    let bytes = bytes.into();
    let digest = FUNCTION.digest(&bytes);
    fixture.shared.blobs.put(&digest, bytes.into()).await.unwrap();
    digest
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inputs_come_from_the_shared_store_and_outputs_go_there_with_all_they_hold() {
    let mut peer = Peer::start().await;
    let fixture = Fixture::new(&[&peer.address]);
    let mut call = peer.welcome().await;
    let file =
        |name: &str, digest| FileNode { name: NodeName::new(name).unwrap(), digest, executable: false };
    let inner = put(&fixture, "inner\n").await;
    let below = Directory::new(vec![file("inner", inner)], vec![], vec![]).unwrap();
    let below =
        DirectoryNode { name: NodeName::new("dir").unwrap(), digest: put(&fixture, below.encode()).await };
    let lost = FUNCTION.digest(b"nobody has this");
    let root = |files| Directory::new(files, vec![below.clone()], vec![]).unwrap().encode();
    let whole = put(&fixture, root(vec![])).await;
    let broken = put(&fixture, root(vec![file("gone", lost)])).await;

    call.start(&start_in(whole, 0, 1, "mkdir -p out/a; tr a-z A-Z < dir/inner > out/a/b", &["out"])).await;
    let finished = call.finished().await;
    let Some(Outcome::Succeeded(succeeded)) = &finished.outcome else { panic!("{finished:?}") };
    assert_eq!(succeeded.outputs.len(), 1);
    let made = FUNCTION.digest(b"INNER\n");
    assert_eq!(fixture.shared.blobs.get(&made).await.unwrap().into_bytes().unwrap(), "INNER\n");

    let mut start = start_in(broken, 1, 1, "true", &[]);
    let tree = succeeded.outputs[0].clone();
    start.inputs = ["", "gone"].map(|path| input(path, &tree)).into();
    call.start(&start).await;
    let finished = call.finished().await;
    let Some(Outcome::InputLost(lost)) = &finished.outcome else { panic!("{finished:?}") };
    assert_eq!((lost.inputs.as_slice(), finished.result.len()), (&[1][..], 0));
}
