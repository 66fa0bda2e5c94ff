//! How layers are unpacked, and what suits whom.

use std::path::Path;

use rustix::fs::XattrFlags;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::{Devices, GivenOwners, LayerError, Limits, OverlayForm, Owners};

/// How to unpack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnpackOptions {
    /// Bounds.
    pub limits: Limits,
    /// What becomes of device files.
    pub devices: Devices,
    /// For which kind of mount.
    pub form: OverlayForm,
    /// Whose the files are.
    pub owners: Owners,
}

impl UnpackOptions {
    /// For real root, layers as root mounts them; for everybody else, as they can be mounted in a user namespace.
    pub fn for_this_user() -> Self {
        if rustix::process::geteuid().is_root() { Self::rooted() } else { Self::rootless() }
    }

    /// The same, by what can be done in a directory: root of a container or of a user namespace mostly may not set
    /// what only real root can mount. Blocking.
    ///
    /// # Errors
    /// [`LayerError::Io`] where no file can be made there.
    pub fn for_directory(dir: &Path) -> Result<Self, LayerError> {
        let file =
            tempfile::tempfile_in(dir).map_err(|error| LayerError::io("make a file in", dir, error))?;
        let attribute = OverlayForm::Trusted.attribute("opaque");
        match rustix::fs::fsetxattr(&file, attribute, b"y", XattrFlags::empty()) {
            Ok(()) => Ok(Self::rooted()),
            Err(Errno::PERM | Errno::ACCESS | Errno::OPNOTSUPP) => Ok(Self::rootless()),
            Err(error) => Err(LayerError::io("set an attribute in", dir, error)),
        }
    }

    /// As for everybody else, with these owners.
    pub fn with_owners(owners: GivenOwners) -> Self {
        Self { owners: Owners::Given(owners), ..Self::rootless() }
    }

    fn rooted() -> Self {
        Self { form: OverlayForm::Trusted, owners: Owners::Kept, ..Self::rootless() }
    }

    fn rootless() -> Self {
        Self {
            limits: Limits::default(),
            devices: Devices::default(),
            form: OverlayForm::User,
            owners: Owners::Unpacker,
        }
    }
}

#[test]
fn what_may_be_set_decides() {
    let dir = tempfile::tempdir().unwrap();
    let found = UnpackOptions::for_directory(dir.path()).unwrap();
    if !rustix::process::geteuid().is_root() {
        assert_eq!(found, UnpackOptions::for_this_user());
    }
    assert_eq!(found.form == OverlayForm::Trusted, found.owners == Owners::Kept);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    assert!(matches!(UnpackOptions::for_directory(Path::new("/does/not/exist")), Err(LayerError::Io { .. })));
}
