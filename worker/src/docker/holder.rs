//! A container beside a step in which nothing happens: the step and its services have its network, and the step's secrets
//! are in memory for as long as it is there.

use std::io;
use std::time::Duration;

use tar::Builder;
use zeroize::Zeroizing;

use super::container::Container;
use super::helper::{PROGRAM, append};
use super::spec::{HELPER_DIR, Held, SECRETS_DIR, Spec};
use super::{Engine, EngineError};
use crate::sandbox::runner::setup;
use crate::{ExecuteError, SecretFile};

/// See the module.
#[derive(Debug)]
pub(super) struct Holder {
    container: Container,
}

/// What a step needs beside it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Needs<'a> {
    /// Of services.
    pub(super) names: &'a [String],
    pub(super) secrets: &'a [SecretFile],
    /// Whose the secrets are.
    pub(super) owner: (u32, u32),
    /// Whether somebody looks into it.
    pub(super) is_visited: bool,
    /// For how long, at most.
    pub(super) needed: Duration,
}

impl Needs<'_> {
    /// Whether it needs anything.
    fn any(&self) -> bool {
        !self.names.is_empty() || !self.secrets.is_empty() || self.is_visited
    }

    /// Whether the step's container needs the program as well.
    fn program(&self) -> bool {
        self.is_visited || variables(self.secrets).next().is_some()
    }
}

impl Holder {
    /// With the secrets in it; none where nothing is needed.
    pub(super) async fn start(engine: &Engine, needs: Needs<'_>) -> Result<Option<Self>, ExecuteError> {
        if !needs.any() {
            return Ok(None);
        }
        let image = engine.helper().await?;
        let held = Held { names: needs.names, secrets: !needs.secrets.is_empty(), program: needs.program() };
        let spec = Spec::to_hold(&image, held, (&engine.shared.process, needs.needed));
        let container = Container::make(engine, spec).await?;
        container.start().await?;
        let holder = Self { container };
        holder.fill(needs).await?;
        Ok(Some(holder))
    }

    async fn fill(&self, needs: Needs<'_>) -> Result<(), ExecuteError> {
        if !needs.secrets.is_empty() {
            let archive = archive(needs.secrets, needs.owner);
            let archive = archive.map_err(|source| setup("make an archive", source))?;
            self.container.upload("take the secrets", SECRETS_DIR, bytes::Bytes::from_owner(archive)).await?;
        }
        if needs.program() {
            let mut tar = Builder::new(Vec::new());
            let archive =
                append(&mut tar, "helper", PROGRAM, (0o755, (0, 0))).and_then(|()| tar.into_inner());
            let archive = archive.map_err(|source| setup("make an archive", source))?;
            self.container.upload("take a program", HELPER_DIR, archive.into()).await?;
        }
        Ok(())
    }

    pub(super) fn id(&self) -> &str {
        &self.container.id
    }

    pub(super) async fn remove(self) -> Result<(), EngineError> {
        self.container.remove().await
    }
}

/// Names of those that are variables as well.
pub(super) fn variables(secrets: &[SecretFile]) -> impl Iterator<Item = &str> {
    secrets.iter().filter(|secret| secret.in_env).map(|secret| secret.name.as_str())
}

/// What an archive has beside the bytes of a file, at most, and at its end.
const HEADER_BYTES: usize = 2 * 512;

/// Overwritten when it is not needed any more: it never grows, so that there is one of it.
fn archive(secrets: &[SecretFile], owner: (u32, u32)) -> io::Result<Zeroizing<Vec<u8>>> {
    let bytes: usize = secrets.iter().map(|secret| secret.value.expose().len() + HEADER_BYTES).sum();
    let mut archive = Zeroizing::new(Vec::with_capacity(bytes + HEADER_BYTES));
    let mut tar = Builder::new(&mut *archive);
    for secret in secrets {
        append(&mut tar, &secret.name, secret.value.expose(), (0o400, owner))?;
    }
    tar.finish()?;
    drop(tar);
    Ok(archive)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use cullet_secrets::SecretValue;

    use super::*;

    #[test]
    fn secrets_are_their_owners_and_in_one_place() {
        let file = |name: &str, value: &[u8], in_env| SecretFile {
            name: name.to_owned(),
            value: SecretValue::new(value.to_vec()).unwrap(),
            in_env,
        };
        let secrets = [file("A", &[7; 512], false), file("B", b"value\n", true), file("C", &[1; 513], false)];
        let made = archive(&secrets, (5, 6)).unwrap();
        let room = secrets.iter().map(|secret| secret.value.expose().len() + HEADER_BYTES).sum::<usize>();
        assert!(made.len() <= room + HEADER_BYTES, "it grew");
        let mut read = tar::Archive::new(&made[..]);
        let mut found = Vec::new();
        for entry in read.entries().unwrap() {
            let mut entry = entry.unwrap();
            let header = entry.header();
            let [uid, gid] = [header.uid().unwrap(), header.gid().unwrap()];
            assert_eq!((header.mode().unwrap(), uid, gid), (0o400, 5, 6));
            let name = entry.path().unwrap().display().to_string();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            found.push((name, bytes));
        }
        let wanted = secrets.iter().map(|secret| (secret.name.clone(), secret.value.expose().to_vec()));
        assert_eq!(found, wanted.collect::<Vec<_>>());
        assert_eq!(variables(&secrets).collect::<Vec<_>>(), ["B"]);
    }
}
