//! Extended attributes: which ones a layer may have, and reading them.

use std::os::fd::BorrowedFd;

use rustix::io::Errno;

use super::LayerError;
use super::path::LayerPath;
use super::root::failed;
use crate::tarball::Xattrs;

/// Namespaces of attributes that belong to the files of an image. What is in `trusted` belongs to the machine,
/// overlayfs' own above all: a forged `redirect` or `metacopy` shows files of other directories.
const ALLOWED: [&[u8]; 3] = [b"user.", b"security.", b"system.posix_acl_"];
const OVERLAY: &[u8] = b"user.overlay.";

/// Whether a layer may have an attribute of this name.
pub(super) fn allowed(name: &[u8]) -> bool {
    ALLOWED.iter().any(|prefix| name.starts_with(prefix)) && !name.starts_with(OVERLAY)
}

/// Labels that the machine's policy gives to every file; they are of no use elsewhere.
const OF_THE_MACHINE: [&[u8]; 3] = [b"security.selinux", b"security.ima", b"security.evm"];

/// Of attributes that an archive has, those that a layer is made of, by name.
pub(super) fn of_image(mut xattrs: Xattrs) -> Xattrs {
    xattrs.retain(|(name, _)| allowed(name) && !OF_THE_MACHINE.contains(&&name[..]));
    xattrs.sort_unstable();
    xattrs
}

/// What Linux allows for all names, and for one value, in bytes.
const LONGEST: usize = 64 << 10;
/// Enough for the names that a file mostly has.
const MOSTLY: usize = 256;

/// The attributes of a file that a layer is made of, by name.
pub(super) fn read(path: &LayerPath, file: BorrowedFd<'_>) -> Result<Xattrs, LayerError> {
    let list = |buffer: &mut [u8]| {
        let length = rustix::fs::flistxattr(file, &mut *buffer)?;
        let names = buffer[..length].split(|byte| *byte == 0);
        let ours = |name: &&[u8]| allowed(name) && !OF_THE_MACHINE.contains(name);
        Ok(names.filter(ours).map(<[u8]>::to_vec).collect::<Vec<_>>())
    };
    // Most files have none.
    let listed = match list(&mut [0; MOSTLY]) {
        Err(Errno::RANGE) => list(&mut vec![0; LONGEST]),
        listed => listed,
    };
    let mut names = match listed {
        Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
        names => names.map_err(|error| failed("list attributes of", path, error))?,
    };
    if names.is_empty() {
        return Ok(Vec::new());
    }
    names.sort_unstable();
    let (mut attributes, mut buffer) = (Vec::new(), vec![0; LONGEST]);
    for name in names {
        match rustix::fs::fgetxattr(file, &name[..], &mut buffer) {
            Ok(length) => attributes.push((name, buffer[..length].to_vec())),
            // Removed since, or not for this user to read.
            Err(Errno::NODATA | Errno::PERM | Errno::ACCESS) => (),
            Err(error) => return Err(failed("read an attribute of", path, error)),
        }
    }
    Ok(attributes)
}
