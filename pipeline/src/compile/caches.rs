//! The cache volumes of a step: where they may be, and whose they are.

use super::Compiler;
use super::inputs::Resolving;
use super::outputs::Placed;
use crate::decode::{Field, Lazy, Named};
use crate::diag::Diagnostic;
use crate::expr::Complaint;
use crate::plan::{CacheVolume, OutputPattern, Step};
use crate::scalar::{AbsolutePath, CacheSharing};
use crate::syntax::CacheDef;
use crate::yaml::Node;

/// The most volumes of one step; each is a mount.
const MOST_CACHES: usize = 32;

/// Where nothing else may be, at any depth.
const SEALED: [&str; 4] = ["/proc", "/dev", "/sys", "/run/secrets"];

/// Places of the sandbox's own, which a volume may be in but not in place of.
const OWN: [&str; 7] =
    ["/workspace", "/tmp", "/var/tmp", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/etc/passwd"];

/// Where a step's inputs are.
const WORKSPACE: &str = "/workspace/";

impl<'a> Compiler<'a> {
    /// The volumes, sorted by path.
    pub(super) fn caches(
        &self,
        step: &Step,
        at: &Resolving<'_, 'a>,
        field: Option<&Field<'a, Named<'a, CacheDef<'a>>>>,
    ) -> Vec<CacheVolume> {
        let Some(Field { key, value: Named(defined) }) = field else { return Vec::new() };
        if !self.named && !defined.is_empty() {
            let complaint = Complaint::new("only a pipeline with a name has caches");
            let help = "write `name: …` at the top of the file: volumes belong to all pipelines of that name";
            self.cx.error(*key, complaint.help(help.to_owned()));
        }
        if let Some((key, _)) = defined.get(MOST_CACHES) {
            self.cx.error(*key, Complaint::new(format!("a step has at most {MOST_CACHES} caches")));
            return Vec::new();
        }
        let (mut found, mut placed) = (Vec::with_capacity(defined.len()), Vec::new());
        for (key, definition) in defined {
            let (volume, CacheSharing { locked, travels }) = self.volume(at, definition);
            let path = Lazy::<AbsolutePath>::of(*key).get(self.cx, &at.scope);
            let (Some(path), Some(volume)) = (path, volume) else { continue };
            match check_place(&path).and_then(|()| check_workspace(step, &path)) {
                Ok(()) => placed.push(Placed { path: path.clone(), span: key.span() }),
                Err(complaint) => self.cx.error(*key, complaint),
            }
            found.push((CacheVolume { path, volume, locked, travels }, *key));
        }
        self.overlaps(placed, "cache");
        self.used_twice(&found);
        let mut caches: Vec<CacheVolume> = found.into_iter().map(|(cache, _)| cache).collect();
        caches.sort_by(|a, b| a.path.cmp(&b.path));
        caches
    }

    fn volume(&self, at: &Resolving<'_, 'a>, definition: &CacheDef<'a>) -> (Option<String>, CacheSharing) {
        match definition {
            CacheDef::Volume(name) => (name.get(self.cx, &at.scope), CacheSharing::default()),
            CacheDef::Full(map) => {
                let (mut name, mut shared, mut locked) = (String::new(), CacheSharing::default(), false);
                self.set(&mut name, at, map.volume.as_ref());
                self.set(&mut shared, at, map.shared.as_ref());
                self.set(&mut locked, at, map.locked.as_ref());
                if let Some(Field { key, .. }) = map.locked.as_ref().filter(|_| shared.locked) {
                    let complaint = Complaint::new("`shared: locked` says already what `locked` says");
                    self.cx.error(*key, complaint.help("leave one of them out".to_owned()));
                }
                shared.locked |= locked;
                (Some(name).filter(|name| !name.is_empty()), shared)
            }
        }
    }

    /// Of two copies of one volume in a step, only one could be kept.
    fn used_twice(&self, found: &[(CacheVolume, Node<'a>)]) {
        for (index, (cache, key)) in found.iter().enumerate() {
            let first = found[..index].iter().find(|(other, _)| other.volume == cache.volume);
            if let Some((_, first)) = first {
                let message = format!("the volume `{}` is at two places in one step", cache.volume);
                let problem = Diagnostic::error(key.span(), message);
                self.cx.sink.push(problem.label(first.span(), "the other one"));
            }
        }
    }
}

/// Whether `inner` is `outer` or lies below it.
fn is_in(inner: &str, outer: &str) -> bool {
    inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn check_place(path: &str) -> Result<(), Complaint> {
    let sealed = SEALED.iter().find(|own| is_in(path, own) || is_in(own, path));
    match sealed.or_else(|| OWN.iter().find(|own| is_in(own, path))) {
        None => Ok(()),
        Some(own) => Err(Complaint::new(format!("a cache at `{path}` would hide the sandbox's own `{own}`"))
            .help("give it a directory of its own".to_owned())),
    }
}

/// In the workspace, what a step needs and what it makes stay what they are.
fn check_workspace(step: &Step, path: &str) -> Result<(), Complaint> {
    let Some(place) = path.strip_prefix(WORKSPACE) else { return Ok(()) };
    if let Some(input) = step.inputs.iter().find(|input| is_in(&input.path, place)) {
        return Err(Complaint::new(format!("a cache at `{path}` would hide the input at `{}`", input.path)));
    }
    let patterns = step.outputs.iter().flat_map(|output| match &output.pattern {
        OutputPattern::Path(path) => std::slice::from_ref(path),
        OutputPattern::Globs(globs) => globs,
        OutputPattern::Root => &[],
    });
    let mut bases = patterns.map(|pattern| (pattern, base(pattern)));
    if let Some((pattern, _)) = bases.find(|(_, base)| is_in(base, place)) {
        return Err(Complaint::new(format!("the output `{pattern}` is in the cache at `{path}`")).help(
            "what is in a cache may be gone at any time: copy it out, or leave the cache away".to_owned(),
        ));
    }
    Ok(())
}

/// The part of a pattern before its first wildcard.
fn base(pattern: &str) -> &str {
    let Some(wild) = pattern.find(['*', '?', '[', '{']) else { return pattern };
    pattern[..wild].rfind('/').map_or("", |end| &pattern[..end])
}
