//! Images as root directories of steps: what goes in, and what a step leaves of one.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// An image, unpacked. `WORKDIR`, `ENTRYPOINT` and `CMD` are not here because steps have no use for them: a step
/// starts where its inputs are, and what it runs is what the pipeline says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRoot {
    /// Directories for overlayfs, the lowest first; never written to.
    pub layers: Vec<PathBuf>,
    /// Their form, which has to be that of
    /// [`Sandbox::takes_owned_layers`](crate::sandbox::Sandbox::takes_owned_layers).
    pub owned: bool,
    /// The user and group whose files belong to the caller, in layers of which all others belong to the caller's sub-ids;
    /// see [`Sandbox::has_sub_ids`](crate::sandbox::Sandbox::has_sub_ids). They have to be those of `user`.
    pub ranged: Option<(u32, u32)>,
    /// `ENV`.
    pub env: Vec<(String, String)>,
    /// `USER`: `USER[:GROUP]`, names of the image's `/etc/passwd` and `/etc/group` or numbers. Empty for root.
    pub user: String,
    /// What a container engine calls it, where that has it in place of layers here.
    pub in_engine: Option<String>,
}

/// What a step changed of its image: an upper directory of overlayfs, in the step's scratch directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootUpper {
    /// The directory.
    pub path: PathBuf,
    /// Whose the files in it are.
    pub owners: Owners,
    /// Whether these are the ids that there are after [`enter_sub_ids`](crate::sandbox::enter_sub_ids).
    pub ranged: bool,
    /// Whether the step had secrets, which are mounted as well.
    pub secrets: bool,
}

impl RootUpper {
    /// Paths in it that are the sandbox's: it mounts something there, and makes the place where the image has none.
    /// While a step runs, it can neither change nor replace them.
    pub const MOUNTED: [&str; 9] =
        ["proc", "dev", "tmp", "var/tmp", "workspace", "sys", "etc/hosts", "etc/hostname", "etc/resolv.conf"];

    /// The same for the secrets of steps that have some.
    pub const SECRETS: &str = "run/secrets";

    /// What of this is nothing of the step's.
    pub fn without(&self) -> Vec<&'static str> {
        Self::mounted(self.secrets).collect()
    }

    /// All that is mounted in steps that have secrets, or have none.
    pub(crate) fn mounted(secrets: bool) -> impl Iterator<Item = &'static str> {
        Self::MOUNTED.into_iter().chain(secrets.then_some(Self::SECRETS))
    }
}

/// What a step changed of its image in a container engine, which has the upper directory. In the step's scratch directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineUpper {
    /// An archive of it; everything is below its first directory.
    pub archive: PathBuf,
    /// An archive of the step's whole root, where the first lacks what was moved with its directory.
    pub merged: Option<PathBuf>,
    /// What was changed, by paths without a slash at either end, and whether it is still there.
    pub changes: BTreeMap<Vec<u8>, bool>,
    /// Directories in which the engine made places to mount things on, with mode, user and group as in the image; none
    /// where that has no such directory.
    pub places: BTreeMap<Vec<u8>, Option<(u32, u32, u32)>>,
    /// What is mounted, or the engine's: nothing of the step's, with all that is below.
    pub mounted: Vec<String>,
}

/// How the user and group ids of a step in an image are those of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owners {
    /// The step's user in the image.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// The machine's id of both, where that is not the caller's.
    pub own: Option<u32>,
    /// The machine's ids of users and groups 0 to 65,535 of the image begin here, but for the step's own. None where
    /// only the step's own exist.
    pub block: Option<u32>,
}

/// How many users and groups an image can have, from 0 on: as many as Debian's policy knows, `nobody` included.
pub(crate) const IMAGE_IDS: u32 = 65_536;

impl Owners {
    /// The image's user and group for the owner of a file that the step left behind. What is not the step's belongs to
    /// root, as mount points do.
    pub fn inside(&self, uid: u32, gid: u32) -> (u32, u32) {
        let Some(block) = self.block else { return (self.uid, self.gid) };
        let one = |id: u32, own: u32| match id.checked_sub(block) {
            _ if Some(id) == self.own => own,
            Some(inside) if inside < IMAGE_IDS => inside,
            _ => 0,
        };
        (one(uid, self.uid), one(gid, self.gid))
    }

    /// The machine's ids of the image's root, for what the sandbox makes in the image.
    pub(crate) fn root(&self) -> (Option<u32>, Option<u32>) {
        let one = |own: u32| if own == 0 { self.own } else { self.block };
        (one(self.uid), one(self.gid))
    }

    /// Lines of an id map for a namespace with the image's ids, of which `own` is the step's.
    pub(crate) fn map(&self, own: u32) -> String {
        lines(own, self.own, self.block)
    }
}

/// Lines of an id map for a namespace within that one, with the same ids. A line of it may not span several there.
pub(crate) fn same_map(own: u32) -> String {
    lines(own, Some(own), Some(0))
}

fn lines(own: u32, outside: Option<u32>, block: Option<u32>) -> String {
    let behind = own + 1;
    [
        (0, block, own),
        (own, outside, 1),
        (behind, block.map(|block| block + behind), IMAGE_IDS.saturating_sub(behind)),
    ]
    .into_iter()
    .filter(|(_, _, count)| *count > 0)
    .filter_map(|(inside, outside, count)| Some(format!("{inside} {} {count}\n", outside?)))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_lead_there_and_back() {
        let owners = Owners { uid: 1000, gid: 0, own: Some(7), block: Some(100_000) };
        assert_eq!(owners.map(1000), "0 100000 1000\n1000 7 1\n1001 101001 64535\n");
        assert_eq!(owners.map(0), "0 7 1\n1 100001 65535\n");
        assert_eq!(owners.map(65_535), "0 100000 65535\n65535 7 1\n");
        assert_eq!(same_map(5), "0 0 5\n5 5 1\n6 6 65530\n");
        assert_eq!(owners.inside(7, 7), (1000, 0));
        assert_eq!(owners.inside(100_000, 165_535), (0, 65_535));
        assert_eq!(owners.inside(0, 165_536), (0, 0));
        assert_eq!(owners.root(), (Some(100_000), Some(7)));
    }

    #[test]
    fn places_of_secrets_are_the_steps_own_where_it_has_none() {
        let owners = Owners { uid: 0, gid: 0, own: None, block: None };
        let upper = |secrets| RootUpper { path: PathBuf::new(), owners, ranged: false, secrets };
        assert_eq!(upper(false).without(), RootUpper::MOUNTED);
        assert_eq!(upper(true).without().last(), Some(&"run/secrets"));
    }

    #[test]
    fn where_there_is_one_id_everything_is_its() {
        let owners = Owners { uid: 3, gid: 4, own: None, block: None };
        assert_eq!((owners.inside(54_321, 0), owners.root()), ((3, 4), (None, None)));
    }
}
