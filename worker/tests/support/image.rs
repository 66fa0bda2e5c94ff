//! Images for steps, made by hand from the Debian package `busybox-static`.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use cullet_worker::ImageRoot;
use nix::sys::stat::{Mode, SFlag, mknod};
use tempfile::TempDir;

use super::{Step, command};

const PROGRAMS: &str = "awk cat chgrp chmod chown chroot cp cut dd env find grep head hostname id kill ln ls mkdir mknod mount \
                        mv readlink rm rmdir sed seq setsid sh sleep sort stat su tail touch tr true umount unshare wc";

/// An image in a directory of its own.
#[derive(Debug)]
pub(crate) struct Image {
    dir: TempDir,
    pub(crate) root: ImageRoot,
}

impl Image {
    /// Without any layer.
    pub(crate) fn empty() -> Self {
        let env = vec![("PATH".to_owned(), "/bin".to_owned())];
        let image = Self {
            dir: tempfile::tempdir().unwrap(),
            root: ImageRoot { env, owned: is_root(), ..ImageRoot::default() },
        };
        fs::set_permissions(image.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        image
    }

    /// A shell, some programs, root and a user `app`.
    pub(crate) fn new() -> Self {
        Self::empty().layer(|tree| {
            fs::create_dir_all(tree.join("bin")).unwrap();
            fs::copy("/bin/busybox", tree.join("bin/busybox")).unwrap();
            for name in PROGRAMS.split_whitespace() {
                symlink("busybox", tree.join("bin").join(name)).unwrap();
            }
            file(tree, "etc/passwd", "root:x:0:0:root:/root:/bin/sh\napp:x:500:501::/srv/app:/bin/sh\n");
            file(tree, "etc/group", "root:x:0:\napp:x:501:\nextra:x:77:app\n");
            file(tree, "etc/shadow", "root:*:\n");
            fs::set_permissions(tree.join("etc/shadow"), fs::Permissions::from_mode(0o600)).unwrap();
            file(tree, "lower/hidden", "hidden\n");
            file(tree, "lower/shown", "lower\n");
            file(tree, "replaced/old", "old\n");
        })
    }

    /// With one more layer, above the others.
    pub(crate) fn layer(mut self, fill: impl FnOnce(&Path)) -> Self {
        let tree = self.dir.path().join(self.root.layers.len().to_string());
        fs::create_dir(&tree).unwrap();
        fs::set_permissions(&tree, fs::Permissions::from_mode(0o755)).unwrap();
        fill(&tree);
        self.root.layers.push(tree);
        self
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn user(mut self, user: &str) -> Self {
        user.clone_into(&mut self.root.user);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.root.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A `sh -c` step in it.
    pub(crate) fn step(&self, script: &str) -> Step {
        self.command(&["sh", "-c", script])
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Step {
        let mut step = command(arguments);
        step.launch.image = Some(self.root.clone());
        step
    }

    /// All that its layers have, by path.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        let mut pending = self.root.layers.clone();
        let mut found = Vec::new();
        while let Some(path) = pending.pop() {
            if path.symlink_metadata().unwrap().is_dir() {
                pending.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            }
            found.push(path);
        }
        found.sort();
        found
    }
}

/// A file of a layer.
pub(crate) fn file(tree: &Path, path: &str, contents: &str) {
    let path = tree.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, contents).unwrap();
}

/// A link of a layer.
pub(crate) fn link(tree: &Path, path: &str, target: &str) {
    let path = tree.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    symlink(target, path).unwrap();
}

/// Hides what is below.
pub(crate) fn whiteout(tree: &Path, path: &str) {
    let path = tree.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    mknod(&path, SFlag::S_IFCHR, Mode::empty(), 0).unwrap();
}

/// Hides all that is below a directory, in the form that layers have for this user.
pub(crate) fn opaque(tree: &Path, path: &str) {
    let path = tree.join(path);
    fs::create_dir_all(&path).unwrap();
    let name = if is_root() { "trusted.overlay.opaque" } else { "user.overlay.opaque" };
    rustix::fs::setxattr(&path, name, b"y", rustix::fs::XattrFlags::empty()).unwrap();
}

pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}
