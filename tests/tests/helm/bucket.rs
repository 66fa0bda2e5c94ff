//! As much of a bucket as a coordinator or a worker needs to start: objects that are put, looked at and read.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

type Objects = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

/// Listens on loopback for as long as the test process lives. Believes every signature.
pub(crate) struct Bucket {
    address: SocketAddr,
    objects: Objects,
}

struct Request {
    method: String,
    path: String,
    creates: bool,
    /// The first and the last byte that are wanted.
    range: Option<(usize, usize)>,
    body: Vec<u8>,
}

impl Bucket {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let objects = Objects::default();
        let known = Arc::clone(&objects);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let known = Arc::clone(&known);
                std::thread::spawn(move || serve(&stream, &known));
            }
        });
        Self { address, objects }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What reaches it.
    pub(crate) fn variables(&self) -> [(String, String); 3] {
        let secret = "secret".to_owned();
        [
            ("AWS_ENDPOINT_URL".to_owned(), self.url()),
            ("AWS_ACCESS_KEY_ID".to_owned(), secret.clone()),
            ("AWS_SECRET_ACCESS_KEY".to_owned(), secret),
        ]
    }

    pub(crate) fn objects(&self) -> usize {
        self.objects.lock().unwrap().len()
    }
}

/// Answers until the other side has enough.
fn serve(stream: &TcpStream, objects: &Objects) {
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader) {
        let Answer { status, length, more, body } = answer(&request, objects);
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nETag: \"e\"\r\n{more}\
             Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n\r\n"
        );
        let mut writer = stream;
        if writer.write_all(head.as_bytes()).and_then(|()| writer.write_all(&body)).is_err() {
            return;
        }
    }
}

struct Answer {
    status: &'static str,
    length: usize,
    /// Further headers.
    more: String,
    body: Vec<u8>,
}

fn answer(request: &Request, objects: &Objects) -> Answer {
    let mut objects = objects.lock().unwrap();
    let found = objects.get(&request.path).cloned();
    let bare = |status, length| Answer { status, length, more: String::new(), body: Vec::new() };
    match (request.method.as_str(), found, request.range) {
        ("PUT", Some(_), _) if request.creates => bare("412 Precondition Failed", 0),
        ("PUT", _, _) => {
            objects.insert(request.path.clone(), request.body.clone());
            bare("200 OK", 0)
        }
        ("HEAD", Some(object), _) => bare("200 OK", object.len()),
        ("GET", Some(object), Some((first, last))) if first < object.len() => {
            let last = last.min(object.len() - 1);
            let more = format!("Content-Range: bytes {first}-{last}/{}\r\n", object.len());
            let body = object[first..=last].to_vec();
            Answer { status: "206 Partial Content", length: body.len(), more, body }
        }
        ("GET", Some(object), None) => Answer { body: object.clone(), ..bare("200 OK", object.len()) },
        _ => bare("404 Not Found", 0),
    }
}

fn read(reader: &mut BufReader<&TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let (method, rest) = line.split_once(' ')?;
    let path = rest.split([' ', '?']).next()?.to_owned();
    let mut request =
        Request { method: method.to_owned(), path, creates: false, range: None, body: Vec::new() };
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let header = header.trim().to_ascii_lowercase();
        match header.split_once(':') {
            Some(("content-length", value)) => length = value.trim().parse().ok()?,
            Some(("if-none-match", _)) => request.creates = true,
            Some(("range", value)) => {
                let (first, last) = value.trim().strip_prefix("bytes=")?.split_once('-')?;
                request.range = Some((first.parse().ok()?, last.parse().unwrap_or(usize::MAX)));
            }
            _ if header.is_empty() => break,
            _ => {}
        }
    }
    request.body.resize(length, 0);
    reader.read_exact(&mut request.body).ok()?;
    Some(request)
}
