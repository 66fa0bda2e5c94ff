//! How registries of images are reached.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use cullet_image::{Credentials, LocalBlobs, RegistryOptions};
use serde::Deserialize;

use super::Env;
use super::file::File;
use crate::error::CliError;

/// What environment and file say about registries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegistrySettings {
    /// The configuration file of Docker, with its logins and helpers: in the directory that `DOCKER_CONFIG` names, or in
    /// `~/.docker`.
    pub docker_config: Option<PathBuf>,
    /// Files with authorities, in PEM, that are trusted besides those of the machine.
    pub authorities: Vec<PathBuf>,
    /// `http://HOST:PORT`, for everything that is not on a loopback address.
    pub proxy: Option<String>,
    /// By the name of the registry.
    pub registries: BTreeMap<String, Registry>,
    brought: Option<Brought>,
}

/// Images that need not be fetched.
#[derive(Debug, Clone)]
struct Brought(Arc<dyn LocalBlobs>);

impl PartialEq for Brought {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Brought {}

/// What the file says about one registry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Registry {
    /// Addresses that are asked before it, in order.
    pub mirrors: Vec<String>,
    /// Whether it speaks plain HTTP. By default those on a loopback address do, and no others.
    pub plain_http: Option<bool>,
}

impl RegistrySettings {
    pub(super) fn of(env: &Env<'_>, file: &File) -> Self {
        let docker = env.path("DOCKER_CONFIG").or_else(|| Some(env.path("HOME")?.join(".docker")));
        let authority = env.path("CULLET_REGISTRY_CA").map(|path| vec![path]);
        Self {
            docker_config: docker.map(|dir| dir.join("config.json")),
            authorities: authority.unwrap_or_else(|| file.registry_ca.clone()),
            proxy: env.text("CULLET_REGISTRY_PROXY").or_else(|| file.registry_proxy.clone()),
            registries: file.registries.clone(),
            brought: None,
        }
    }

    /// Images that are meant by their digests are taken from here, if they are here.
    pub fn bring(&mut self, images: Arc<dyn LocalBlobs>) {
        self.brought = Some(Brought(images));
    }

    /// For the client.
    ///
    /// # Errors
    /// An authority cannot be read.
    pub fn options(&self) -> Result<RegistryOptions, CliError> {
        let read = |path: &PathBuf| {
            std::fs::read(path).map_err(|error| {
                CliError::usage(format!("cannot read the authority {}", path.display()))
                    .because(error)
                    .hint("it comes from CULLET_REGISTRY_CA, or from registry-ca in the configuration file")
            })
        };
        let speaking = |plain: bool| {
            let named =
                self.registries.iter().filter(move |(_, registry)| registry.plain_http == Some(plain));
            named.map(|(name, _)| name.clone()).collect()
        };
        let mirrors = self.registries.iter().map(|(name, registry)| (name.clone(), registry.mirrors.clone()));
        Ok(RegistryOptions {
            mirrors: mirrors.collect(),
            plain_http: speaking(true),
            tls: speaking(false),
            authorities: self.authorities.iter().map(read).collect::<Result<_, _>>()?,
            credentials: self.docker_config.clone().map_or(Credentials::None, Credentials::DockerConfig),
            proxy: self.proxy.clone(),
            local: self.brought.as_ref().map(|brought| Arc::clone(&brought.0)),
            ..RegistryOptions::default()
        })
    }
}
