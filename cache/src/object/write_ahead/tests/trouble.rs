//! Full disks, bounds, and bytes that are not what they were.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use rustix::mount::{MountFlags, UnmountFlags};

use super::*;
use crate::Discard as _;

#[tokio::test]
async fn what_is_too_much_for_logs_becomes_files() {
    let blobs = blobs([400, 500, 600]);
    let none = Limits { queue: 0, ..held() };
    for (limits, logged) in [
        (none, 0),
        (Limits { bytes: 0, ..held() }, 0),
        (Limits { bytes: 1100, ..held() }, 2),
        (Limits { records: 1, ..held() }, 1),
    ] {
        let dir = directory();
        let store = writer(dir.path(), limits);
        for blob in &blobs {
            store.put_small(vec![blob.clone()]).await.unwrap();
        }
        all_there(&store, &blobs).await;
        let files = blobs.iter().filter(|(digest, _)| file(dir.path(), digest).exists()).count();
        assert_eq!(files, 3 - logged);
        assert_eq!(own(&store).lock().unsettled.records, logged);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_fit_waits_until_files_were_made_of_the_rest() {
    let dir = directory();
    let limits = Limits { records: 64, log: 8 << 10, patience: Duration::from_secs(60), ..eager() };
    let store = writer(dir.path(), limits);
    let all = blobs((0..400).map(|number| 500 + number));
    let puts = all.chunks(8).map(|few| {
        let (store, few) = (store.clone(), few.to_vec());
        tokio::spawn(async move {
            let most = own(&store).lock().unsettled.records;
            store.put_small(few).await.unwrap();
            most
        })
    });
    for put in puts.collect::<Vec<_>>() {
        assert!(put.await.unwrap() <= 64);
    }
    all_there(&store, &all).await;
    assert!(own(&store).lock().unsettled.records <= 64);
    drop(store);
    all_there(&plain(dir.path()), &all).await;
    assert_eq!(std::fs::read_dir(dir.path().join("wal")).unwrap().count(), 0);
}

#[tokio::test]
async fn where_no_log_can_be_begun_blobs_become_files() {
    let dir = directory();
    let store = writer(dir.path(), held());
    std::fs::write(dir.path().join("wal"), "in the way").unwrap();
    let blobs = blobs([400, 500]);
    store.put_small(blobs.clone()).await.unwrap();
    assert!(blobs.iter().all(|(digest, _)| file(dir.path(), digest).exists()));
    assert_eq!(own(&store).lock().unsettled.records, 0);
    let refused = std::io::Error::from(rustix::io::Errno::NOLCK);
    assert!(log::has_no_locks(&refused) && !log::has_no_locks(&std::io::Error::other("else")));
}

#[tokio::test]
async fn a_log_that_somebody_removed_gets_no_more() {
    let dir = directory();
    let store = writer(dir.path(), held());
    let blobs = blobs([400, 500, 600]);
    store.put_small(blobs[..1].to_vec()).await.unwrap();
    std::fs::remove_file(&logs(dir.path())[0]).unwrap();
    assert!(store.put_small(blobs[1..2].to_vec()).await.is_err());
    store.put_small(blobs[1..].to_vec()).await.unwrap();
    all_there(&store, &blobs).await;
    drop(store);
    all_there(&reader(dir.path()), &blobs).await;
}

#[tokio::test]
async fn a_damaged_record_is_missing_and_can_be_stored_again() {
    let dir = directory();
    let (one, other) = (writer(dir.path(), held()), plain(dir.path()));
    let blobs = blobs([400, 500]);
    one.put_small(blobs.clone()).await.unwrap();
    all_there(&other, &blobs).await;
    let log = File::options().write(true).open(&logs(dir.path())[0]).unwrap();
    log.write_all_at(b"?", record::HEADER as u64 + 7).unwrap();
    let (digest, bytes) = blobs[0].clone();
    for store in [&one, &other] {
        let (discarding, of) = (store.clone(), digest);
        let discard = move || discarding.discard(&of);
        tokio::task::spawn_blocking(discard).await.unwrap().unwrap();
        assert_eq!(store.find_missing(&digests(&blobs)).await.unwrap(), [digest]);
        assert!(matches!(store.get(&digest).await, Err(StoreError::NotFound { .. })));
    }
    one.put(&digest, bytes.into()).await.unwrap();
    for store in [&one, &other] {
        all_there(store, &blobs).await;
    }
    drop(one);
    all_there(&reader(dir.path()), &blobs).await;
}

#[tokio::test]
async fn of_a_file_and_a_record_what_is_damaged_goes_and_the_other_stays() {
    let dir = directory();
    let store = writer(dir.path(), held());
    let blobs = blobs([400]);
    let (digest, bytes) = &blobs[0];
    store.put_small(blobs.clone()).await.unwrap();
    let path = file(dir.path(), digest);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, vec![0; bytes.len()]).unwrap();
    let (discarding, of) = (store.clone(), *digest);
    tokio::task::spawn_blocking(move || discarding.discard(&of)).await.unwrap().unwrap();
    assert!(!path.exists());
    all_there(&store, &blobs).await;
}

/// A small filesystem; none where nobody may mount one.
fn small_filesystem() -> Option<(TempDir, PathBuf)> {
    let dir = directory();
    let mounted = dir.path().join("shared");
    std::fs::create_dir(&mounted).unwrap();
    let flags = MountFlags::NOSUID;
    rustix::mount::mount("tmpfs", &mounted, "tmpfs", flags, Some(c"size=2m")).ok()?;
    Some((dir, mounted))
}

#[tokio::test]
async fn on_a_full_disk_nothing_is_acknowledged_that_is_not_there_and_nothing_is_lost() {
    let Some((dir, mounted)) = small_filesystem() else { return };
    let store = writer(&mounted, Limits { log: 256 << 10, ..eager() });
    let (mut kept, mut refused) = (Vec::new(), 0);
    for few in blobs((0..120).map(|number| 30_000 + number)).chunks(2) {
        match store.put_small(few.to_vec()).await {
            Ok(()) => kept.extend_from_slice(few),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 0 && kept.len() > 20, "{refused} {}", kept.len());
    all_there(&store, &kept).await;
    all_there(&reader(&mounted), &kept).await;
    drop(store);
    all_there(&reader(&mounted), &kept).await;
    // With space again, files are made of all.
    let more = rustix::mount::mount_remount(&mounted, MountFlags::NOSUID, c"size=16m");
    more.unwrap();
    let store = writer(&mounted, eager());
    eventually("the logs go", || logs(&mounted).is_empty()).await;
    all_there(&store, &kept).await;
    assert!(kept.iter().all(|(digest, _)| file(&mounted, digest).exists()));
    drop(store);
    rustix::mount::unmount(&mounted, UnmountFlags::DETACH).unwrap();
    drop(dir);
}

#[tokio::test]
async fn a_log_of_which_no_files_can_be_made_stays_and_is_tried_again() {
    let dir = directory();
    let in_the_way = dir.path().join("cas");
    let store = writer(dir.path(), eager());
    std::fs::write(&in_the_way, "in the way").unwrap();
    let blobs = blobs([400, 500]);
    // Nobody looks whether they are there.
    store.put_small(blobs.clone()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(logs(dir.path()).len(), 1);
    assert_eq!(own(&store).lock().unsettled.records, 2);
    std::fs::remove_file(&in_the_way).unwrap();
    eventually("the log goes", || logs(dir.path()).is_empty()).await;
    all_there(&store, &blobs).await;
}

#[tokio::test]
async fn a_log_in_trouble_holds_up_no_other_one() {
    let dir = directory();
    let store = writer(dir.path(), eager());
    let blobs = blobs([400, 500, 600]);
    // A directory where the file of a blob has to be.
    std::fs::create_dir_all(file(dir.path(), &blobs[0].0)).unwrap();
    for blob in &blobs {
        store.put_small(vec![blob.clone()]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let is_file = |index: usize| file(dir.path(), &blobs[index].0).is_file();
    eventually("the others become files", || is_file(1) && is_file(2)).await;
    assert_eq!(store.find_missing(&digests(&blobs)).await.unwrap(), []);
    std::fs::remove_dir(file(dir.path(), &blobs[0].0)).unwrap();
    eventually("the log goes", || logs(dir.path()).is_empty()).await;
    all_there(&store, &blobs).await;
}
