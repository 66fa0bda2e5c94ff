use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use cullet_cache::{
    ActionResult, Blob, MemoryActionCache, MemoryStore, ObjectOptions, SharedCache, SigningKey, StoreError,
    TrustOptions,
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::name::{Version, key};
use super::*;
use crate::volumes::{AttemptVolumes, Leaving, VolumeEvents, VolumeUse, VolumesConfig};

mod trouble;

#[derive(Debug, Default)]
struct Heard(Mutex<Vec<(bool, String)>>);

impl VolumeEvents for Heard {
    fn tell(&self, _: &str, is_warning: bool, text: String) {
        self.0.lock().unwrap().push((is_warning, text));
    }
}

/// A machine with a disk of its own.
struct Machine {
    dir: TempDir,
    stores: Arc<dyn SharedVolumes>,
    volumes: Volumes,
    heard: Arc<Heard>,
}

type Files = BTreeMap<String, Content>;

/// Bytes that are not shown when they are not the right ones.
#[derive(Clone, PartialEq, Eq)]
struct Content(Vec<u8>);

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes, {}", self.0.len(), String::from_utf8_lossy(&self.0[..self.0.len().min(20)]))
    }
}

fn files<const N: usize>(files: [(&str, &[u8]); N]) -> Files {
    files.into_iter().map(|(path, bytes)| (path.to_owned(), Content(bytes.to_vec()))).collect()
}

fn travels(scope: &Scope) -> Travels {
    Travels { owner: "t\0app".to_owned(), scope: scope.clone() }
}

fn wanted(scope: &Scope) -> VolumeUse {
    let (volume, path, travels) = ("v".to_owned(), "/c".to_owned(), Some(travels(scope)));
    VolumeUse { scope: scope.apart("app"), volume, path, locked: false, empty: false, travels }
}

fn the_key() -> Digest {
    key(&travels(&Scope::Protected), "v", std::env::consts::ARCH)
}

impl Machine {
    fn new(stores: &Arc<dyn SharedVolumes>) -> Self {
        Self::of(tempfile::tempdir().unwrap(), stores)
    }

    fn of(dir: TempDir, stores: &Arc<dyn SharedVolumes>) -> Self {
        let heard = Arc::new(Heard::default());
        let volumes = Volumes::new(VolumesConfig {
            dir: dir.path().join("volumes"),
            owner: None,
            volume_bytes: 1 << 30,
            total_bytes: 1 << 30,
            patience: Duration::from_millis(300),
            events: heard.clone(),
            reclaim: || None,
        });
        volumes.share(Arc::clone(stores));
        Self { dir, stores: Arc::clone(stores), volumes, heard }
    }

    /// The next process, which asks the store again.
    fn again(self) -> Self {
        Self::of(self.dir, &self.stores)
    }

    async fn take(&self, scope: &Scope) -> AttemptVolumes {
        let cancel = CancellationToken::new();
        self.volumes.take("s", &[wanted(scope)], self.dir.path(), &cancel).await.unwrap()
    }

    /// A step that succeeds: what it found, before it wrote these.
    async fn step_in(&self, scope: &Scope, writes: &Files) -> Files {
        let taken = self.take(scope).await;
        let found = taken.mounts()[0].layers.iter().flat_map(|layer| tree(layer)).collect();
        for (path, bytes) in writes {
            let path = taken.uppers()[0].join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, &bytes.0).unwrap();
        }
        taken.end(Leaving { succeeded: true, ..Leaving::default() }).await;
        found
    }

    async fn step(&self, writes: &Files) -> Files {
        self.step_in(&Scope::Protected, writes).await
    }

    async fn publish(&self) -> u64 {
        let before = self.volumes.moved().uploaded;
        self.volumes.publish(Duration::from_secs(20)).await;
        self.volumes.moved().uploaded - before
    }

    fn told(&self, warnings: bool) -> Vec<String> {
        let heard = self.heard.0.lock().unwrap();
        heard.iter().filter(|(is, _)| *is == warnings).map(|(_, text)| text.clone()).collect()
    }
}

fn tree(dir: &Path) -> Files {
    let mut found = Files::new();
    let mut pending: Vec<PathBuf> = vec![dir.to_owned()];
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            pending.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            let name = path.strip_prefix(dir).unwrap().display().to_string();
            found.insert(name, Content(fs::read(&path).unwrap()));
        }
    }
    found
}

fn noise(seed: u64, count: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..count).map(|_| random.u8(..)).collect()
}

/// A directory that machines share, as somebody sees it.
#[derive(Debug, Clone)]
struct Shared {
    cache: SharedCache,
    signing: Option<SigningKey>,
    trusted: Option<Vec<cullet_cache::PublicKey>>,
    writes: bool,
}

impl Shared {
    fn at(dir: &TempDir) -> Self {
        let place = dir.path().join("shared");
        let options = ObjectOptions::new(dir.path().join("spool"));
        let cache = SharedCache::open(place.to_str().unwrap(), &options).unwrap();
        Self { cache, signing: None, trusted: None, writes: true }
    }

    fn reader(&self) -> Arc<dyn SharedVolumes> {
        Self { writes: false, ..self.clone() }.dynamic()
    }

    fn dynamic(self) -> Arc<dyn SharedVolumes> {
        Arc::new(self)
    }
}

impl SharedVolumes for Shared {
    fn of(&self, scope: &Scope) -> VolumeStore {
        let (signing, trusted) = (self.signing.clone(), self.trusted.clone());
        let trust = TrustOptions { scope: scope.clone(), usual: None, signing, trusted };
        let SharedCache { blobs, all_actions, .. } = self.cache.trusting(&trust);
        VolumeStore { blobs, versions: all_actions, own: self.writes.then(|| self.cache.only(scope)) }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_machine_has_another_gets_and_then_what_changed() {
    let dir = tempfile::tempdir().unwrap();
    let shared = Shared::at(&dir);
    let ci = Machine::new(&shared.clone().dynamic());
    let large = noise(1, 2 << 20);
    let first = files([("d/large", &large), ("small", b"1"), ("empty", b"")]);
    assert_eq!(ci.step(&first).await, Files::new());
    assert_eq!(ci.volumes.unpublished(), 1);
    assert!(ci.publish().await > 2 << 20);
    assert_eq!((ci.publish().await, ci.volumes.unpublished()), (0, 0), "once");

    let laptop = Machine::new(&shared.reader());
    assert_eq!(laptop.step(&Files::new()).await, first);
    assert!(laptop.told(false)[0].contains("'v' from the shared cache"), "{:?}", laptop.told(false));
    assert_eq!(laptop.step(&Files::new()).await, first, "it is here now");
    let changing = Machine::new(&shared.reader());
    assert_eq!(changing.step(&files([("mine", b"2")])).await, first);
    assert_eq!(changing.publish().await, 0, "it only reads");

    // A step that changes nothing sends nothing, and one that changes a little waits for the time.
    let ci = ci.again();
    assert_eq!((ci.step(&Files::new()).await, ci.publish().await), (first.clone(), 0));
    ci.step(&files([("small", b"2")])).await;
    assert_eq!((ci.publish().await, ci.volumes.unpublished()), (0, 0), "later");
    ci.step(&files([("more", &noise(2, 300 << 10))])).await;
    let ci = ci.again();
    let third = ci.step(&Files::new()).await;
    assert_eq!(third.len(), 4);
    let sent = ci.publish().await;
    assert!((300 << 10..400 << 10).contains(&sent), "{sent}");

    // Who has what came from there gets the next, and fetches what it lacks; who has changed it keeps that.
    let (laptop, changing) = (laptop.again(), changing.again());
    assert_eq!(laptop.step(&Files::new()).await, third);
    let fetched = laptop.volumes.moved().downloaded;
    assert!((300 << 10..400 << 10).contains(&fetched), "{fetched}");
    assert_eq!(changing.step(&Files::new()).await["mine"].0, b"2");
    assert_eq!(changing.volumes.moved(), Moved::default());
    assert!(laptop.told(true).is_empty() && changing.told(true).is_empty() && ci.told(true).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scope_writes_its_own_and_reads_that_before_the_one_of_everybody() {
    let dir = tempfile::tempdir().unwrap();
    let shared = Shared::at(&dir).dynamic();
    let (branch, other) = (Scope::Branch("b".to_owned()), Scope::Branch("other".to_owned()));
    let trunk = Machine::new(&shared);
    trunk.step(&files([("f", b"protected")])).await;
    trunk.publish().await;
    let on_branch = Machine::new(&shared);
    assert_eq!(on_branch.step_in(&branch, &files([("f", b"branch")])).await["f"].0, b"protected");
    assert!(on_branch.publish().await > 0);
    for (scope, expected) in [(&Scope::Protected, "protected"), (&branch, "branch"), (&other, "protected")] {
        let found = Machine::new(&shared).step_in(scope, &Files::new()).await;
        assert_eq!(found["f"].0, expected.as_bytes(), "{scope}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_signatures_takes_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let shared = Shared::at(&dir);
    let signing = |seed: u8| SigningKey::from_seed(&[seed; 32]);
    let trusted = Some(vec![signing(1).unwrap().public()]);
    let careful = Shared { trusted, ..shared.clone() };
    let found = async || Machine::new(&careful.reader()).step(&Files::new()).await;
    for (seed, text) in [(None, "unsigned"), (Some(2), "of a stranger"), (Some(1), "signed")] {
        let writer = Shared { signing: seed.and_then(signing), ..shared.clone() };
        let machine = Machine::new(&writer.dynamic());
        machine.step(&files([("f", text.as_bytes())])).await;
        assert!(machine.publish().await > 0, "{text}");
        let expected = if seed == Some(1) { files([("f", text.as_bytes())]) } else { Files::new() };
        assert_eq!(found().await, expected, "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_publish_at_once_the_last_has_its_way_and_nobody_sees_a_part() {
    let dir = tempfile::tempdir().unwrap();
    let shared = Shared::at(&dir);
    let version = |seed: u64| -> Files {
        let large = noise(seed, 3 << 20);
        files([("a", &large), ("b", &seed.to_le_bytes())])
    };
    let writers = [1, 2].map(|seed| {
        let machine = Machine::new(&shared.clone().dynamic());
        async move {
            machine.step(&version(seed)).await;
            assert!(machine.publish().await > 3 << 20);
        }
    });
    let reading = async {
        for _ in 0..5 {
            let found = Machine::new(&shared.reader()).step(&Files::new()).await;
            let whole = [Files::new(), version(1), version(2)];
            assert!(whole.contains(&found), "{:?}", found.keys());
        }
    };
    futures_util::future::join(futures_util::future::join_all(writers), reading).await;
    let found = Machine::new(&shared.reader()).step(&Files::new()).await;
    assert!([version(1), version(2)].contains(&found));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_is_told_each_day_that_a_volume_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let shared = Shared::at(&dir);
    let ci = Machine::new(&shared.clone().dynamic());
    ci.step(&files([("f", b"1")])).await;
    ci.publish().await;
    let record = || {
        let mut found = files_below(&dir.path().join("shared/ac"));
        // One that is just being written has another name.
        found.retain(|path| !path.to_string_lossy().contains('#'));
        assert_eq!(found.len(), 1, "{found:?}");
        found[0].clone()
    };
    let old = std::time::SystemTime::now() - Duration::from_secs(40 * 24 * 3600);
    let age = || fs::File::options().write(true).open(record()).unwrap().set_modified(old).unwrap();
    let is_old = || fs::metadata(record()).unwrap().modified().unwrap() == old;
    age();
    Machine::new(&shared.reader()).step(&Files::new()).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(is_old(), "who only reads tells nothing");
    let user = Machine::new(&shared.clone().dynamic());
    assert_eq!(user.step(&Files::new()).await.len(), 1);
    for _ in 0..100 {
        if !is_old() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(!is_old());
    age();
    user.again().step(&Files::new()).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(is_old(), "not twice a day");
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    tree(dir).into_keys().map(|name| dir.join(name)).collect()
}
