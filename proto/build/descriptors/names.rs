//! From names in Rust to published ones.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;

use prost_types::DescriptorProto;

use super::declared::{Declared, Kind};
use crate::published::{INSIDE, OF_CALLS, WELL_KNOWN};
use crate::services::{Call, Service};

/// What each message and enumeration is called, with its package, and in which file it is.
pub(super) struct Names(BTreeMap<String, (String, &'static str)>);

impl Names {
    pub(super) fn of(declared: &[Declared], services: &[Service]) -> Self {
        let mut names = BTreeMap::new();
        for (name, package, file) in WELL_KNOWN {
            names.insert(name.to_owned(), (format!(".{package}.{name}"), file));
        }
        for one in declared {
            let name = match &one.kind {
                Kind::Message(message) => message.name(),
                Kind::Enumeration(one) => one.name(),
            };
            for published in published(name, services) {
                let full = inside(&published)
                    .map_or_else(|| published.clone(), |(outer, name)| format!("{outer}.{name}"));
                names.insert(published, (format!(".{}.{full}", one.package), one.file));
            }
        }
        Self(names)
    }

    pub(super) fn full(&self, name: &str) -> Result<(String, &'static str), Box<dyn Error>> {
        Ok(self.0.get(name).cloned().ok_or_else(|| format!("no message is called {name}"))?)
    }

    /// A message as it is published, and the files that it needs.
    pub(super) fn resolved(
        &self,
        mut message: DescriptorProto,
        published: &str,
    ) -> Result<(DescriptorProto, BTreeSet<&'static str>), Box<dyn Error>> {
        let (is_of_calls, mut needs) = (message.name() != published, BTreeSet::new());
        for field in &mut message.field {
            if let Some(name) = field.type_name.take() {
                let (full, file) = self.full(&name)?;
                needs.insert(file);
                field.type_name = Some(full);
            }
            if is_of_calls && field.name() == "digest" {
                let of = if published.contains("Blob") { "blob_digest" } else { "root_directory_digest" };
                field.name = Some(of.to_owned());
            }
        }
        Ok((message, needs))
    }
}

/// What a message is published as: once under its name, or once for each call that has it.
pub(super) fn published(name: &str, services: &[Service]) -> Vec<String> {
    let has = |call: &&Call| [&call.takes, &call.gives].iter().any(|path| last(path) == name);
    let calls = services.iter().flat_map(|service| &service.calls).filter(has);
    let of_calls: Vec<String> = calls.filter_map(|call| of_call(name, &call.route)).collect();
    if of_calls.is_empty() { vec![name.to_owned()] } else { of_calls }
}

/// As what a message is published for a call, where each call has its own.
pub(super) fn of_call(name: &str, route: &str) -> Option<String> {
    OF_CALLS.iter().find(|(of, _)| *of == name).map(|(_, ends)| format!("{route}{ends}"))
}

/// Inside of which message it is published, and as what.
pub(super) fn inside(name: &str) -> Option<(&'static str, &'static str)> {
    INSIDE.iter().find(|(of, ..)| *of == name).map(|(_, outer, name)| (*outer, *name))
}

/// The last part of a path.
pub(super) fn last(path: &str) -> &str {
    path.rsplit("::").next().unwrap_or(path)
}
