//! Which directories belong to a tool directory below somebody's home: nothing but the tool's own.

use std::path::{Path, PathBuf};

use super::looks::Looks;

/// A kind of tool installation: where its programs lie below the home directory, what else it needs there, and
/// the variable that tells it where that is.
struct Installation {
    /// The programs' directory, relative to the home; `*` stands for one name.
    programs: &'static str,
    /// Directories to show with it; `*` takes the same name.
    needs: &'static [&'static str],
    /// A variable and the directory it names.
    variable: Option<(&'static str, &'static str)>,
}

/// Installations that need more than the directory in `PATH`. Of every other directory only itself is shown.
const KNOWN: [Installation; 14] = [
    known(".cargo/bin", &[".rustup"], Some(("RUSTUP_HOME", ".rustup"))),
    known(".pyenv/shims", &[".pyenv"], Some(("PYENV_ROOT", ".pyenv"))),
    known(".pyenv/bin", &[".pyenv"], Some(("PYENV_ROOT", ".pyenv"))),
    known(".rbenv/shims", &[".rbenv"], Some(("RBENV_ROOT", ".rbenv"))),
    known(".rbenv/bin", &[".rbenv"], Some(("RBENV_ROOT", ".rbenv"))),
    known(".asdf/shims", &[".asdf"], Some(("ASDF_DATA_DIR", ".asdf"))),
    known(".volta/bin", &[".volta"], Some(("VOLTA_HOME", ".volta"))),
    known(".nvm/versions/node/*/bin", &[".nvm/versions/node/*"], None),
    known(".local/bin", &[".local/lib", ".local/share/pipx/venvs", ".local/share/uv"], None),
    known(".local/share/mise/shims", &[".local/share/mise"], None),
    known(".sdkman/candidates/*/current/bin", &[".sdkman/candidates/*"], None),
    known("miniconda3/bin", &["miniconda3"], None),
    known("miniforge3/bin", &["miniforge3"], None),
    known("anaconda3/bin", &["anaconda3"], None),
];

const fn known(
    programs: &'static str,
    needs: &'static [&'static str],
    variable: Option<(&'static str, &'static str)>,
) -> Installation {
    Installation { programs, needs, variable }
}

/// What comes with a directory of `PATH` below `home`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Companions {
    pub(super) dirs: Vec<PathBuf>,
    pub(super) env: Option<(String, String)>,
}

/// The companions of the directory `relative` of `home`.
pub(super) fn companions(home: &Path, relative: &Path) -> Companions {
    for installation in &KNOWN {
        let Some(name) = matches(installation.programs, relative) else {
            continue;
        };
        let fill = |text: &str| home.join(text.replace('*', name));
        return Companions {
            dirs: installation.needs.iter().map(|need| fill(need)).collect(),
            env: installation
                .variable
                .map(|(key, dir)| (key.to_owned(), fill(dir).to_string_lossy().into_owned())),
        };
    }
    Companions::default()
}

/// The companions of a directory below nobody's home: images of Rust have rustup beside cargo.
pub(super) fn neighbours(dir: &Path, looks: &mut Looks) -> Companions {
    let above = dir.ends_with("cargo/bin").then(|| dir.ancestors().nth(2)).flatten();
    let rustup = above.map(|above| above.join("rustup"));
    let Some(rustup) = rustup.filter(|rustup| looks.is_dir(&rustup.join("toolchains"))) else {
        return Companions::default();
    };
    let env = Some(("RUSTUP_HOME".to_owned(), rustup.to_string_lossy().into_owned()));
    Companions { dirs: vec![rustup], env }
}

/// What `*` stands for when `path` has the form `pattern`; empty when the pattern has none.
fn matches<'a>(pattern: &str, path: &'a Path) -> Option<&'a str> {
    let path = path.to_str()?;
    let Some((before, after)) = pattern.split_once('*') else {
        return (pattern == path).then_some("");
    };
    let name = path.strip_prefix(before)?.strip_suffix(after)?;
    (!name.is_empty() && !name.contains('/')).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_takes_exactly_one_name() {
        let node = Path::new(".nvm/versions/node/v20.1.0/bin");
        assert_eq!(matches(".nvm/versions/node/*/bin", node), Some("v20.1.0"));
        assert_eq!(matches(".nvm/versions/node/*/bin", Path::new(".nvm/versions/node/a/b/bin")), None);
        assert_eq!(matches(".cargo/bin", Path::new(".cargo/bin")), Some(""));
        assert_eq!(matches(".cargo/bin", Path::new(".cargo")), None);
    }

    #[test]
    fn cargo_brings_rustup_and_nothing_else_of_the_home() {
        let found = companions(Path::new("/h"), Path::new(".cargo/bin"));
        assert_eq!(found.dirs, [PathBuf::from("/h/.rustup")]);
        assert_eq!(found.env, Some(("RUSTUP_HOME".to_owned(), "/h/.rustup".to_owned())));
    }

    #[test]
    fn an_unknown_directory_comes_alone() {
        assert_eq!(companions(Path::new("/h"), Path::new("go/bin")), Companions::default());
    }
}
