//! What a fingerprint is made of.

use std::path::Path;

use cullet_digest::DigestFunction;

use super::FingerprintPart;
use super::reader::Reader;
use super::tree::{self, Depth};
use super::{managers, system};
use crate::host::{HostTools, seen};

/// Files of an installation that say which version it is.
const VERSION_FILES: [&str; 4] = ["VERSION", "version", "release", "lib/rustlib/components"];

/// Directories of packages whose names carry versions.
const PACKAGES: [&str; 2] = ["lib/node_modules", "conda-meta"];

/// Everything, in a fixed order.
pub(super) fn all(reader: &mut Reader, tools: &HostTools) -> Vec<FingerprintPart> {
    let mut parts = vec![part("architecture", std::env::consts::ARCH.to_owned())];
    system::all(reader, &mut parts);
    for dir in tools.path.iter().map(Path::new).filter(|dir| !is_covered(dir)) {
        tool_directory(reader, dir, tools, &mut parts);
    }
    for dir in tools.binds.iter().filter(|dir| seen::apart(dir).as_ref() == Some(dir)) {
        apart(reader, dir, &mut parts);
    }
    managers::all(reader, tools, &mut parts);
    // The order of directories decides which tool is found, so it is a part as well.
    let order: Vec<String> = tools.path.iter().map(|dir| shown(Path::new(dir), tools)).collect();
    parts.push(part("search path", order.join(":")));
    parts.dedup();
    parts
}

pub(super) fn part(name: impl Into<String>, value: String) -> FingerprintPart {
    FingerprintPart { name: name.into(), value }
}

/// Whether a directory's files are part of the fingerprint already.
fn is_covered(dir: &Path) -> bool {
    let system = ["/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/games", "/usr/libexec"];
    system.iter().any(|packaged| dir == Path::new(packaged))
        || dir.starts_with("/usr/local")
        || seen::apart(dir).is_some()
}

/// A path as it is the same for every user.
pub(super) fn shown(path: &Path, tools: &HostTools) -> String {
    let below = tools.home.as_deref().and_then(|home| path.strip_prefix(home).ok());
    match below {
        Some(below) => format!("~/{}", below.display()),
        None => path.display().to_string(),
    }
}

/// A directory of `PATH`: its files, what its links lead to, and what lies below it.
fn tool_directory(reader: &mut Reader, dir: &Path, tools: &HostTools, parts: &mut Vec<FingerprintPart>) {
    let home = tools.home.as_deref();
    let (mut lines, mut any_below) = (Vec::new(), false);
    for name in reader.names(dir) {
        match reader.file(&dir.join(&name), home) {
            Some(digest) => lines.push(format!("{name}\t{digest}")),
            None => any_below = true,
        }
    }
    if any_below {
        lines.extend(tree::digest(reader, dir, Depth::Whole, home));
    }
    if !lines.is_empty() {
        parts.push(part(format!("tools {}", shown(dir, tools)), digest_of(&lines)));
    }
    if let Some(above) = dir.parent() {
        let lines = installation_lines(reader, above, tools);
        if !lines.is_empty() {
            parts.push(part(format!("installation {}", shown(above, tools)), digest_of(&lines)));
        }
    }
}

/// A package of `/opt`, or a store, whose entries never change once they have their names.
fn apart(reader: &mut Reader, dir: &Path, parts: &mut Vec<FingerprintPart>) {
    if dir.starts_with("/opt") {
        parts.extend(system::whole(reader, dir, Depth::Whole));
        return;
    }
    let mut lines = reader.names(dir);
    lines.extend(reader.names(&dir.join("store")));
    parts.push(part(dir.display().to_string(), digest_of(&lines)));
}

/// What an installation says about itself: its version, its Python, Node and Ruby packages.
pub(super) fn installation_lines(reader: &mut Reader, root: &Path, tools: &HostTools) -> Vec<String> {
    let mut lines = Vec::new();
    for name in VERSION_FILES {
        if let Some(digest) = reader.file(&root.join(name), tools.home.as_deref()) {
            lines.push(format!("{name}\t{digest}"));
        }
    }
    let lib = root.join("lib");
    for version in reader.names(&lib).into_iter().filter(|name| name.starts_with("python")) {
        lines.extend(packages(reader, &lib.join(&version).join("site-packages")));
        lines.extend(packages(reader, &lib.join(&version).join("dist-packages")));
    }
    let gems = lib.join("ruby/gems");
    for version in reader.names(&gems) {
        lines.extend(packages(reader, &gems.join(version).join("gems")));
    }
    for dir in PACKAGES {
        lines.extend(packages(reader, &root.join(dir)));
    }
    lines
}

/// Directories of packages carry name and version.
fn packages(reader: &mut Reader, dir: &Path) -> Vec<String> {
    // What Python compiled is there or not, as it happens.
    reader.names(dir).into_iter().filter(|name| name != "__pycache__").collect()
}

pub(super) fn digest_of(lines: &[String]) -> String {
    DigestFunction::Blake3.digest(lines.join("\n").as_bytes()).hash_hex()
}
