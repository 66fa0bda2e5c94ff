//! A registry that does what a test wants, over plain sockets, so that it can also break the protocol.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// What was asked.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// With the query.
    pub(crate) path: String,
    /// Names in lower case.
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn is_blob(&self) -> bool {
        self.path.contains("/blobs/")
    }
}

/// What is done instead of answering well.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// A status with headers and a body.
    Answer(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// The connection ends after so many bytes of the body.
    Cut(usize),
    /// Ranges are ignored.
    NoRange,
    /// Ranges are ignored, and the connection ends.
    NoRangeCut(usize),
    /// Other bytes of the same length.
    Wrong,
    /// More bytes than there are.
    Longer,
}

impl Fault {
    pub(crate) fn status(status: u16) -> Self {
        Self::Answer(status, Vec::new(), Vec::new())
    }
}

/// The request, and which one it is for this path, from 1.
type Script = dyn Fn(&Request, usize) -> Fault + Send + Sync;

/// Serves a layout as every repository.
pub(crate) struct Stub {
    pub(crate) address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Stub {
    pub(crate) fn new(
        layout: &Path,
        script: impl Fn(&Request, usize) -> Fault + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::<Mutex<Vec<Request>>>::default();
        let serving =
            Serving { layout: layout.to_owned(), script: Box::new(script), requests: Arc::clone(&requests) };
        let serving = Arc::new(serving);
        // Lives as long as the test program.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serving = Arc::clone(&serving);
                std::thread::spawn(move || drop(serving.serve(stream)));
            }
        });
        Self { address, requests }
    }

    pub(crate) fn reference(&self, which: &str) -> String {
        format!("{}/team/app{which}", self.address)
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    pub(crate) fn blob_requests(&self) -> usize {
        self.requests().iter().filter(|request| request.is_blob()).count()
    }
}

struct Serving {
    layout: PathBuf,
    script: Box<Script>,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Serving {
    fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut lines = reader.by_ref().lines();
        let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
        let mut words = first.split(' ').map(str::to_owned);
        let Some(path) = words.nth(1) else { return Ok(()) };
        let mut headers = HashMap::new();
        for line in lines {
            let line = line?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.insert(name.to_lowercase(), value.trim().to_owned());
        }
        let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let mut body = Vec::new();
        reader.take(length).read_to_end(&mut body)?;
        let body = String::from_utf8_lossy(&body).into_owned();
        let request = Request { path, headers, body };
        let count = {
            let mut requests = self.requests.lock().unwrap();
            requests.push(request.clone());
            requests.iter().filter(|other| other.path == request.path).count()
        };
        let fault = (self.script)(&request, count);
        self.answer(&request, fault, &mut stream)
    }

    fn answer(&self, request: &Request, fault: Fault, stream: &mut TcpStream) -> std::io::Result<()> {
        if let Fault::Answer(status, headers, body) = fault {
            return send(stream, status, &headers, body.len(), &body);
        }
        let Some(mut body) = self.find(&request.path) else { return send(stream, 404, &[], 0, b"") };
        let from = request
            .headers
            .get("range")
            .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
        match fault {
            Fault::Wrong => body.iter_mut().for_each(|byte| *byte ^= 1),
            Fault::Longer => body.extend_from_slice(b"more"),
            _ => (),
        }
        let ranges = !matches!(fault, Fault::NoRange | Fault::NoRangeCut(_));
        let from = from.filter(|from| ranges && *from < body.len());
        let rest = &body[from.unwrap_or(0)..];
        let sent = match fault {
            Fault::Cut(after) | Fault::NoRangeCut(after) => &rest[..after.min(rest.len())],
            _ => rest,
        };
        let range =
            from.map(|from| ("Content-Range", format!("bytes {from}-{}/{}", body.len() - 1, body.len())));
        let headers: Vec<_> = range.into_iter().collect();
        send(stream, if from.is_some() { 206 } else { 200 }, &headers, rest.len(), sent)
    }

    /// A blob by its digest, or the manifest that the tag names.
    fn find(&self, path: &str) -> Option<Vec<u8>> {
        let name = path.split('?').next()?.rsplit('/').next()?;
        if let Some(hex) = name.strip_prefix("sha256:") {
            return std::fs::read(self.layout.join("blobs/sha256").join(hex)).ok();
        }
        let index: serde_json::Value =
            serde_json::from_slice(&std::fs::read(self.layout.join("index.json")).ok()?).ok()?;
        let named =
            |entry: &&serde_json::Value| entry["annotations"]["org.opencontainers.image.ref.name"] == name;
        let entry = index["manifests"].as_array()?.iter().find(named)?;
        let hex = entry["digest"].as_str()?.strip_prefix("sha256:")?.to_owned();
        std::fs::read(self.layout.join("blobs/sha256").join(hex)).ok()
    }
}

fn send(
    stream: &mut TcpStream,
    status: u16,
    headers: &[(&'static str, String)],
    length: usize,
    body: &[u8],
) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {status} x\r\nContent-Length: {length}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    stream.write_all(body)?;
    stream.flush()
}
