//! Programs that the tests need. `./test` puts them there.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use cullet_tests::repository_root;
use serde_json::Value;

/// A directory beside what Cargo builds.
fn tools() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("tools")
}

fn missing(what: &Path) -> ! {
    let tools = tools();
    panic!(
        "{} is missing: `./test` gets it, or by itself: sh tests/tests/helm/tools.sh {}",
        what.display(),
        tools.display()
    );
}

/// `helm`, in the root of the repository.
pub(crate) fn helm(arguments: &[&str]) -> Output {
    let program = tools().join("helm");
    if !program.exists() {
        missing(&program);
    }
    Command::new(program).args(arguments).current_dir(repository_root()).output().unwrap()
}

/// The documents of a YAML text, each valid for these versions of Kubernetes; or what is wrong with them.
pub(crate) fn documents(text: &str, versions: &[&str]) -> Result<Vec<Value>, String> {
    let packages = tools().join("python");
    if !packages.exists() {
        missing(&packages);
    }
    let mut command = Command::new("python3");
    command.arg(repository_root().join("tests/tests/helm/documents.py")).args(versions);
    command.env("PYTHONPATH", packages).env("PYTHONDONTWRITEBYTECODE", "1");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(serde_json::from_slice(&output.stdout).unwrap())
}
