//! The registry's own garbage collector.

use bytes::Bytes;

use crate::registry::{Real, run};
use crate::support::{name, open, start, store};

/// As an operator calls it. The registry need not be stopped, because it remembers nothing here.
fn collect(real: &Real) {
    let config = real.dir.path().join("config.yml");
    run("docker-registry", &["garbage-collect", "--delete-untagged", config.to_str().unwrap()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_records_need_stays_and_what_nobody_needs_goes() {
    for deletes in [true, false] {
        let Some(real) = start(deletes) else { return };
        let objects = &*open(&real.address, "team/cache");
        let (needed, dropped) = (store(objects, "needed").await, store(objects, "dropped").await);
        let unnamed = store(objects, "no record names it").await;
        let replaced = store(objects, "until the record was replaced").await;
        let long = Bytes::from(vec![7; 100_000]);
        objects.put_record(&name("kept"), long.clone(), &[needed, replaced]).await.unwrap();
        objects.put_record(&name("kept"), long.clone(), &[needed]).await.unwrap();
        objects.put_record(&name("dropped"), Bytes::new(), &[needed, dropped]).await.unwrap();
        collect(&real);
        for data in [&needed, &dropped] {
            assert!(objects.has_data(data).await.unwrap());
        }
        objects.remove_record(&name("dropped")).await.unwrap();
        collect(&real);
        assert_eq!(objects.record(&name("kept")).await.unwrap(), Some(long));
        assert_eq!(objects.data(&needed).await.unwrap(), "needed");
        for gone in [dropped, unnamed, replaced] {
            assert!(objects.data(&gone).await.is_err(), "{gone}");
        }
        assert!(!objects.has_record(&name("dropped")).await.unwrap());
        // What was collected can be stored again.
        assert_eq!(store(objects, "dropped").await, dropped);
        objects.put_record(&name("dropped"), Bytes::new(), &[dropped]).await.unwrap();
        collect(&real);
        assert_eq!(objects.data(&dropped).await.unwrap(), "dropped");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_needs_more_than_a_manifest_can_name_keeps_all_of_it() {
    for deletes in [true, false] {
        let Some(real) = start(deletes) else { return };
        let objects = &*open(&real.address, "team/cache");
        let mut needs = Vec::new();
        for number in 0..520 {
            needs.push(store(objects, &number.to_string()).await);
        }
        objects.put_record(&name("many"), "text".into(), &needs).await.unwrap();
        collect(&real);
        assert_eq!(objects.record(&name("many")).await.unwrap().unwrap(), "text");
        for needed in &needs {
            assert!(objects.has_data(needed).await.unwrap());
        }
        objects.remove_record(&name("many")).await.unwrap();
        assert!(!objects.has_record(&name("many")).await.unwrap());
        collect(&real);
        for needed in &needs {
            assert!(!objects.has_data(needed).await.unwrap(), "its parts are removed with it");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_collected_everything_can_be_written_to_by_whoever_wrote_before() {
    let Some(real) = start(true) else { return };
    let objects = &*open(&real.address, "team/cache");
    objects.put_record(&name("a"), "first".into(), &[]).await.unwrap();
    objects.remove_record(&name("a")).await.unwrap();
    collect(&real);
    objects.put_record(&name("a"), "second".into(), &[]).await.unwrap();
    assert_eq!(objects.record(&name("a")).await.unwrap().unwrap(), "second");
}
