//! The faulty disk.

use std::any::Any;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::contents::Contents;
use super::world::{Faults, Renaming, World};
use crate::disk::{Disk, DiskFile, OpenMode};
use crate::frame::SECTOR_BYTES;
use crate::shared::lock;

/// A disk in memory. Clones are the same disk.
#[derive(Clone, Default)]
pub struct FaultyDisk(Arc<Mutex<World>>);

impl FaultyDisk {
    /// An empty disk that works; `seed` decides how it fails when it does.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(World::new(seed))))
    }

    /// What goes wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.world(|world| world.faults = faults);
    }

    /// Changes so far.
    pub fn changes(&self) -> u64 {
        self.world(|world| world.changes)
    }

    /// Syncs so far.
    pub fn syncs(&self) -> u64 {
        self.world(|world| world.syncs)
    }

    /// Whether everything stopped, as [`Faults::stop_at`] says.
    pub fn is_stopped(&self) -> bool {
        self.world(|world| world.stopped)
    }

    /// The disk that the machine finds after losing power; this one stops.
    pub fn power_cut(&self) -> Self {
        Self(Arc::new(Mutex::new(self.world(World::after_power_cut))))
    }

    /// The disk that the next process finds; this one stops.
    pub fn restart(&self) -> Self {
        Self(Arc::new(Mutex::new(self.world(World::after_restart))))
    }

    /// Inverts one bit of a file, on the device.
    ///
    /// # Errors
    /// Where the file has no such byte.
    pub fn flip_bit(&self, path: &Path, offset: usize, bit: u8) -> io::Result<()> {
        self.world(|world| {
            let file = world.file(path)?;
            let byte = file.now.get(offset).ok_or(io::ErrorKind::UnexpectedEof)? ^ 1 << (bit % 8);
            file.write(&[byte], offset);
            file.sync();
            Ok(())
        })
    }

    /// Replaces a file's bytes, durably.
    ///
    /// # Errors
    /// Where there is no such file.
    pub fn put(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.world(|world| {
            let file = world.file(path)?;
            file.set_len(0);
            file.write(bytes, 0);
            file.sync();
            Ok(())
        })
    }

    /// A file's bytes.
    ///
    /// # Errors
    /// Where there is no such file.
    pub fn get(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.world(|world| Ok(world.file(path)?.now.clone()))
    }

    /// All files.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.world(|world| world.names.keys().cloned().collect())
    }

    fn world<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        act(&mut lock(&self.0))
    }
}

impl Disk for FaultyDisk {
    fn create_dir_all(&self, _dir: &Path) -> io::Result<()> {
        self.world(|world| world.check_running())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.world(|world| {
            world.check_running()?;
            let inside = world.names.keys().filter(|path| path.parent() == Some(dir));
            Ok(inside.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
        })
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        self.world(|world| {
            world.check_running()?;
            if mode == OpenMode::Create {
                world.act(|world| {
                    let number = world.next_file;
                    world.next_file += 1;
                    world.files.insert(number, Contents::default());
                    world.rename(Renaming::Make(path.to_owned(), number));
                    Ok(())
                })?;
            }
            let number = *world.names.get(path).ok_or(io::ErrorKind::NotFound)?;
            Ok(Arc::new(FaultyFile { disk: self.clone(), number }) as Arc<dyn DiskFile>)
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.world(|world| {
            world.file(from)?;
            world.act(|world| {
                world.rename(Renaming::Move(from.to_owned(), to.to_owned()));
                Ok(())
            })
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.world(|world| {
            world.file(path)?;
            world.act(|world| {
                world.rename(Renaming::Remove(path.to_owned()));
                Ok(())
            })
        })
    }

    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        self.world(|world| {
            world.act(|world| {
                world.durable_names.clone_from(&world.names);
                world.renamings.clear();
                Ok(())
            })
        })
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Any + Send + Sync>>> {
        self.world(|world| {
            world.check_running()?;
            let is_free = world.locked.insert(path.to_owned());
            // A guard that is not given out must not be made: its end frees the lock.
            let guard = || HeldLock { disk: self.clone(), path: path.to_owned() };
            Ok(is_free.then(|| Box::new(guard()) as Box<dyn Any + Send + Sync>))
        })
    }
}

struct HeldLock {
    disk: FaultyDisk,
    path: PathBuf,
}

impl Drop for HeldLock {
    fn drop(&mut self) {
        self.disk.world(|world| world.locked.remove(&self.path));
    }
}

/// Bytes from `start` to the last sector's boundary before `end`.
const fn whole_sectors(end: usize, start: usize) -> usize {
    (end / SECTOR_BYTES * SECTOR_BYTES).saturating_sub(start)
}

struct FaultyFile {
    disk: FaultyDisk,
    number: u64,
}

impl FaultyFile {
    fn with<T>(&self, act: impl FnOnce(&mut World, u64) -> io::Result<T>) -> io::Result<T> {
        self.disk.world(|world| {
            world.check_running()?;
            act(world, self.number)
        })
    }
}

impl DiskFile for FaultyFile {
    fn len(&self) -> io::Result<u64> {
        self.with(|world, number| Ok(world.contents(number)?.now.len() as u64))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.with(|world, number| {
            let bytes = &world.contents(number)?.now;
            let from = bytes.get(offset as usize..).unwrap_or_default();
            let count = from.len().min(buffer.len());
            buffer[..count].copy_from_slice(&from[..count]);
            Ok(count)
        })
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.with(|world, number| {
            let stops = world.change()?;
            let grown = (offset as usize + bytes.len()).saturating_sub(world.contents(number)?.now.len());
            let space = world.faults.capacity_bytes.map(|all| all.saturating_sub(world.used_bytes()));
            let mut count = bytes.len() - grown.saturating_sub(space.unwrap_or(grown));
            if count == 0 && !bytes.is_empty() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            if stops {
                // A process that is killed in the middle of a write has written whole pages.
                let end = offset as usize + world.chance.up_to(count);
                count =
                    if end == offset as usize + count { count } else { whole_sectors(end, offset as usize) };
            }
            world.contents(number)?.write(&bytes[..count], offset as usize);
            world.write_back(number);
            world.check_running()?;
            Ok(count)
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.with(|world, number| {
            world.act(|world| {
                world.write_back(number);
                world.contents(number)?.set_len(len as usize);
                Ok(())
            })
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.with(|world, number| {
            let fails = world.faults.fail_sync == Some(world.syncs);
            world.syncs += 1;
            world.act(|world| {
                let file = world.contents(number)?;
                if fails {
                    file.lose_dirty();
                    return Err(io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error()));
                }
                file.sync();
                Ok(())
            })
        })
    }

    fn forget_cached(&self) -> io::Result<()> {
        self.with(|world, number| {
            world.contents(number)?.forget_cached();
            Ok(())
        })
    }
}
