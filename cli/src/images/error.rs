//! Images that cannot be had, as errors of commands.

use std::io;

use cullet_image::{ImageError, RegistryError, RegistryProblem};

use super::Wanted;
use crate::error::CliError;

/// Whose turn it is: a name, a login or a setting is the person's; a registry that fails is not.
pub(super) fn unresolved(wanted: &Wanted, error: ImageError) -> CliError {
    let message = format!("cannot resolve the image {wanted}");
    let ours = match &error {
        ImageError::Registry(error) => is_ours(error),
        ImageError::Io { source, .. } => {
            matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
        }
        ImageError::Damaged { .. } | ImageError::Locked { .. } | ImageError::Interrupted { .. } => false,
        _ => true,
    };
    if ours { CliError::usage(message).because(error) } else { CliError::infra(message).because(error) }
}

/// Settings that no client can be made of.
pub(super) fn unusable(error: RegistryError) -> CliError {
    CliError::usage("the settings of registries cannot be used").because(error)
}

fn is_ours(error: &RegistryError) -> bool {
    matches!(
        *error.problem,
        RegistryProblem::Unauthorized { .. }
            | RegistryProblem::Forbidden { .. }
            | RegistryProblem::NotFound { .. }
            | RegistryProblem::Certificate { .. }
            | RegistryProblem::Settings { .. }
    )
}

#[test]
fn what_a_person_can_mend_is_told_apart_from_what_only_time_mends() {
    use crate::error::ErrorKind;
    let wanted = Wanted { reference: "a/b:1".to_owned(), platform: cullet_image::Platform::host() };
    let of = |problem| {
        let (registry, repository) = ("docker.io".to_owned(), "a/b".to_owned());
        let error =
            RegistryError { registry, repository, what: "manifest 1".to_owned(), problem: Box::new(problem) };
        unresolved(&wanted, ImageError::Registry(error)).kind()
    };
    assert_eq!(of(RegistryProblem::NotFound { said: String::new() }), ErrorKind::Usage);
    assert_eq!(of(RegistryProblem::Unauthorized { who: None, said: String::new() }), ErrorKind::Usage);
    assert_eq!(of(RegistryProblem::Status { status: 500, said: String::new() }), ErrorKind::Infra);
    assert_eq!(of(RegistryProblem::Limited { after_s: None, said: String::new() }), ErrorKind::Infra);
}
