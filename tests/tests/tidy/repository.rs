//! The text files of this repository.

use std::fs;
use std::path::Path;

/// One file.
#[derive(Debug, Clone)]
pub(crate) struct SourceFile {
    /// Relative to the root, with `/`.
    pub(crate) path: String,
    /// All of it.
    pub(crate) text: String,
}

impl SourceFile {
    /// A file that only a test of a rule knows.
    pub(crate) fn planted(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// Whether the name ends so.
    pub(crate) fn has_extension(&self, extension: &str) -> bool {
        Path::new(&self.path).extension().is_some_and(|found| found == extension)
    }
}

/// Every text file below `root` that belongs to the project, by path.
pub(crate) fn load(root: &Path) -> Vec<SourceFile> {
    let mut files = Vec::new();
    walk(root, "", &mut files);
    files.sort_by(|one, two| one.path.cmp(&two.path));
    files
}

fn walk(dir: &Path, prefix: &str, files: &mut Vec<SourceFile>) {
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = format!("{prefix}{name}");
        let kind = entry.file_type().unwrap();
        if kind.is_dir() && !is_foreign(&path) {
            walk(&entry.path(), &format!("{path}/"), files);
        } else if kind.is_file()
            && let Ok(text) = fs::read_to_string(entry.path())
        {
            files.push(SourceFile { path, text });
        }
    }
}

/// Directories that hold what we did not write.
fn is_foreign(path: &str) -> bool {
    let fetched_example = path.starts_with("examples/") && path.ends_with("/src");
    let top = path.split('/').next().unwrap_or(path);
    let hidden = path.starts_with('.') && top != ".ci";
    hidden || fetched_example || matches!(top, "target" | "vendor") || path.contains("__pycache__")
}

#[test]
fn what_others_wrote_is_left_out() {
    assert!(is_foreign("target"));
    assert!(is_foreign("examples/c-zlib/src"));
    assert!(is_foreign(".git"));
    assert!(!is_foreign(".ci"));
    assert!(!is_foreign("examples"));
    assert!(!is_foreign("cache/digest/src"));
}
