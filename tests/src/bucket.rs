//! A bucket on this machine: an S3 server over a directory.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, HeaderMap};
use hyper::service::service_fn;
use hyper::{Method, Request, server::conn::http1};
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tempfile::TempDir;
use tokio::net::TcpListener;

/// What the bucket is called.
pub const NAME: &str = "bucket";

/// What a client needs to know of a server at this address.
pub fn variables(address: &str) -> [(&'static str, String); 4] {
    [
        ("AWS_ENDPOINT_URL", address.to_owned()),
        ("AWS_ACCESS_KEY_ID", "id".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
    ]
}

/// Serves a directory of buckets for ever. Each answer takes so long; where it listens is told first.
///
/// # Errors
/// The directory cannot be used, or nothing can be listened on.
pub fn serve(dir: &Path, delay: Duration, tell: impl FnOnce(String)) -> std::io::Result<()> {
    serve_watched(dir, delay, &Arc::default(), tell)
}

/// Bytes that clients sent and got, without what stands around them; and whether they get anything.
#[derive(Debug, Default)]
struct Moved {
    sent: AtomicU64,
    got: AtomicU64,
    /// Once a request is for this, all are refused.
    leaves_at: Mutex<Option<&'static str>>,
    away: AtomicBool,
}

impl Moved {
    fn is_away(&self, path: &str) -> bool {
        let mut leaves_at = self.leaves_at.lock().unwrap_or_else(PoisonError::into_inner);
        if leaves_at.take_if(|part| path.contains(*part)).is_some() {
            self.away.store(true, Ordering::Relaxed);
        }
        self.away.load(Ordering::Relaxed)
    }

    fn count(counter: &AtomicU64, headers: &HeaderMap) {
        let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        counter.fetch_add(length.unwrap_or(0), Ordering::Relaxed);
    }
}

fn serve_watched(
    dir: &Path,
    delay: Duration,
    moved: &Arc<Moved>,
    tell: impl FnOnce(String),
) -> std::io::Result<()> {
    std::fs::create_dir_all(dir.join(NAME))?;
    let files = s3s_fs::FileSystem::new(dir).map_err(|error| std::io::Error::other(format!("{error:?}")))?;
    let mut builder = S3ServiceBuilder::new(files);
    builder.set_auth(SimpleAuth::from_single("id", "secret"));
    let service = builder.build();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        tell(format!("http://{}", listener.local_addr()?));
        loop {
            let (connection, _) = listener.accept().await?;
            connection.set_nodelay(true)?;
            let (service, moved) = (service.clone(), Arc::clone(moved));
            tokio::spawn(async move {
                let answer = service_fn(move |request: Request<Incoming>| {
                    let (service, moved) = (service.clone(), Arc::clone(&moved));
                    async move {
                        if moved.is_away(request.uri().path()) {
                            return Err(std::io::Error::other("the bucket is away"));
                        }
                        Moved::count(&moved.sent, request.headers());
                        // The answer to this only says how long it would be.
                        let is_answered = request.method() != Method::HEAD;
                        if !delay.is_zero() {
                            tokio::time::sleep(delay).await;
                        }
                        let answer = service.call(request.map(s3s::Body::from)).await;
                        if let Some(answer) = answer.as_ref().ok().filter(|_| is_answered) {
                            Moved::count(&moved.got, answer.headers());
                        }
                        answer.map_err(|error| std::io::Error::other(format!("{error:?}")))
                    }
                });
                drop(http1::Builder::new().serve_connection(TokioIo::new(connection), answer).await);
            });
        }
    })
}

/// A server in this process, for as long as the process lives.
#[derive(Debug)]
pub struct Bucket {
    dir: TempDir,
    address: String,
    moved: Arc<Moved>,
}

impl Bucket {
    /// An empty one.
    ///
    /// # Panics
    /// Where it cannot be served.
    pub fn start() -> Self {
        let made = tempfile::tempdir();
        let dir = made.unwrap_or_else(|error| panic!("cannot make a temporary directory: {error}"));
        let (sender, told) = std::sync::mpsc::channel();
        let (path, moved) = (dir.path().to_owned(), Arc::<Moved>::default());
        let counting = Arc::clone(&moved);
        std::thread::spawn(move || {
            let tell = move |address| drop(sender.send(address));
            // Nobody is told an address where it cannot be served.
            drop(serve_watched(&path, Duration::ZERO, &counting, tell));
        });
        let address = told.recv().unwrap_or_else(|_| panic!("cannot serve {}", dir.path().display()));
        Self { dir, address, moved }
    }

    /// What a client needs to know.
    pub fn variables(&self) -> [(&'static str, String); 4] {
        variables(&self.address)
    }

    /// How many bytes clients sent and got while something was done.
    pub fn moved_by<T>(&self, done: impl FnOnce() -> T) -> (T, u64, u64) {
        let now = || [&self.moved.sent, &self.moved.got].map(|counter| counter.load(Ordering::Relaxed));
        let [sent, got] = now();
        let outcome = done();
        let [sent_now, got_now] = now();
        (outcome, sent_now - sent, got_now - got)
    }

    /// Has every connection closed on which something is asked, from the next request on whose path has this in it.
    pub fn leave_at(&self, part: &'static str) {
        *self.moved.leaves_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(part);
    }

    /// Whether it has left.
    pub fn is_away(&self) -> bool {
        self.moved.away.load(Ordering::Relaxed)
    }

    /// Answers again, whatever is asked.
    pub fn come_back(&self) {
        self.moved.away.store(false, Ordering::Relaxed);
    }

    /// All objects, as files.
    ///
    /// # Panics
    /// Where they cannot be listed.
    pub fn files(&self) -> Vec<PathBuf> {
        let (mut files, mut dirs) = (Vec::new(), vec![self.dir.path().join(NAME)]);
        while let Some(dir) = dirs.pop() {
            let listed = std::fs::read_dir(&dir);
            let listed = listed.unwrap_or_else(|error| panic!("cannot list {}: {error}", dir.display()));
            for entry in listed.flatten() {
                match entry.path() {
                    dir if dir.is_dir() => dirs.push(dir),
                    file => files.push(file),
                }
            }
        }
        files
    }

    /// Has everything in it be stored that much earlier.
    ///
    /// # Panics
    /// Where a file cannot be changed.
    pub fn age(&self, by: Duration) {
        for file in self.files() {
            let aged = std::fs::File::options().write(true).open(&file).and_then(|open| {
                let modified = open.metadata()?.modified()?;
                open.set_modified(modified.checked_sub(by).unwrap_or(SystemTime::UNIX_EPOCH))
            });
            aged.unwrap_or_else(|error| panic!("cannot age {}: {error}", file.display()));
        }
    }
}
