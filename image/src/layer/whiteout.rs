//! Marks by which overlayfs knows what a layer hides.
//!
//! Source: Linux, `Documentation/filesystems/overlayfs.rst`, "whiteouts and opaque directories". A whiteout is a
//! character device 0/0, which anybody may make since Linux 5.8, or (since 6.7) an empty file with the attribute
//! `overlay.whiteout` in a directory whose `overlay.opaque` is `x`. The device is taken wherever the file system
//! can hold it: the kernel of Debian 12 does not know the other form and would show an empty file.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, XattrFlags};
use rustix::io::Errno;

use super::OverlayForm;

/// How marks are made in one file system.
#[derive(Debug, Clone, Copy)]
pub(super) struct Markers {
    pub(super) form: OverlayForm,
    /// Whether whiteouts are devices.
    devices: bool,
}

/// What a whiteout turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Made {
    Device,
    Attribute,
}

impl Markers {
    /// Tries in the directory, which is empty, what can be made there.
    pub(super) fn probe(form: OverlayForm, dir: BorrowedFd<'_>) -> Result<Self, Errno> {
        let markers = Self { form, devices: true };
        let devices = match markers.whiteout(dir, b"probe") {
            Ok(_) => {
                rustix::fs::unlinkat(dir, "probe", AtFlags::empty())?;
                true
            }
            Err(Errno::PERM | Errno::OPNOTSUPP | Errno::INVAL | Errno::ACCESS) => false,
            Err(error) => return Err(error),
        };
        Ok(Self { form, devices })
    }

    /// Where nothing is made.
    pub(super) fn for_reading() -> Self {
        Self { form: OverlayForm::Trusted, devices: true }
    }

    /// The same without devices, where a test wants that.
    #[cfg(test)]
    pub(super) fn attributes_only(form: OverlayForm) -> Self {
        Self { form, devices: false }
    }

    /// Makes a whiteout.
    pub(super) fn whiteout(&self, dir: BorrowedFd<'_>, name: &[u8]) -> Result<Made, Errno> {
        if self.devices {
            rustix::fs::mknodat(dir, name, FileType::CharacterDevice, Mode::empty(), 0)?;
            return Ok(Made::Device);
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(dir, name, flags, Mode::RUSR | Mode::WUSR)?;
        rustix::fs::fsetxattr(&file, self.form.attribute("whiteout"), b"y", XattrFlags::empty())?;
        Ok(Made::Attribute)
    }

    /// Hides what lower layers have in a directory. Whiteouts in it say nothing then; they go, because a directory
    /// that is not merged would list them.
    pub(super) fn make_opaque(&self, dir: &OwnedFd) -> Result<(), Errno> {
        let mut hidden = Vec::new();
        for entry in Dir::read_from(dir)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
            if is(dir.as_fd(), name, &stat)? {
                hidden.push(name.to_vec());
            }
        }
        for name in hidden {
            rustix::fs::unlinkat(dir, &name[..], AtFlags::empty())?;
        }
        rustix::fs::fsetxattr(dir, self.form.attribute("opaque"), b"y", XattrFlags::empty())
    }

    /// Says that a directory has whiteouts that are files.
    pub(super) fn mark_attribute_whiteouts(&self, dir: &OwnedFd) -> Result<(), Errno> {
        rustix::fs::fsetxattr(dir, self.form.attribute("opaque"), b"x", XattrFlags::empty())
    }
}

/// Whether what is there under this name is a whiteout, in any form.
pub(super) fn is(dir: BorrowedFd<'_>, name: &[u8], stat: &Stat) -> Result<bool, Errno> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::CharacterDevice => Ok(stat.st_rdev == 0),
        FileType::RegularFile if stat.st_size == 0 => {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            match rustix::fs::openat(dir, name, flags, Mode::empty()) {
                Ok(file) => Ok(attribute(&file, "whiteout")?.is_some()),
                // A whiteout of ours can be read by whoever made it.
                Err(Errno::ACCESS) => Ok(false),
                Err(error) => Err(error),
            }
        }
        _ => Ok(false),
    }
}

/// An attribute of overlayfs in either namespace; as long as its own are, which is one byte or two.
pub(super) fn attribute(file: &OwnedFd, name: &str) -> Result<Option<Vec<u8>>, Errno> {
    for form in [OverlayForm::Trusted, OverlayForm::User] {
        let mut value = [0; 256];
        match rustix::fs::fgetxattr(file, form.attribute(name), &mut value) {
            Ok(length) => return Ok(Some(value[..length].to_vec())),
            // Longer than any value that is understood here; that it is there is what matters.
            Err(Errno::RANGE) => return Ok(Some(Vec::new())),
            Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::PERM | Errno::ACCESS) => (),
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}
