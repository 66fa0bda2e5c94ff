//! The program that Cullet has in containers (`helper/main.rs`), and the image that has it and nothing else.

use std::io;

use cullet_digest::DigestFunction;
use tar::{Builder, EntryType, Header};

use super::{Engine, EngineImage};
use crate::ExecuteError;
use crate::sandbox::runner::setup;

/// It is linked with nothing, and runs wherever the kernel does.
pub(super) const PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/helper"));

/// Where it is in its image.
pub(super) const PATH: &str = "/cullet-helper";

const NO_PROGRAM: &str = "this build of cullet has no program for containers, which secrets and services take on Docker: \
                          run the step in the sandbox (--executor sandbox)";

impl Engine {
    /// What to make containers of that have the program, put there if it is not.
    pub(super) async fn helper(&self) -> Result<String, ExecuteError> {
        let machine = &self.facts().machine;
        if PROGRAM.is_empty() {
            return Err(ExecuteError::Unavailable(NO_PROGRAM.to_owned()));
        }
        if machine != std::env::consts::ARCH {
            let text = format!(
                "secrets and services on Docker take an engine on a machine like this one ({}), and that of {} is {machine}",
                std::env::consts::ARCH,
                self.address()
            );
            return Err(ExecuteError::Unavailable(text));
        }
        let layer = layer().map_err(unusual)?;
        let diff_id = DigestFunction::Sha256.digest(&layer).hash_hex();
        let name = format!("cullet/helper:{}", &diff_id[..32]);
        let image = EngineImage { name, diff_ids: vec![format!("sha256:{diff_id}")] };
        if let Some(id) = self.image(&image).await? {
            return Ok(id);
        }
        let archive = archive(&image, &layer).map_err(unusual)?;
        self.load(io::Cursor::new(archive)).await?;
        let there = self.image(&image).await?;
        Ok(there.ok_or_else(|| self.broke_off("take an image", "it took it and does not have it"))?)
    }
}

/// Archives in memory do not fail.
fn unusual(error: io::Error) -> ExecuteError {
    setup("make an archive", error)
}

/// The same bytes in every build of the same program.
fn layer() -> io::Result<Vec<u8>> {
    let mut tar = Builder::new(Vec::new());
    append(&mut tar, PATH.trim_start_matches('/'), PROGRAM, (0o755, (0, 0)))?;
    tar.into_inner()
}

/// As `docker save` writes it.
fn archive(image: &EngineImage, layer: &[u8]) -> io::Result<Vec<u8>> {
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let diff_ids = image.diff_ids.join("\",\"");
    let config = format!(
        r#"{{"architecture":"{architecture}","os":"linux","config":{{}},"rootfs":{{"type":"layers","diff_ids":["{diff_ids}"]}}}}"#
    );
    let config_name = format!("{}.json", DigestFunction::Sha256.digest(config.as_bytes()).hash_hex());
    let manifest =
        format!(r#"[{{"Config":"{config_name}","RepoTags":["{}"],"Layers":["layer.tar"]}}]"#, image.name);
    let mut tar = Builder::new(Vec::new());
    append(&mut tar, "layer.tar", layer, (0o644, (0, 0)))?;
    append(&mut tar, &config_name, config.as_bytes(), (0o644, (0, 0)))?;
    append(&mut tar, "manifest.json", manifest.as_bytes(), (0o644, (0, 0)))?;
    tar.into_inner()
}

/// A file of a mode and an owner, from long ago.
pub(super) fn append(
    tar: &mut Builder<impl io::Write>,
    name: &str,
    contents: &[u8],
    (mode, (uid, gid)): (u32, (u32, u32)),
) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(mode);
    header.set_uid(uid.into());
    header.set_gid(gid.into());
    header.set_mtime(0);
    header.set_size(contents.len() as u64);
    tar.append_data(&mut header, name, contents)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::{Command, Stdio};

    use super::*;

    fn program() -> (tempfile::TempDir, Command) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("helper");
        fs::write(&path, PROGRAM).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = Command::new(path);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        (dir, command)
    }

    #[test]
    fn it_passes_on_what_a_port_says() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address) else { continue };
            let port = listener.local_addr().unwrap().port().to_string();
            let (_dir, mut command) = program();
            let mut child = command.args(["connect", &port]).spawn().unwrap();
            let mut served = listener.accept().unwrap().0;
            child.stdin.as_mut().unwrap().write_all(b"ping").unwrap();
            let mut asked = [0; 4];
            served.read_exact(&mut asked).unwrap();
            served.write_all(b"pong").unwrap();
            drop(served);
            let mut said = String::new();
            child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
            assert_eq!((&asked, &*said), (b"ping", "+pong"), "{address}");
            assert_eq!(child.wait().unwrap().code(), Some(0));
        }
    }

    #[test]
    fn it_says_that_nobody_listens() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        drop(listener);
        let (_dir, mut command) = program();
        let output = command.args(["connect", &port]).output().unwrap();
        assert_eq!(output.stdout, [b'-', u8::try_from(libc::ECONNREFUSED).unwrap()]);
    }

    #[test]
    fn it_ends_when_nobody_asks_any_more() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let (_dir, mut command) = program();
        let mut child = command.args(["connect", &port]).spawn().unwrap();
        let mut first = [0];
        child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
        drop(child.stdin.take());
        assert_eq!((first[0], child.wait().unwrap().code()), (b'+', Some(0)));
    }

    #[test]
    fn secrets_take_the_place_of_variables_with_their_names() {
        let (dir, _) = program();
        fs::create_dir_all(dir.path().join("run/secrets")).unwrap();
        fs::write(dir.path().join("run/secrets/TOKEN"), "real\n").unwrap();
        fs::write(dir.path().join("run/secrets/HOME"), "/elsewhere").unwrap();
        let is_root = rustix::process::geteuid().is_root();
        let mut command = Command::new(if is_root { "chroot" } else { "unshare" });
        command.args(if is_root { &[][..] } else { &["--map-root-user", "chroot"] }).arg(dir.path());
        command.args(["/helper", "secrets", "TOKEN,HOME", "/helper", "hold"]).env_clear();
        let given = [
            ("A", "1"),
            ("HOME", "/"),
            ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
            ("TOKEN", "dummy"),
            ("TOKENS", "2"),
        ];
        let mut child = command.envs(given).spawn().unwrap();
        let of_child =
            |name: &str| fs::read_to_string(format!("/proc/{}/{name}", child.id())).unwrap_or_default();
        for _ in 0..1000 {
            if of_child("cmdline") == "/helper\0hold\0" {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let mut found: Vec<String> = of_child("environ").split_terminator('\0').map(str::to_owned).collect();
        child.kill().unwrap();
        child.wait().unwrap();
        found.sort();
        let path = format!("PATH={}", given[2].1);
        assert_eq!(found, ["A=1", "HOME=/elsewhere", &path, "TOKEN=real", "TOKENS=2"]);
    }

    #[test]
    fn it_does_nothing_that_it_does_not_know() {
        for arguments in
            [&[][..], &["dance"], &["connect"], &["connect", "70000"], &["connect", "x"], &["secrets", "A"]]
        {
            let (_dir, mut command) = program();
            assert_eq!(command.args(arguments).output().unwrap().status.code(), Some(64), "{arguments:?}");
        }
        let (_dir, mut command) = program();
        let without = command.args(["secrets", "NO_SUCH_SECRET", "true"]).output().unwrap();
        assert_eq!(without.status.code(), Some(1));
    }
}
