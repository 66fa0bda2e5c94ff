//! Whether a registry knows somebody, and where that is kept.
//!
//! What is written is what `docker login` writes, so that either finds the logins of the other: an entry below `auths` of
//! Docker's configuration file, or a login with the credential helper that the file names. `docker_credential` only reads.

use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rustix::fs::FlockOperation;
use serde::Serialize as _;
use serde_json::{Map, Value, json};

use super::credentials::{LONGEST, name_in_file};
use super::repository::{Access, Repository};
use super::{Credentials, Registries, RegistryError, RegistryOptions};

/// A login could not be kept, or not be forgotten.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The file cannot be read or written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// Such as `write`.
        action: &'static str,
        /// The file or its directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The file is not what Docker writes.
    #[error("{} is no configuration of Docker: {problem}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The helper that the file names did not do it.
    #[error("{helper}, the credential helper that {} names, {problem}", path.display())]
    Helper {
        /// The program.
        helper: String,
        /// The file.
        path: PathBuf,
        /// What it did instead.
        problem: String,
    },
}

/// Where a login is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginPlace {
    /// In the file itself, where everybody who can read the file can read it.
    File,
    /// With this program.
    Helper(String),
}

impl Registries {
    /// Whether the registry wants to know who asks; it then accepts this login.
    ///
    /// # Errors
    /// It does not accept it, or cannot be asked.
    pub async fn accepts(&self, registry: &str, login: (&str, &str)) -> Result<bool, RegistryError> {
        let (user, password) = login;
        let users = [(registry.to_owned(), (user.to_owned(), password.to_owned()))];
        let credentials = Credentials::Fixed(users.into());
        let options = RegistryOptions { credentials, ..(*self.options).clone() };
        let asking = Self { options: Arc::new(options), ..self.clone() };
        asking.whole(registry).asks_for_login().await
    }
}

impl Repository {
    /// Source: OCI distribution-spec, "Determining Support".
    async fn asks_for_login(&self) -> Result<bool, RegistryError> {
        let Some(endpoint) = self.endpoints.last() else { return Ok(false) };
        let ask = || self.http.get(format!("{}/v2/", endpoint.base));
        let answer = self.send(endpoint, Access::Pull, ask).await;
        answer.map_err(|problem| RegistryError {
            registry: endpoint.name.clone(),
            repository: String::new(),
            what: "login".to_owned(),
            problem: Box::new(problem),
        })?;
        Ok(endpoint.proof(Access::Pull).is_some())
    }
}

/// Keeps a login for a registry, as Docker's configuration file `file` says. The file is made where there is none.
///
/// # Errors
/// [`LoginError`]; the file is then as it was.
pub fn keep_login(file: &Path, registry: &str, login: (&str, &str)) -> Result<LoginPlace, LoginError> {
    let ((user, password), name) = (login, name_in_file(registry));
    change(file, |config| {
        if let Some(helper) = helper(config, name) {
            let login = json!({ "ServerURL": name, "Username": user, "Secret": password });
            return call(&helper, "store", &login.to_string(), file).map(|()| LoginPlace::Helper(helper));
        }
        let auths = config.entry("auths").or_insert_with(|| json!({}));
        let Some(auths) = auths.as_object_mut() else {
            let problem = "`auths` is no object".to_owned();
            return Err(LoginError::Config { path: file.to_owned(), problem });
        };
        let auth = BASE64.encode(format!("{user}:{password}"));
        auths.insert(name.to_owned(), json!({ "auth": auth }));
        Ok(LoginPlace::File)
    })
}

/// Forgets the login for a registry. False if there was none in the file; a helper does not say.
///
/// # Errors
/// [`LoginError`]; the file is then as it was.
pub fn forget_login(file: &Path, registry: &str) -> Result<bool, LoginError> {
    let name = name_in_file(registry);
    if !file.exists() {
        return Ok(false);
    }
    change(file, |config| {
        let helper = helper(config, name);
        if let Some(helper) = &helper {
            call(helper, "erase", name, file)?;
        }
        let auths = config.get_mut("auths").and_then(Value::as_object_mut);
        Ok(auths.and_then(|auths| auths.remove(name)).is_some() || helper.is_some())
    })
}

/// The program that keeps the login of a registry, as Docker's configuration names it.
fn helper(config: &Map<String, Value>, name: &str) -> Option<String> {
    let own = config.get("credHelpers").and_then(|helpers| helpers.get(name));
    let suffix = own.or_else(|| config.get("credsStore")).and_then(Value::as_str)?;
    (!suffix.is_empty()).then(|| format!("docker-credential-{suffix}"))
}

/// Reads the file, changes it, and puts it back whole. One after another, where several do.
fn change<T>(
    file: &Path,
    with: impl FnOnce(&mut Map<String, Value>) -> Result<T, LoginError>,
) -> Result<T, LoginError> {
    // Many have a link there, to where they keep their settings.
    let file = &fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = |action, path: &Path| {
        let path = path.to_owned();
        move |source| LoginError::Io { action, path, source }
    };
    fs::create_dir_all(dir).map_err(failed("make", dir))?;
    let turn = File::open(dir).map_err(failed("open", dir))?;
    rustix::fs::flock(&turn, FlockOperation::LockExclusive)
        .map_err(io::Error::from)
        .map_err(failed("lock", dir))?;
    let before = match fs::metadata(file) {
        Ok(stat) => Some(stat),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed("read", file)(error)),
    };
    let wrong = |problem: String| LoginError::Config { path: file.clone(), problem };
    let mut config = match &before {
        None => Map::new(),
        Some(stat) if stat.len() > LONGEST => return Err(wrong(format!("it has more than {LONGEST} bytes"))),
        Some(_) => {
            let bytes = fs::read(file).map_err(failed("read", file))?;
            serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?
        }
    };
    let as_it_was = config.clone();
    let outcome = with(&mut config)?;
    if config == as_it_was {
        return Ok(outcome);
    }
    let write = || {
        let mut new = tempfile::Builder::new().prefix(".config.json").tempfile_in(dir)?;
        new.write_all(&text(&config)?)?;
        let mode = before.as_ref().map_or(0o600, |stat| stat.mode() & 0o777);
        new.as_file().set_permissions(Permissions::from_mode(mode))?;
        // Root may do this for somebody else, who has to be able to go on with the file.
        if let Some(stat) = before.filter(|stat| stat.uid() != rustix::process::geteuid().as_raw()) {
            std::os::unix::fs::fchown(new.as_file(), Some(stat.uid()), Some(stat.gid()))?;
        }
        new.as_file().sync_all()?;
        new.persist(file).map_err(|error| error.error).map(drop)
    };
    write().map_err(failed("write", file))?;
    Ok(outcome)
}

/// With tabs, as Docker writes it.
fn text(config: &Map<String, Value>) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let tabs = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    config.serialize(&mut serde_json::Serializer::with_formatter(&mut text, tabs))?;
    Ok(text)
}

/// A helper may ask a person to unlock a keychain.
const PATIENCE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(20);

/// Source: docker-credential-helpers, the commands `store` and `erase`.
fn call(helper: &str, command: &str, input: &str, file: &Path) -> Result<(), LoginError> {
    let failed =
        |problem: String| LoginError::Helper { helper: helper.to_owned(), path: file.to_owned(), problem };
    let mut process = Command::new(helper);
    let process = process.arg(command).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::inherit());
    let mut child = process.spawn().map_err(|error| failed(format!("cannot be started: {error}")))?;
    if let Some(mut stdin) = child.stdin.take() {
        // What it thinks of that, its status says.
        let _ = stdin.write_all(input.as_bytes());
    }
    match ended(&mut child) {
        Ok(Some(status)) if status.success() => Ok(()),
        Ok(Some(status)) => Err(failed(format!("refused to {command} the login ({status})"))),
        Ok(None) => Err(failed(format!("did not end in {} seconds", PATIENCE.as_secs()))),
        Err(error) => Err(failed(format!("cannot be waited for: {error}"))),
    }
}

fn ended(child: &mut Child) -> io::Result<Option<std::process::ExitStatus>> {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() > until {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::credentials::Credential;

    async fn found(file: &Path, registry: &str) -> Option<Credential> {
        Credentials::DockerConfig(file.to_owned()).find(registry).await.unwrap()
    }

    fn basic(user: &str, password: &str) -> Option<Credential> {
        Some(Credential::Basic { user: user.to_owned(), password: password.to_owned() })
    }

    #[tokio::test]
    async fn a_login_is_kept_beside_all_else_and_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("new/config.json");
        assert!(!forget_login(&file, "example.com").unwrap());
        assert_eq!(keep_login(&file, "docker.io", ("hub", "se:cret")).unwrap(), LoginPlace::File);
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600, "nobody else reads it");
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        keep_login(&file, "example.com:5000", ("user", "one")).unwrap();
        keep_login(&file, "example.com:5000", ("user", "two")).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o640);
        assert!(found(&file, "docker.io").await == basic("hub", "se:cret"));
        assert!(found(&file, "example.com:5000").await == basic("user", "two"));
        assert!(forget_login(&file, "example.com:5000").unwrap());
        assert!(!forget_login(&file, "example.com:5000").unwrap());
        assert!(found(&file, "example.com:5000").await.is_none());
        assert!(found(&file, "docker.io").await == basic("hub", "se:cret"));
        assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn what_others_keep_in_the_file_stays_and_what_is_no_such_file_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("settings.json"), dir.path().join("config.json"));
        std::os::unix::fs::symlink(&file, &link).unwrap();
        fs::write(&file, r#"{"detachKeys": "ctrl-e", "auths": {"a": {"auth": "eDp5"}}}"#).unwrap();
        keep_login(&link, "b", ("u", "p")).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        let config: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        assert_eq!(config["detachKeys"], "ctrl-e");
        assert_eq!(config["auths"], json!({ "a": { "auth": "eDp5" }, "b": { "auth": "dTpw" } }));
        for wrong in ["{", "[]", r#"{"auths": []}"#] {
            fs::write(&file, wrong).unwrap();
            let error = keep_login(&link, "b", ("u", "p")).unwrap_err();
            assert!(matches!(error, LoginError::Config { .. }), "{wrong}: {error:?}");
            assert_eq!(fs::read_to_string(&file).unwrap(), wrong);
        }
    }

    #[test]
    fn a_helper_that_is_missing_is_said_without_the_secret() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.json");
        for config in [
            r#"{"credHelpers":{"example.com":"cullet-test-missing"}}"#,
            r#"{"credsStore":"cullet-test-missing"}"#,
        ] {
            fs::write(&file, config).unwrap();
            let error = keep_login(&file, "example.com", ("u", "secret")).unwrap_err().to_string();
            assert!(error.contains("docker-credential-cullet-test-missing") && !error.contains("secret"));
            assert!(forget_login(&file, "example.com").is_err());
            assert_eq!(fs::read_to_string(&file).unwrap(), config);
        }
    }
}
