//! What a fingerprint is made of.

use std::path::{Path, PathBuf};

use cullet_digest::DigestFunction;

use super::FingerprintPart;
use super::reader::Reader;
use crate::host::HostTools;

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

/// Files of an installation that say which version it is.
const VERSION_FILES: [&str; 4] = ["VERSION", "version", "release", "lib/rustlib/components"];

/// Everything, in a fixed order.
pub(super) fn all(reader: &mut Reader, tools: &HostTools) -> Vec<FingerprintPart> {
    let mut parts = vec![part("architecture", std::env::consts::ARCH.to_owned())];
    if let Some(digest) = reader.file(Path::new("/etc/os-release"), None) {
        parts.push(part("os-release", digest));
    }
    packages(reader, &mut parts);
    for dir in ["/usr/local/sbin", "/usr/local/bin", "/usr/local/lib"] {
        parts.extend(files_of(reader, Path::new(dir), tools));
    }
    parts.extend(installation(reader, Path::new("/usr/local"), tools));
    for dir in tools.path.iter().map(Path::new).filter(|dir| !is_packaged(dir)) {
        parts.extend(files_of(reader, dir, tools));
        if let Some(above) = dir.parent() {
            parts.extend(installation(reader, above, tools));
        }
    }
    rustup(reader, tools, &mut parts);
    pyenv(reader, tools, &mut parts);
    // The order of directories decides which tool is found, so it is a part as well.
    let order: Vec<String> = tools.path.iter().map(|dir| shown(Path::new(dir), tools)).collect();
    parts.push(part("search path", order.join(":")));
    parts.dedup();
    parts
}

fn part(name: impl Into<String>, value: String) -> FingerprintPart {
    FingerprintPart { name: name.into(), value }
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
            parts.push(part(format!("packages ({name})"), digest_of(&names)));
        }
    }
}

/// Whether a directory's files are covered by the package database, or by `/usr/local`, which is always read.
fn is_packaged(dir: &Path) -> bool {
    ["/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/local/bin", "/usr/local/sbin", "/usr/games"]
        .iter()
        .any(|packaged| dir == Path::new(packaged))
}

/// A path as it is the same for every user.
fn shown(path: &Path, tools: &HostTools) -> String {
    let below = tools.home.as_deref().and_then(|home| path.strip_prefix(home).ok());
    match below {
        Some(below) => format!("~/{}", below.display()),
        None => path.display().to_string(),
    }
}

/// The names and contents of the files directly in a directory of programs or libraries.
fn files_of(reader: &mut Reader, dir: &Path, tools: &HostTools) -> Option<FingerprintPart> {
    let mut lines = Vec::new();
    for name in reader.names(dir) {
        if let Some(digest) = reader.file(&dir.join(&name), tools.home.as_deref()) {
            lines.push(format!("{name}\t{digest}"));
        }
    }
    (!lines.is_empty()).then(|| part(format!("tools {}", shown(dir, tools)), digest_of(&lines)))
}

/// What an installation says about itself: its version, its Python and Node packages.
fn installation(reader: &mut Reader, root: &Path, tools: &HostTools) -> Option<FingerprintPart> {
    let mut lines = Vec::new();
    for name in VERSION_FILES {
        if let Some(digest) = reader.file(&root.join(name), tools.home.as_deref()) {
            lines.push(format!("{name}\t{digest}"));
        }
    }
    lines.extend(python_packages(reader, root));
    for dir in ["lib/node_modules", "conda-meta"] {
        lines.extend(reader.names(&root.join(dir)));
    }
    (!lines.is_empty()).then(|| part(format!("installation {}", shown(root, tools)), digest_of(&lines)))
}

/// The installed Python packages: their directories carry name and version.
fn python_packages(reader: &mut Reader, root: &Path) -> Vec<String> {
    let lib = root.join("lib");
    let versions = reader.names(&lib).into_iter().filter(|name| name.starts_with("python"));
    let dirs: Vec<PathBuf> = versions
        .flat_map(|version| ["site-packages", "dist-packages"].map(|dir| lib.join(&version).join(dir)))
        .collect();
    let mut packages = Vec::new();
    for dir in dirs {
        let names = reader.names(&dir).into_iter();
        packages.extend(names.filter(|name| name.ends_with(".dist-info") || name.ends_with(".egg-info")));
    }
    packages
}

/// The directory a variable of the tools names.
fn variable(tools: &HostTools, name: &str) -> Option<PathBuf> {
    let (_, value) = tools.env.iter().find(|(key, _)| key == name)?;
    Some(PathBuf::from(value))
}

fn rustup(reader: &mut Reader, tools: &HostTools, parts: &mut Vec<FingerprintPart>) {
    const FILES: [&str; 3] =
        ["bin/rustc", "lib/rustlib/components", "lib/rustlib/multirust-channel-manifest.toml"];
    let Some(root) = variable(tools, "RUSTUP_HOME") else { return };
    let toolchains = root.join("toolchains");
    for name in reader.names(&toolchains) {
        let files = FILES.map(|file| toolchains.join(&name).join(file));
        let digests: Vec<String> = files.iter().filter_map(|file| reader.file(file, None)).collect();
        parts.push(part(format!("rust toolchain {name}"), digest_of(&digests)));
    }
    // The rest of the settings is about paths of this machine and how rustup updates itself.
    let settings = std::fs::read_to_string(root.join("settings.toml")).unwrap_or_default();
    if let Some(line) = settings.lines().find(|line| line.starts_with("default_toolchain")) {
        parts.push(part("rust default", line.to_owned()));
    }
}

fn pyenv(reader: &mut Reader, tools: &HostTools, parts: &mut Vec<FingerprintPart>) {
    let Some(root) = variable(tools, "PYENV_ROOT") else { return };
    if let Some(digest) = reader.file(&root.join("version"), None) {
        parts.push(part("python default", digest));
    }
    let versions = root.join("versions");
    for name in reader.names(&versions) {
        let version = versions.join(&name);
        let mut lines = python_packages(reader, &version);
        lines.extend(reader.file(&version.join("bin/python3"), None));
        parts.push(part(format!("python {name}"), digest_of(&lines)));
    }
}

fn digest_of(lines: &[String]) -> String {
    DigestFunction::Blake3.digest(lines.join("\n").as_bytes()).hash_hex()
}
