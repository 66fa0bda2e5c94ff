//! What headers before an entry said about it.

use super::fields::{decimal, time};
use super::pax::{self, PaxRecord};
use super::{Time, Xattrs};
use crate::layer::shown;

/// Each overrides a field of the entry's own header.
#[derive(Default)]
pub(super) struct Extras {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) mtime: Option<Time>,
    pub(super) xattrs: Xattrs,
    /// Whether there was an extended header already.
    pub(super) pax: bool,
    /// Whether it is one of GNU tar's sparse files.
    pub(super) sparse: bool,
}

impl Extras {
    /// Whether there was any.
    pub(super) fn is_any(&self) -> bool {
        self.pax || self.path.is_some() || self.link.is_some()
    }

    /// Takes over a record; whether it matters here. POSIX has the last of several records win and an empty value
    /// undo the field; as no program writes either and some read them differently, both are refused.
    pub(super) fn apply(&mut self, record: &PaxRecord<'_>) -> Result<bool, String> {
        let PaxRecord { key, value } = *record;
        let bad = || format!("has a bad or repeated `{}`", shown(key));
        let fresh = match key {
            b"path" => self.path.replace(value.to_vec()).is_none() && !value.is_empty(),
            b"linkpath" => self.link.replace(value.to_vec()).is_none() && !value.is_empty(),
            b"size" => self.size.replace(decimal(value).ok_or_else(bad)?).is_none(),
            b"uid" => self.uid.replace(decimal(value).ok_or_else(bad)?).is_none(),
            b"gid" => self.gid.replace(decimal(value).ok_or_else(bad)?).is_none(),
            b"mtime" => {
                let (seconds, nanos) = time(value).ok_or_else(bad)?;
                self.mtime.replace(Time { seconds, nanos }).is_none()
            }
            // Not taken, but of those that others do not go on behind.
            b"atime" | b"ctime" => return time(value).ok_or_else(bad).map(|_| false),
            b"uname" | b"gname" if value.contains(&0) => return Err(bad()),
            _ if key.starts_with(b"GNU.sparse.") || key == b"SCHILY.realsize" => {
                self.sparse = true;
                true
            }
            _ => match key.strip_prefix(pax::XATTR) {
                None => return Ok(false),
                Some(name) => self.attribute(name, value),
            },
        };
        if fresh { Ok(true) } else { Err(bad()) }
    }

    fn attribute(&mut self, name: &[u8], value: &[u8]) -> bool {
        let fresh = self.xattrs.iter().all(|(known, _)| known != name);
        self.xattrs.push((name.to_vec(), value.to_vec()));
        fresh && !name.is_empty() && !name.contains(&0)
    }
}
