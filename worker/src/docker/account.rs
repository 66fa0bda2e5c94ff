//! Who a step in a container is: what the sandbox would make of `USER`, looked up in the image's files as there.

use std::io::Read as _;
use std::path::Path;

use bollard::query_parameters::DownloadFromContainerOptionsBuilder;
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
    let note =
        engine.shared.notes.get().map(|dir| dir.join(record::hash_of(format!("{image}\n{user}").as_bytes())));
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

/// A file of a container; nothing where there is none.
async fn text(container: &Container, path: &str) -> Result<String, EngineError> {
    let action = format!("read {path} of the image");
    let options = DownloadFromContainerOptionsBuilder::default().path(path).build();
    let client = container.engine.client();
    let mut archive = Box::pin(client.download_from_container(&container.id, Some(options)));
    let mut bytes = Vec::new();
    loop {
        match archive.try_next().await {
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
            Ok(None) => break,
            Err(error) => match container.engine.error(&action, &error) {
                error if error.is_absent() => return Ok(String::new()),
                error => return Err(error),
            },
        }
        if bytes.len() > ACCOUNTS_BYTES {
            break;
        }
    }
    let mut archive = tar::Archive::new(&bytes[..]);
    let Some(Ok(mut entry)) = archive.entries().ok().and_then(|mut entries| entries.next()) else {
        return Ok(String::new());
    };
    let mut text = Vec::new();
    // Of a file that is longer than anybody needs, the beginning counts.
    let _ = entry.read_to_end(&mut text);
    Ok(String::from_utf8_lossy(&text).into_owned())
}
