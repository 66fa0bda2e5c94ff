//! The files of a project: which place in a bundle they have, and back.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use cullet_bundle::Bundle;
use cullet_cache::{BlobStore as _, LocalCache, NoPeers, StoreError, Tiers, TiersOptions};
use cullet_coordinator::resolve::describe;
use cullet_digest::{Digest, Directory};
use tokio::runtime::Handle;

use super::unusable;
use crate::config::Config;
use crate::error::CliError;
use crate::runtime;
use crate::shared_store;
use crate::ui::clean;

/// A pipeline file and its sources, relative to a directory that has all of them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Places {
    /// Of the pipeline file.
    pub(super) file: String,
    /// Of each source; empty for the project itself.
    pub(super) sources: Vec<String>,
}

/// Finds the directory that has all of them. `file` is where the pipeline file is, and sources are relative to it.
pub(super) fn places(file: &Path, sources: &[(String, String)]) -> Result<Places, CliError> {
    let absolute = std::path::absolute(file)
        .map_err(|error| CliError::usage(format!("cannot find {}", file.display())).because(error))?;
    let base = absolute.parent().map(Path::to_owned).unwrap_or_default();
    let mut dirs = Vec::new();
    for (name, path) in sources {
        if Path::new(path).is_absolute() {
            let (name, path) = (clean::line(name), clean::line(path));
            return Err(CliError::usage(format!(
                "source '{name}' is at the absolute path {path}, which other machines need not have"
            ))
            .hint("make it relative to the pipeline file"));
        }
        dirs.push(lexical(&base.join(path)));
    }
    let base = lexical(&base);
    let mut root = base.clone();
    while !dirs.iter().all(|dir| dir.starts_with(&root)) && root.pop() {}
    let below = |path: &Path| {
        let relative = path.strip_prefix(&root).unwrap_or(path);
        relative.to_str().map(str::to_owned).ok_or_else(|| {
            CliError::usage(format!("the path {} is not UTF-8, which a bundle needs", path.display()))
        })
    };
    let file = below(&base.join(absolute.file_name().unwrap_or_default()))?;
    Ok(Places { file, sources: dirs.iter().map(|dir| below(dir)).collect::<Result<_, _>>()? })
}

/// The source that a file lies in.
pub(super) fn source_with<'a>(path: &Path, file: &Path, sources: &'a [(String, String)]) -> Option<&'a str> {
    let absolute = |path: &Path| std::path::absolute(path).map(|path| lexical(&path)).ok();
    let (path, file) = (absolute(path)?, absolute(file)?);
    let base = file.parent()?;
    let lies_in = |source: &str| path.starts_with(lexical(&base.join(source)));
    sources.iter().find(|(_, source)| lies_in(source)).map(|(name, _)| &**name)
}

/// Without `.` and `..`.
fn lexical(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(clean.pop()),
            Component::CurDir => {}
            part => clean.push(part),
        }
    }
    clean
}

/// A project on this machine.
#[derive(Debug)]
pub(super) struct Project {
    /// The pipeline file.
    pub(super) file: PathBuf,
}

/// Writes the files of a bundle's project below `dir`, in place of what is there.
pub(super) fn unpack(bundle: &Arc<Bundle>, config: &Config, dir: &Path) -> Result<Project, CliError> {
    let contents = bundle.contents();
    let failed = |error: &dyn std::error::Error| {
        CliError::infra(format!("cannot write the project of the bundle into {}", dir.display()))
            .because(describe(error))
    };
    if fs::symlink_metadata(dir).is_ok() {
        fs::remove_dir_all(dir).map_err(|error| failed(&error))?;
    }
    fs::create_dir_all(dir).map_err(|error| failed(&error))?;
    let cache = cullet_cache::open(&config.cache_options())?;
    let runtime = runtime::of_threads(3)?;
    let written: Result<(), CliError> = runtime.block_on(async {
        let unpacking = Unpacking::of(bundle, config, &cache).map_err(|error| failed(&error))?;
        // While files are copied from the cache, nobody evicts them.
        let live = cache.live_run().map_err(|error| failed(&error))?;
        for tree in contents.sources.iter().filter(|tree| tree.included) {
            let root = tree.digest().ok_or_else(|| nonsense(bundle, &tree.path))?;
            let at = make(dir, &tree.path).map_err(|problem| problem.told(bundle, &failed))?;
            unpacking.tree(root, &at).await.map_err(|problem| problem.told(bundle, &failed))?;
        }
        drop(live);
        Ok(())
    });
    runtime.shutdown_background();
    written?;
    for file in &contents.files {
        let bytes = bundle.file(file).map_err(unusable)?;
        let (above, name) = file.path.rsplit_once('/').unwrap_or(("", &file.path));
        let at = make(dir, above).map_err(|problem| problem.told(bundle, &failed))?;
        let at = segment(&at, name).ok_or_else(|| nonsense(bundle, &file.path))?;
        // A source may have it too.
        if fs::symlink_metadata(&at).is_ok() {
            fs::remove_file(&at).map_err(|error| failed(&error))?;
        }
        fs::write(&at, bytes).map_err(|error| failed(&error))?;
    }
    if !contents.files.iter().any(|file| file.path == contents.file) {
        return Err(nonsense(bundle, &contents.file));
    }
    Ok(Project { file: dir.join(&contents.file) })
}

/// A path in a bundle that leads out of it, or is none.
fn nonsense(bundle: &Bundle, path: &str) -> CliError {
    let (bundle, path) = (bundle.path().display(), clean::line(path));
    CliError::usage(format!("{bundle}: the contents have a path or a digest that makes no sense: '{path}'"))
        .hint("get it again from where it was made")
}

/// What keeps a file from being written.
enum Problem {
    Path(String),
    Io(std::io::Error),
    Store(StoreError),
}

impl Problem {
    fn told(self, bundle: &Bundle, failed: &dyn Fn(&dyn std::error::Error) -> CliError) -> CliError {
        match self {
            Self::Path(path) => nonsense(bundle, &path),
            Self::Io(error) => failed(&error),
            Self::Store(error) => failed(&error),
        }
    }
}

/// The place of a name in a directory; none for what is no name.
fn segment(dir: &Path, name: &str) -> Option<PathBuf> {
    (!matches!(name, "" | "." | "..") && !name.contains(['/', '\0'])).then(|| dir.join(name))
}

/// The directory at a path, made if it is not there. Symbolic links, which a source may have, are never followed.
fn make(dir: &Path, path: &str) -> Result<PathBuf, Problem> {
    let mut at = dir.to_owned();
    for name in path.split('/').filter(|_| !path.is_empty()) {
        at = segment(&at, name).ok_or_else(|| Problem::Path(path.to_owned()))?;
        match fs::symlink_metadata(&at) {
            Ok(there) if there.is_dir() => {}
            Ok(_) => return Err(Problem::Path(path.to_owned())),
            Err(_) => fs::create_dir(&at).map_err(Problem::Io)?,
        }
    }
    Ok(at)
}

/// Writes trees of a bundle, by way of the cache.
struct Unpacking {
    tiers: Tiers,
    cache: LocalCache,
}

impl Unpacking {
    fn of(bundle: &Arc<Bundle>, config: &Config, cache: &LocalCache) -> Result<Self, StoreError> {
        let shared = shared_store::of_bundle(bundle, &config.cache_dir)?.objects;
        let (disk, cache) = (cache.disk.clone(), cache.clone());
        let options = TiersOptions::default();
        let tiers = Tiers::new(disk, Arc::new(NoPeers), shared, &options, Handle::current())?;
        Ok(Self { tiers, cache })
    }

    /// Sources may lie in each other: what is there already stays.
    async fn tree(&self, root: Digest, at: &Path) -> Result<(), Problem> {
        self.tiers.fetch_tree(&root).await.map_err(Problem::Store)?;
        let mut open = vec![(root, at.to_owned())];
        while let Some((digest, dir)) = open.pop() {
            let bytes = self.tiers.get(&digest).await.map_err(Problem::Store)?;
            let bytes = bytes.into_bytes().map_err(Problem::Io)?;
            let directory = Directory::decode(digest.function(), &bytes)
                .map_err(|_| Problem::Store(StoreError::NotFound { digest }))?;
            let is_free = |path: &Path| fs::symlink_metadata(path).is_err();
            for link in directory.symlinks() {
                let path = dir.join(&*link.name);
                if is_free(&path) {
                    symlink(&*link.target, path).map_err(Problem::Io)?;
                }
            }
            for file in directory.files() {
                let path = dir.join(&*file.name);
                let mode = if file.executable { 0o777 } else { 0o666 };
                if is_free(&path) {
                    self.cache.disk.copy_to(&file.digest, &path, mode).map_err(Problem::Store)?;
                }
            }
            for below in directory.directories() {
                open.push((below.digest, make(&dir, &below.name)?));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(file: &str, sources: &[&str]) -> Places {
        let sources: Vec<_> = sources.iter().map(|path| ("s".to_owned(), (*path).to_owned())).collect();
        places(Path::new(file), &sources).unwrap()
    }

    fn expected(file: &str, sources: &[&str]) -> Places {
        Places { file: file.to_owned(), sources: sources.iter().map(|&path| path.to_owned()).collect() }
    }

    #[test]
    fn everything_has_a_place_below_what_has_all_of_it() {
        assert_eq!(of("/p/cullet.yaml", &[".", "src"]), expected("cullet.yaml", &["", "src"]));
        assert_eq!(of("/p/ci/x.yaml", &["..", "../lib/./a"]), expected("ci/x.yaml", &["", "lib/a"]));
        assert_eq!(of("/p/ci/x.yaml", &["../../q"]), expected("p/ci/x.yaml", &["q"]));
        assert_eq!(of("/p/x.yaml", &[]), expected("x.yaml", &[]));
        let absolute = [("s".to_owned(), "/etc".to_owned())];
        let refused = places(Path::new("/p/x.yaml"), &absolute).unwrap_err().to_string();
        assert!(refused.contains("source 's' is at the absolute path /etc"), "{refused}");
    }

    #[test]
    fn a_bundle_in_a_source_is_found() {
        let sources = [("lib".to_owned(), "../lib".to_owned()), ("all".to_owned(), ".".to_owned())];
        let of = |path: &str| source_with(Path::new(path), Path::new("/p/cullet.yaml"), &sources);
        assert_eq!(
            (of("/p/out/a.bundle"), of("/lib/a"), of("/p2/a"), of("/q/../p/a")),
            (Some("all"), Some("lib"), None, Some("all"))
        );
    }

    #[test]
    fn no_path_leads_out() {
        let dir = tempfile::tempdir().unwrap();
        symlink("/", dir.path().join("link")).unwrap();
        for path in ["..", "a/../..", "/etc", "a//b", "link", "link/etc", "a/.", "a\0b"] {
            assert!(matches!(make(dir.path(), path), Err(Problem::Path(_))), "{path:?}");
        }
        assert_eq!(make(dir.path(), "").ok().as_deref(), Some(dir.path()));
        assert!(make(dir.path(), "x/y").is_ok_and(|made| made.is_dir()));
    }
}
