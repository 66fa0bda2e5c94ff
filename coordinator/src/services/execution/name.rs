//! Names of operations: `operations/ID`, behind the name of their instance where that has one.

use cullet_core::RunId;
use tonic::Status;

use crate::attempts::parse_run;

const OPERATIONS: &str = "operations/";

/// The name of the operation that a run is.
pub(super) fn of(instance: &str, run: RunId) -> String {
    let between = if instance.is_empty() { "" } else { "/" };
    format!("{instance}{between}{OPERATIONS}{run}")
}

/// A name for an operation that was done before it began. Nobody asks for it again.
pub(super) fn of_hit(instance: &str) -> String {
    of(instance, RunId(fastrand::u128(..)))
}

/// The instance and the run of a name.
///
/// # Errors
/// INVALID_ARGUMENT: it is none of ours.
pub(super) fn parse(name: &str) -> Result<(&str, RunId), Status> {
    let parsed = name.rsplit_once(OPERATIONS).and_then(|(instance, run)| {
        let instance = if instance.is_empty() { "" } else { instance.strip_suffix('/')? };
        Some((instance, parse_run(run)?))
    });
    let wrong =
        || Status::invalid_argument("an operation is named [INSTANCE/]operations/ID, as Execute tells it");
    parsed.ok_or_else(wrong)
}

/// There is no such operation, or it was forgotten.
pub(super) fn unknown(run: RunId) -> Status {
    Status::not_found(format!("there is no operation {run}; those that ended long ago are forgotten"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_instance_and_the_run() {
        let run = RunId(7);
        for instance in ["", "web", "web/branch/a", "branch/operations/x"] {
            assert_eq!(parse(&of(instance, run)).unwrap(), (instance, run));
        }
        for wrong in [
            "",
            "operations/",
            "operations/x",
            "xoperations/00000000000000000000000000000007",
            "00000000000000000000000000000007",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
