//! Connections that a server takes in: so many at a time that files are left for everything else. Without a bound, whoever opens
//! connections takes the last file from a log that is about to be written, and each connection that cannot be taken in then is
//! tried again at once, and again.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{Stream, StreamExt as _, stream};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::transport::server::Connected;

/// Files that connections leave to others, where there are as many: segments of logs, blobs that are read and written, connections
/// to a store.
const LEFT: usize = 512;

/// Connections at most, whatever the system allows. Each takes some twenty kilobytes.
const MOST: usize = 60_000;

/// Until a connection is waited for again that could not be taken in.
const PAUSE: Duration = Duration::from_millis(100);

/// Lets this process open as many files as the system allows it to. For processes that start no others: some programs look at
/// every number that a file could have.
pub fn allow_files() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // It can be lowered at most, and then by nobody but us.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// How many connections a server may have: what is left of the files that this process may open, of few the half.
pub fn places() -> usize {
    let files = getrlimit(Resource::Nofile).current.map_or(usize::MAX, |files| files as usize);
    files.saturating_sub(LEFT.min(files / 2)).clamp(1, MOST)
}

/// At most so many connections at the same time. More of them wait in the kernel. What keeps one from being taken in ends nothing.
pub fn bounded<I, S>(incoming: I, most: usize) -> impl Stream<Item = io::Result<Connection<S>>>
where
    I: Stream<Item = io::Result<S>> + Unpin,
{
    let places = Arc::new(Semaphore::new(most));
    stream::unfold((incoming, places, false), move |(mut incoming, places, mut was_full)| async move {
        loop {
            let full = places.available_permits() == 0;
            if full && !was_full {
                tracing::warn!(
                    connections = most,
                    "no more connections are taken in until one of these ends"
                );
            }
            was_full = full;
            // Never closed, so the permit always comes.
            let place = Arc::clone(&places).acquire_owned().await.ok()?;
            match incoming.next().await? {
                Ok(stream) => {
                    let connection = Connection { stream, _place: place };
                    return Some((Ok(connection), (incoming, places, was_full)));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection cannot be taken in");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    })
}

/// A connection that has its place for as long as it lasts.
#[derive(Debug)]
pub struct Connection<S> {
    stream: S,
    _place: OwnedSemaphorePermit,
}

impl<S: Connected> Connected for Connection<S> {
    type ConnectInfo = S::ConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.stream.connect_info()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use rustix::io::Errno;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_taken_in_ends_nothing_and_is_not_tried_at_once() {
        let full = || io::Error::from(Errno::MFILE);
        let arriving = stream::iter([Err(full()), Err(full()), Ok(1), Err(full()), Ok(2)]);
        let began = tokio::time::Instant::now();
        let taken: Vec<i32> =
            bounded(arriving, 8).map(|taken| taken.unwrap().stream).collect::<Vec<_>>().await;
        assert_eq!(taken, [1, 2]);
        assert_eq!(began.elapsed(), 3 * PAUSE);
    }

    #[tokio::test]
    async fn more_wait_until_one_ends() {
        let mut taken = Box::pin(bounded(stream::iter([Ok(1), Ok(2), Ok(3)]), 2));
        let (first, _second) = (taken.next().await, taken.next().await);
        assert!(taken.next().now_or_never().is_none());
        drop(first);
        assert_eq!(taken.next().await.unwrap().unwrap().stream, 3);
    }

    #[test]
    fn files_are_left_for_others() {
        let Rlimit { current, .. } = getrlimit(Resource::Nofile);
        assert!((1..=MOST).contains(&places()));
        assert!(current.is_none_or(|files| (places() as u64) < files));
    }
}
