//! Which runs are runs of the same pipeline.

use std::path::{Path, PathBuf};

/// The name that a pipeline has without one of its own.
const UNNAMED: &str = "pipeline";

/// What the keys of a pipeline are kept under. A name of its own is enough, wherever the file lies. Files without
/// one are told apart by where they lie in their repository, whose own place does not matter: another checkout
/// under the same directory name counts as the same. Outside of a repository the file's directory stands for it.
pub fn scope(pipeline: &str, file: &Path) -> String {
    if pipeline != UNNAMED {
        return pipeline.to_owned();
    }
    let file = resolved(file);
    let directory = file.parent().unwrap_or(&file);
    let repository = directory.ancestors().find(|ancestor| ancestor.join(".git").exists());
    let root = repository.unwrap_or(directory);
    let below = file.strip_prefix(root).unwrap_or(&file);
    let name = root.file_name().map(PathBuf::from).unwrap_or_default();
    // No name of a pipeline begins like this.
    format!("{UNNAMED}\0{}", name.join(below).to_string_lossy())
}

/// Without links and `..` in its directory; as it is where that is gone.
fn resolved(file: &Path) -> PathBuf {
    let parts = file.parent().zip(file.file_name());
    let resolved = parts.and_then(|(directory, name)| Some(directory.canonicalize().ok()?.join(name)));
    resolved.unwrap_or_else(|| file.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_name_is_enough() {
        let (one, two) = (Path::new("/a/cullet.yaml"), Path::new("/b/cullet.yaml"));
        assert_eq!(scope("app", one), scope("app", two));
        assert_ne!(scope("app", one), scope("lib", one));
    }

    #[test]
    fn unnamed_pipelines_are_told_apart_by_their_place_in_the_repository() {
        let home = tempfile::tempdir().unwrap();
        for dir in ["one/.git", "one/lib/ci", "one/app/ci", "elsewhere/one/.git", "elsewhere/one/app/ci"] {
            fs::create_dir_all(home.path().join(dir)).unwrap();
        }
        let of = |path: &str| scope("pipeline", &home.path().join(path));
        assert_ne!(of("one/app/ci/cullet.yaml"), of("one/lib/ci/cullet.yaml"));
        assert_ne!(of("one/app/ci/cullet.yaml"), of("one/app/ci/deploy.yaml"));
        assert_eq!(of("one/app/ci/cullet.yaml"), of("elsewhere/one/app/ci/cullet.yaml"));
        assert_eq!(of("one/app/ci/cullet.yaml"), of("one/lib/../app/ci/cullet.yaml"));
    }

    #[test]
    fn outside_of_a_repository_the_directory_counts() {
        let home = tempfile::tempdir().unwrap();
        for dir in ["a/one", "b/one", "b/two"] {
            fs::create_dir_all(home.path().join(dir)).unwrap();
        }
        let of = |path: &str| scope("pipeline", &home.path().join(path));
        assert_eq!(of("a/one/cullet.yaml"), of("b/one/cullet.yaml"));
        assert_ne!(of("b/one/cullet.yaml"), of("b/two/cullet.yaml"));
        assert_eq!(
            scope("pipeline", Path::new("/gone/x/c.yaml")),
            scope("pipeline", Path::new("/gone/y/../x/c.yaml"))
        );
    }
}
