//! One container, from its making to its end.

use bollard::query_parameters::{
    AttachContainerOptionsBuilder, DownloadFromContainerOptionsBuilder, KillContainerOptionsBuilder,
    RemoveContainerOptionsBuilder, UploadToContainerOptionsBuilder,
};
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use bollard::container::AttachContainerResults;
use bollard::errors::Error as ClientError;
use bollard::{body_full, body_try_stream};
use futures_util::{Stream, TryStreamExt as _};
use tokio::io::AsyncWriteExt as _;
use tokio_util::io::{ReaderStream, StreamReader, SyncIoBridge};

use super::engine::LONG_PATIENCE;
use super::spec::Spec;
use super::{Engine, EngineError, pack, unpack};
use crate::ExecuteError;
use crate::sandbox::runner::setup;

/// A container that goes when this does.
#[derive(Debug)]
pub(super) struct Container {
    pub(super) engine: Engine,
    pub(super) id: String,
    is_gone: bool,
}

/// What is on its way between the engine and a thread: as much as hides that they take turns.
const PIPE_BYTES: usize = 256 << 10;

type Chunks = Pin<Box<dyn Stream<Item = std::io::Result<bytes::Bytes>> + Send>>;
/// An archive on its way.
pub(super) type Reading = SyncIoBridge<StreamReader<Chunks, bytes::Bytes>>;

/// How often and how long removing a container is tried.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);

impl Container {
    /// Makes one that is not started.
    pub(super) async fn create(engine: &Engine, spec: Spec) -> Result<Self, EngineError> {
        let action = "make a container";
        let made = match engine
            .ask(action, engine.client().create_container(None, spec.body(engine.sees_files())))
            .await
        {
            // It may be that it does not see this machine's files.
            Err(error) if error.is_refused() && engine.sees_files() && spec.shows_files() => {
                let made =
                    engine.ask(action, engine.client().create_container(None, spec.body(false))).await?;
                engine.shared.apart.store(true, std::sync::atomic::Ordering::Relaxed);
                made
            }
            made => made?,
        };
        Ok(Self { engine: engine.clone(), id: made.id, is_gone: false })
    }

    /// The same, to its end, whatever becomes of whoever asks: a container whose name nobody heard would stay.
    pub(super) async fn make(engine: &Engine, spec: Spec) -> Result<Self, ExecuteError> {
        let engine = engine.clone();
        let made = tokio::spawn(async move { Self::create(&engine, spec).await }).await;
        Ok(made.map_err(|error| setup("make a container", std::io::Error::other(error)))??)
    }

    /// Puts what is in an archive to a path. Nothing of it is written to a disk where that is in memory.
    pub(super) async fn upload(
        &self,
        action: &str,
        path: &str,
        archive: bytes::Bytes,
    ) -> Result<(), EngineError> {
        let options = UploadToContainerOptionsBuilder::default().path(path).build();
        let client = self.engine.client();
        self.engine.ask(action, client.upload_to_container(&self.id, Some(options), body_full(archive))).await
    }

    /// Puts a directory to a place, a path relative to the root directory, with all in it owned by that user and group; but
    /// for what is at some paths in it.
    pub(super) async fn put(
        &self,
        inputs: PathBuf,
        (place, without): (Vec<u8>, Vec<Vec<u8>>),
        owner: (u32, u32),
    ) -> Result<(), ExecuteError> {
        let (reader, writer) = tokio::io::duplex(PIPE_BYTES);
        let writer = SyncIoBridge::new(writer);
        let packing =
            tokio::task::spawn_blocking(move || pack::pack(&inputs, (&place, &without), owner, writer));
        let options = UploadToContainerOptionsBuilder::default().path("/").build();
        let body = body_try_stream(ReaderStream::with_capacity(reader, PIPE_BYTES));
        let client = self.engine.patient_client();
        let put = client.upload_to_container(&self.id, Some(options), body);
        let put = self.engine.ask_patiently("take the inputs", put).await;
        // Its end of the pipe is gone by now.
        let packed = packing.await.map_err(std::io::Error::other).and_then(|packed| packed);
        match (put, packed) {
            (Ok(()), Ok(())) => Ok(()),
            // What the engine says matters more than that nobody read on.
            (Err(error), Err(broken)) if broken.kind() == std::io::ErrorKind::BrokenPipe => Err(error.into()),
            (_, Err(error)) => Err(setup("read the inputs", error)),
            (Err(error), Ok(())) => Err(error.into()),
        }
    }

    /// Takes what is where steps work, but for what is mounted there, at these paths.
    pub(super) async fn take(&self, target: PathBuf, without: Vec<Vec<u8>>) -> Result<(), ExecuteError> {
        let place = target.clone();
        let unpacked =
            self.take_with("/workspace", move |archive| unpack::unpack(archive, &target, &without)).await;
        match unpacked {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::StorageFull => {
                Err(ExecuteError::NoSpace { path: place })
            }
            Err(error) => Err(setup("take the workspace from the container", error)),
        }
    }

    /// Reads an archive of what is at a path, on a thread.
    pub(super) async fn take_with(
        &self,
        path: &str,
        read: impl FnOnce(Reading) -> std::io::Result<()> + Send + 'static,
    ) -> std::io::Result<()> {
        let options = DownloadFromContainerOptionsBuilder::default().path(path).build();
        let client = self.engine.patient_client();
        let archive = client.download_from_container(&self.id, Some(options));
        let archive: Chunks =
            Box::pin(archive.map_err(|error| std::io::Error::other(super::error::said(&error))));
        let reader = SyncIoBridge::new(StreamReader::new(archive));
        let reading = tokio::task::spawn_blocking(move || read(reader));
        match tokio::time::timeout(LONG_PATIENCE, reading).await {
            Ok(ended) => ended.map_err(std::io::Error::other).and_then(|read| read),
            Err(_) => Err(std::io::ErrorKind::TimedOut.into()),
        }
    }

    /// Writes an archive of what is at a path in it to a new file; of all that is in it, but for what is mounted, where no
    /// path is named. More than `most` bytes are an error.
    pub(super) async fn save(&self, path: Option<&str>, to: PathBuf, most: u64) -> Result<(), ExecuteError> {
        let client = self.engine.patient_client();
        match path {
            Some(path) => {
                let options = DownloadFromContainerOptionsBuilder::default().path(path).build();
                self.write(client.download_from_container(&self.id, Some(options)), to, most).await
            }
            None => self.write(client.export_container(&self.id), to, most).await,
        }
    }

    async fn write(
        &self,
        archive: impl Stream<Item = Result<bytes::Bytes, ClientError>>,
        to: PathBuf,
        most: u64,
    ) -> Result<(), ExecuteError> {
        const ACTION: &str = "give out what is in a container";
        let full = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::StorageFull => ExecuteError::NoSpace { path: to.clone() },
            _ => setup("write what a container has", error),
        };
        let mut file = tokio::fs::File::create_new(&to).await.map_err(full)?;
        let mut archive = std::pin::pin!(archive);
        let mut left = most;
        while let Some(chunk) = self.engine.ask_patiently(ACTION, archive.try_next()).await? {
            left = left
                .checked_sub(chunk.len() as u64)
                .ok_or_else(|| self.engine.broke_off(ACTION, format!("that is more than {most} bytes")))?;
            file.write_all(&chunk).await.map_err(full)?;
        }
        file.flush().await.map_err(full)
    }

    /// What it is going to print.
    pub(super) async fn attach(&self) -> Result<AttachContainerResults, EngineError> {
        let options = AttachContainerOptionsBuilder::default().stream(true).stdout(true).stderr(true).build();
        let attached = self.engine.client().attach_container(&self.id, Some(options));
        self.engine.ask("pass on what the step prints", attached).await
    }

    pub(super) async fn start(&self) -> Result<(), EngineError> {
        self.engine.ask("start the container", self.engine.client().start_container(&self.id, None)).await
    }

    /// Sends a signal to its first process. That it has ended meanwhile is no error.
    pub(super) async fn kill(&self, signal: &str) {
        let options = KillContainerOptionsBuilder::default().signal(signal).build();
        if let Err(error) = self.engine.client().kill_container(&self.id, Some(options)).await {
            tracing::debug!(id = self.id, signal, %error, "a container was not sent a signal");
        }
    }

    /// Removes it, with everything that is in it.
    pub(super) async fn remove(mut self) -> Result<(), EngineError> {
        let removed = remove(&self.engine, &self.id).await;
        self.is_gone = removed.is_ok();
        removed
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if self.is_gone {
            return;
        }
        let (engine, id) = (self.engine.clone(), std::mem::take(&mut self.id));
        // Where there is no runtime any more, this process ends, and the next one removes the container.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            for _ in 0..TRIES {
                match remove(&engine, &id).await {
                    Ok(()) => return,
                    Err(error) => tracing::warn!(id, %error, "a container is not removed"),
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
    }
}

async fn remove(engine: &Engine, id: &str) -> Result<(), EngineError> {
    let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    match engine.ask("remove the container", engine.client().remove_container(id, Some(options))).await {
        Err(error) if error.is_absent() => Ok(()),
        removed => removed,
    }
}
