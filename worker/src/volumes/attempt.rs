//! The volumes of one attempt.

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cullet_secrets::Search;
use rustix::fs::AtFlags;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::copy::{Copy, Draft};
use super::place::{About, Held, Place};
use super::publish::unmounted;
use super::store::Inner;
use super::{VolumeError, VolumeMount, VolumeUse, Volumes};
use crate::attempt::sentence;
use crate::layers::open_dir;
use crate::secrets::Masks;

/// Where the workspace is for a step.
const WORKSPACE: &str = "/workspace/";

/// Volumes that a step has, for as long as it has them. What it wrote is thrown away unless it is published.
#[derive(Debug, Default)]
pub(crate) struct AttemptVolumes {
    inner: Option<Arc<Inner>>,
    step: String,
    volumes: Vec<Volume>,
}

/// One of them.
#[derive(Debug)]
struct Volume {
    wanted: VolumeUse,
    had: Had,
}

/// How an attempt has left its volumes.
#[derive(Debug, Default)]
pub(crate) struct Leaving {
    pub(crate) succeeded: bool,
    /// Whether somebody may still hold open what it wrote.
    pub(crate) reachable: bool,
    /// Looks for what must not be in them.
    pub(crate) search: Option<Arc<Search>>,
    /// What is secret in what is said of them.
    pub(crate) masks: Masks,
}

#[derive(Debug)]
enum Had {
    /// A copy of a volume, and the turn where there are turns.
    Copy(Box<Copy>, Option<Held>),
    /// An empty directory in its place.
    Substitute(Draft),
}

impl Volumes {
    /// Copies of the volumes for an attempt, which works in `scratch`. Nothing when this is cancelled.
    pub(crate) async fn take(
        &self,
        step: &str,
        wanted: &[VolumeUse],
        scratch: &Path,
        cancel: &CancellationToken,
    ) -> Option<AttemptVolumes> {
        let mut taken =
            AttemptVolumes { inner: Some(Arc::clone(&self.0)), step: step.to_owned(), volumes: Vec::new() };
        let mut wanted: Vec<(Place, About, &VolumeUse)> = wanted
            .iter()
            .map(|wanted| {
                let (place, about) = self.0.place(wanted);
                (place, about, wanted)
            })
            .collect();
        // Two that wait for each other's would wait for long.
        wanted.sort_by(|a, b| a.0.cmp(&b.0));
        for (place, about, wanted) in wanted {
            if wanted.empty {
                let had = self.0.substitute(step, scratch, wanted);
                taken.volumes.extend(had.map(|had| Volume { wanted: wanted.clone(), had }));
                continue;
            }
            let turn = match wanted.locked {
                true => self.0.turn(step, (&place, &about), cancel).await.transpose()?.map(Some),
                false => Ok(None),
            };
            if turn.is_ok() {
                self.0.bring(step, (&place, &about, wanted), cancel).await;
            }
            let had = match turn {
                Ok(turn) => copied(&self.0, &place, &about).await.map(|copy| Had::Copy(copy.into(), turn)),
                Err(error) => Err(error),
            };
            let had = match had {
                Ok(had) => had,
                Err(error) => {
                    let text = format!("has an empty directory in place of the cache '{}'", wanted.volume);
                    self.0.warn(step, &text, &error);
                    let Some(had) = self.0.substitute(step, scratch, wanted) else { continue };
                    had
                }
            };
            taken.volumes.push(Volume { wanted: wanted.clone(), had });
        }
        Some(taken)
    }
}

async fn copied(inner: &Arc<Inner>, place: &Place, about: &About) -> Result<Copy, VolumeError> {
    let (inner, place, about) = (Arc::clone(inner), place.clone(), about.clone());
    let path = place.dir().to_owned();
    let copied = spawn_blocking(move || inner.copy(&place, &about)).await;
    copied.unwrap_or_else(|error| {
        Err(VolumeError::Io { action: "copy", path, source: std::io::Error::other(error) })
    })
}

impl AttemptVolumes {
    /// For the executor, sorted by path.
    pub(crate) fn mounts(&self) -> Vec<VolumeMount> {
        let most_bytes = self.inner.as_ref().map_or(0, |inner| inner.config.volume_bytes);
        let mount = |volume: &Volume| {
            let (layers, draft) = match &volume.had {
                Had::Copy(copy, _) => (copy.layers(), &copy.draft),
                Had::Substitute(draft) => (Vec::new(), draft),
            };
            let (path, draft) = (volume.wanted.path.clone(), draft.path().to_owned());
            VolumeMount { path, layers, draft, most_bytes }
        };
        let mut mounts: Vec<VolumeMount> = self.volumes.iter().map(mount).collect();
        mounts.sort_by(|a, b| a.path.cmp(&b.path));
        mounts
    }

    /// What the step writes to them.
    pub(crate) fn uppers(&self) -> Vec<PathBuf> {
        let upper = |volume: &Volume| match &volume.had {
            Had::Copy(copy, _) => copy.draft.upper(),
            Had::Substitute(draft) => draft.upper(),
        };
        self.volumes.iter().map(upper).collect()
    }

    /// Removes the places of volumes from what the step left of its workspace: they are none of its files. Of the
    /// directories on the way, those go that the inputs do not have.
    pub(crate) fn clear_workspace(&self, upper: &Path, inputs: &Path) {
        let Ok(upper) = File::open(upper) else { return };
        for volume in &self.volumes {
            let Some(place) = volume.wanted.path.strip_prefix(WORKSPACE) else { continue };
            let mut here = Some(Path::new(place));
            while let Some(path) = here.filter(|path| !path.as_os_str().is_empty()) {
                if inputs.join(path).symlink_metadata().is_ok() || remove_place(&upper, path).is_err() {
                    break;
                }
                here = path.parent();
            }
        }
    }

    /// The attempt has ended. What it wrote is kept if it has succeeded.
    pub(crate) async fn end(self, left: Leaving) {
        if self.volumes.is_empty() {
            return;
        }
        // Removing what a step wrote takes as long as it takes.
        let _ = spawn_blocking(move || {
            let Self { inner, step, volumes } = self;
            let Some(inner) = inner else { return };
            for volume in volumes {
                let Had::Copy(mut copy, turn) = volume.had else { continue };
                let kept = match left.succeeded {
                    true => inner.publish(&mut copy, &left),
                    false => unmounted(&copy).map(|()| false),
                };
                if left.succeeded && kept.is_ok() {
                    inner.has_changed(&step, &copy.place, &volume.wanted);
                }
                inner.say(&step, (&volume.wanted, &copy), kept, &left.masks);
                drop(copy);
                drop(turn);
            }
        })
        .await;
    }
}

/// Removes an empty directory below another. The step may have put a link to the machine on the way there, which is not
/// followed.
fn remove_place(upper: &File, path: &Path) -> io::Result<()> {
    let above = path.parent().unwrap_or(Path::new(""));
    let dir = open_dir(upper.as_fd(), above.as_os_str().as_bytes())?;
    let name = path.file_name().unwrap_or_default();
    Ok(rustix::fs::unlinkat(&dir, name, AtFlags::REMOVEDIR)?)
}

impl Inner {
    /// An empty directory of the attempt's own.
    fn substitute(&self, step: &str, scratch: &Path, wanted: &VolumeUse) -> Option<Had> {
        // Another attempt may have the scratch directory before this is dropped.
        let path = scratch.join(format!("volume-{}", self.fresh_name()));
        match Draft::make(path, self.config.owner) {
            Ok(draft) => Some(Had::Substitute(draft)),
            Err(error) => {
                self.warn(step, &format!("has nothing in place of the cache '{}'", wanted.volume), &error);
                None
            }
        }
    }

    fn say(
        &self,
        step: &str,
        (wanted, copy): (&VolumeUse, &Copy),
        kept: Result<bool, VolumeError>,
        masks: &Masks,
    ) {
        match kept {
            Ok(false) => {}
            Ok(true) => {
                if let Err(error) = self.evict(self.config.total_bytes) {
                    let text = "the caches of steps could not be brought below their bound";
                    self.warn(step, text, &error);
                }
            }
            Err(error) => {
                let what = match &error {
                    VolumeError::TooLarge(_) => "large",
                    VolumeError::Secret { .. } => "secret",
                    _ => "trouble",
                };
                if self.is_news(&copy.place, what) {
                    let volume = &wanted.volume;
                    let mut text =
                        format!("what it wrote to the cache '{volume}' is not kept: {}", sentence(&error));
                    masks.text(&mut text);
                    self.config.events.tell(step, true, text);
                }
            }
        }
    }

    fn warn(&self, step: &str, text: &str, error: &VolumeError) {
        self.config.events.tell(step, true, format!("{text}: {}", sentence(error)));
    }
}
