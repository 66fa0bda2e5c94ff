//! Where things are.

use std::path::{Path, PathBuf};

use crate::error::CliError;

/// `$XDG_CACHE_HOME/cullet`, or `~/.cache/cullet`.
pub fn default_cache_dir(variable: &dyn Fn(&str) -> Option<String>) -> Result<PathBuf, CliError> {
    // The XDG specification: a relative path is to be ignored.
    let absolute = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
    let base = base.ok_or_else(|| {
        CliError::usage("there is no place for the cache: neither HOME nor XDG_CACHE_HOME is set")
            .hint("name a directory with --cache-dir or CULLET_CACHE_DIR")
    })?;
    Ok(base.join("cullet"))
}

/// The same path from the root, `.` and `..` as they are.
pub fn absolute(path: PathBuf) -> Result<PathBuf, CliError> {
    if path.is_absolute() {
        return Ok(path);
    }
    std::path::absolute(&path)
        .map_err(|error| CliError::infra(format!("cannot resolve {}", path.display())).because(error))
}

/// A path for people: relative to the current directory where it is below it.
pub fn display(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    let below = here.as_deref().and_then(|here| path.strip_prefix(here).ok());
    match below {
        Some(below) if below.as_os_str().is_empty() => ".".to_owned(),
        Some(below) => below.display().to_string(),
        None => path.display().to_string(),
    }
}
