//! Which ports the processes of a cluster listen on: members know each other by them, so a directory keeps them.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::Path;

use crate::error::CliError;

/// Chooses a port for each name. Where `kept` is the file of a directory that stays, those that are in there are used again,
/// and all are in there afterwards.
///
/// # Errors
/// A port that was kept is taken, none is free, or the file cannot be used.
pub(super) fn choose(names: &[String], kept: Option<&Path>) -> Result<Vec<u16>, CliError> {
    let mut known = match kept {
        Some(file) => read(file)?,
        None => BTreeMap::new(),
    };
    // Held until all are known, so that they differ. Somebody may take one before it is used: the process then says so.
    let mut held = Vec::new();
    for (name, port) in names.iter().filter_map(|name| Some((name, *known.get(name)?))) {
        held.push(TcpListener::bind(("127.0.0.1", port)).map_err(|error| {
            CliError::infra(format!("port {port}, where the others look for {name}, cannot be used"))
                .because(error)
                .hint("end what listens there, which may be this cluster itself, or start another one with --dir")
        })?);
    }
    let none_free = |error| CliError::infra("no port is free").because(error);
    let mut ports = Vec::new();
    for name in names {
        let port = match known.get(name) {
            Some(port) => *port,
            None => {
                let (listener, port) = free(&known).map_err(none_free)?;
                held.push(listener);
                known.insert(name.clone(), port);
                port
            }
        };
        ports.push(port);
    }
    if let Some(file) = kept {
        write(file, &known)?;
    }
    Ok(ports)
}

/// Keeps ports that were given.
///
/// # Errors
/// The file cannot be used.
pub(super) fn keep(names: &[String], ports: &[u16], file: &Path) -> Result<(), CliError> {
    let mut known = read(file)?;
    known.extend(names.iter().cloned().zip(ports.iter().copied()));
    write(file, &known)
}

/// Below this, ports belong to services that everybody knows.
const LOWEST: u16 = 10_000;

/// How many ports are tried before the operating system may choose.
const TRIES: usize = 100;

/// One that is free and that nobody else has who is not running now. The operating system gives none of its own choice for it as
/// long as there are others: it would give the same to somebody who connects while the cluster is down.
fn free(known: &BTreeMap<String, u16>) -> io::Result<(TcpListener, u16)> {
    let own = own_choice();
    let span = u64::from(own.saturating_sub(LOWEST));
    for _ in 0..TRIES {
        let Some(port) = crate::random::number().checked_rem(span) else { break };
        let port = LOWEST + port as u16;
        if known.values().all(|other| *other != port)
            && let Ok(listener) = TcpListener::bind(("127.0.0.1", port))
        {
            return Ok((listener, port));
        }
    }
    let mut passed_over = Vec::new();
    loop {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        if known.values().all(|other| *other != port) {
            return Ok((listener, port));
        }
        // Held, so that it does not come again: there are no more of them than names.
        passed_over.push(listener);
    }
}

/// The first port that the operating system may choose for somebody who asks for none.
fn own_choice() -> u16 {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    range.split_whitespace().next().and_then(|port| port.parse().ok()).unwrap_or(32_768)
}

fn read(file: &Path) -> Result<BTreeMap<String, u16>, CliError> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(unusable(file).because(error)),
    };
    text.lines()
        .enumerate()
        .map(|(line, text)| {
            let pair =
                text.split_once(' ').and_then(|(name, port)| Some((name.to_owned(), port.parse().ok()?)));
            pair.ok_or_else(|| {
                CliError::infra(format!("line {} of {} is no name and port", line + 1, file.display()))
                    .hint("mend it, or start another cluster with --dir")
            })
        })
        .collect()
}

fn write(file: &Path, ports: &BTreeMap<String, u16>) -> Result<(), CliError> {
    let text: String = ports.iter().map(|(name, port)| format!("{name} {port}\n")).collect();
    let beside = file.with_extension("new");
    let written = fs::write(&beside, text).and_then(|()| fs::rename(&beside, file));
    written.map_err(|error| unusable(file).because(error))
}

fn unusable(file: &Path) -> CliError {
    CliError::infra(format!("cannot keep ports in {}", file.display()))
        .hint("name another directory with --dir")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|name| format!("worker-{name}")).collect()
    }

    #[test]
    fn free_ports_differ() {
        let mut ports = choose(&names(20), None).unwrap();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 20);
        assert!(ports.iter().all(|port| *port < own_choice()), "{ports:?}");
    }

    #[test]
    fn a_directory_keeps_its_ports_and_says_which_one_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ports");
        let first = choose(&names(3), Some(&file)).unwrap();
        assert_eq!(choose(&names(3), Some(&file)).unwrap(), first);
        assert_eq!(choose(&names(1), Some(&file)).unwrap(), first[..1]);
        assert_eq!(choose(&names(5), Some(&file)).unwrap()[..3], first[..]);
        let taken = TcpListener::bind(("127.0.0.1", first[1])).unwrap();
        let refused = choose(&names(3), Some(&file)).unwrap_err().to_string();
        assert!(
            refused.contains(&format!("port {}, where the others look for worker-1", first[1])),
            "{refused}"
        );
        drop(taken);
        keep(&names(1), &[7400], &file).unwrap();
        assert_eq!(read(&file).unwrap()["worker-0"], 7400);
        fs::write(&file, "worker-0 7400\nworker-1\n").unwrap();
        assert!(choose(&names(1), Some(&file)).unwrap_err().to_string().starts_with("line 2 of "));
    }
}
