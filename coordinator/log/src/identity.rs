//! Who this node is.

use std::fmt;
use std::io;
use std::path::Path;

use crate::disk::{self, Disk, OpenMode};
use crate::frame::{self, u32_at, u64_at};
use crate::{Error, Result, names, segment};

const MAGIC: [u8; 8] = *b"CLTRIDN\n";
const BYTES: usize = 40;

/// Names a cluster; drawn once, when it is made.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClusterId(pub [u8; 16]);

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Names a node of a cluster. A node that lost its directory is another one: it must never vote as its old self.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The cluster.
    pub cluster: ClusterId,
    /// Drawn at the first start.
    pub node: u64,
}

impl Identity {
    /// The identity in a directory; None where there is none yet.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Version`], or what the disk says.
    pub fn read(disk: &dyn Disk, dir: &Path) -> Result<Option<Self>> {
        let path = dir.join(names::IDENTITY);
        let file = match disk.open(&path, OpenMode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("open", &path)(error)),
        };
        let mut bytes = [0; BYTES];
        if file.len().map_err(Error::io("measure", &path))? != BYTES as u64 {
            return Err(Error::corrupt(&path, 0, 0, "its length is wrong"));
        }
        disk::read_exact(&*file, &mut bytes, 0).map_err(Error::io("read", &path))?;
        if bytes[..8] != MAGIC || u32_at(&bytes, BYTES - 4) != crc32c::crc32c(&bytes[..BYTES - 4]) {
            return Err(Error::corrupt(&path, 0, 0, "its checksum is wrong"));
        }
        let version = u32_at(&bytes, 8);
        if version != frame::VERSION {
            return Err(Error::Version { path, found: version, supported: frame::VERSION });
        }
        let mut cluster = [0; 16];
        cluster.copy_from_slice(&bytes[12..28]);
        Ok(Some(Self { cluster: ClusterId(cluster), node: u64_at(&bytes, 28) }))
    }

    pub(crate) fn write(self, disk: &dyn Disk, dir: &Path) -> Result<()> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(frame::VERSION.to_le_bytes());
        bytes.extend(self.cluster.0);
        bytes.extend(self.node.to_le_bytes());
        bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
        segment::write_whole(disk, dir, &dir.join(names::IDENTITY), &bytes)?;
        Ok(())
    }
}
