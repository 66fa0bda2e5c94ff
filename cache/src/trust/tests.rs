//! Stores that several people use, each in a scope, and somebody who can write to them and has no key.

use std::path::Path;

use cullet_digest::{Digest, DigestFunction};

use super::{PublicKey, Scope, SigningKey, TrustOptions};
use crate::packed::tests::storage::Storage;
use crate::{ActionResult, LogStream, ObjectOptions, Recalled, SharedCache};

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32]).unwrap()
}

fn branch() -> Scope {
    Scope::Branch("x".to_owned())
}

fn action(text: &str) -> Digest {
    DigestFunction::Blake3.digest(text.as_bytes())
}

/// Names no blob, so that it is complete everywhere.
fn result(text: &str) -> ActionResult {
    let stdout = LogStream::Inline(text.as_bytes().to_vec().into());
    ActionResult {
        exit_code: 0,
        outputs: Vec::new(),
        stdout,
        stderr: LogStream::Inline(Vec::new().into()),
        interleaving: Vec::new(),
        worker: "w".to_owned(),
        started_at_ms: 1,
        duration_ms: 1,
        usage: crate::Usage::default(),
        signature: None,
        trees: Vec::new(),
        times: Default::default(),
    }
}

fn text(result: Option<ActionResult>) -> Option<String> {
    let LogStream::Inline(bytes) = result?.stdout else { return None };
    String::from_utf8(bytes.to_vec()).ok()
}

fn trust(scope: Scope, signing: Option<SigningKey>, trusted: Option<Vec<PublicKey>>) -> TrustOptions {
    TrustOptions { scope, signing, trusted, usual: None }
}

#[tokio::test]
async fn who_writes_to_quarantine_reads_what_is_usual_before_it_and_nobody_else_reads_it() {
    let dir = tempfile::tempdir().unwrap();
    let user = || Scope::User("ada".to_owned());
    let quarantine = Scope::Quarantine("ada".to_owned());
    for store in stores(dir.path()) {
        let usual = store.trusting(&trust(user(), None, None));
        let protected = store.trusting(&trust(Scope::Protected, None, None));
        let options = TrustOptions { usual: Some(user()), ..trust(quarantine.clone(), None, None) };
        let quarantined = store.trusting(&options);
        quarantined.all_actions.put(&action("a"), &result("quarantined")).await.unwrap();
        let get = async |cache: &SharedCache| text(cache.all_actions.get(&action("a")).await.unwrap());
        assert_eq!((get(&usual).await, get(&protected).await), (None, None));
        assert_eq!(get(&quarantined).await.as_deref(), Some("quarantined"));
        for (cache, said) in [(&protected, "protected"), (&usual, "usual")] {
            cache.all_actions.put(&action("a"), &result(said)).await.unwrap();
            assert_eq!(get(&quarantined).await.as_deref(), Some(said));
        }
        if let Some(runs) = &quarantined.runs {
            let line = |said: &str| Recalled::now(action("a"), result(said));
            runs.keep("p", vec![line("quarantined")], &[]).await.unwrap();
            let recalled =
                async || runs.recall("p").await.unwrap().pop().and_then(|line| text(Some(line.result)));
            assert_eq!(recalled().await.as_deref(), Some("quarantined"));
            protected.runs.as_ref().unwrap().keep("p", vec![line("protected")], &[]).await.unwrap();
            assert_eq!(recalled().await.as_deref(), Some("protected"));
        }
    }
}

/// A directory and a bucket.
fn stores(dir: &Path) -> [SharedCache; 2] {
    let options = ObjectOptions::new(dir.join("spool"));
    [
        SharedCache::open(dir.join("shared").to_str().unwrap(), &options).unwrap(),
        SharedCache::over(Storage::new(), &options).unwrap(),
    ]
}

#[tokio::test]
async fn what_a_branch_writes_is_missing_elsewhere_and_it_reads_what_is_protected() {
    let dir = tempfile::tempdir().unwrap();
    for store in stores(dir.path()) {
        let protected = store.trusting(&TrustOptions::default());
        let mine = store.trusting(&trust(branch(), None, None));
        mine.actions.put(&action("a"), &result("branch")).await.unwrap();
        assert_eq!(protected.actions.get(&action("a")).await.unwrap(), None);
        assert_eq!(text(mine.actions.get(&action("a")).await.unwrap()).unwrap(), "branch");
        let other = store.trusting(&trust(Scope::User("x".to_owned()), None, None));
        assert_eq!(other.actions.get(&action("a")).await.unwrap(), None);
        protected.actions.put(&action("a"), &result("protected")).await.unwrap();
        for (cache, found) in [(&mine, "branch"), (&other, "protected"), (&protected, "protected")] {
            assert_eq!(text(cache.actions.get(&action("a")).await.unwrap()).unwrap(), found);
        }
    }
}

#[tokio::test]
async fn a_result_that_was_moved_or_is_not_signed_is_not_believed_by_who_asks_for_signatures() {
    let dir = tempfile::tempdir().unwrap();
    for store in stores(dir.path()) {
        let worker = store.trusting(&trust(branch(), Some(key(1)), None));
        worker.actions.put(&action("a"), &result("branch")).await.unwrap();
        let moved = worker.actions.get(&action("a")).await.unwrap().unwrap();
        assert_eq!(moved.signer(&branch(), &action("a")), Some(key(1).public()));
        // Who can write to the storage names results as he likes.
        store.actions.put(&action("a"), &moved).await.unwrap();
        store.actions.put(&action("b"), &result("unsigned")).await.unwrap();
        let asking = store.trusting(&trust(Scope::User("u".to_owned()), None, Some(vec![key(1).public()])));
        for name in ["a", "b"] {
            assert_eq!(asking.actions.get(&action(name)).await.unwrap(), None, "{name}");
            assert!(store.actions.get(&action(name)).await.unwrap().is_some(), "others believe it");
        }
        assert_eq!(asking.refused.take().len(), 2);
        assert!(asking.refused.take().is_empty());
        let good = store.trusting(&trust(Scope::Protected, Some(key(1)), None));
        good.actions.put(&action("b"), &result("good")).await.unwrap();
        assert_eq!(text(asking.actions.get(&action("b")).await.unwrap()).unwrap(), "good");
    }
}

#[tokio::test]
async fn the_own_key_counts_in_the_own_scope_alone() {
    let dir = tempfile::tempdir().unwrap();
    for store in stores(dir.path()) {
        let me = Scope::User("u".to_owned());
        let mine = store.trusting(&trust(me.clone(), Some(key(2)), Some(vec![key(1).public()])));
        mine.actions.put(&action("a"), &result("mine")).await.unwrap();
        assert_eq!(text(mine.actions.get(&action("a")).await.unwrap()).unwrap(), "mine");
        // Without a signature it could be anybody's.
        store.trusting(&trust(me, None, None)).actions.put(&action("b"), &result("poison")).await.unwrap();
        assert_eq!(mine.actions.get(&action("b")).await.unwrap(), None);
        let poison = result("poison").signed(&key(2), &Scope::Protected, &action("c"));
        store.actions.put(&action("c"), &poison).await.unwrap();
        assert_eq!(mine.actions.get(&action("c")).await.unwrap(), None);
    }
}

#[tokio::test]
async fn what_a_pipeline_found_is_recalled_only_as_far_as_a_lookup_would_believe_it() {
    let dir = tempfile::tempdir().unwrap();
    let [_, store] = stores(dir.path());
    let runs = |trust: &TrustOptions| store.trusting(trust).runs.unwrap();
    let asking = trust(branch(), None, Some(vec![key(1).public()]));
    let found = |name: &str, text: &str| Recalled::now(action(name), result(text));
    let names = async |trust: &TrustOptions| -> Vec<String> {
        let found = runs(trust).recall("app").await.unwrap();
        found.into_iter().filter_map(|line| text(Some(line.result))).collect()
    };
    let worker = trust(Scope::Protected, Some(key(1)), None);
    runs(&worker).keep("app", vec![found("a", "good"), found("b", "other")], &[]).await.unwrap();
    assert_eq!(names(&asking).await, ["good", "other"]);
    let me = trust(branch(), None, None);
    runs(&me).keep("app", vec![found("a", "branch")], &[]).await.unwrap();
    assert_eq!(names(&me).await, ["branch", "other"], "the own ones first");
    assert_eq!(names(&TrustOptions::default()).await, ["good", "other"], "nobody else sees them");
    assert_eq!(names(&asking).await, ["good", "other"], "they are not signed");
    // Somebody without a key replaces the list that everybody reads.
    runs(&TrustOptions::default()).keep("app", vec![found("a", "poison")], &[]).await.unwrap();
    assert!(names(&asking).await.is_empty());
}
