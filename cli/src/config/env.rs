//! Variables of the environment.

use std::path::PathBuf;

use crate::error::CliError;

/// The environment.
pub(super) struct Env<'a> {
    pub(super) variable: &'a dyn Fn(&str) -> Option<String>,
}

impl Env<'_> {
    /// A variable that is set to nothing is not set: that is how a person takes one back for one command.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        (self.variable)(name).filter(|value| !value.is_empty())
    }

    pub(super) fn path(&self, name: &str) -> Option<PathBuf> {
        self.text(name).map(PathBuf::from)
    }

    pub(super) fn parsed<T>(
        &self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, CliError> {
        let parse = |text: String| parse(&text).map_err(|why| CliError::usage(format!("{name}: {why}")));
        self.text(name).map(parse).transpose()
    }
}
