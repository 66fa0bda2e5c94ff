//! Somebody without rights on a machine where this test has them all.

use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// Neither root nor anybody who owns something.
const ID: u32 = 65_532;

/// A user with a home, a project and a copy of the binary there.
pub(crate) struct Guest {
    home: TempDir,
}

impl Guest {
    /// None where this test is not root, and so cannot become somebody else.
    pub(crate) fn arrive(pipeline: &str) -> Option<Self> {
        let home = tempfile::tempdir().unwrap();
        chown(home.path(), Some(ID), Some(ID)).ok()?;
        std::fs::set_permissions(home.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let guest = Self { home };
        // The binary may lie where only its builder can reach it.
        std::fs::copy(cullet_tests::cullet_binary(), guest.path("cullet")).unwrap();
        std::fs::create_dir(guest.project()).unwrap();
        std::fs::write(guest.project().join("cullet.yaml"), pipeline).unwrap();
        chown(guest.project(), Some(ID), Some(ID)).unwrap();
        Some(guest)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(crate) fn project(&self) -> PathBuf {
        self.path("project")
    }

    /// A program as this user, in the project.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command.uid(ID).gid(ID).env_clear().current_dir(self.project()).env("HOME", self.home.path());
        command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command
    }

    pub(crate) fn cullet(&self, arguments: &[&str]) -> Output {
        self.command(self.path("cullet")).args(arguments).output().unwrap()
    }
}
