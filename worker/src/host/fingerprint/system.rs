//! The parts for the machine's own directories: all that steps see of them.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use cullet_digest::DigestFunction;

use super::FingerprintPart;
use super::parts::part;
use super::reader::Reader;
use super::tree::{self, Depth};
use crate::host::seen;

/// Package databases: a name, and the file that changes with every installed, upgraded or removed package.
const PACKAGE_FILES: [(&str, &str); 5] = [
    ("dpkg", "/var/lib/dpkg/status"),
    ("rpm", "/var/lib/rpm/rpmdb.sqlite"),
    ("rpm", "/usr/lib/sysimage/rpm/rpmdb.sqlite"),
    ("rpm", "/var/lib/rpm/Packages"),
    ("apk", "/lib/apk/db/installed"),
];

/// Package databases that are a directory of names with versions in them.
const PACKAGE_DIRS: [(&str, &str); 1] = [("pacman", "/var/lib/pacman/local")];

/// Directories of `/` and `/usr` whose files are small in number and run by steps: they count with their contents.
/// The others hold what packages brought, a hundred thousand files; they count by [`SHAPE`].
const PROGRAMS: [&str; 5] = ["bin", "sbin", "games", "libexec", "etc"];

/// The directory itself and those directly in it.
const SHAPE: Depth = Depth::Shape(1);

/// Parts of `/var` that stand for themselves elsewhere (databases) or are derived from what is covered (caches).
const VAR_COVERED: [&str; 4] = ["var/lib/dpkg", "var/lib/rpm", "var/lib/pacman", "var/cache/fontconfig"];

/// The directories and databases of every machine.
pub(super) fn all(reader: &mut Reader, parts: &mut Vec<FingerprintPart>) {
    if let Some(digest) = reader.file(Path::new("/etc/os-release"), None) {
        parts.push(part("os-release", digest));
    }
    packages(reader, parts);
    etc(reader, parts);
    for name in seen::SYSTEM.iter().filter(|name| **name != "usr") {
        let path = Path::new("/").join(name);
        // On most machines a link to /usr, whose text says all.
        match reader.link(&path) {
            Some(target) => parts.push(part(path.display().to_string(), target.display().to_string())),
            None => parts.extend(directory(reader, &path)),
        }
    }
    usr(reader, parts);
    for name in seen::VAR.iter().filter(|name| !VAR_COVERED.contains(name)) {
        let path = Path::new("/").join(name);
        parts.extend(whole(reader, &path, SHAPE));
    }
}

fn packages(reader: &mut Reader, parts: &mut Vec<FingerprintPart>) {
    for (name, file) in PACKAGE_FILES {
        if let Some(digest) = reader.file(Path::new(file), None) {
            parts.push(part(format!("packages ({name})"), digest));
        }
    }
    for (name, dir) in PACKAGE_DIRS {
        let names = reader.names(Path::new(dir));
        if !names.is_empty() {
            let digest = DigestFunction::Blake3.digest(names.join("\n").as_bytes());
            parts.push(part(format!("packages ({name})"), digest.hash_hex()));
        }
    }
}

/// The entries of `/etc` that steps see, each a part.
fn etc(reader: &mut Reader, parts: &mut Vec<FingerprintPart>) {
    let etc = Path::new("/etc");
    for name in reader.names(etc).into_iter().filter(|name| seen::is_etc_shown(name)) {
        entry(reader, &etc.join(name), Depth::Whole, parts);
    }
}

/// `/usr`, with every directory of `/usr/local` as a tree of its own: a large one does not make the others large.
fn usr(reader: &mut Reader, parts: &mut Vec<FingerprintPart>) {
    let usr = Path::new("/usr");
    for name in reader.names(usr).into_iter().filter(|name| name != "local") {
        let path = usr.join(name);
        parts.extend(directory(reader, &path));
    }
    let local = usr.join("local");
    for name in reader.names(&local) {
        entry(reader, &local.join(name), Depth::Whole, parts);
    }
}

fn directory(reader: &mut Reader, path: &Path) -> Option<FingerprintPart> {
    let program = path.file_name().is_some_and(|name| PROGRAMS.iter().any(|program| name == *program));
    whole(reader, path, if program { Depth::Whole } else { SHAPE })
}

/// A file, link or directory at a place where anything may be. Where a link leads is covered there, or hidden.
fn entry(reader: &mut Reader, path: &Path, depth: Depth, parts: &mut Vec<FingerprintPart>) {
    let name = path.display().to_string();
    let Some(found) = reader.symlink_metadata(path) else { return };
    if found.is_symlink() {
        let target = reader.link(path).unwrap_or_default();
        parts.push(part(format!("link {name}"), target.display().to_string()));
    } else if found.is_dir() {
        parts.extend(whole(reader, path, depth));
    } else if found.is_file() {
        let executable = if found.mode() & 0o111 == 0 { "" } else { " (executable)" };
        let digest = reader.file(path, None).unwrap_or_else(|| "unreadable".to_owned());
        parts.push(part(format!("{name}{executable}"), digest));
    }
}

pub(super) fn whole(reader: &mut Reader, path: &Path, depth: Depth) -> Option<FingerprintPart> {
    let digest = tree::digest(reader, path, depth, None)?;
    Some(part(path.display().to_string(), digest))
}
