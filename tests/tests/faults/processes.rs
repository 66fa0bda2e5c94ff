//! Processes of this machine, as the kernel tells of them.

use std::fs;

/// A process, known by its number and when it began: numbers are used again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) id: u32,
    pub(crate) name: String,
    parent: u32,
    began: u64,
    is_dead: bool,
}

impl Seen {
    /// See `proc(5)`: the name is in parentheses, and may have some itself.
    fn look(id: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        let (before, after) = stat.rsplit_once(") ")?;
        let fields: Vec<&str> = after.split(' ').collect();
        Some(Self {
            id,
            name: before.split_once('(')?.1.to_owned(),
            parent: fields[1].parse().ok()?,
            began: fields[19].parse().ok()?,
            is_dead: matches!(fields[0], "Z" | "X"),
        })
    }

    /// One that nobody has buried yet does not run.
    pub(crate) fn is_running(&self) -> bool {
        Self::look(self.id).is_some_and(|now| now.began == self.began && !now.is_dead)
    }
}

/// All processes that descend from this one.
pub(crate) fn below(ancestor: u32) -> Vec<Seen> {
    let ids =
        fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut rest: Vec<Seen> = ids.filter_map(Seen::look).collect();
    let mut found: Vec<Seen> = Vec::new();
    loop {
        let known = |it: &Seen| it.parent == ancestor || found.iter().any(|above| above.id == it.parent);
        let (next, other): (Vec<_>, Vec<_>) = rest.into_iter().partition(known);
        if next.is_empty() {
            return found;
        }
        found.extend(next);
        rest = other;
    }
}
