//! What can happen to a request on its way to a registry.

use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// What becomes of a request.
#[derive(Debug, Clone)]
pub(crate) enum Way {
    /// It gets there, and its answer back.
    Through,
    /// The connection ends after so many bytes of its body.
    Cut(usize),
    /// So many bytes of its body get there, and no more.
    Stall(usize),
    /// Its body gets there a piece at a time, with a pause after each.
    Slow(usize, Duration),
    /// It does not get there: a status, and a header line.
    Answer(u16, &'static str),
}

type Script = dyn Fn(&str) -> Way + Send + Sync;

/// Stands in front of a registry, as long as the test program runs.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
}

impl Proxy {
    /// `script` is asked for each request, with its first line and its headers in lower case.
    pub(crate) fn new(to: &str, script: impl Fn(&str) -> Way + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (script, to): (Arc<Script>, _) = (Arc::new(script), to.to_owned());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (script, to) = (Arc::clone(&script), to.clone());
                std::thread::spawn(move || drop(serve(stream, &to, &*script)));
            }
        });
        Self { address }
    }
}

/// How long the body of a request is, by its headers in lower case.
pub(crate) fn length(head: &str) -> u64 {
    head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok()).unwrap_or(0)
}

/// One request: the connection is not used for another one.
fn serve(client: TcpStream, to: &str, script: &Script) -> io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    let (first, rest) = head.split_once("\r\n").unwrap();
    let mut body = reader.take(length(&rest.to_lowercase()));
    let way = script(&format!("{first}\r\n{}", rest.to_lowercase()));
    if let Way::Answer(status, header) = way {
        io::copy(&mut body, &mut io::sink())?;
        let answer =
            format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\nConnection: close\r\n{header}\r\n\r\n");
        return (&client).write_all(answer.as_bytes());
    }
    let mut server = TcpStream::connect(to)?;
    server.write_all(format!("{first}\r\nConnection: close\r\n{rest}").as_bytes())?;
    match way {
        Way::Cut(bytes) => {
            io::copy(&mut body.take(bytes as u64), &mut server)?;
            client.shutdown(Shutdown::Both)?;
            return server.shutdown(Shutdown::Both);
        }
        Way::Stall(bytes) => {
            io::copy(&mut body.take(bytes as u64), &mut server)?;
            // Until the client has gone.
            loop {
                std::thread::park();
            }
        }
        Way::Slow(bytes, pause) => {
            let mut piece = vec![0; bytes];
            loop {
                match body.read(&mut piece)? {
                    0 => break,
                    count => server.write_all(&piece[..count])?,
                }
                std::thread::sleep(pause);
            }
        }
        Way::Through | Way::Answer(..) => {
            io::copy(&mut body, &mut server)?;
        }
    }
    io::copy(&mut server, &mut &client)?;
    client.shutdown(Shutdown::Both)
}
