//! The shared cache in buckets of real servers: [`super::server`], which keeps them in files, and those of others.

use cullet_digest::{Directory, FileNode, NodeName, TreeRef};
use futures_util::{StreamExt as _, stream};
use object_store::path::Path as Name;
use object_store::{ObjectStore as _, ObjectStoreExt as _};
use tokio::runtime::Handle;

use super::others::Other;
use super::server::Server;
use super::*;
use crate::objects::Created;
use crate::{
    ActionCache as _, ActionResult, BlobStore as _, DiskStore, NoPeers, OpenOptions, Output, OutputKind,
    PackedActions, PackedBlobs, Scope, Tiers, TiersOptions,
};

/// A server of either kind.
pub(super) enum Real {
    Files(Server),
    Other(Other),
}

impl Real {
    pub(super) async fn all() -> Vec<Self> {
        let mut all = vec![Self::Files(Server::start().await)];
        all.extend(Other::all().await.into_iter().map(Self::Other));
        all
    }

    fn options(&self) -> ObjectOptions {
        match self {
            Self::Files(server) => server.options(),
            Self::Other(other) => other.options(),
        }
    }

    fn service(&self) -> Service {
        match self {
            Self::Files(_) => Service::S3,
            Self::Other(other) => other.service,
        }
    }

    fn location(&self, prefix: &str) -> String {
        format!("{}://bucket/{prefix}", self.service().scheme())
    }

    /// Whether it lists what comes after a name. Azurite begins anew each time, unlike the service it stands for, and is
    /// then taken for one without an order.
    pub(super) fn lists_more_than_a_page(&self) -> bool {
        self.service() != Service::Azure
    }

    fn cache(&self, prefix: &str) -> SharedCache {
        SharedCache::open(&self.location(prefix), &self.options()).unwrap()
    }

    pub(super) fn place(&self, prefix: &str) -> Arc<Place> {
        Place::open(&self.location(prefix).parse().unwrap(), &self.options()).unwrap()
    }

    /// A cache that nobody has written to.
    fn stack(&self) -> Kept<Stack> {
        let SharedCache { blobs, actions, .. } = self.cache(&format!("new-{}", fastrand::u64(..)));
        Kept(Stack { blobs, actions }, Arc::new(tempfile::tempdir().unwrap()))
    }

    /// A machine with an empty disk.
    fn machine(&self, prefix: &str) -> Kept<Tiers> {
        let dir = tempfile::tempdir().unwrap();
        let disk = Arc::new(DiskStore::open(&OpenOptions::new(dir.path())).unwrap());
        let (shared, options) = (self.cache(prefix).objects, TiersOptions::default());
        let tiers = Tiers::new(disk, Arc::new(NoPeers), shared, &options, Handle::current()).unwrap();
        Kept(tiers, Arc::new(dir))
    }

    /// What was asked since the last time, where that is counted.
    fn take_asked(&self) -> Option<server::Asked> {
        match self {
            Self::Files(server) => Some(server.take_asked()),
            Self::Other(_) => None,
        }
    }

    /// All objects below a prefix, behind the cache.
    async fn names(&self, prefix: &str) -> Vec<Name> {
        let place = self.place(prefix);
        let listed = place.objects.list(Some(&Name::from(prefix)));
        listed.map(|found| found.unwrap().location).collect().await
    }
}

fn random(seed: u64, len: usize) -> Bytes {
    let mut bytes = vec![0; len];
    fastrand::Rng::with_seed(seed).fill(&mut bytes);
    bytes.into()
}

fn digest(bytes: &[u8]) -> Digest {
    DigestFunction::Blake3.digest(bytes)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_a_blob_store_and_an_action_cache() {
    for real in Real::all().await {
        conformance::blob_store(|| real.stack()).await;
        conformance::action_cache(|| real.stack()).await;
        real.cache("probed").probe().await.unwrap();
    }
}

/// A tree of so many files of 2 KiB on a machine.
async fn tree(machine: &Tiers, files: u64) -> ActionResult {
    let mut nodes = Vec::new();
    for seed in 0..files {
        let bytes = random(seed, 2048);
        let digest = digest(&bytes);
        machine.put(&digest, bytes.into()).await.unwrap();
        let name = NodeName::new(format!("f{seed:05}")).unwrap();
        nodes.push(FileNode { name, digest, executable: false });
    }
    let directory: Bytes = Directory::new(nodes, vec![], vec![]).unwrap().encode().into();
    let root = digest(&directory);
    machine.put(&root, directory.into()).await.unwrap();
    let output = Output { path: "out".to_owned(), kind: OutputKind::Tree(TreeRef::Directory(root)) };
    ActionResult { outputs: vec![output], ..conformance::result("") }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_of_three_thousand_files_takes_tens_of_requests() {
    for real in Real::all().await {
        let Kept(first, _first) = real.machine("tree");
        let result = tree(&first, 3000).await;
        real.take_asked();
        first.upload(&result).await.unwrap();
        let up = real.take_asked();
        let action = digest(b"action");
        real.cache("tree").actions.put(&action, &result).await.unwrap();
        assert_eq!(real.cache("tree").actions.get(&action).await.unwrap(), Some(result.clone()));
        real.take_asked();
        let Kept(second, _second) = real.machine("tree");
        let root = result.directories().next().unwrap();
        second.fetch_tree(&root).await.unwrap();
        let down = real.take_asked();
        for (way, asked) in [("up", up), ("down", down)] {
            let Some(asked) = asked else { continue };
            assert!(asked.requests <= 40, "{way}: {asked:?}");
            assert!((6_000_000..9_000_000).contains(&asked.bytes), "{way}: {asked:?}");
        }
        for seed in 0..3000 {
            let bytes = random(seed, 2048);
            assert_eq!(second.get(&digest(&bytes)).await.unwrap().into_bytes().unwrap(), bytes);
        }
        assert_eq!(real.take_asked().unwrap_or_default().requests, 0, "all of it is here");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_blob_that_changed_a_little_moves_little() {
    for real in Real::all().await {
        let first = random(1, 20 << 20);
        let mut changed = first.to_vec();
        changed.splice(5_000_000..5_200_000, random(2, 210_000));
        let cache = real.cache("large");
        real.take_asked();
        cache.blobs.put(&digest(&first), first.clone().into()).await.unwrap();
        let all = real.take_asked();
        let changed = Bytes::from(changed);
        cache.blobs.put(&digest(&changed), changed.clone().into()).await.unwrap();
        let again = real.take_asked();
        if let (Some(all), Some(again)) = (all, again) {
            assert!((20 << 20..21 << 20).contains(&all.bytes), "{all:?}");
            assert!(again.bytes < 9 << 20, "{again:?}");
            println!("20 MiB: {all:?}, with 1 % changed: {again:?}");
        }
        for bytes in [first, changed] {
            let got = real.cache("large").blobs.get(&digest(&bytes)).await.unwrap().into_bytes().unwrap();
            assert!(got == bytes);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_or_damaged_is_missed_and_stored_again() {
    for real in Real::all().await {
        for (number, len) in [1000, 2 << 20, 6 << 20].into_iter().enumerate() {
            for damaged in [false, true] {
                let prefix = format!("lost-{len}-{damaged}");
                let bytes = random(number as u64, len);
                let digest = digest(&bytes);
                real.cache(&prefix).blobs.put(&digest, bytes.clone().into()).await.unwrap();
                let objects = &real.place(&prefix).objects;
                let names = real.names(&prefix).await;
                assert!(!names.is_empty());
                for name in &names {
                    let size = objects.head(name).await.unwrap().size;
                    if damaged {
                        objects.put(name, random(99, size as usize).into()).await.unwrap();
                    } else {
                        objects.delete(name).await.unwrap();
                    }
                }
                let cache = real.cache(&prefix);
                let got = cache.blobs.get(&digest).await;
                let gone = matches!(got, Err(StoreError::NotFound { .. } | StoreError::Mismatch { .. }));
                assert!(gone, "{prefix}: {got:?}");
                let missing = cache.blobs.find_missing(&[digest]).await.unwrap();
                assert_eq!(missing, [digest], "{prefix}: it is known to be missing");
                // Data that is there is not looked at when it is stored, so each round finds more of it.
                let mut rounds = 0;
                let got = loop {
                    rounds += 1;
                    cache.blobs.put(&digest, bytes.clone().into()).await.unwrap();
                    match real.cache(&prefix).blobs.get(&digest).await {
                        Ok(got) => break got.into_bytes().unwrap(),
                        Err(error) => assert!(damaged && rounds < names.len(), "{prefix}: {error:?}"),
                    }
                };
                assert!(got == bytes, "{prefix}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_whose_data_is_lost_is_a_miss() {
    for real in Real::all().await {
        let Kept(machine, _dir) = real.machine("result");
        let result = tree(&machine, 200).await;
        let action = digest(b"action");
        for area in ["result/tree/", "result/data/", "result/ac/"] {
            machine.upload(&result).await.unwrap();
            let writer = real.cache("result");
            writer.actions.put(&action, &result).await.unwrap();
            let place = real.place("result");
            for name in real.names("result").await.iter().filter(|name| name.as_ref().starts_with(area)) {
                place.objects.delete(name).await.unwrap();
            }
            let Kept(other, _other) = real.machine("result");
            let root = result.directories().next().unwrap();
            let found = real.cache("result").actions.get(&action).await.unwrap();
            let usable = found.is_some() && other.fetch_tree(&root).await.is_ok();
            assert!(!usable, "{area}");
            // As whoever needs it does then.
            let Kept(again, _again) = real.machine("result");
            let result = tree(&again, 200).await;
            again.upload(&result).await.unwrap();
            real.cache("result").actions.put(&action, &result).await.unwrap();
            assert!(real.cache("result").actions.get(&action).await.unwrap().is_some(), "{area}");
            let Kept(other, _other) = real.machine("result");
            other.fetch_tree(&root).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scopes_do_not_see_each_other() {
    for real in Real::all().await {
        let actions = |scope: &Scope| {
            let objects = Arc::new(ObjectRecords::new(&real.place("scopes")));
            let blobs = PackedBlobs::new(objects, real.options().spool).unwrap();
            PackedActions::new(&blobs, scope)
        };
        let scopes = [Scope::Protected, Scope::Branch("b".to_owned()), Scope::User("u".to_owned())];
        let action = digest(b"action");
        for (number, scope) in scopes.iter().enumerate() {
            assert_eq!(actions(scope).get(&action).await.unwrap(), None, "{scope:?}");
            let result = conformance::result(&format!("{number}"));
            actions(scope).put(&action, &result).await.unwrap();
        }
        for (number, scope) in scopes.iter().enumerate() {
            let result = conformance::result(&format!("{number}"));
            assert_eq!(actions(scope).get(&action).await.unwrap(), Some(result), "{scope:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_create_an_object_one_does() {
    let dir = tempfile::tempdir().unwrap();
    let directory = || Place::open(&Location::Directory(dir.path().into()), &ObjectOptions::new(dir.path()));
    let real = Real::all().await;
    let bucket = |real: &Real| real.place("create");
    let places = real.iter().map(|real| (bucket(real), bucket(real)));
    for (one, other) in places.chain([(directory().unwrap(), directory().unwrap())]) {
        let name = one.probe(3);
        let tries = (0..16).map(|number| {
            let (place, name) = (if number % 2 == 0 { &one } else { &other }, name.clone());
            async move { place.create(&name, format!("number {number}").into()).await.unwrap() }
        });
        // The servers look first and write then, so two at once may both find nothing there; a directory links.
        let at_once = if one.files.is_some() { 16 } else { 1 };
        let all: Vec<Created> = stream::iter(tries).buffered(at_once).collect().await;
        let created = all.iter().filter(|created| **created == Created::Made).count();
        assert_eq!(created, 1, "{}: {all:?}", one.name());
        assert_eq!(all.iter().filter(|created| **created == Created::Exists).count(), 15);
        let winner = all.iter().position(|created| *created == Created::Made).unwrap();
        let found = one.objects.get(&name).await.unwrap().bytes().await.unwrap();
        assert_eq!(found, format!("number {winner}"));
    }
}
