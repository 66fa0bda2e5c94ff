//! What a step changed of its root directory, while its container is still there.
//!
//! Engines tell it as a list of paths, from which the owners of directories are missing, and as the whole root, which is as
//! large as the image. What was really changed is in one directory of the engine's, that of the container's overlay: it is
//! shown to another container, which is never started, for the sake of the archive that the engine makes of it.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use bollard::models::ChangeType;
use bollard::query_parameters::DownloadFromContainerOptionsBuilder;
use futures_util::TryStreamExt as _;
use tar::{Archive, EntryType, Header};

use super::container::Container;
use super::spec::Spec;
use super::{Engine, EngineError};
use crate::sandbox::runner::setup;
use crate::{EngineUpper, ExecuteError, Launch, RootUpper};

/// The only way in which engines keep layers whose directories can be read: others are refused before the step runs.
const DRIVER: &str = "overlay2";
const UPPER: &str = "UpperDir";

/// What an engine puts into every container, beside what steps see in the sandbox as well.
const OF_THE_ENGINE: [&str; 5] =
    [".dockerenv", "dev", "etc/mtab", "sbin/docker-init", "usr/sbin/docker-init"];

/// The most bytes that are taken: what a layer may have, and the headers of as many entries as it may have.
const MOST_BYTES: u64 = 80 << 30;

const ACTION: &str = "give out what the step changed of its root";

/// A directory of an image: mode, user and group.
pub(super) type DirectoryOwner = (u32, u32, u32);

/// Why an engine cannot keep what steps change of their roots; none where it can.
pub(super) fn obstacle(driver: &str, maps_users: bool) -> Option<String> {
    if driver != DRIVER {
        return Some(format!(
            "the step continues into others or an image, and the Docker engine's storage driver is '{driver}': only {DRIVER} shows \
             what a step changed of its root"
        ));
    }
    maps_users.then(|| {
        "the step continues into others or an image, and the Docker engine gives its containers other users \
         (userns-remap): whose the files of its root are cannot be told"
            .to_owned()
    })
}

/// Takes what the step of this container, which has ended, changed of its root, into `dir`.
pub(super) async fn keep(
    container: &Container,
    launch: &Launch,
    image: &str,
    dir: &Path,
) -> Result<EngineUpper, ExecuteError> {
    let engine = &container.engine;
    let upper = upper_directory(container).await?;
    let changes = changes(container).await?;
    let mounted = mounted(launch);
    let beside = Container::create(engine, Spec::to_read(image, &engine.shared.process, &upper)).await?;
    let kept = async {
        let archive = dir.join("root-upper.tar");
        beside.save(Some(Spec::READ), archive.clone(), MOST_BYTES).await?;
        let names = archive.clone();
        let there = tokio::task::spawn_blocking(move || names_in(&names)).await;
        let there = there.map_err(io::Error::other).and_then(|there| there);
        let there = there.map_err(|error| setup("read what the engine has of the step's root", error))?;
        let lacks = changes.iter().any(|(path, is_there)| {
            *is_there && !there.contains(path) && !mounted.iter().any(|other| is_below(path, other))
        });
        let merged = if lacks {
            let merged = dir.join("root-merged.tar");
            container.save(None, merged.clone(), MOST_BYTES).await?;
            Some(merged)
        } else {
            None
        };
        let mut places = BTreeMap::new();
        for place in ancestors(&mounted).into_iter().filter(|place| there.contains(place.as_bytes())) {
            let owner = directory(engine, &beside, image, &place).await?;
            places.insert(place.into_bytes(), owner);
        }
        Ok::<_, ExecuteError>(EngineUpper { archive, merged, changes, places, mounted: mounted.clone() })
    };
    let kept = kept.await;
    beside.remove().await?;
    kept
}

async fn upper_directory(container: &Container) -> Result<PathBuf, EngineError> {
    let client = container.engine.client();
    let found = container.engine.ask(ACTION, client.inspect_container(&container.id, None)).await?;
    let driver = found.graph_driver.filter(|driver| driver.name == DRIVER);
    let upper = driver.and_then(|driver| driver.data.get(UPPER).map(PathBuf::from));
    upper.filter(|upper| upper.is_absolute()).ok_or_else(|| {
        container.engine.broke_off(ACTION, format!("it does not say where the container's {UPPER} is"))
    })
}

async fn changes(container: &Container) -> Result<BTreeMap<Vec<u8>, bool>, EngineError> {
    let client = container.engine.patient_client();
    let found = container.engine.ask_patiently(ACTION, client.container_changes(&container.id)).await?;
    let one = |change: bollard::models::FilesystemChange| {
        let path = change.path.trim_start_matches('/').as_bytes().to_vec();
        (path, change.kind != ChangeType::_2)
    };
    Ok(found.unwrap_or_default().into_iter().map(one).collect())
}

/// Whatever is in the root of the container and none of the step's.
fn mounted(launch: &Launch) -> Vec<String> {
    // Where there are secrets, the engine makes the place.
    let ours = RootUpper::mounted(!launch.secrets.is_empty()).chain(OF_THE_ENGINE).map(str::to_owned);
    ours.chain(launch.caches.iter().map(|volume| volume.path.trim_matches('/').to_owned())).collect()
}

fn is_below(path: &[u8], dir: &str) -> bool {
    path.strip_prefix(dir.as_bytes()).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

/// All directories that these are in.
fn ancestors(paths: &[String]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for path in paths {
        let slashes = path.match_indices('/').map(|(at, _)| path[..at].to_owned());
        all.extend(slashes);
    }
    all.sort();
    all.dedup();
    all.retain(|path| !paths.contains(path));
    all
}

/// Names in an archive, below its first directory.
fn names_in(archive: &Path) -> io::Result<HashSet<Vec<u8>>> {
    let mut archive = Archive::new(BufReader::new(File::open(archive)?));
    let mut names = HashSet::new();
    for entry in archive.entries_with_seek()? {
        let name = entry?.path_bytes().into_owned();
        let name = name.strip_suffix(b"/").unwrap_or(&name);
        if let Some(slash) = name.iter().position(|byte| *byte == b'/') {
            names.insert(name[slash + 1..].to_vec());
        }
    }
    Ok(names)
}

/// A directory as the image has it, looked up once; none where it has none.
async fn directory(
    engine: &Engine,
    container: &Container,
    image: &str,
    path: &str,
) -> Result<Option<DirectoryOwner>, EngineError> {
    let key = (image.to_owned(), path.to_owned());
    let lock = || engine.shared.directories.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = lock().get(&key) {
        return Ok(*known);
    }
    let found = look_up(engine, container, path).await?;
    lock().insert(key, found);
    Ok(found)
}

async fn look_up(
    engine: &Engine,
    container: &Container,
    path: &str,
) -> Result<Option<DirectoryOwner>, EngineError> {
    let options = DownloadFromContainerOptionsBuilder::default().path(&format!("/{path}")).build();
    let mut archive = Box::pin(engine.client().download_from_container(&container.id, Some(options)));
    let mut header = Header::new_old();
    let mut filled = 0;
    while filled < header.as_bytes().len() {
        let chunk = match archive.try_next().await {
            Ok(Some(chunk)) => chunk,
            Ok(None) => break,
            Err(error) => match engine.error(ACTION, &error) {
                error if error.is_absent() => return Ok(None),
                error => return Err(error),
            },
        };
        let room = &mut header.as_mut_bytes()[filled..];
        let count = chunk.len().min(room.len());
        room[..count].copy_from_slice(&chunk[..count]);
        filled += count;
    }
    Ok(Some(owner(&header)))
}

/// Of nothing that a directory can be where it is none.
fn owner(header: &Header) -> DirectoryOwner {
    let id = |id: io::Result<u64>| id.ok().and_then(|id| u32::try_from(id).ok()).unwrap_or(u32::MAX);
    match (header.entry_type(), header.mode()) {
        (EntryType::Directory, Ok(mode)) => (mode & 0o7777, id(header.uid()), id(header.gid())),
        _ => (u32::MAX, u32::MAX, u32::MAX),
    }
}

#[test]
fn directories_of_places_are_known() {
    let mounted = ["usr/sbin/x", "etc/hosts", "etc", "root/a/b"].map(str::to_owned);
    assert_eq!(ancestors(&mounted), ["root", "root/a", "usr", "usr/sbin"]);
    assert!(is_below(b"etc/x", "etc") && is_below(b"etc", "etc") && !is_below(b"etcetera", "etc"));
}

#[test]
fn only_what_can_be_read_is_kept() {
    assert_eq!(obstacle("overlay2", false), None);
    assert!(obstacle("vfs", false).is_some_and(|why| why.contains("'vfs'")));
    assert!(obstacle("overlay2", true).is_some_and(|why| why.contains("userns-remap")));
}
