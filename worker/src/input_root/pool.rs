//! Input roots that attempts of this process share.

use std::collections::HashMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cullet_digest::Digest;
use tokio::sync::OnceCell;

use super::error::InputError;
use crate::attempt::{Session, remove_tree, report};

/// How many input roots are kept although nobody uses them. Steps of a fan, and a step that is tried again,
/// often have equal inputs; beyond a few, keeping more only holds on to inodes.
const MAX_IDLE: usize = 8;

/// Input roots by digest: each is made once, however many attempts ask for it at the same time.
#[derive(Debug)]
pub(crate) struct InputRoots {
    session: Arc<Session>,
    slots: Mutex<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    by_digest: HashMap<Digest, Slot>,
    clock: u64,
}

#[derive(Debug, Default)]
struct Slot {
    made: Arc<OnceCell<PathBuf>>,
    users: usize,
    last_used: u64,
}

/// An input root that stays where it is until this is dropped.
#[derive(Debug)]
pub(crate) struct InputRoot {
    path: PathBuf,
    _user: User,
}

/// One user of a slot.
#[derive(Debug)]
struct User {
    pool: Arc<InputRoots>,
    digest: Digest,
}

impl InputRoots {
    pub(crate) fn new(session: Arc<Session>) -> Arc<Self> {
        Arc::new(Self { session, slots: Mutex::default() })
    }

    /// The input root of that digest, made by `build` at the path it is given unless it is there already.
    pub(crate) async fn get<F>(
        self: &Arc<Self>,
        digest: &Digest,
        build: impl FnOnce(PathBuf) -> F,
    ) -> Result<InputRoot, InputError>
    where
        F: Future<Output = Result<(), InputError>>,
    {
        let made = self.use_slot(digest);
        let user = User { pool: Arc::clone(self), digest: *digest };
        let path = made.get_or_try_init(|| async {
            let path = self.session.input_root_path();
            match build(path.clone()).await {
                Ok(()) => Ok(path),
                Err(error) => {
                    report(&path, remove_tree(&path));
                    Err(error)
                }
            }
        });
        Ok(InputRoot { path: path.await?.clone(), _user: user })
    }

    fn use_slot(&self, digest: &Digest) -> Arc<OnceCell<PathBuf>> {
        let mut slots = self.lock();
        let slot = slots.by_digest.entry(*digest).or_default();
        slot.users += 1;
        Arc::clone(&slot.made)
    }

    fn lock(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slots {
    /// Ends one use, and returns what is to be removed for that.
    fn release(&mut self, digest: &Digest) -> Option<PathBuf> {
        self.clock += 1;
        let slot = self.by_digest.get_mut(digest)?;
        slot.users -= 1;
        slot.last_used = self.clock;
        if slot.users == 0 && !slot.made.initialized() {
            self.by_digest.remove(digest);
        }
        let idle = || self.by_digest.iter().filter(|(_, slot)| slot.users == 0);
        if idle().count() <= MAX_IDLE {
            return None;
        }
        let oldest = *idle().min_by_key(|(_, slot)| slot.last_used)?.0;
        self.by_digest.remove(&oldest)?.made.get().cloned()
    }
}

impl InputRoot {
    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let unused = self.pool.lock().release(&self.digest);
        let Some(path) = unused else { return };
        let session = Arc::clone(&self.pool.session);
        let remove = move || {
            report(&path, remove_tree(&path));
            drop(session);
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(remove)),
            Err(_) => remove(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cullet_digest::DigestFunction;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn pool(dir: &tempfile::TempDir) -> Arc<InputRoots> {
        InputRoots::new(Session::open(dir.path(), None).unwrap())
    }

    fn digest(number: usize) -> Digest {
        DigestFunction::Blake3.digest(number.to_string().as_bytes())
    }

    async fn make(path: PathBuf) -> Result<(), InputError> {
        std::fs::create_dir(path).unwrap();
        Ok(())
    }

    #[tokio::test]
    async fn equal_roots_are_made_once_and_shared() {
        let dir = tempfile::tempdir().unwrap();
        let (pool, built) = (pool(&dir), AtomicUsize::new(0));
        let build = |path| async {
            built.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            make(path).await
        };
        let first = digest(1);
        let (one, two) = tokio::join!(pool.get(&first, build), pool.get(&first, build));
        assert_eq!(one.unwrap().path(), two.unwrap().path());
        pool.get(&digest(1), build).await.unwrap();
        assert_eq!(built.load(Ordering::Relaxed), 1);
        pool.get(&digest(2), build).await.unwrap();
        assert_eq!(built.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn a_failure_is_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let pool = pool(&dir);
        let fail = |path: PathBuf| async move { Err(InputError::Changed(path)) };
        assert!(pool.get(&digest(1), fail).await.is_err());
        assert!(pool.lock().by_digest.is_empty());
        assert!(pool.get(&digest(1), make).await.is_ok());
    }

    #[tokio::test]
    async fn what_is_used_stays_and_the_longest_unused_goes() {
        let dir = tempfile::tempdir().unwrap();
        let pool = pool(&dir);
        let used = pool.get(&digest(0), make).await.unwrap();
        let mut paths = Vec::new();
        for number in 1..=MAX_IDLE + 3 {
            paths.push(pool.get(&digest(number), make).await.unwrap().path().to_owned());
        }
        assert_eq!(pool.lock().by_digest.len(), MAX_IDLE + 1);
        while paths[2].exists() {
            tokio::task::yield_now().await;
        }
        assert!(used.path().exists() && paths[3].exists());
        drop((used, pool));
        while std::fs::read_dir(dir.path()).unwrap().next().is_some() {
            tokio::task::yield_now().await;
        }
    }
}
