//! A round: what is no longer needed is announced, and what was announced long enough ago is removed.

use std::collections::HashSet;

use futures_util::TryStreamExt as _;

use super::lock::{Lock, store_now};
use super::mark::{Mark, Want, too_many};
use super::state::{self, Doomed, MOST_DOOMED, Phase, State, left_name, list_name, rescued_by, state_name};
use super::used::{Uses, age};
use super::{Policy, Report, seconds, tombstones};
use crate::objects::{Collectable, Kind, Listed, NameId, ObjectName, Seen};
use crate::packed::points;
use crate::{Area, StoreError};

/// Results that are followed at the same time. The bound of bytes is kept but for what so many need.
const ROOTS: usize = 256;

/// What lives only as long as something points to it, in the order in which it is removed: a record before what it points to.
const PARTS: [Kind; 3] = [Kind::Records(Area::Tree), Kind::Records(Area::Blob), Kind::Data];

pub(super) struct Round<'a> {
    pub(super) store: &'a dyn Collectable,
    pub(super) lock: &'a Lock,
    pub(super) policy: &'a Policy,
    pub(super) report: Report,
}

/// What everything begins at.
struct Roots {
    /// Results and runs.
    all: Vec<Listed>,
    /// Records of use.
    used: Vec<Listed>,
    uses: Uses,
}

impl Round<'_> {
    /// Does what is to be done now.
    pub(super) async fn go(mut self) -> Result<Report, StoreError> {
        let state = state::read(self.store).await?;
        let now = seconds(store_now(self.store).await?);
        let announced_s = match state.phase {
            Phase::Idle => None,
            Phase::Deleting { announced_s } => Some(announced_s),
            Phase::Announced => {
                let announced = self.store.modified(&state_name()).await?.map_or(now, seconds);
                let waited = age(now, announced);
                if waited < self.policy.grace {
                    self.report.waits = Some(self.policy.grace - waited);
                    return Ok(self.report);
                }
                let deleting = State { phase: Phase::Deleting { announced_s: announced }, ..state };
                self.write(deleting).await?;
                Some(announced)
            }
        };
        if let Some(announced_s) = announced_s {
            self.delete(state.epoch, announced_s, now).await?;
        }
        self.announce(state.epoch + 1, now).await?;
        Ok(self.report)
    }

    /// Writes down what is not needed any more.
    async fn announce(&mut self, epoch: u64, now: u64) -> Result<(), StoreError> {
        let Roots { mut all, used, uses } = self.roots().await?;
        let mut mark = Mark::new(self.store, self.policy.max_bytes.is_some());
        for kind in &PARTS[..2] {
            self.each(*kind, |listed| mark.note_size(listed.name.id(), listed.size)).await?;
        }
        // The latest first.
        all.sort_by_key(|listed| std::cmp::Reverse(uses.last(listed)));
        let young = all.partition_point(|listed| age(now, uses.last(listed)) < self.policy.keep);
        let mut kept = 0;
        for chunk in all[..young].chunks(ROOTS) {
            let is_full = self.policy.max_bytes.is_some_and(|most| mark.bytes > most);
            if is_full {
                break;
            }
            mark.bytes += chunk.iter().map(|listed| listed.size).sum::<u64>();
            mark.reach(wants(chunk)).await?;
            kept += chunk.len();
        }
        self.report.kept_bytes = mark.bytes;
        // What they need stays as long as they are there, and a while longer: somebody may have found them just now.
        mark.remember();
        for chunk in all[kept..].chunks(ROOTS) {
            mark.reach(wants(chunk)).await?;
        }
        let left = mark.take_remembered();
        let mut doomed: Vec<NameId> = all[kept..].iter().map(|listed| listed.name.id()).collect();
        let old = used.iter().filter(|listed| age(now, seconds(listed.modified)) >= self.policy.keep);
        doomed.extend(old.map(|listed| listed.name.id()));
        self.parts(epoch, now, &mut mark, &mut doomed).await?;
        self.report.damaged = mark.damaged;
        self.report.announced = doomed.len().min(MOST_DOOMED);
        if doomed.is_empty() {
            return Ok(());
        }
        for (name, names) in [(left_name(epoch), left), (list_name(epoch), doomed)] {
            let list = state::close(&Doomed::new(names)).ok_or_else(|| self.unwritable())?;
            self.lock.put(&name, list).await?;
        }
        self.write(State { epoch, phase: Phase::Announced }).await?;
        self.lock.remove(&[ObjectName::Record(left_name(epoch - 1))]).await
    }

    /// Trees, blobs and data that nothing points to any more. Data goes after a grace, and so do records that only
    /// results had which went in the epoch before, and those of which a record says that it had them before it was replaced. What no result ever had stays like one: what clusters know of their runs, such
    /// as submissions and Actions, inputs, and logs of steps that failed. What is younger than a grace is most likely being stored, and
    /// what points to it is still to come.
    async fn parts(
        &mut self,
        epoch: u64,
        now: u64,
        mark: &mut Mark<'_>,
        doomed: &mut Vec<NameId>,
    ) -> Result<(), StoreError> {
        let Policy { keep, grace, .. } = *self.policy;
        let left = state::names(self.store, &left_name(epoch - 1)).await?.unwrap_or_default();
        let store = self.store;
        for kind in PARTS {
            let mut staying = Vec::new();
            let add = |listed: &Listed| {
                let id = listed.name.id();
                if mark.has(&id) {
                    return Ok(());
                }
                let is_known = left.has(&id) || mark.is_released(&id);
                let stays_for = if kind == Kind::Data || is_known { grace } else { keep.max(grace) };
                if age(now, seconds(listed.modified)) < stays_for {
                    staying.extend(want(&listed.name).filter(|_| points_further(&listed.name)));
                    too_many(store, staying.len())?;
                } else if doomed.len() < MOST_DOOMED {
                    doomed.push(id);
                }
                Ok(())
            };
            self.each(kind, add).await?;
            mark.reach(staying).await?;
        }
        Ok(())
    }

    /// Removes what was announced and is still not needed. The state says so already: who needs something of it from now on
    /// waits.
    async fn delete(&mut self, epoch: u64, announced_s: u64, now: u64) -> Result<(), StoreError> {
        let doomed = state::read_list(self.store, epoch).await?.unwrap_or_default();
        let markers = self.markers().await?;
        let rescued: HashSet<NameId> =
            markers.iter().filter(|(of, _)| *of == epoch).map(|(_, name)| rescued_by_name(name)).collect();
        let Roots { all, used, uses } = self.roots().await?;
        let stays = |id: &NameId| !doomed.has(id) || rescued.contains(id);
        let mut mark = Mark::new(self.store, false);
        let mut wanted = Vec::new();
        for kind in PARTS {
            let follow = |listed: &Listed| {
                let id = listed.name.id();
                if kind != Kind::Data {
                    mark.note_size(id, listed.size)?;
                }
                if stays(&id) && (doomed.has(&id) || points_further(&listed.name)) {
                    wanted.extend(want(&listed.name));
                    too_many(self.store, wanted.len())?;
                }
                Ok(())
            };
            self.each(kind, follow).await?;
        }
        mark.reach(wanted).await?;
        for chunk in all.chunks(ROOTS) {
            mark.reach(wants(chunk)).await?;
        }
        let is_over = |listed: &&Listed| {
            let id = listed.name.id();
            !stays(&id) && uses.last(listed) < announced_s
        };
        let over: Vec<Listed> = all.iter().chain(&used).filter(is_over).copied().collect();
        self.bury(&over, now).await?;
        self.remove(&over).await?;
        for kind in PARTS {
            let mut gone: Vec<Listed> = Vec::new();
            let add = |listed: &Listed| {
                let id = listed.name.id();
                if doomed.has(&id) && !mark.has(&id) {
                    gone.push(*listed);
                }
                Ok(())
            };
            self.each(kind, add).await?;
            self.remove(&gone).await?;
        }
        // Only now: markers that went before this was said would be missed by whoever went on after a crash.
        self.write(State { epoch, phase: Phase::Idle }).await?;
        let rest = markers.into_iter().filter(|(of, _)| *of <= epoch).map(|(_, name)| name);
        let rest: Vec<ObjectName> = rest.chain([ObjectName::Record(list_name(epoch))]).collect();
        self.lock.remove(&rest).await
    }

    async fn roots(&mut self) -> Result<Roots, StoreError> {
        let (mut all, mut used) = (Vec::new(), Vec::new());
        for area in [Area::Run, Area::Result, Area::Used] {
            let store = self.store;
            let list = if area == Area::Used { &mut used } else { &mut all };
            self.each(Kind::Records(area), |listed| {
                list.push(*listed);
                too_many(store, list.len())
            })
            .await?;
        }
        let tell = all.iter().take_while(|listed| of_area(listed, Area::Run)).chain(&used);
        let tell: Vec<Listed> = tell.copied().collect();
        let uses = Uses::read(self.store, &tell).await?;
        Ok(Roots { all, used, uses })
    }

    /// Markers that there are, each with its epoch.
    async fn markers(&mut self) -> Result<Vec<(u64, ObjectName)>, StoreError> {
        let (mut markers, store) = (Vec::new(), self.store);
        self.each(Kind::Records(Area::Rescue), |listed| {
            if let ObjectName::Record(name) = listed.name {
                markers.push((name.scope.map_or(0, u64::from_be_bytes), listed.name));
            }
            too_many(store, markers.len())
        })
        .await?;
        Ok(markers)
    }

    /// Does something with everything of a kind.
    async fn each(
        &mut self,
        kind: Kind,
        mut work: impl FnMut(&Listed) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut listed = self.store.list(kind);
        let mut strange = 0;
        while let Some(seen) = listed.try_next().await? {
            match seen {
                Seen::Ours(listed) => work(&listed)?,
                Seen::Strange => strange += 1,
            }
        }
        self.report.strange = self.report.strange.max(strange);
        Ok(())
    }

    async fn bury(&self, over: &[Listed], now: u64) -> Result<(), StoreError> {
        let results = over.iter().filter(|listed| of_area(listed, Area::Result));
        let results: Vec<NameId> = results.map(|listed| listed.name.id()).collect();
        tombstones::bury(self.store, self.lock, &results, now).await
    }

    async fn remove(&mut self, gone: &[Listed]) -> Result<(), StoreError> {
        let names: Vec<ObjectName> = gone.iter().map(|listed| listed.name).collect();
        self.lock.remove(&names).await?;
        self.report.removed += gone.len();
        self.report.removed_bytes += gone.iter().map(|listed| listed.size).sum::<u64>();
        self.report.results += gone.iter().filter(|listed| of_area(listed, Area::Result)).count();
        Ok(())
    }

    async fn write(&self, state: State) -> Result<(), StoreError> {
        let bytes = state::close(&state).ok_or_else(|| self.unwritable())?;
        self.lock.put(&state_name(), bytes).await
    }

    fn unwritable(&self) -> StoreError {
        StoreError::remote("store in", self.store.place(), "the state of the collection has no form")
    }
}

fn of_area(listed: &Listed, area: Area) -> bool {
    matches!(listed.name, ObjectName::Record(name) if name.area == area)
}

fn rescued_by_name(name: &ObjectName) -> NameId {
    match name {
        ObjectName::Record(name) => rescued_by(name),
        ObjectName::Data(_) => name.id(),
    }
}

fn wants(roots: &[Listed]) -> Vec<Want> {
    let root = |listed: &Listed| match listed.name {
        ObjectName::Record(name) => Some(Want::Root(name, listed.size)),
        ObjectName::Data(_) => None,
    };
    roots.iter().filter_map(root).collect()
}

/// Whether anything may be reached from there.
fn points_further(name: &ObjectName) -> bool {
    match name {
        ObjectName::Data(_) => false,
        ObjectName::Record(name) => name.area == Area::Tree || points::may_have_pieces(&name.about),
    }
}

/// What has to be followed so that this is not without what it needs.
fn want(name: &ObjectName) -> Option<Want> {
    match name {
        ObjectName::Data(data) => Some(Want::Data(*data)),
        ObjectName::Record(name) => match name.area {
            Area::Tree => Some(Want::Tree(name.about)),
            Area::Blob => Some(Want::Blob(name.about)),
            _ => None,
        },
    }
}
