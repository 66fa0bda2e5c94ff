//! Who a step in a container is: what the sandbox would make of `USER`, looked up in the image's files as there.

use std::io::Read as _;
use std::path::Path;

use bollard::query_parameters::{ContainerArchiveInfoOptionsBuilder, DownloadFromContainerOptionsBuilder};
use futures_util::TryStreamExt as _;

use super::container::Container;
use super::spec::Spec;
use super::{Engine, EngineError};
use crate::ExecuteError;
pub(super) use crate::sandbox::{Account, Wanted};
use crate::volumes::{VolumeError, record};

/// The most that is taken of `/etc/passwd` or `/etc/group`, with what an archive adds; as in the sandbox.
const ACCOUNTS_BYTES: usize = (1 << 20) + (64 << 10);

/// The user of an image, looked up once.
pub(super) async fn account(engine: &Engine, image: &str, user: &str) -> Result<Account, ExecuteError> {
    let key = (image.to_owned(), user.to_owned());
    if let Some(known) = engine.account(&key) {
        return Ok(known);
    }
    let note = engine.shared.notes.get().map(|dir| dir.join(note_name(image, user)));
    // The name of the image is the digest of its content. What is damaged is looked up again.
    let noted = note.as_ref().and_then(|note| record::read::<Account>(note).ok().flatten());
    let account = match noted {
        Some(noted) => noted,
        None => {
            let account = look_up(engine, image, user).await?;
            if let Some(note) = note {
                remember(&note, &account);
            }
            account
        }
    };
    let mut accounts = engine.shared.accounts.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    accounts.insert(key, account.clone());
    Ok(account)
}

/// Another than that of notes made while links were not followed, which have nobody's groups and home.
fn note_name(image: &str, user: &str) -> String {
    record::hash_of(format!("2\n{image}\n{user}").as_bytes())
}

/// Costs the next process a container where it fails.
fn remember(note: &Path, account: &Account) {
    let made = note.parent().map_or(Ok(()), std::fs::create_dir_all);
    if let Err(error) =
        made.map_err(VolumeError::io("create", note)).and_then(|()| record::write(note, account))
    {
        tracing::debug!(%error, "the user of an image is not noted");
    }
}

async fn look_up(engine: &Engine, image: &str, user: &str) -> Result<Account, ExecuteError> {
    let wanted = Wanted::parse(user)?;
    // A container that is never started, for the sake of its files.
    let container = Container::create(engine, Spec::to_look_into(image, &engine.shared.process)).await?;
    let files = async {
        let passwd = text(&container, "/etc/passwd").await?;
        Ok::<_, EngineError>((passwd, text(&container, "/etc/group").await?))
    };
    let files = files.await;
    container.remove().await?;
    let (passwd, group) = files?;
    Ok(wanted.look_up(&passwd, &group)?)
}

/// A file of a container; nothing where there is none. Links are the image's, and end at its root.
async fn text(container: &Container, path: &str) -> Result<String, EngineError> {
    let action = format!("read {path} of the image");
    match read(container, path, &action).await? {
        Found::Text(text) => return Ok(text),
        Found::Link => {}
    }
    // Archives have links as links. The engine knows where this one leads in the end, by way of all others.
    let options = ContainerArchiveInfoOptionsBuilder::default().path(path).build();
    let told = container.engine.client().get_container_archive_info(&container.id, Some(options));
    let target = container.engine.ask(&action, told).await?.link_target;
    match read(container, &target, &action).await? {
        Found::Text(text) => Ok(text),
        // It leads nowhere.
        Found::Link => Ok(String::new()),
    }
}

/// What is at a path.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// Of a file; empty for what is none.
    Text(String),
    Link,
}

async fn read(container: &Container, path: &str, action: &str) -> Result<Found, EngineError> {
    let options = DownloadFromContainerOptionsBuilder::default().path(path).build();
    let client = container.engine.client();
    let mut archive = Box::pin(client.download_from_container(&container.id, Some(options)));
    let mut bytes = Vec::new();
    loop {
        match archive.try_next().await {
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
            Ok(None) => break,
            Err(error) => match container.engine.error(action, &error) {
                error if error.is_absent() => return Ok(Found::Text(String::new())),
                error => return Err(error),
            },
        }
        if bytes.len() > ACCOUNTS_BYTES {
            break;
        }
    }
    Ok(first(&bytes))
}

/// The first that is in an archive.
fn first(archive: &[u8]) -> Found {
    let mut archive = tar::Archive::new(archive);
    let Some(Ok(mut entry)) = archive.entries().ok().and_then(|mut entries| entries.next()) else {
        return Found::Text(String::new());
    };
    if entry.header().entry_type().is_symlink() {
        return Found::Link;
    }
    let mut text = Vec::new();
    // Of a file that is longer than anybody needs, the beginning counts.
    let _ = entry.read_to_end(&mut text);
    Found::Text(String::from_utf8_lossy(&text).into_owned())
}
