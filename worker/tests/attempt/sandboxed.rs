//! With the real sandbox, where this machine allows one.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::sync::Arc;
use std::time::Duration;

use cullet_cache::Action;
use cullet_digest::TreeRef;
use cullet_worker::AttemptReport;
use cullet_worker::host::HostTools;
use cullet_worker::sandbox::{LauncherCommand, Sandbox, SandboxConfig};

use crate::fixture::{Entry, FUNCTION, Fixture, action, failed, pairs, run, succeeded, text, tree};

/// A worker's parts; none where the machine forbids a sandbox, which is said.
pub(crate) fn sandboxed() -> Option<(Fixture, Arc<Sandbox>)> {
    let program = env!("CARGO_BIN_EXE_cullet-launcher").into();
    let tools = HostTools::discover(&std::env::var("PATH").unwrap_or_default(), None);
    let launcher = LauncherCommand { program, args: Vec::new() };
    match Sandbox::start(launcher, SandboxConfig::new(tools, Vec::new())) {
        Ok(sandbox) => {
            let owner = sandbox.owner().map(|id| (id, id));
            Some((Fixture::owned_by(tempfile::tempdir().unwrap(), owner), Arc::new(sandbox)))
        }
        Err(error) => {
            eprintln!("skipped: {error}");
            None
        }
    }
}

pub(crate) fn script(text: &str, outputs: &[&str]) -> Action {
    let arguments = ["sh", "-euc", text].map(str::to_owned).to_vec();
    Action { arguments, ..action(outputs) }
}

#[tokio::test]
async fn outputs_are_what_the_step_saw() {
    let Some((fixture, sandbox)) = sandboxed() else { return };
    let old = fixture.directory(&[("inner", Entry::File("hidden"))]).await;
    let entries = [
        ("kept", Entry::File("kept")),
        ("gone", Entry::File("gone")),
        ("edited", Entry::File("old\n")),
        ("moved", Entry::File("moved")),
        ("tool", Entry::Program("#!/bin/sh\necho made\n")),
        ("again", Entry::Dir(old)),
        ("removed", Entry::Dir(old)),
        ("same", Entry::Dir(old)),
    ];
    let data = fixture.directory(&entries).await;
    let root = fixture.directory(&[("data", Entry::Dir(data))]).await;
    let text = "cd data; rm gone; echo new >> edited; mv moved there; ./tool > made; chmod +x made
        rm -r removed again; mkdir again; echo fresh > again/new; ln -s ../kept again/link; mkdir empty
        touch same/extra; rm same/extra; umask 777; mkdir locked";
    let mut action = script(text, &["data", "data/again/new"]);
    action.input_root = root;
    let worker = fixture.worker_with(sandbox);
    for _ in 0..2 {
        let result = succeeded(run(&worker, action.clone()).await);
        let expected = [
            ("/", ""),
            ("/again/", ""),
            ("/again/link@", "../kept"),
            ("/again/new", "fresh\n"),
            ("/edited", "old\nnew\n"),
            ("/empty/", ""),
            ("/kept", "kept"),
            ("/locked/", ""),
            ("/made*", "made\n"),
            ("/same/", ""),
            ("/same/inner", "hidden"),
            ("/there", "moved"),
            ("/tool*", "#!/bin/sh\necho made\n"),
        ];
        assert_eq!(fixture.listing(tree(&result, "data")).await, pairs(&expected));
        let fresh = TreeRef::File { digest: FUNCTION.digest(b"fresh\n"), executable: false };
        assert_eq!(tree(&result, "data/again/new"), fresh);
    }
    drop(worker);
    fixture.assert_clean();
}

#[tokio::test]
async fn a_step_cannot_reach_the_cache_through_its_inputs() {
    let Some((fixture, sandbox)) = sandboxed() else { return };
    let root = fixture.directory(&[("a", Entry::File("content")), ("b", Entry::Program("content"))]).await;
    let mut action =
        script("chmod 777 a b; echo x >> a; : > b; touch a b; rm -f a; ln b c; echo y >> c", &[]);
    action.input_root = root;
    let worker = fixture.worker_with(sandbox);
    succeeded(run(&worker, action).await);
    let inodes = crate::fixture::walk(&fixture.store.dir().join("cas/blake3/")).into_iter();
    let hash = FUNCTION.digest(b"content").hash_hex();
    let mut modes = Vec::new();
    for path in inodes.filter(|path| path.to_string_lossy().contains(&hash[2..])) {
        assert_eq!(std::fs::read(&path).unwrap(), b"content");
        let metadata = std::fs::metadata(path).unwrap();
        assert_eq!(metadata.mtime(), 1_262_304_000);
        modes.push(metadata.permissions().mode() & 0o7777);
    }
    modes.sort_unstable();
    assert_eq!(modes, [0o644, 0o755]);
}

#[tokio::test]
async fn failures_missing_outputs_and_timeouts_are_told_apart() {
    let Some((fixture, sandbox)) = sandboxed() else { return };
    let worker = fixture.worker_with(sandbox);
    match run(&worker, script("echo out; echo err >&2; echo r > r.xml; exit 3", &["r.xml"])).await {
        AttemptReport::Failed { result, reason: None, .. } => {
            assert_eq!((result.exit_code, result.outputs.len()), (3, 1));
            assert_eq!(text(&fixture, &result.stdout).await, "out\n");
            assert_eq!(text(&fixture, &result.stderr).await, "err\n");
        }
        other => panic!("{other:#?}"),
    }
    let reason = failed(run(&worker, script("mkdir target; touch target/ap", &["target/app"])).await);
    assert_eq!(reason, "output 'target/app' is missing: 'target' holds ap");
    assert_eq!(failed(run(&worker, script("kill -9 $$", &[])).await), "killed by signal 9");
    let mut slow = script("echo begun; sleep 60", &[]);
    slow.timeout = Duration::from_millis(300);
    match run(&worker, slow).await {
        AttemptReport::TimedOut { result, .. } => {
            assert_eq!(result.exit_code, 124);
            assert_eq!(text(&fixture, &result.stdout).await, "begun\n");
        }
        other => panic!("{other:#?}"),
    }
    drop(worker);
    fixture.assert_clean();
}

#[tokio::test]
async fn a_step_may_leave_the_meanest_tree() {
    let Some((fixture, sandbox)) = sandboxed() else { return };
    let worker = fixture.worker_with(sandbox);
    let text = "i=0; while [ $i -lt 300 ]; do mkdir d; cd d; i=$((i+1)); done; cd /workspace
        mkfifo pipe; ln -s / root; mkdir -p a/b; touch a/b/c; chmod 000 a/b/c a/b a; mkdir \"$(printf 'x\\ny')\"
        echo fine > out; mkdir mine; touch mine/f; chmod 000 mine/f mine";
    let result = succeeded(run(&worker, script(text, &["out", "mine"])).await);
    assert_eq!(result.outputs.len(), 2);
    drop(worker);
    fixture.assert_clean();
}
