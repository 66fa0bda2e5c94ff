//! Values in memory.

use super::*;
use crate::{CompletenessChecking, MemoryActionCache, MemoryStore};

struct Values {
    values: KeyedValues,
    blobs: Arc<MemoryStore>,
    actions: CompletenessChecking,
    dir: tempfile::TempDir,
}

impl Values {
    fn new() -> Self {
        let (dir, blobs) = (tempfile::tempdir().unwrap(), Arc::new(MemoryStore::new(64 << 20)));
        let spool = Arc::new(Spool::open(dir.path()).unwrap());
        let actions = CompletenessChecking::new(Arc::new(MemoryActionCache::new(100)), blobs.clone());
        Self { values: KeyedValues::new(blobs.clone(), spool), blobs, actions, dir }
    }

    async fn put(&self, name: &str, pieces: &[&[u8]]) -> Result<(), StoreError> {
        let mut gathering = self.values.gather().unwrap();
        for piece in pieces {
            gathering.append(Bytes::copy_from_slice(piece)).await?;
        }
        self.values.put(&self.actions, name, gathering.finish().await?).await
    }

    async fn get(&self, name: &str) -> Option<Vec<u8>> {
        let value = self.values.get(&self.actions, name).await.unwrap()?;
        let len = value.len();
        let bytes: Vec<Bytes> = value.into_stream().try_collect().await.unwrap();
        assert_eq!(bytes.iter().map(Bytes::len).sum::<usize>() as u64, len);
        Some(bytes.concat())
    }
}

#[tokio::test]
async fn a_value_comes_back_until_another_takes_its_place() {
    let this = Values::new();
    assert_eq!(this.get("a").await, None);
    this.put("a", &[b"one", b" two"]).await.unwrap();
    assert_eq!(this.get("a").await.unwrap(), b"one two");
    assert_eq!(this.get("b").await, None);
    let len = async |name: &str| this.values.len(&this.actions, name).await.unwrap();
    assert_eq!((len("a").await, len("b").await), (Some(7), None));
    let large = vec![7; 300_000];
    this.put("a", &[&large, b"", &large]).await.unwrap();
    assert_eq!(this.get("a").await.unwrap(), [&large[..], &large].concat());
    this.put("empty", &[]).await.unwrap();
    assert_eq!(this.get("empty").await.unwrap(), b"");
    let spooled = std::fs::read_dir(this.dir.path().join("arriving")).unwrap().next().unwrap().unwrap();
    assert_eq!(std::fs::read_dir(spooled.path()).unwrap().count(), 0, "files go when they are stored");
}

#[tokio::test]
async fn the_result_of_an_action_is_there_only_with_what_it_names() {
    let this = Values::new();
    let file = FUNCTION.digest(b"out");
    let named = crate::grpc::wire::to_wire(&file);
    let output = reapi::OutputFile { path: "a".to_owned(), digest: Some(named), ..Default::default() };
    let result = reapi::ActionResult { output_files: vec![output], ..Default::default() };
    let bytes = result.encode_to_vec();
    let refused = this.put("ac/x", &[&bytes]).await;
    assert!(matches!(refused, Err(StoreError::NotFound { digest }) if digest == file), "{refused:?}");
    this.blobs.put(&file, Bytes::from_static(b"out").into()).await.unwrap();
    this.put("ac/x", &[&bytes]).await.unwrap();
    assert_eq!(this.get("ac/x").await.unwrap(), bytes);
    let kept = this.actions.get(&action("ac/x")).await.unwrap().unwrap();
    assert!(kept.digests().any(|digest| digest == file), "it lives as long as its name does");
}

#[tokio::test]
async fn no_more_arrive_than_may() {
    let this = Values::new();
    let held: Vec<Gathering> = std::iter::from_fn(|| this.values.gather()).take(1000).collect();
    assert_eq!(held.len(), ARRIVING);
    drop(held);
    assert!(this.values.gather().is_some());
}
