//! What processes leave that are killed, and machines that lose power.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::time::SystemTime;

use super::*;

/// Blobs that are in a log of a process that was killed.
async fn left(dir: &Path, blobs: &[(Digest, Bytes)]) -> PathBuf {
    let store = writer(dir, held());
    store.put_small(blobs.to_vec()).await.unwrap();
    own(&store).abandon();
    logs(dir).pop().unwrap()
}

#[tokio::test]
async fn whoever_misses_something_makes_files_of_what_a_dead_process_left() {
    let dir = directory();
    let blobs = blobs([10, 20, 3000]);
    let log = left(dir.path(), &blobs).await;
    all_there(&reader(dir.path()), &blobs).await;
    assert!(log.exists(), "who writes nothing leaves it");
    let store = plain(dir.path());
    all_there(&store, &blobs).await;
    eventually("the log goes", || logs(dir.path()).is_empty()).await;
    assert!(blobs.iter().all(|(digest, _)| file(dir.path(), digest).exists()));
    all_there(&store, &blobs).await;
}

#[tokio::test]
async fn a_store_that_writes_ahead_looks_for_dead_processes_when_it_is_opened() {
    let dir = directory();
    let blobs = blobs(1..100);
    left(dir.path(), &blobs).await;
    let store = writer(dir.path(), held());
    eventually("the log goes", || logs(dir.path()).is_empty()).await;
    all_there(&store, &blobs).await;
}

#[tokio::test]
async fn the_log_of_a_living_process_is_left_alone() {
    let dir = directory();
    let living = writer(dir.path(), held());
    let blobs = blobs([10, 20]);
    living.put_small(blobs.clone()).await.unwrap();
    for store in [plain(dir.path()), writer(dir.path(), eager())] {
        all_there(&store, &blobs).await;
        assert!(store.get(&DigestFunction::Blake3.digest(b"none")).await.is_err());
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(logs(dir.path()).len(), 1);
    assert!(!file(dir.path(), &blobs[0].0).exists());
}

#[tokio::test]
async fn files_that_a_power_cut_left_without_their_bytes_get_them() {
    let dir = directory();
    let blobs = blobs([100, 200, 300, 400]);
    left(dir.path(), &blobs).await;
    // Zeros, a part, nothing, and one that is as it has to be.
    for ((digest, bytes), found) in blobs.iter().zip([&[0; 100][..], &[0; 50], b"", &blobs[3].1]) {
        assert!(found.len() <= bytes.len());
        let path = file(dir.path(), digest);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, found).unwrap();
    }
    let inode = |digest: &Digest| std::fs::metadata(file(dir.path(), digest)).unwrap().ino();
    let right = inode(&blobs[3].0);
    let store = writer(dir.path(), held());
    eventually("the log goes", || logs(dir.path()).is_empty()).await;
    all_there(&store, &blobs).await;
    assert_eq!(inode(&blobs[3].0), right, "what is right stays");
    let files = |digest: &Digest| file(dir.path(), digest).parent().unwrap().read_dir().unwrap().count();
    assert!(blobs.iter().all(|(digest, _)| files(digest) == 1), "nothing half-made stays");
}

#[tokio::test]
async fn the_torn_end_of_a_log_is_no_blob_and_what_is_before_it_is_not_lost() {
    let whole = blobs([10, 20]);
    let torn = &blobs([500])[0];
    let header = record::header(&torn.0);
    let zeros = vec![0; 500];
    let tails: [&[&[u8]]; 5] =
        [&[&[0; 4096]], &[&header[..20]], &[&header], &[&header, &torn.1[..499]], &[&header, &zeros]];
    for (number, tail) in tails.into_iter().enumerate() {
        let dir = directory();
        let log = left(dir.path(), &whole).await;
        let mut file = File::options().append(true).open(&log).unwrap();
        tail.iter().for_each(|part| file.write_all(part).unwrap());
        let others = reader(dir.path());
        all_there(&others, &whole).await;
        // A record of other bytes is one that turns out to be damaged.
        let claims = if number == 4 { vec![] } else { vec![torn.0] };
        assert_eq!(others.find_missing(&[torn.0]).await.unwrap(), claims);
        let store = plain(dir.path());
        all_there(&store, &whole).await;
        eventually("the log goes", || logs(dir.path()).is_empty()).await;
        for store in [&store, &others] {
            all_there(store, &whole).await;
            assert_eq!(store.find_missing(&[torn.0]).await.unwrap(), [torn.0], "{number}");
        }
    }
}

#[tokio::test]
async fn who_reads_a_log_goes_on_where_it_ended() {
    let dir = directory();
    let both = blobs([10, 20]);
    let log = left(dir.path(), &both[..1]).await;
    // As long as this is there, it is that of a living process.
    let file = File::options().read(true).write(true).open(&log).unwrap();
    rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
    let store = plain(dir.path());
    let (digest, bytes) = &both[1];
    let record = [&record::header(digest)[..], bytes].concat();
    let start = file.metadata().unwrap().len();
    for part in [0, 1, record.len() / 2, record.len() - 1] {
        file.write_all_at(&record[..part], start).unwrap();
        assert_eq!(store.find_missing(&digests(&both)).await.unwrap(), [*digest], "{part}");
    }
    file.write_all_at(&record, start).unwrap();
    all_there(&store, &both).await;
    std::fs::remove_file(&log).unwrap();
    assert_eq!(store.find_missing(&digests(&both)).await.unwrap(), digests(&both));
    assert!(matches!(store.get(digest).await, Err(StoreError::NotFound { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_who_find_a_log_one_makes_the_files() {
    let dir = directory();
    let blobs = blobs(1..300);
    left(dir.path(), &blobs).await;
    let stores: Vec<ObjectBlobs> = (0..6).map(|_| writer(dir.path(), held())).collect();
    for store in &stores {
        assert_eq!(store.find_missing(&digests(&blobs)).await.unwrap(), []);
    }
    eventually("the log goes", || logs(dir.path()).is_empty()).await;
    for store in &stores {
        all_there(store, &blobs[290..]).await;
    }
}

#[tokio::test]
async fn what_never_became_a_log_goes_after_a_while() {
    let dir = directory();
    let wal = dir.path().join("wal");
    std::fs::create_dir(&wal).unwrap();
    let name = |number: u64, rest: &str| wal.join(format!("{number:016x}{rest}"));
    let (old, young, held, others) = (name(1, ".new"), name(2, ".new"), name(3, ".new"), name(4, ".txt"));
    let an_hour_ago = SystemTime::now() - Duration::from_secs(3600);
    let files = [&old, &young, &held, &others].map(|path| File::create_new(path).unwrap());
    [&files[0], &files[2], &files[3]].into_iter().for_each(|file| file.set_modified(an_hour_ago).unwrap());
    rustix::fs::flock(&files[2], rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
    for store in [reader(dir.path()), plain(dir.path())] {
        assert!(old.exists());
        assert!(store.get(&DigestFunction::Blake3.digest(b"none")).await.is_err());
    }
    assert!(!old.exists() && young.exists() && held.exists() && others.exists());
}
