use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use cullet_digest::{DigestFunction, Directory, FileNode, NodeName};
use tempfile::TempDir;

use super::bad_store::Bad;
use super::*;
use crate::{ActionResult, LogStream, ObjectOptions, OpenOptions, Output, OutputKind, conformance};

/// A machine, and what it was told.
pub(super) struct Machine {
    dir: TempDir,
    pub(super) cache: LocalCache,
    pub(super) backing: Backing,
    told: Arc<AtomicUsize>,
}

impl Machine {
    /// Its disk, for another process.
    pub(super) fn into_dir(self) -> TempDir {
        self.dir
    }
}

fn counting(told: &Arc<AtomicUsize>) -> TellTrouble {
    let told = Arc::clone(told);
    Arc::new(move |_| _ = told.fetch_add(1, Ordering::Relaxed))
}

pub(super) fn machine_in(dir: TempDir, shared: Result<SharedCache, StoreError>, access: Access) -> Machine {
    let options = OpenOptions::new(dir.path());
    machine_of(dir, &options, shared, access)
}

pub(super) fn machine_of(
    dir: TempDir,
    options: &OpenOptions,
    shared: Result<SharedCache, StoreError>,
    access: Access,
) -> Machine {
    let cache = crate::open(options).unwrap();
    let told = Arc::default();
    let (local, store) = ((&cache, dir.path()), ("there", shared));
    let backing =
        Backing::new(local, store, (access, &Scope::Protected), counting(&told), &Handle::current()).unwrap();
    Machine { dir, cache, backing, told }
}

fn machine(shared: &Path, access: Access) -> Machine {
    let dir = tempfile::tempdir().unwrap();
    let opened = shared_cache(shared, dir.path());
    machine_in(dir, Ok(opened), access)
}

fn shared_cache(shared: &Path, dir: &Path) -> SharedCache {
    SharedCache::open(shared.to_str().unwrap(), &ObjectOptions::new(dir.join("spool"))).unwrap()
}

const F: DigestFunction = DigestFunction::Blake3;

async fn store(cache: &LocalCache, bytes: &[u8]) -> Digest {
    let digest = F.digest(bytes);
    cache.blobs.put(&digest, Bytes::copy_from_slice(bytes).into()).await.unwrap();
    digest
}

/// The result of an execution here: a directory with one file, and a log.
pub(super) async fn execute(machine: &Machine, what: &str) -> (Digest, ActionResult) {
    let file = store(&machine.cache, what.as_bytes()).await;
    let name = NodeName::new("f".to_owned()).unwrap();
    let node = FileNode { name, digest: file, executable: false };
    let root = Directory::new(vec![node], vec![], vec![]).unwrap().encode().to_vec();
    let root = store(&machine.cache, &root).await;
    let output = Output { path: "d".to_owned(), kind: OutputKind::Tree(TreeRef::Directory(root)) };
    let log = LogStream::Blob(store(&machine.cache, format!("log of {what}").as_bytes()).await);
    let result = ActionResult { outputs: vec![output], stdout: log, ..conformance::result("") };
    let action = F.digest(format!("action {what}").as_bytes());
    machine.backing.actions().put(&action, &result).await.unwrap();
    (action, result)
}

async fn publish(shared: &Path, what: &str) -> (Digest, ActionResult) {
    let machine = machine(shared, Access::Write);
    let executed = execute(&machine, what).await;
    let settled = machine.backing.settle(Duration::from_secs(10)).await;
    assert_eq!((settled.left, settled.gone), (0, 0));
    executed
}

/// Every file below a directory, with its bytes.
fn listing(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(listing(&path));
        } else {
            found.push((path.clone(), std::fs::read(path).unwrap()));
        }
    }
    found.sort();
    found
}

pub(super) fn file_of(result: &ActionResult) -> Digest {
    let LogStream::Blob(log) = result.stdout else { panic!("it has a log") };
    log
}

#[tokio::test]
async fn what_one_machine_made_another_finds_and_fetches_only_what_it_needs() {
    let shared = tempfile::tempdir().unwrap();
    let (action, result) = publish(shared.path(), "one").await;
    let before = listing(shared.path());
    let here = machine(shared.path(), Access::Read);
    assert_eq!(here.backing.actions().get(&action).await.unwrap().as_ref(), Some(&result));
    assert!(here.backing.gave(&action));
    let root = result.directories().next().unwrap();
    assert!(!here.cache.disk.has(&file_of(&result)).unwrap(), "a lookup brings no log");
    assert_eq!(here.cache.stats().unwrap().blobs, 1, "but for the directory that says what belongs to it");
    here.backing.fetch_tree(&TreeRef::Directory(root)).await.unwrap();
    assert_eq!(here.cache.stats().unwrap().blobs, 2, "the file");

    // The next run finds it here, although not all of it is.
    let dir = here.dir;
    let again = machine_in(dir, Ok(shared_cache(shared.path(), shared.path())), Access::Read);
    assert_eq!(again.backing.actions().get(&action).await.unwrap(), Some(result));
    assert!(!again.backing.gave(&action));
    assert_eq!(again.told.load(Ordering::Relaxed), 0);
    assert_eq!(listing(shared.path()), before, "who reads changes nothing");
}

#[tokio::test]
async fn a_result_that_is_whole_nowhere_is_no_hit() {
    let shared = tempfile::tempdir().unwrap();
    let (action, result) = publish(shared.path(), "one").await;
    let here = machine(shared.path(), Access::Read);
    assert!(here.backing.actions().get(&action).await.unwrap().is_some());
    let name = file_of(&result).hash_hex().to_string();
    let (lost, _) =
        listing(shared.path()).into_iter().find(|(path, _)| path.to_string_lossy().contains(&name)).unwrap();
    std::fs::remove_file(lost).unwrap();
    assert_eq!(here.backing.actions().get(&action).await.unwrap(), None);
    assert_eq!(here.backing.missing_of(&action), Some(1));
    // What is here is whole with what is there.
    store(&here.cache, b"log of one").await;
    assert!(here.backing.actions().get(&action).await.unwrap().is_some());
}

#[tokio::test]
async fn who_only_reads_changes_nothing_whatever_is_wrong() {
    let shared = tempfile::tempdir().unwrap();
    let (action, result) = publish(shared.path(), "one").await;
    let name = file_of(&result).hash_hex().to_string();
    let (damaged, bytes) =
        listing(shared.path()).into_iter().find(|(path, _)| path.to_string_lossy().contains(&name)).unwrap();
    std::fs::write(&damaged, vec![b'x'; bytes.len()]).unwrap();
    let before = listing(shared.path());
    let here = machine(shared.path(), Access::Read);
    assert!(here.backing.actions().get(&action).await.unwrap().is_some());
    let tree = TreeRef::File { digest: file_of(&result), executable: false };
    let fetched = here.backing.fetch_tree(&tree).await;
    assert!(matches!(fetched, Err(StoreError::Mismatch { .. })), "{fetched:?}");
    assert_eq!(here.told.load(Ordering::Relaxed), 1);
    execute(&here, "two").await;
    here.backing.actions().remove(&action).await.unwrap();
    assert_eq!(here.backing.settle(Duration::from_secs(1)).await.left, 0);
    assert_eq!(listing(shared.path()), before);

    // Who may write drops what is damaged.
    let writer = machine(shared.path(), Access::Write);
    assert!(writer.backing.fetch_tree(&tree).await.is_err());
    assert!(!damaged.exists());
}

fn guarded<S: ?Sized>(store: Arc<S>, told: &Arc<AtomicUsize>) -> Guarded<S> {
    let reads = Arc::new(Breaker::new("there", counting(told)));
    let writes = Some(Arc::new(Breaker::new("there", Arc::new(|_| {}))));
    let budget = Arc::new(Semaphore::new(BUDGET as usize));
    Guarded { store, reads, writes, place: "there".to_owned(), budget }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_never_answers_is_waited_for_once_and_told_of_once() {
    let bad = Arc::new(Bad::default());
    bad.silent.store(true, Ordering::Relaxed);
    let told = Arc::default();
    let results = guarded(bad.clone() as Arc<dyn ActionCache>, &told);
    let action = F.digest(b"action");
    let before = tokio::time::Instant::now();
    for _ in 0..100 {
        assert_eq!(results.get(&action).await.unwrap(), None);
    }
    assert!(before.elapsed() < Duration::from_secs(4), "{:?}", before.elapsed());
    assert_eq!((bad.asked.load(Ordering::Relaxed), told.load(Ordering::Relaxed)), (1, 1));
    // It is not written to either.
    assert!(results.put(&action, &conformance::result("")).await.is_err());
    assert_eq!(bad.asked.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_slow_each_time_is_given_up_and_one_that_is_slow_to_many_at_once_is_not() {
    let slow = |takes| Arc::new(Bad { takes: Some(takes), ..Bad::default() });
    let action = F.digest(b"action");
    for (takes, asked) in [(Duration::from_secs(2), 5), (Duration::from_millis(900), 50)] {
        let (store, told) = (slow(takes), Arc::default());
        let results = guarded(store.clone() as Arc<dyn ActionCache>, &told);
        for _ in 0..50 {
            assert_eq!(results.get(&action).await.unwrap(), None);
        }
        assert_eq!(store.asked.load(Ordering::Relaxed), asked);
        assert_eq!(told.load(Ordering::Relaxed), usize::from(asked < 50));
    }
    let (store, told) = (slow(Duration::from_secs(2)), Arc::default());
    let results = guarded(store.clone() as Arc<dyn ActionCache>, &told);
    futures_util::future::join_all((0..64).map(|_| results.get(&action))).await;
    assert_eq!(told.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn large_blobs_are_not_all_sent_at_once_and_small_ones_are() {
    for (bytes, at_once) in [(1_u64 << 30, 4), (40 << 20, 4), (100, 16)] {
        let bad = Arc::new(Bad::default());
        bad.silent.store(true, Ordering::Relaxed);
        let told = Arc::default();
        let blobs = guarded(bad.clone() as Arc<dyn SharedBlobs>, &told);
        let hash = F.digest(b"x").hash_hex().to_string();
        let digest = Digest::parse(F, &format!("{hash}/{bytes}")).unwrap();
        let puts = (0..16).map(|_| blobs.put(&digest, Bytes::new().into()));
        let all = futures_util::future::join_all(puts);
        let stopped = tokio::time::timeout(Duration::from_secs(5), all).await;
        assert_eq!(
            (stopped.is_err(), bad.asked.load(Ordering::Relaxed)),
            (true, at_once),
            "{bytes} bytes each"
        );
    }
}

#[tokio::test]
async fn a_store_that_refuses_is_asked_a_few_times_and_told_of_once() {
    let (bad, told) = (Arc::new(Bad::default()), Arc::default());
    let blobs = guarded(bad.clone() as Arc<dyn SharedBlobs>, &told);
    let digest = F.digest(b"blob");
    for _ in 0..10 {
        assert_eq!(blobs.find_missing(&[digest]).await.unwrap(), [digest]);
        let opened = crate::Origin::open(&blobs, &digest, 0).await.map(drop);
        assert!(matches!(opened, Err(StoreError::NotFound { .. })));
    }
    assert_eq!((bad.asked.load(Ordering::Relaxed), told.load(Ordering::Relaxed)), (3, 1));
}

#[tokio::test]
async fn one_that_could_not_be_opened_is_never_asked_and_keeps_what_is_to_be_published() {
    let shared = tempfile::tempdir().unwrap();
    let away = StoreError::remote("open", "there", "no route");
    let here = machine_in(tempfile::tempdir().unwrap(), Err(away), Access::Write);
    let (action, result) = execute(&here, "one").await;
    let settled = here.backing.settle(Duration::from_secs(5)).await;
    assert_eq!((settled.left, settled.gone), (1, 0));
    assert!(settled.why.is_some() && here.backing.trouble().is_some());
    assert_eq!(here.told.load(Ordering::Relaxed), 1);

    // A later run of the machine publishes it, once even where it is a hit of that run, and one after that has nothing to do.
    let opened = shared_cache(shared.path(), here.dir.path());
    let later = machine_in(here.dir, Ok(opened.clone()), Access::Write);
    assert!(later.backing.actions().get(&action).await.unwrap().is_some());
    assert_eq!(later.backing.settle(Duration::from_secs(10)).await.left, 0);
    assert_eq!(opened.actions.get(&action).await.unwrap(), Some(result));
    assert_eq!(later.backing.counts().uploaded.blobs, 3);
    let last = machine_in(later.dir, Ok(opened), Access::Write);
    assert_eq!((last.backing.unpublished(), last.backing.counts().uploaded.blobs), (0, 0));
}

#[tokio::test]
async fn a_hit_that_could_not_be_published_counts_once() {
    let away = || Err(StoreError::remote("open", "there", "no route"));
    let here = machine_in(tempfile::tempdir().unwrap(), away(), Access::Write);
    let (action, _) = execute(&here, "one").await;
    here.backing.settle(Duration::from_secs(5)).await;
    let again = machine_in(here.dir, away(), Access::Write);
    assert!(again.backing.actions().get(&action).await.unwrap().is_some());
    assert_eq!(again.backing.settle(Duration::from_secs(5)).await.left, 1);
}

#[tokio::test]
async fn what_is_not_whole_in_one_scope_is_taken_from_the_next_when_the_store_is_away() {
    let dir = tempfile::tempdir().unwrap();
    let away = StoreError::remote("open", "there", "no route");
    let usual = machine_in(dir, Err(away), Access::Read);
    let (action, result) = execute(&usual, "one").await;
    let scope = Scope::Quarantine("ada".to_owned());
    let cache = usual.cache.over(&scope);
    // As a look at the store leaves it: what is named there is not here.
    let elsewhere = F.digest(b"elsewhere");
    let named = ActionResult { stdout: LogStream::Blob(elsewhere), ..result.clone() };
    cache.all_actions.put(&action, &named).await.unwrap();
    let away = Err(StoreError::remote("open", "there", "no route"));
    let (local, store) = ((&cache, usual.dir.path()), ("there", away));
    let told = Arc::default();
    let backing =
        Backing::new(local, store, (Access::Read, &scope), counting(&told), &Handle::current()).unwrap();
    assert_eq!(backing.actions().get(&action).await.unwrap(), Some(result));
}

#[tokio::test]
async fn a_result_that_was_evicted_before_it_was_sent_is_said_to_be_gone() {
    let shared = tempfile::tempdir().unwrap();
    let away = StoreError::remote("open", "there", "no route");
    let here = machine_in(tempfile::tempdir().unwrap(), Err(away), Access::Write);
    let (_, result) = execute(&here, "one").await;
    here.backing.settle(Duration::from_secs(5)).await;
    // As whoever needs the room does.
    let name = file_of(&result).hash_hex().to_string();
    let entries =
        listing(here.dir.path()).into_iter().filter(|(path, _)| path.to_string_lossy().contains(&name[2..]));
    let mut removed = entries.map(|(path, _)| std::fs::remove_file(path));
    assert!(removed.next().is_some(), "it was there");
    removed.for_each(drop);
    let opened = shared_cache(shared.path(), here.dir.path());
    let later = machine_in(here.dir, Ok(opened.clone()), Access::Write);
    let settled = later.backing.settle(Duration::from_secs(10)).await;
    assert_eq!((settled.left, settled.gone), (0, 1));
    let last = machine_in(later.dir, Ok(opened), Access::Write);
    assert_eq!(last.backing.unpublished(), 0, "it is not tried for ever");
}
