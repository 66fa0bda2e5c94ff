//! The services of an attempt: their images, and what is run in them.

use std::sync::Arc;

use cullet_cache::services::{self, Service, ServicesError};
use futures_util::future::try_join_all;
use tokio_util::sync::CancellationToken;

use super::Attempt;
use crate::secrets::StepSecrets;
use crate::{HeldRoot, ImageFault, ImageRoots, SecretFile, ServiceLaunch};

/// Why a step cannot have the images that its services run in.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoServices {
    #[error("the image of the service '{name}' cannot be had")]
    OfService { name: String, permanent: bool, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("the service '{service}' wants the secret `{name}`, which its step does not have")]
    Secret { service: String, name: String },
    #[error(transparent)]
    Services(#[from] ServicesError),
}

/// The services of a step, with their images held.
#[derive(Debug)]
pub(super) struct Beside(Vec<(Service, HeldRoot)>);

impl Beside {
    /// Fetches what is not there. Nothing at all when this is cancelled.
    pub(super) async fn prepare(
        attempt: &Attempt,
        images: &dyn ImageRoots,
        cancel: &CancellationToken,
    ) -> Result<Option<Self>, NoServices> {
        let held = services::of_action(&attempt.action)?.into_iter().map(|service| async move {
            let reference = attempt.service_images.get(&service.name);
            let root = images.root(&service.image, reference.map(String::as_str)).await;
            match root {
                Ok(root) => Ok((service, root)),
                Err(ImageFault { permanent, source }) => {
                    Err(NoServices::OfService { name: service.name, permanent, source })
                }
            }
        });
        tokio::select! {
            biased;
            () = cancel.cancelled() => Ok(None),
            held = try_join_all(held) => held.map(|held| Some(Self(held))),
        }
    }

    /// The names of services with a secret that the step does not have. No pipeline has one.
    pub(super) fn without_secret(&self, secrets: &StepSecrets) -> Option<(&str, &str)> {
        let lacks = |name: &&String| !secrets.files.iter().any(|file| file.name == **name);
        self.0
            .iter()
            .find_map(|(service, _)| Some((&*service.name, service.secrets.iter().find(lacks)?.as_str())))
    }

    /// What is to be started.
    pub(super) fn launches(&self, secrets: &StepSecrets) -> Vec<ServiceLaunch> {
        let files = |names: &[String]| -> Vec<SecretFile> {
            secrets.files.iter().filter(|file| names.contains(&file.name)).cloned().collect()
        };
        let launch = |(service, held): &(Service, HeldRoot)| ServiceLaunch {
            name: service.name.clone(),
            arguments: service.command.clone().unwrap_or_else(|| held.program.arguments.clone()),
            env: service.env.clone(),
            working_directory: held.program.directory(),
            image: held.root.clone(),
            ready: service.ready.clone(),
            secrets: files(&service.secrets),
            masker: Arc::clone(&secrets.masker),
        };
        self.0.iter().map(launch).collect()
    }
}

/// Everything that is to be said of services, in one; none where there is nothing.
pub(super) fn sentence(said: &[String]) -> Option<String> {
    (!said.is_empty()).then(|| said.join("; "))
}
