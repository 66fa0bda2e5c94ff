//! The secrets of an attempt: where their values come from, and what keeps them out of everything that is kept.

use std::error::Error;
use std::fmt::Debug;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use cullet_cache::ActionSecret;
use cullet_secrets::{Masker, Search, SecretValue, Unmaskable};
use serde::{Deserialize, Serialize};

use crate::{AttemptReport, Conclusion};

/// Finds the values of secrets. Asked for each attempt that needs some, many at a time.
#[async_trait]
pub trait SecretValues: Debug + Send + Sync {
    /// The values of these, in their order; `step` is the step's name. Dropping the future gives it up.
    ///
    /// # Errors
    /// One cannot be had.
    async fn values(&self, step: &str, wanted: &[ActionSecret]) -> Result<Vec<SecretValue>, SecretFault>;
}

/// Why a step does not get a secret. No text has any part of a value.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct SecretFault {
    /// What is missing, where, and what to do about it.
    pub message: String,
    /// Whether another attempt would come to the same.
    pub permanent: bool,
    /// Why.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

/// For workers that have none.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSecrets;

#[async_trait]
impl SecretValues for NoSecrets {
    async fn values(&self, _: &str, wanted: &[ActionSecret]) -> Result<Vec<SecretValue>, SecretFault> {
        let names: Vec<&str> = wanted.iter().map(|secret| secret.name.as_str()).collect();
        let message = format!("this worker has no secrets, and the step needs {}", names.join(", "));
        Err(SecretFault { message, permanent: true, source: None })
    }
}

/// A secret as the step finds it: the file `/run/secrets/NAME`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SecretFile {
    /// Its name: letters, digits and `_`.
    pub name: String,
    /// What is in it.
    pub value: SecretValue,
    /// Whether the environment variable of that name has it as well.
    pub in_env: bool,
}

/// The most bytes of all secrets of a step, for the same reason as that of one.
pub const MOST_SECRET_BYTES: usize = 256 << 10;

/// The secrets of one attempt.
#[derive(Debug, Clone, Default)]
pub(crate) struct StepSecrets {
    pub(crate) files: Vec<SecretFile>,
    pub(crate) masker: Arc<Masker>,
    pub(crate) search: Option<Arc<Search>>,
}

impl StepSecrets {
    /// Asks for them.
    pub(crate) async fn find(
        from: &dyn SecretValues,
        step: &str,
        wanted: &[ActionSecret],
    ) -> Result<Self, SecretFault> {
        if wanted.is_empty() {
            return Ok(Self::default());
        }
        let permanent = |message| SecretFault { message, permanent: true, source: None };
        if let Some(strange) = wanted.iter().find(|secret| !is_name(&secret.name)) {
            let message = format!("`{}` is no name of a secret", strange.name.escape_debug());
            return Err(permanent(message));
        }
        let values = from.values(step, wanted).await?;
        let files: Vec<SecretFile> = wanted
            .iter()
            .zip(values)
            .map(|(secret, value)| SecretFile { name: secret.name.clone(), value, in_env: secret.in_env })
            .collect();
        if files.len() < wanted.len() {
            return Err(permanent("not all secrets of the step were found".to_owned()));
        }
        let bytes: usize = files.iter().map(|file| file.value.expose().len()).sum();
        if bytes > MOST_SECRET_BYTES {
            let message =
                format!("the step's secrets have {bytes} bytes, more than {MOST_SECRET_BYTES} (256 KiB)");
            return Err(permanent(message));
        }
        for file in files.iter().filter(|file| file.in_env) {
            file.value.check_env().map_err(|problem| {
                permanent(format!("the secret `{}` cannot be in a variable: {problem}", file.name))
            })?;
        }
        // The machine's failure: nothing of the step has run, and nothing is wrong with it.
        let unmaskable = |error: Unmaskable| SecretFault {
            message: format!("the step '{step}' is not run, because it has secrets"),
            permanent: false,
            source: Some(error.into()),
        };
        let masker = Masker::new(files.iter().map(|file| &file.value)).map_err(unmaskable)?;
        let search = Search::new(files.iter().map(|file| (file.name.as_str(), &file.value)));
        let search = search.map_err(unmaskable)?;
        Ok(Self { files, masker: Arc::new(masker), search: Some(Arc::new(search)) })
    }
}

fn is_name(name: &str) -> bool {
    let word = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    word && !name.is_empty() && name.len() <= 100
}

/// What has to be masked in what is said of an attempt. Whoever asks for an attempt keeps a clone of its.
#[derive(Debug, Clone, Default)]
pub struct Masks(Arc<OnceLock<Arc<Masker>>>);

impl Masks {
    pub(crate) fn set(&self, masker: &Arc<Masker>) {
        let _ = self.0.set(Arc::clone(masker));
    }

    /// A text, with what was secret in the attempt masked.
    pub fn text(&self, text: &mut String) {
        if let Some(masker) = self.0.get().filter(|masker| !masker.is_idle()) {
            *text = masker.text(text);
        }
    }

    /// Everything that a report says in words.
    pub(crate) fn report(&self, mut report: AttemptReport) -> AttemptReport {
        match &mut report {
            AttemptReport::Succeeded { warnings, .. } | AttemptReport::TimedOut { warnings, .. } => {
                warnings.iter_mut().for_each(|text| self.text(text));
            }
            AttemptReport::Failed { reason, warnings, .. } => {
                reason.iter_mut().chain(warnings).for_each(|text| self.text(text));
            }
            AttemptReport::Infra { reason, .. } => self.text(reason),
            AttemptReport::Cancelled { .. } | AttemptReport::InputLost(_) => {}
        }
        report
    }

    /// What test reports say, which the step wrote.
    pub fn conclusion(&self, mut conclusion: Conclusion) -> Conclusion {
        for failure in conclusion.tests.iter_mut().flat_map(|tests| &mut tests.failures) {
            self.text(failure);
        }
        conclusion
    }
}
