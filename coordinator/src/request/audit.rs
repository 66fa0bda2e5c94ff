//! A step of a submission that is executed again.

use cullet_cache::Scope;
use cullet_cache::v1::{TreeError, tree_from_wire, tree_to_wire};
use cullet_digest::{DigestFunction, TreeRef};
use cullet_proto::v1;

/// A step that is executed again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// Its name.
    pub step: String,
    /// What it had, in the order of its specification.
    pub inputs: Vec<TreeRef>,
}

impl Audit {
    /// Whose results audits make: nobody reads there, and no login name has a space.
    pub(crate) fn scope() -> Scope {
        Scope::Quarantine("audit of hits".to_owned())
    }

    pub(super) fn to_wire(&self) -> v1::Audit {
        v1::Audit { step: self.step.clone(), inputs: self.inputs.iter().map(tree_to_wire).collect() }
    }

    pub(super) fn from_wire(wire: v1::Audit) -> Result<Self, TreeError> {
        let v1::Audit { step, inputs } = wire;
        let inputs = inputs.iter().map(|tree| tree_from_wire(DigestFunction::Blake3, tree));
        Ok(Self { step, inputs: inputs.collect::<Result<_, _>>()? })
    }
}
