//! As much of HTTP as it takes to see whether a server answers. Source: RFC 9112, sections 3 and 4.

/// The most that is read of an answer before its first line has to end.
pub(crate) const STATUS_LINE_BYTES: usize = 4 << 10;

/// A GET of a path, from a server that is called so.
pub(crate) fn request(host: &str, path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: cullet\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    )
}

/// Whether what was read so far has the status in it, or never will.
pub(crate) fn is_enough(read: &[u8]) -> bool {
    read.contains(&b'\n') || read.len() >= STATUS_LINE_BYTES
}

/// The status at the beginning of an answer.
pub(crate) fn status(line: &[u8]) -> Option<u16> {
    let line = line.split(|byte| *byte == b'\n').next()?;
    let (version, rest) = std::str::from_utf8(line).ok()?.trim_end().split_once(' ')?;
    let code = rest.get(..3).filter(|_| rest.len() == 3 || rest.as_bytes().get(3) == Some(&b' '))?;
    version.starts_with("HTTP/").then(|| code.parse().ok()).flatten()
}

/// What is wrong with a status, as a clause; nothing where it is what was wanted.
pub(crate) fn verdict(found: u16, wanted: Option<u16>, port: u16, path: &str) -> Result<(), String> {
    match wanted {
        Some(wanted) if found == wanted => Ok(()),
        None if (200..=399).contains(&found) => Ok(()),
        _ => Err(format!("port {port} answers {found} to a GET of {path}")),
    }
}

#[test]
fn reads_status_lines() {
    for (line, found) in [
        ("HTTP/1.1 200 OK\r\nServer: x\r\n", Some(200)),
        ("HTTP/1.0 503\r\n", Some(503)),
        ("", None),
        ("SSH-2.0-OpenSSH_9.2\r\n", None),
        ("HTTP/1.1 2000 OK\r\n", None),
        ("HTTP/1.1 abc OK\r\n", None),
    ] {
        assert_eq!(status(line.as_bytes()), found, "{line}");
    }
}

#[test]
fn a_status_is_as_it_is_wanted() {
    for (found, wanted) in [(200, None), (399, None), (503, Some(503))] {
        assert_eq!(verdict(found, wanted, 80, "/"), Ok(()));
    }
    for (found, wanted) in [(404, None), (199, None), (200, Some(204))] {
        assert_eq!(verdict(found, wanted, 80, "/x"), Err(format!("port 80 answers {found} to a GET of /x")));
    }
}
