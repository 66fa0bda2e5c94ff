//! A bucket over HTTP: a real server of buckets in files, which fails as a test tells it to and counts what is asked.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::object::ObjectOptions;

/// What goes wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing is done; this status, code and `Retry-After`.
    Status(u16, &'static str, Option<u64>),
    /// No answer, ever.
    Silence,
    /// The body comes slower than anybody waits for.
    Slow,
    /// The connection breaks in the middle of the body.
    Cut,
    /// The body ends before its length.
    Short,
    /// The body is another one of the same length.
    Wrong,
    /// It is done, but the answer is lost.
    Lost,
    /// Conditions are not looked at.
    Unconditional,
}

/// What was asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) requests: usize,
    /// Bytes of all bodies, both ways.
    pub(super) bytes: usize,
}

#[derive(Default)]
struct State {
    /// For this many more requests, of this method where one is named.
    fault: Option<(Fault, usize, Option<Method>)>,
    asked: Asked,
    root: PathBuf,
}

/// Gone with everything in it when it is dropped.
pub(super) struct Server {
    address: String,
    state: Arc<Mutex<State>>,
    dir: TempDir,
    task: JoinHandle<()>,
}

type Body = UnsyncBoxBody<Bytes, std::io::Error>;

impl Server {
    pub(super) async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("s3/bucket")).unwrap();
        let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(dir.path().join("s3")).unwrap());
        builder.set_auth(SimpleAuth::from_single("id", "secret"));
        let state = State { root: dir.path().join("s3"), ..State::default() };
        let (service, state) = (builder.build(), Arc::new(Mutex::new(state)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let (service, state) = (service.clone(), Arc::clone(&shared));
                tokio::spawn(async move {
                    let answer = service_fn(|request| answer(service.clone(), Arc::clone(&state), request));
                    let connection = TokioIo::new(connection);
                    drop(
                        hyper::server::conn::http1::Builder::new().serve_connection(connection, answer).await,
                    );
                });
            }
        });
        Self { address, state, dir, task }
    }

    /// How to reach it, with an empty spool.
    pub(super) fn options(&self) -> ObjectOptions {
        options(&self.address, self.dir.path().join(format!("spool-{}", fastrand::u64(..))))
    }

    /// The file of an object's key, or the directory of several.
    pub(super) fn path(&self, key: &str) -> PathBuf {
        self.dir.path().join("s3/bucket").join(key)
    }

    /// All objects below a prefix.
    pub(super) fn files(&self, prefix: &str) -> Vec<PathBuf> {
        let (mut found, mut waiting) = (Vec::new(), vec![self.path(prefix)]);
        while let Some(dir) = waiting.pop() {
            for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
                let to = if entry.path().is_dir() { &mut waiting } else { &mut found };
                to.push(entry.path());
            }
        }
        found
    }

    /// From now on this goes wrong with so many requests.
    pub(super) fn fail(&self, fault: Fault, times: usize) {
        self.state.lock().unwrap().fault = Some((fault, times, None));
    }

    /// The same for requests of one method.
    pub(super) fn fail_method(&self, fault: Fault, times: usize, method: Method) {
        self.state.lock().unwrap().fault = Some((fault, times, Some(method)));
    }

    /// What was asked since the last time.
    pub(super) fn take_asked(&self) -> Asked {
        std::mem::take(&mut self.state.lock().unwrap().asked)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// How to reach a bucket at an address.
pub(super) fn options(address: &str, spool: PathBuf) -> ObjectOptions {
    let variables = [
        ("AWS_ENDPOINT_URL", address),
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_REGION", "us-east-1"),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    ObjectOptions { variables, ..ObjectOptions::new(spool) }
}

async fn answer(
    service: S3Service,
    state: Arc<Mutex<State>>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let fault = fault_for(&state, request.method());
    match fault {
        Some(Fault::Status(status, code, after)) => {
            state.lock().unwrap().asked.requests += 1;
            // Read to its end, as servers do that keep the connection.
            drop(request.into_body().collect().await);
            return Ok(refusal(status, code, after));
        }
        Some(Fault::Silence) => {
            state.lock().unwrap().asked.requests += 1;
            std::future::pending::<()>().await;
        }
        Some(Fault::Unconditional) if request.headers().contains_key("if-none-match") => {
            // The header is signed, so it is met instead: what is there goes first.
            let object = state.lock().unwrap().root.join(request.uri().path().trim_start_matches('/'));
            drop(std::fs::remove_file(object));
        }
        _ => {}
    }
    let (parts, body) = request.into_parts();
    let sent = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let sent_len = sent.len();
    let request = Request::from_parts(parts, s3s::Body::from(sent));
    let (parts, body) = service.call(request).await.unwrap().into_parts();
    let bytes = http_body_util::BodyExt::collect(body).await.unwrap().to_bytes();
    {
        let asked = &mut state.lock().unwrap().asked;
        asked.requests += 1;
        asked.bytes += sent_len + bytes.len();
    }
    if fault == Some(Fault::Lost) {
        return Ok(refusal(500, "InternalError", None));
    }
    Ok(Response::from_parts(parts, damaged(bytes, fault)))
}

fn fault_for(state: &Mutex<State>, method: &Method) -> Option<Fault> {
    let mut state = state.lock().unwrap();
    let (fault, left, only) = state.fault.as_mut()?;
    if *left == 0 || only.as_ref().is_some_and(|only| only != method) {
        return None;
    }
    *left -= 1;
    Some(*fault)
}

fn refusal(status: u16, code: &str, after: Option<u64>) -> Response<Body> {
    let text = format!("<Error><Code>{code}</Code><Message>as the test wants it</Message></Error>");
    let mut answer = Response::new(whole(text.into()));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap();
    if let Some(after) = after {
        answer.headers_mut().insert("retry-after", after.into());
    }
    answer
}

fn whole(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

fn damaged(bytes: Bytes, fault: Option<Fault>) -> Body {
    let half = bytes.slice(..bytes.len() / 2);
    let first = stream::iter([Ok(Frame::data(half.clone()))]);
    match fault {
        Some(Fault::Slow) => {
            let never = stream::once(async {
                tokio::time::sleep(Duration::from_secs(600)).await;
                Ok(Frame::data(Bytes::new()))
            });
            StreamBody::new(first.chain(never)).boxed_unsync()
        }
        Some(Fault::Cut) => {
            let broken = stream::iter([Err(std::io::Error::other("cut"))]);
            StreamBody::new(first.chain(broken)).boxed_unsync()
        }
        Some(Fault::Short) => StreamBody::new(first).boxed_unsync(),
        Some(Fault::Wrong) => whole(bytes.iter().map(|byte| byte ^ 0x55).collect::<Vec<u8>>().into()),
        _ => whole(bytes),
    }
}
