//! What earlier runs found, over storage that counts what is asked of it.

use super::tests::{execute, machine_in};
use super::*;
use crate::packed::tests::storage::Storage;

/// A machine that has nothing yet, and runs a pipeline.
fn machine(storage: &Arc<Storage>, access: Access) -> tests::Machine {
    machine_at(tempfile::tempdir().unwrap(), storage, access)
}

/// The same with what is in a directory.
fn machine_at(dir: tempfile::TempDir, storage: &Arc<Storage>, access: Access) -> tests::Machine {
    let shared = SharedCache::over(storage.clone(), &crate::ObjectOptions::new(dir.path().join("spool")));
    let machine = machine_in(dir, shared, access);
    machine.backing.recall("app", &Handle::current());
    machine
}

async fn settle(machine: &tests::Machine) {
    let settled = machine.backing.settle(Duration::from_secs(10)).await;
    assert_eq!((settled.left, settled.gone), (0, 0));
}

#[tokio::test]
async fn a_chain_of_steps_is_answered_by_what_the_last_run_found() {
    let storage = Storage::new();
    let writer = machine(&storage, Access::Write);
    let mut found = Vec::new();
    for number in 0..20 {
        found.push(execute(&writer, &number.to_string()).await);
    }
    settle(&writer).await;
    storage.take_counts();
    let reader = machine(&storage, Access::Read);
    let actions = reader.backing.actions();
    for (at, (action, result)) in found.iter().enumerate() {
        assert_eq!(actions.get(action).await.unwrap().as_ref(), Some(result));
        if at == 0 {
            // Those that come after are checked meanwhile.
            tokio::time::sleep(Duration::from_millis(100)).await;
            let (requests, _) = storage.take_counts();
            assert!(requests <= 1 + 20 * 3, "{requests}");
        }
    }
    assert_eq!(storage.take_counts().0, 0, "nothing is asked for twice");
    assert!(found.iter().all(|(action, _)| reader.backing.gave(action)));
    assert_eq!(actions.get(&found[0].0).await.unwrap().as_ref(), Some(&found[0].1));
}

#[tokio::test]
async fn a_recalled_result_that_is_not_whole_is_none_and_a_new_one_is_kept_beside_the_others() {
    let storage = Storage::new();
    let writer = machine(&storage, Access::Write);
    let (old, _) = execute(&writer, "old").await;
    let (lost, result) = execute(&writer, "lost").await;
    settle(&writer).await;
    let trees = storage.names(crate::Area::Tree);
    let root = result.directories().next().unwrap();
    let name = trees.into_iter().find(|name| name.about == root).unwrap();
    crate::Objects::remove_record(&*storage, &name).await.unwrap();

    let other = machine(&storage, Access::Write);
    assert!(other.backing.actions().get(&old).await.unwrap().is_some());
    assert!(other.backing.actions().get(&lost).await.unwrap().is_none());
    assert!(other.backing.missing_of(&lost).is_some());
    let (new, _) = execute(&other, "new").await;
    settle(&other).await;

    let reader = machine(&storage, Access::Read);
    storage.take_counts();
    for action in [new, old] {
        assert!(reader.backing.actions().get(&action).await.unwrap().is_some());
    }
    assert!(storage.take_counts().0 <= 10);
    // Who only reads keeps nothing, and who found nothing new neither.
    settle(&reader).await;
    let again = machine(&storage, Access::Write);
    assert!(again.backing.actions().get(&new).await.unwrap().is_some());
    settle(&again).await;
    assert_eq!(storage.take_counts().1, 0);
}

#[tokio::test]
async fn what_the_store_has_lost_is_published_again_by_who_has_it() {
    let storage = Storage::new();
    let writer = machine(&storage, Access::Write);
    let mut found = Vec::new();
    for number in 0..100 {
        found.push(execute(&writer, &number.to_string()).await);
    }
    settle(&writer).await;
    let dir = writer.into_dir();
    let again = |dir: tempfile::TempDir| async {
        let writer = machine_at(dir, &storage, Access::Write);
        for (action, _) in &found {
            assert!(writer.backing.actions().get(action).await.unwrap().is_some());
        }
        settle(&writer).await;
        writer.into_dir()
    };
    storage.take_counts();
    let dir = again(dir).await;
    let (requests, written) = storage.take_counts();
    assert!(requests < 50 && written == 0, "a run that has all of it asks for some: {requests}, {written}");
    for name in storage.names(crate::Area::Tree) {
        crate::Objects::remove_record(&*storage, &name).await.unwrap();
    }
    again(dir).await;
    let reader = machine(&storage, Access::Read);
    for (action, result) in &found {
        assert_eq!(reader.backing.actions().get(action).await.unwrap().as_ref(), Some(result));
    }
}

#[tokio::test]
async fn what_earlier_runs_found_stays_when_it_cannot_be_read_at_first() {
    let storage = Storage::new();
    let writer = machine(&storage, Access::Write);
    let (old, _) = execute(&writer, "old").await;
    settle(&writer).await;

    storage.refuse_a_run();
    let other = machine(&storage, Access::Write);
    assert!(other.backing.actions().get(&old).await.unwrap().is_some(), "it is asked for by itself");
    let (new, _) = execute(&other, "new").await;
    settle(&other).await;

    let spool = tempfile::tempdir().unwrap();
    let shared = SharedCache::over(storage, &crate::ObjectOptions::new(spool.path())).unwrap();
    let kept = shared.runs.unwrap().recall("app").await.unwrap();
    let kept: Vec<_> = kept.into_iter().map(|line| line.action).collect();
    assert!(kept.contains(&old) && kept.contains(&new), "{kept:?}");
}

#[tokio::test]
async fn what_was_taken_away_is_not_recalled_and_all_else_is() {
    let storage = Storage::new();
    let writer = machine(&storage, Access::Write);
    let ((gone, _), (there, _)) = (execute(&writer, "gone").await, execute(&writer, "there").await);
    settle(&writer).await;
    let spool = tempfile::tempdir().unwrap();
    let options = crate::ObjectOptions::new(spool.path());
    let shared = SharedCache::over(storage.clone(), &options).unwrap();
    let runs = shared.runs.clone().unwrap();
    shared.only(&crate::Scope::Protected).remove(&gone).await.unwrap();
    let reader = machine(&storage, Access::Read);
    assert!(reader.backing.actions().get(&gone).await.unwrap().is_some(), "the list alone would do");
    for pipeline in ["other", "app"] {
        runs.forget(pipeline, &gone).await.unwrap();
    }
    let reader = machine(&storage, Access::Read);
    assert!(reader.backing.actions().get(&gone).await.unwrap().is_none());
    assert!(reader.backing.actions().get(&there).await.unwrap().is_some());
}

#[tokio::test]
async fn what_earlier_runs_found_is_not_held_by_one_that_does_not_need_it() {
    const STEPS: u64 = 20;
    let storage = Storage::new();
    let writer = machine(&storage, Access::Write);
    let mut files = Vec::new();
    let mut actions = Vec::new();
    for number in 0..STEPS {
        let (action, result) = execute(&writer, &number.to_string()).await;
        files.push(tests::file_of(&result));
        actions.push(action);
    }
    settle(&writer).await;
    // Another process, in a cache that is full.
    let dir = writer.into_dir();
    let full = crate::OpenOptions { bound: STEPS * 4 * 4096, ..crate::OpenOptions::new(dir.path()) };
    let spool = tempfile::tempdir().unwrap();
    let shared = SharedCache::over(storage.clone(), &crate::ObjectOptions::new(spool.path()));
    let machine = tests::machine_of(dir, &full, shared, Access::Read);
    let _live = machine.cache.live_run().unwrap();
    machine.cache.all_actions.remove(&actions[7]).await.unwrap();
    machine.backing.recall("app", &Handle::current());
    assert!(machine.backing.actions().get(&actions[7]).await.unwrap().is_some());
    // The others are looked at meanwhile.
    tokio::time::sleep(Duration::from_millis(200)).await;
    machine.cache.gc(0).unwrap();
    let kept = files.iter().map(|file| machine.cache.disk.has(file).unwrap());
    let kept: Vec<usize> = kept.enumerate().filter(|(_, kept)| *kept).map(|(number, _)| number).collect();
    assert_eq!(kept, [7]);
}

#[tokio::test]
async fn what_is_whole_here_asks_nobody() {
    let storage = Storage::new();
    let writer = machine(&storage, Access::Write);
    let (action, _) = execute(&writer, "step").await;
    settle(&writer).await;
    storage.take_counts();
    assert!(writer.backing.actions().get(&action).await.unwrap().is_some());
    assert_eq!(storage.take_counts(), (0, 0));
}

#[tokio::test]
async fn what_was_here_before_anybody_published_is_published_when_a_run_uses_it() {
    let storage = Storage::new();
    let dir = tempfile::tempdir().unwrap();
    let spool = tempfile::tempdir().unwrap();
    let shared = || SharedCache::over(storage.clone(), &crate::ObjectOptions::new(spool.path()));
    let before = machine_in(dir, shared(), Access::Read);
    let (action, result) = execute(&before, "step").await;
    let writer = machine_in(before.into_dir(), shared(), Access::Write);
    writer.backing.recall("app", &Handle::current());
    assert!(writer.backing.actions().get(&action).await.unwrap().is_some());
    settle(&writer).await;
    let reader = machine(&storage, Access::Read);
    assert_eq!(reader.backing.actions().get(&action).await.unwrap(), Some(result));
}
