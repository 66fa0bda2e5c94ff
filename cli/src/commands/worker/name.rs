//! What a worker is called that nobody gave a name.

use std::fs;
use std::io;
use std::path::Path;

use crate::error::CliError;

/// In the worker's directory, with the four hexadecimal digits that belong to it.
const FILE: &str = "worker-suffix";

/// The machine's name and four digits that were drawn once for this directory: two workers on one machine differ, and each
/// has its name again when it is started again.
///
/// # Errors
/// What was drawn cannot be kept.
pub(super) fn default(host: &str, dir: &Path) -> Result<String, CliError> {
    let suffix = kept(&dir.join(FILE)).map_err(|error| {
        CliError::infra(format!("cannot keep the worker's name in {}", dir.join(FILE).display()))
            .because(error)
            .hint("name the worker with --name NAME")
    })?;
    Ok(format!("{host}-{suffix}"))
}

fn kept(file: &Path) -> io::Result<String> {
    match fs::read_to_string(file) {
        Ok(text) if is_suffix(text.trim_end()) => return Ok(text.trim_end().to_owned()),
        // Cut off by a crash, or overwritten: a new one does no harm.
        Ok(_) => {}
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => {}
        Err(error) => return Err(error),
    }
    let suffix = format!("{:04x}", crate::random::number() & 0xffff);
    fs::write(file, format!("{suffix}\n"))?;
    Ok(suffix)
}

fn is_suffix(text: &str) -> bool {
    text.len() == 4 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_keeps_its_name_and_another_one_has_another() {
        let dirs: Vec<_> = (0..4).map(|_| tempfile::tempdir().unwrap()).collect();
        let names: Vec<String> = dirs.iter().map(|dir| default("host", dir.path()).unwrap()).collect();
        for (name, dir) in names.iter().zip(&dirs) {
            assert!(name.strip_prefix("host-").is_some_and(is_suffix), "{name}");
            assert_eq!(&default("host", dir.path()).unwrap(), name);
        }
        // That all four are the same is one chance in 2^48.
        assert!(names.iter().any(|name| *name != names[0]), "{names:?}");
        fs::write(dirs[0].path().join(FILE), b"\xff!").unwrap();
        let drawn_anew = default("host", dirs[0].path()).unwrap();
        assert!(drawn_anew.strip_prefix("host-").is_some_and(is_suffix), "{drawn_anew}");
        assert!(
            default("host", Path::new("/nowhere"))
                .unwrap_err()
                .to_string()
                .contains("/nowhere/worker-suffix")
        );
    }
}
