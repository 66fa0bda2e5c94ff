//! What the operator of a worker gives to steps. Nothing of the pipeline says where on the worker a value is.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use cullet_cache::ActionSecret;
use cullet_secrets::{Provider, SecretDir, SecretError, SecretValue};
use cullet_worker::{SecretFault, SecretValues};

use crate::config::SecretSettings;
use crate::error::CliError;

/// See the module.
#[derive(Debug)]
pub(crate) struct WorkerSecrets {
    dir: Option<SecretDir>,
    providers: BTreeMap<String, Arc<dyn Provider>>,
    /// The worker, for messages.
    name: String,
}

impl WorkerSecrets {
    /// Checks the directory and the providers; no value is looked at yet.
    ///
    /// # Errors
    /// One of them cannot be used.
    pub(crate) fn new(dir: Option<PathBuf>, settings: &SecretSettings, name: &str) -> Result<Self, CliError> {
        if let Some(dir) = &dir {
            std::fs::read_dir(dir).map_err(|error| {
                CliError::usage(format!("--secrets {} cannot be read", dir.display()))
                    .because(error)
                    .hint("it is a directory with one file for each secret, as Kubernetes mounts a Secret")
            })?;
        }
        let mut providers = BTreeMap::new();
        for name in settings.provider_names() {
            if let Some(provider) = settings.provider(name)? {
                providers.insert(name.to_owned(), provider);
            }
        }
        if dir.is_some() || !providers.is_empty() {
            super::conceal();
        }
        Ok(Self { dir: dir.map(SecretDir::new), providers, name: name.to_owned() })
    }

    async fn value(&self, secret: &ActionSecret) -> Result<SecretValue, SecretFault> {
        let fault = |error: SecretError| SecretFault {
            message: format!(
                "the secret `{}` cannot be had on the worker {}: {error}",
                secret.name, self.name
            ),
            permanent: error.is_permanent(),
            source: None,
        };
        if let Some(value) = self.in_dir(&secret.name).await.map_err(fault)? {
            return Ok(value);
        }
        let provider = secret.provider.as_ref().and_then(|(provider, key)| {
            let provider = self.providers.get(provider)?;
            Some((provider, key))
        });
        match provider {
            Some((provider, key)) => provider.get(key).await.map_err(fault),
            None => Err(self.missing(secret)),
        }
    }

    /// Files may be on a network.
    async fn in_dir(&self, name: &str) -> Result<Option<SecretValue>, SecretError> {
        let Some(dir) = self.dir.clone() else { return Ok(None) };
        let name = name.to_owned();
        let read = tokio::task::spawn_blocking(move || dir.get(&name)).await;
        read.unwrap_or_else(|error| Err(SecretError::Trouble(error.to_string())))
    }

    fn missing(&self, secret: &ActionSecret) -> SecretFault {
        let dir = match &self.dir {
            Some(dir) => format!("there is no file {}", dir.path().join(&secret.name).display()),
            None => "it was started without --secrets DIR".to_owned(),
        };
        let provider = match &secret.provider {
            Some((provider, _)) => format!(", and its configuration has no [secrets.providers.{provider}]"),
            None => "; variables, files and programs that a pipeline names are read where it is submitted from, and \
                     on no worker"
                .to_owned(),
        };
        let message =
            format!("the worker {} does not have the secret `{}`: {dir}{provider}", self.name, secret.name);
        SecretFault { message, permanent: true, source: None }
    }
}

#[async_trait]
impl SecretValues for WorkerSecrets {
    async fn values(&self, _: &str, wanted: &[ActionSecret]) -> Result<Vec<SecretValue>, SecretFault> {
        let mut values = Vec::with_capacity(wanted.len());
        for secret in wanted {
            values.push(self.value(secret).await?);
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(name: &str, provider: Option<(&str, &str)>) -> ActionSecret {
        let provider = provider.map(|(provider, key)| (provider.to_owned(), key.to_owned()));
        ActionSecret { name: name.to_owned(), in_env: false, provider }
    }

    #[tokio::test]
    async fn only_what_the_operator_gave_is_given() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("TOKEN"), "from the operator").unwrap();
        let settings = SecretSettings::default();
        let secrets = WorkerSecrets::new(Some(dir.path().to_owned()), &settings, "w-0").unwrap();
        let found = secrets.values("s", &[secret("TOKEN", None)]).await.unwrap();
        assert_eq!(found[0].expose(), b"from the operator");
        let said = |fault: SecretFault| (fault.permanent, fault.message);
        let (permanent, text) = said(secrets.values("s", &[secret("HOME", None)]).await.unwrap_err());
        assert!(
            permanent && text.contains("w-0 does not have the secret `HOME`: there is no file"),
            "{text}"
        );
        let (_, text) = said(secrets.values("s", &[secret("K", Some(("vault", "a")))]).await.unwrap_err());
        assert!(text.ends_with("has no [secrets.providers.vault]"), "{text}");
        std::fs::write(dir.path().join("EMPTY"), "").unwrap();
        let (permanent, text) = said(secrets.values("s", &[secret("EMPTY", None)]).await.unwrap_err());
        assert!(permanent && text.contains("EMPTY: it is empty"), "{text}");
        let none = WorkerSecrets::new(None, &settings, "w").unwrap();
        let (_, text) = said(none.values("s", &[secret("TOKEN", None)]).await.unwrap_err());
        assert!(text.contains("started without --secrets DIR"), "{text}");
        assert!(WorkerSecrets::new(Some(dir.path().join("gone")), &settings, "w").is_err());
    }
}
