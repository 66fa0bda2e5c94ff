//! Listing and removing in buckets of real servers.

use std::collections::BTreeSet;
use std::time::SystemTime;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use object_store::ObjectStoreExt as _;

use super::bucket::Real;
use super::*;
use crate::objects::{Collectable as _, Created, Kind, Listed, Seen};
use crate::{Area, ObjectName, Objects as _, RecordName};

fn result(number: u64, scope: Option<[u8; 8]>) -> RecordName {
    let about = DigestFunction::Blake3.digest(&number.to_le_bytes());
    RecordName { area: Area::Result, scope, about }
}

async fn listed(objects: &ObjectRecords, kind: Kind) -> (Vec<Listed>, usize) {
    let all: Vec<Seen> = objects.list(kind).try_collect().await.unwrap();
    let ours: Vec<Listed> = all
        .iter()
        .filter_map(|seen| if let Seen::Ours(listed) = seen { Some(*listed) } else { None })
        .collect();
    (ours.clone(), all.len() - ours.len())
}

fn names(listed: &[Listed]) -> BTreeSet<String> {
    listed.iter().map(|listed| listed.name.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_of_a_kind_is_listed_and_nothing_else() {
    for real in Real::all().await {
        for prefix in ["", "deep/er"] {
            let place = real.place(prefix);
            let objects = ObjectRecords::new(&place);
            assert_eq!(listed(&objects, Kind::Data).await, (vec![], 0));
            let mut results = Vec::new();
            // More than one page in the first scope.
            let many = if real.lists_more_than_a_page() { 1100 } else { 900 };
            results.extend((0..many).map(|number| result(number, None)));
            results.extend([result(1, Some([0; 8])), result(2, Some([0xff; 8]))]);
            let put = |name: RecordName| {
                let objects = objects.clone();
                async move { objects.put_record(&name, Bytes::from_static(b"result"), &[]).await.unwrap() }
            };
            let mut puts = stream::iter(results.clone().into_iter().map(put)).buffer_unordered(16);
            while puts.next().await.is_some() {}
            put(RecordName::new(Area::Tree, results[0].about)).await;
            let bytes = Bytes::from_static(b"data");
            let data = DigestFunction::Sha256.digest(&bytes);
            objects.put_data(&data, bytes).await.unwrap();
            let strange = object_store::path::Path::from(format!("{}ac/blake3/00/else", place.prefix()));
            place.objects.put(&strange, Bytes::from_static(b"?").into()).await.unwrap();

            let (found, strange) = listed(&objects, Kind::Records(Area::Result)).await;
            let all: Vec<ObjectName> = results.iter().copied().map(ObjectName::Record).collect();
            assert_eq!((names(&found).len(), strange), (all.len(), 1));
            assert_eq!(names(&found), all.iter().map(ToString::to_string).collect());
            let age = |listed: &Listed| SystemTime::now().duration_since(listed.modified).unwrap_or_default();
            assert!(found.iter().all(|one| one.size == 6 && age(one) < Duration::from_secs(120)));
            let (found, strange) = listed(&objects, Kind::Data).await;
            assert_eq!((found.len(), found[0].name, strange), (1, ObjectName::Data(data), 0));
            let there = objects.modified(&results[7]).await.unwrap();
            assert!(there.is_some() && objects.modified(&result(9999, None)).await.unwrap().is_none());

            // One that is not there is removed as well.
            let mut removed = all[5..].to_vec();
            removed.extend([ObjectName::Record(result(9999, None)), ObjectName::Data(data)]);
            let refuse = || Err(StoreError::remote("try", "here", "not allowed"));
            assert!(objects.remove_guarded(&removed, &refuse).await.is_err());
            assert!(objects.put_guarded(&results[0], Bytes::new(), &refuse).await.is_err());
            assert_eq!(listed(&objects, Kind::Records(Area::Result)).await.0.len(), all.len());
            objects.remove_guarded(&removed, &|| Ok(())).await.unwrap();
            let (left, strange) = listed(&objects, Kind::Records(Area::Result)).await;
            assert_eq!((names(&left).len(), strange), (5, 1));
            assert_eq!(listed(&objects, Kind::Data).await, (vec![], 0));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_created_once() {
    for real in Real::all().await {
        let objects = ObjectRecords::new(&real.place("created"));
        let name = RecordName::new(Area::Lock, result(1, None).about);
        for (bytes, created) in [("one", Created::Made), ("two", Created::Exists)] {
            assert_eq!(objects.create(&name, bytes.into()).await.unwrap(), created);
            assert_eq!(objects.record(&name).await.unwrap().unwrap(), "one");
        }
        objects.put_guarded(&name, Bytes::from_static(b"three"), &|| Ok(())).await.unwrap();
        assert_eq!(objects.record(&name).await.unwrap().unwrap(), "three");
    }
}
