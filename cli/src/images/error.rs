//! Images that cannot be had, as errors of commands.

use std::io;

use cullet_image::{ImageError, Reference, RegistryError, RegistryProblem, RegistryReference};

use super::Wanted;
use crate::error::CliError;

/// Whose turn it is: a name, a login or a setting is the person's; a registry that fails is not.
pub(super) fn unresolved(wanted: &Wanted, error: ImageError) -> CliError {
    sorted(format!("cannot resolve the image {wanted}"), error)
}

/// What is to be pushed is not there, or not what it should be.
pub(crate) fn unreadable_source(source: &Reference, error: ImageError) -> CliError {
    sorted(format!("{source} cannot be pushed"), error)
}

/// A registry, or a blob that is not what it should be, ended a push.
pub(crate) fn push_failed(to: &RegistryReference, error: ImageError) -> CliError {
    let again = error_is_of_time(&error);
    let failed = sorted(format!("cannot push to {to}"), error);
    if again { failed.hint("what was sent is there: the same command goes on from it") } else { failed }
}

fn error_is_of_time(error: &ImageError) -> bool {
    matches!(error, ImageError::Registry(error) if !is_ours(error))
}

fn sorted(message: String, error: ImageError) -> CliError {
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
pub(crate) fn unusable(error: RegistryError) -> CliError {
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
    assert_eq!(
        of(RegistryProblem::Limited { status: 429, after_s: None, said: String::new() }),
        ErrorKind::Infra
    );
}
