//! Who the user of an image is, before it is mounted.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, openat};

use crate::layers::{Entry, Workspace};
use crate::sandbox::Wanted;

/// The most that is read of each file; the sandbox, which looks again, reads as much.
const ACCOUNTS_BYTES: u64 = 1 << 20;

/// User and group of `USER` in an image with these layers, the lowest first. What they say with links is nothing to go by:
/// none then, and where the user is not there.
///
/// # Errors
/// A layer cannot be read.
pub fn image_user(user: &str, layers: &[PathBuf]) -> io::Result<Option<(u32, u32)>> {
    let Ok(wanted) = Wanted::parse(user) else { return Ok(None) };
    if let Some(certain) = wanted.certain() {
        return Ok(Some(certain));
    }
    let upper_first: Vec<PathBuf> = layers.iter().rev().cloned().collect();
    let root = Workspace::open(&upper_first, Path::new(""))?;
    let (Some(passwd), Some(group)) = (text(&root, b"passwd")?, text(&root, b"group")?) else {
        return Ok(None);
    };
    Ok(wanted.look_up(&passwd, &group).ok().map(|account| (account.uid, account.gid)))
}

/// A file of `/etc`; empty where there is none, and nothing where it is a link.
fn text(root: &Workspace, name: &[u8]) -> io::Result<Option<String>> {
    let layers = match root.entry(b"", root.root(), b"etc")? {
        Some(Entry::Directory(layers)) => layers,
        None => return Ok(Some(String::new())),
        Some(_) => return Ok(None),
    };
    let found = match root.entry(b"etc", layers, name)? {
        Some(Entry::File(found)) => found,
        None => return Ok(Some(String::new())),
        Some(_) => return Ok(None),
    };
    let dir = root.open_dir(found.layer, b"etc")?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(openat(dir.as_fd(), name, flags, Mode::empty())?);
    let mut bytes = Vec::new();
    file.take(ACCOUNTS_BYTES).read_to_end(&mut bytes)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

#[test]
fn the_highest_layer_says_who_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let layer = |name: &str, passwd: Option<&str>| {
        let layer = dir.path().join(name);
        std::fs::create_dir_all(layer.join("etc")).unwrap();
        if let Some(passwd) = passwd {
            std::fs::write(layer.join("etc/passwd"), passwd).unwrap();
        }
        layer
    };
    let low = layer("low", Some("app:x:5:6::/:\n"));
    let high = layer("high", Some("app:x:7:8::/:\n"));
    let bare = layer("bare", None);
    let is = |user: &str, layers: &[&PathBuf]| {
        image_user(user, &layers.iter().map(|&layer| layer.clone()).collect::<Vec<_>>()).unwrap()
    };
    assert_eq!(is("app", &[&low, &high, &bare]), Some((7, 8)));
    assert_eq!(is("app", &[&high, &low]), Some((5, 6)));
    assert_eq!(
        (is("ghost", &[&low]), is("", &[&bare]), is("9", &[&bare])),
        (None, Some((0, 0)), Some((9, 0)))
    );
    let linked = layer("linked", None);
    std::os::unix::fs::symlink("/etc/passwd", linked.join("etc/passwd")).unwrap();
    assert_eq!(is("app", &[&low, &linked]), None);
}
