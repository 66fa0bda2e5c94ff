//! Stores that lose, change or do not give what they have: the step has what is here.

use super::*;

/// A store in memory, which is away or silent if that is said.
#[derive(Debug, Default)]
struct Bad {
    refuses: bool,
    is_silent: bool,
}

#[async_trait]
impl ActionCache for Bad {
    async fn get(&self, _: &Digest) -> Result<Option<ActionResult>, StoreError> {
        if self.is_silent {
            std::future::pending::<()>().await;
        }
        if self.refuses {
            return Err(StoreError::Deadline { place: "there".to_owned(), after_ms: 1 });
        }
        Ok(None)
    }

    async fn put(&self, _: &Digest, _: &ActionResult) -> Result<(), StoreError> {
        Err(StoreError::Deadline { place: "there".to_owned(), after_ms: 2 })
    }

    async fn remove(&self, _: &Digest) -> Result<(), StoreError> {
        Ok(())
    }
}

#[derive(Debug, Clone)]
struct Stores(VolumeStore);

impl SharedVolumes for Stores {
    fn of(&self, _: &Scope) -> VolumeStore {
        self.0.clone()
    }
}

fn stores(blobs: Arc<dyn BlobStore>, versions: Arc<dyn ActionCache>) -> Arc<dyn SharedVolumes> {
    let own = Some(Arc::clone(&versions));
    Arc::new(Stores(VolumeStore { blobs, versions, own }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_is_told_of_once_and_the_step_has_what_is_here() {
    let bad = Bad { refuses: true, ..Bad::default() };
    let machine = Machine::new(&stores(Arc::new(MemoryStore::new(1 << 20)), Arc::new(bad)));
    let mine = files([("f", b"1")]);
    assert_eq!(machine.step(&mine).await, Files::new());
    assert_eq!(machine.step(&Files::new()).await, mine);
    machine.publish().await;
    machine.step(&files([("f", b"2")])).await;
    machine.publish().await;
    let told = machine.told(true);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("does not have the cache 'v' from the shared cache"), "{told:?}");
    assert!(told[1].contains("what it wrote to the cache 'v' is not in the shared cache"), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_is_not_waited_for_long() {
    let bad = Bad { is_silent: true, ..Bad::default() };
    let machine = Machine::new(&stores(Arc::new(MemoryStore::new(1 << 20)), Arc::new(bad)));
    let began = tokio::time::Instant::now();
    assert_eq!(machine.step(&Files::new()).await, Files::new());
    assert_eq!(began.elapsed().as_secs(), LOOKUP.as_secs());
    assert!(machine.told(true)[0].ends_with("it takes longer than 10 s"), "{:?}", machine.told(true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_with_a_lost_or_changed_part_is_none_and_comes_whole_again() {
    for damage in ["lost", "changed"] {
        let dir = tempfile::tempdir().unwrap();
        let shared = Shared::at(&dir);
        let ci = Machine::new(&shared.clone().dynamic());
        let large = noise(1, 2 << 20);
        let mut whole = files([("large", &large), ("small", b"1")]);
        ci.step(&whole).await;
        ci.publish().await;
        let blobs = files_below(&dir.path().join("shared/cas"));
        let pack = blobs.iter().max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
        match damage {
            "lost" => fs::remove_file(pack).unwrap(),
            _ => {
                let mut bytes = fs::read(pack).unwrap();
                bytes[1 << 20] ^= 1;
                fs::remove_file(pack).unwrap();
                fs::write(pack, bytes).unwrap();
            }
        }
        let laptop = Machine::new(&shared.clone().dynamic());
        assert_eq!(laptop.step(&Files::new()).await, Files::new(), "{damage}");
        assert_eq!(laptop.step(&Files::new()).await, Files::new(), "{damage}");
        assert_eq!(laptop.told(true).len(), 1, "{damage}: {:?}", laptop.told(true));
        // Who has it sends what is not there any more.
        let more = noise(2, 1 << 20);
        ci.step(&files([("more", &more)])).await;
        assert!(ci.publish().await > 3 << 20, "{damage}");
        whole.insert("more".to_owned(), Content(more));
        assert_eq!(Machine::new(&shared.reader()).step(&Files::new()).await, whole, "{damage}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_version_is_ignored_and_replaced() {
    let (blobs, versions) = (Arc::new(MemoryStore::new(1 << 24)), Arc::new(MemoryActionCache::new(100)));
    let all = stores(blobs.clone(), versions.clone());
    let manifest = Digest::from_parts(the_key().function(), [7; 32], 9);
    for (version, tells) in [
        (Version::after(None, manifest, Vec::new(), 1), true),
        (Version::after(None, the_key(), Vec::new(), u64::MAX), true),
    ] {
        blobs.put(&the_key(), Blob::from(b"nonsense".to_vec())).await.unwrap_or_default();
        versions.put(&the_key(), &version.to_result()).await.unwrap();
        let machine = Machine::new(&all);
        assert_eq!(machine.step(&files([("f", b"1")])).await, Files::new());
        assert_eq!(machine.told(true).len(), usize::from(tells), "{:?}", machine.told(true));
        assert!(machine.publish().await > 0);
        assert_eq!(Machine::new(&all).step(&Files::new()).await, files([("f", b"1")]));
    }
    let other = ActionResult { outputs: Vec::new(), ..versions.get(&the_key()).await.unwrap().unwrap() };
    versions.put(&the_key(), &other).await.unwrap();
    let machine = Machine::new(&all);
    assert_eq!(machine.step(&files([("f", b"2")])).await, Files::new());
    assert!(machine.told(true).is_empty() && machine.publish().await > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn why_volumes_stay_here_is_said_once_and_without_a_store_nothing_is() {
    let machine = Machine::new(&stores(Arc::new(MemoryStore::new(1)), Arc::new(Bad::default())));
    let silent = Volumes::new(machine.volumes.0.config.clone());
    let refusing = Volumes::new(machine.volumes.0.config.clone());
    refusing.share_nothing("nobody is there");
    let cancel = CancellationToken::new();
    for volumes in [&silent, &refusing, &refusing] {
        let taken =
            volumes.take("s", &[wanted(&Scope::Protected)], machine.dir.path(), &cancel).await.unwrap();
        taken.end(Leaving { succeeded: true, ..Leaving::default() }).await;
        volumes.publish(Duration::from_secs(1)).await;
    }
    let told = machine.told(false);
    assert!(told.len() == 1 && told[0].ends_with("nobody is there"), "{told:?}");
    assert!(machine.told(true).is_empty());
}
