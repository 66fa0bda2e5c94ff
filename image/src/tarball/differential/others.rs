//! What other programs see.

use std::path::Path;
use std::process::Command;

use super::Seen;

/// All archives of a directory, in order: entries, or why there are none. Nothing where the program is not installed.
type List = fn(&Path) -> Option<Vec<Result<Vec<Seen>, String>>>;

pub(super) const PROGRAMS: [(&str, List); 3] = [("Python", python), ("Go", go), ("GNU tar", gnu)];

/// What a program prints; nothing where it is not installed.
fn run(command: &mut Command) -> Option<std::process::Output> {
    match command.output() {
        Ok(output) => Some(output),
        Err(error) => {
            eprintln!("left out: {:?} is not installed: {error}", command.get_program());
            None
        }
    }
}

fn python(dir: &Path) -> Option<Vec<Result<Vec<Seen>, String>>> {
    let output = run(Command::new("python3").args(["-c", include_str!("list.py")]).arg(dir))?;
    Some(read(&output))
}

fn go(dir: &Path) -> Option<Vec<Result<Vec<Seen>, String>>> {
    let place = tempfile::tempdir().unwrap();
    let source = place.path().join("list.go");
    std::fs::write(&source, include_str!("list.go")).unwrap();
    let mut command = Command::new("go");
    // It needs nothing but its own library.
    command.env("GOFLAGS", "-mod=mod").env("GOTOOLCHAIN", "local");
    let output = run(command.current_dir(place.path()).arg("run").arg(source).arg(dir))?;
    Some(read(&output))
}

/// Lines of JSON.
fn read(output: &std::process::Output) -> Vec<Result<Vec<Seen>, String>> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = std::str::from_utf8(&output.stdout).unwrap().lines();
    let bytes = |text: &serde_json::Value| {
        let digits = text.as_str().unwrap().as_bytes();
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.chunks(2).map(byte).collect::<Vec<u8>>()
    };
    lines
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let Some(entries) = line["entries"].as_array() else { return Err(line.to_string()) };
            let seen = |entry: &serde_json::Value| {
                let (kind, size) = (entry[1].as_str().unwrap(), entry[2].as_u64().unwrap());
                Seen::new(bytes(&entry[0]), kind, size, bytes(&entry[3]))
            };
            Ok(entries.iter().map(seen).collect())
        })
        .collect()
}

/// A listing, with names quoted as in C.
fn gnu(dir: &Path) -> Option<Vec<Result<Vec<Seen>, String>>> {
    let version = run(Command::new("tar").arg("--version"))?;
    if !version.stdout.starts_with(b"tar (GNU tar)") {
        return None;
    }
    let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let listed = files.iter().map(|file| {
        let mut command = Command::new("tar");
        command.env("LC_ALL", "C").args(["--quoting-style=c", "--numeric-owner", "-Ptvf"]).arg(file);
        // Whatever it complains about, it goes on, and what it lists is what counts.
        let output = command.output().unwrap();
        let text = std::str::from_utf8(&output.stdout).unwrap();
        Ok(text.lines().map(|line| line_of_gnu(line).unwrap_or_else(|| panic!("{line}"))).collect())
    });
    Some(listed.collect())
}

/// `-rw-r--r-- 7/7  512 1970-01-01 00:00 "name"`, then perhaps ` -> "target"` or ` link to "target"`.
fn line_of_gnu(line: &str) -> Option<Seen> {
    let kind = match line.as_bytes()[0] {
        b'-' | b'C' => "file",
        b'd' => "directory",
        b'l' => "symlink",
        b'h' => "hard link",
        b'c' | b'b' | b'p' => "device",
        _ => "other",
    };
    let size = if kind == "file" { line.split_ascii_whitespace().nth(2)?.parse().ok()? } else { 0 };
    let (name, rest) = quoted(&line[line.find('"')?..])?;
    let link = rest.find('"').and_then(|at| quoted(&rest[at..])).map_or_else(Vec::new, |(link, _)| link);
    Some(Seen::new(name, kind, size, link))
}

/// A string of C, and what follows it.
fn quoted(text: &str) -> Option<(Vec<u8>, &str)> {
    let mut bytes = Vec::new();
    let mut at = 1;
    loop {
        let rest = text.get(at..)?;
        let byte = *rest.as_bytes().first()?;
        at += 1;
        match byte {
            b'"' => return Some((bytes, &text[at..])),
            b'\\' => {
                let escape = *rest.as_bytes().get(1)?;
                at += 1;
                bytes.push(match escape {
                    b'n' => b'\n',
                    b't' => b'\t',
                    b'r' => b'\r',
                    b'a' => 7,
                    b'b' => 8,
                    b'f' => 12,
                    b'v' => 11,
                    b'0'..=b'7' => {
                        at += 2;
                        u8::from_str_radix(rest.get(1..4)?, 8).ok()?
                    }
                    other => other,
                });
            }
            other => bytes.push(other),
        }
    }
}
