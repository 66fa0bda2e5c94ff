//! The parts for installations below a home directory: what the tool directories bring with them.

use std::path::{Path, PathBuf};

use super::FingerprintPart;
use super::parts::{digest_of, installation_lines, part, shown};
use super::reader::Reader;
use super::tree::{self, Depth};
use crate::host::HostTools;

/// Where a version manager keeps what it installed: what is shown of the home, the directory below it, and how many
/// levels of names (tool, version) that has. Zero is an installation by itself.
const VERSIONS: [(&str, &str, usize); 15] = [
    (".rbenv", "versions", 1),
    (".asdf", "installs", 2),
    (".volta", "tools/image", 2),
    (".local/share/mise", "installs", 2),
    (".local/share/uv", "tools", 1),
    (".local/share/uv", "python", 1),
    (".local/share/pipx/venvs", "", 1),
    (".sdkman/candidates/*", "", 1),
    (".nvm/versions/node/*", "", 0),
    ("miniconda3", "", 0),
    ("miniconda3", "envs", 1),
    ("miniforge3", "", 0),
    ("miniforge3", "envs", 1),
    ("anaconda3", "", 0),
    ("anaconda3", "envs", 1),
];

/// Files that choose among versions.
const CHOICES: [&str; 3] = ["version", "global", "default"];

pub(super) fn all(reader: &mut Reader, tools: &HostTools, parts: &mut Vec<FingerprintPart>) {
    rustup(reader, tools, parts);
    pyenv(reader, tools, parts);
    let Some(home) = &tools.home else { return };
    for bind in &tools.binds {
        let Ok(below) = bind.strip_prefix(home) else { continue };
        for (_, dir, levels) in VERSIONS.iter().filter(|version| is_of(below, version.0)) {
            versions(reader, tools, &bind.join(dir), *levels, parts);
        }
        for name in CHOICES {
            if let Some(digest) = reader.file(&bind.join(name), Some(home)) {
                parts.push(part(format!("choice {}", shown(&bind.join(name), tools)), digest));
            }
        }
    }
}

fn is_of(below: &Path, pattern: &str) -> bool {
    match pattern.strip_suffix("/*") {
        Some(parent) => below.parent() == Some(Path::new(parent)),
        None => below == Path::new(pattern),
    }
}

fn versions(
    reader: &mut Reader,
    tools: &HostTools,
    dir: &Path,
    levels: usize,
    parts: &mut Vec<FingerprintPart>,
) {
    if levels == 0 {
        parts.extend(installation(reader, tools, dir));
        return;
    }
    for name in reader.names(dir) {
        let path = dir.join(&name);
        // Such as sdkman's `current`.
        if let Some(target) = reader.link(&path) {
            parts.push(part(format!("link {}", shown(&path, tools)), shown(&target, tools)));
        } else {
            versions(reader, tools, &path, levels - 1, parts);
        }
    }
}

/// One installed version: what it says about itself, its programs, and its libraries by name. There is a part
/// even when all that is empty, so that the name counts.
fn installation(reader: &mut Reader, tools: &HostTools, root: &Path) -> Option<FingerprintPart> {
    if !reader.is_dir(root) {
        return None;
    }
    let mut lines = installation_lines(reader, root, tools);
    lines.extend(tree::digest(reader, &root.join("bin"), Depth::Whole, tools.home.as_deref()));
    for dir in ["lib", "libexec", "jmods"] {
        lines.extend(reader.names(&root.join(dir)));
    }
    lines.extend(reader.names(root));
    Some(part(format!("installation {}", shown(root, tools)), digest_of(&lines)))
}

/// The directory a variable of the tools names.
fn variable(tools: &HostTools, name: &str) -> Option<PathBuf> {
    let (_, value) = tools.env.iter().find(|(key, _)| key == name)?;
    Some(PathBuf::from(value))
}

fn rustup(reader: &mut Reader, tools: &HostTools, parts: &mut Vec<FingerprintPart>) {
    const FILES: [&str; 2] = ["lib/rustlib/components", "lib/rustlib/multirust-channel-manifest.toml"];
    let Some(root) = variable(tools, "RUSTUP_HOME") else { return };
    let toolchains = root.join("toolchains");
    for name in reader.names(&toolchains) {
        let toolchain = toolchains.join(&name);
        let mut lines: Vec<String> =
            FILES.iter().filter_map(|file| reader.file(&toolchain.join(file), None)).collect();
        lines.extend(tree::digest(reader, &toolchain.join("bin"), Depth::Whole, tools.home.as_deref()));
        // The compiler's libraries carry a hash of their build in their names.
        lines.extend(reader.names(&toolchain.join("lib")));
        for target in reader.names(&toolchain.join("lib/rustlib")) {
            lines.extend(reader.names(&toolchain.join("lib/rustlib").join(&target).join("lib")));
            lines.push(target);
        }
        parts.push(part(format!("rust toolchain {name}"), digest_of(&lines)));
    }
    // The rest of the settings is about paths of this machine and how rustup updates itself.
    let settings = reader.text(&root.join("settings.toml"));
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
        let found = installation(reader, tools, &versions.join(&name));
        parts.extend(found.map(|found| part(format!("python {name}"), found.value)));
    }
}
