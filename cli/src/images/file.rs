//! The file `cullet.lock`.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::lock::{Lock, LockProblem};
use crate::error::CliError;
use crate::ui::clean;

/// Its name. One for all pipelines of a directory.
pub(crate) const NAME: &str = "cullet.lock";

/// The largest file that is read: a hundred thousand images.
const MOST: u64 = 16 << 20;

/// The lock of the pipelines of a directory, as it is or is not there.
#[derive(Debug)]
pub(crate) struct LockFile {
    path: PathBuf,
    /// None where there is no file.
    lock: Option<Lock>,
}

impl LockFile {
    /// The one beside a pipeline file.
    ///
    /// # Errors
    /// It is there and cannot be read or understood.
    pub(crate) fn beside(pipeline: &Path) -> Result<Self, CliError> {
        let path = pipeline.with_file_name(NAME);
        let lock = match read(&path) {
            Ok(Some(text)) => Some(parse(&path, &text)?),
            Ok(None) => None,
            Err(error) => {
                return Err(CliError::usage(format!("cannot read {}", path.display())).because(error));
            }
        };
        Ok(Self { path, lock })
    }

    /// What it says; nothing where it is not there.
    pub(crate) fn lock(&self) -> Lock {
        self.lock.clone().unwrap_or_default()
    }

    /// Its name for people.
    pub(crate) fn name(&self) -> std::path::Display<'_> {
        self.path.display()
    }

    /// Puts `lock` in its place, whole or not at all. A file that says the same already is left as it is, however it is
    /// written. Says whether something was written.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn replace(&self, lock: &Lock) -> Result<bool, CliError> {
        if *lock == self.lock() {
            return Ok(false);
        }
        let written = write(&self.path, &lock.render());
        let failed = |error| CliError::infra(format!("cannot write {}", self.name())).because(error);
        written.map(|()| true).map_err(failed)
    }
}

/// None where there is no file.
fn read(path: &Path) -> std::io::Result<Option<Vec<u8>>> {
    let file = match std::fs::File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut bytes = Vec::new();
    file.take(MOST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST {
        return Err(std::io::Error::other(format!("it is larger than {} MiB", MOST >> 20)));
    }
    Ok(Some(bytes))
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Lock, CliError> {
    let name = path.display();
    let text = std::str::from_utf8(bytes)
        .map_err(|_| CliError::usage(format!("{name} is not UTF-8")).hint(ANEW.to_owned()))?;
    Lock::parse(text.strip_prefix('\u{feff}').unwrap_or(text)).map_err(|problem| match problem {
        LockProblem::Version(version) => {
            CliError::usage(format!("{name} has version {version}, and this version of Cullet knows 1"))
                .hint("use the version of Cullet that wrote it")
        }
        LockProblem::Text { line, column, message } => {
            CliError::usage(format!("{name}:{line}:{column}: {}", clean::line(&message)))
                .hint(ANEW.to_owned())
        }
    })
}

const ANEW: &str = "restore the file from version control, or remove it and run `cullet lock`";

/// A new file takes the place of the one that is there, or of the one that a link leads to, with its permissions.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Less what the umask takes.
    let usual = std::fs::Permissions::from_mode(0o666);
    let mut file = tempfile::Builder::new().prefix(".cullet.lock-").permissions(usual).tempfile_in(dir)?;
    if let Ok(there) = std::fs::metadata(&path) {
        file.as_file().set_permissions(there.permissions())?;
    }
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(&path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use cullet_image::{Digest, Platform};

    use super::*;

    #[test]
    fn the_file_is_replaced_whole_with_its_permissions_and_through_links() {
        let dir = tempfile::tempdir().unwrap();
        let pipeline = dir.path().join("cullet.yaml");
        let file = LockFile::beside(&pipeline).unwrap();
        assert!(!file.replace(&Lock::default()).unwrap(), "nothing to lock makes no file");
        let mut lock = Lock::default();
        lock.set("a/b", &Platform::new("linux", "amd64", None), Digest::of(b"1"));
        let real = dir.path().join("real");
        std::fs::write(&real, lock.render().replace("\n", "\r\n")).unwrap();
        std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::symlink("real", dir.path().join(NAME)).unwrap();
        let file = LockFile::beside(&pipeline).unwrap();
        assert!(!file.replace(&lock).unwrap(), "it says that already");
        lock.set("a/b", &Platform::new("linux", "amd64", None), Digest::of(b"2"));
        assert!(file.replace(&lock).unwrap());
        assert_eq!(std::fs::read_to_string(&real).unwrap(), lock.render());
        assert_eq!(std::fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(std::fs::symlink_metadata(dir.path().join(NAME)).unwrap().is_symlink());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "nothing else is left");
        assert_eq!(LockFile::beside(&pipeline).unwrap().lock(), lock);
    }
}
