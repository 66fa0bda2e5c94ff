//! Who asks a registry.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use docker_credential::{CredentialRetrievalError, DockerCredential};

/// Where credentials are looked up, when a registry asks for them.
#[derive(Clone, Default)]
pub enum Credentials {
    /// Nowhere.
    #[default]
    None,
    /// In the configuration file of Docker or Podman, with the helpers that it names.
    DockerConfig(PathBuf),
    /// User and password by registry.
    Fixed(BTreeMap<String, (String, String)>),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::DockerConfig(file) => f.debug_tuple("DockerConfig").field(file).finish(),
            Self::Fixed(users) => f.debug_tuple("Fixed").field(&users.keys()).finish(),
        }
    }
}

/// What is shown to a registry.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Credential {
    Basic {
        user: String,
        password: String,
    },
    /// What a login with a browser leaves; it is exchanged for a token.
    Identity(String),
}

/// Without what nobody may see.
impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Credential").field(&self.user()).finish()
    }
}

/// The name under which Docker keeps the login of Docker Hub.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";
/// The most bytes of a configuration file. With hundreds of logins it has a tenth of that.
pub(super) const LONGEST: u64 = 1 << 20;
/// Helpers ask a keychain or a cloud; one that asks a person is not waited for.
const HELPER: Duration = Duration::from_secs(30);

impl Credentials {
    /// What to show to this registry. A helper that fails is as good as none: it also fails where there is no login.
    ///
    /// # Errors
    /// What is wrong, where it cannot be found out.
    pub(super) async fn find(&self, registry: &str) -> Result<Option<Credential>, String> {
        let file = match self {
            Self::None => return Ok(None),
            Self::Fixed(users) => {
                let found = users.get(registry).cloned();
                return Ok(found.map(|(user, password)| Credential::Basic { user, password }));
            }
            Self::DockerConfig(file) => file.clone(),
        };
        let name = name_in_file(registry).to_owned();
        // A helper is a process; docker_credential waits for it in the call.
        let lookup = tokio::task::spawn_blocking(move || in_file(&file, &name));
        match tokio::time::timeout(HELPER, lookup).await {
            Ok(Ok(found)) => found,
            Ok(Err(_)) => Err("the search for credentials ended early".to_owned()),
            Err(_) => Err(format!("its credential helper did not answer in {} seconds", HELPER.as_secs())),
        }
    }
}

/// What a registry is called in the file.
pub(super) fn name_in_file(registry: &str) -> &str {
    if registry == "docker.io" { DOCKER_HUB } else { registry }
}

fn in_file(file: &std::path::Path, name: &str) -> Result<Option<Credential>, String> {
    let bytes = match std::fs::metadata(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Ok(stat) if stat.len() > LONGEST => return Err(format!("{} is too long", file.display())),
        _ => std::fs::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?,
    };
    match docker_credential::get_credential_from_reader(&bytes[..], name) {
        Ok(DockerCredential::UsernamePassword(user, password)) => {
            // Helpers give an identity token that way.
            Ok(Some(if user == "<token>" {
                Credential::Identity(password)
            } else {
                Credential::Basic { user, password }
            }))
        }
        Ok(DockerCredential::IdentityToken(token)) => Ok(Some(Credential::Identity(token))),
        Err(CredentialRetrievalError::NoCredentialConfigured) => Ok(None),
        Err(CredentialRetrievalError::HelperFailure { helper, .. }) => {
            tracing::debug!(helper, registry = name, "a credential helper has nothing");
            Ok(None)
        }
        Err(error) => Err(format!("{}: {error}", file.display())),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    async fn find(config: &str, registry: &str) -> Result<Option<Credential>, String> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.json");
        std::fs::write(&file, config).unwrap();
        Credentials::DockerConfig(file).find(registry).await
    }

    fn basic(user: &str, password: &str) -> Option<Credential> {
        Some(Credential::Basic { user: user.to_owned(), password: password.to_owned() })
    }

    #[tokio::test]
    async fn what_docker_login_writes_is_found() {
        // `user:pass:word`, and `hub:secret`.
        let config = r#"{"auths":{"example.com:5000":{"auth":"dXNlcjpwYXNzOndvcmQ="},
            "https://index.docker.io/v1/":{"auth":"aHViOnNlY3JldA=="},
            "token.example.com":{"identitytoken":"abc"}}}"#;
        assert!(find(config, "example.com:5000").await.unwrap() == basic("user", "pass:word"));
        assert!(find(config, "docker.io").await.unwrap() == basic("hub", "secret"));
        assert!(find(config, "other.example.com").await.unwrap().is_none());
        let identity = Some(Credential::Identity("abc".to_owned()));
        assert!(find(config, "token.example.com").await.unwrap() == identity);
        assert!(find("{", "example.com").await.unwrap_err().contains("config.json"));
        let missing = Credentials::DockerConfig("/does/not/exist".into());
        assert!(missing.find("example.com").await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_helper_that_is_missing_is_said_without_its_secrets() {
        let config = r#"{"credHelpers":{"example.com":"cullet-test-missing"}}"#;
        assert!(find(config, "example.com").await.is_err());
        let fixed = Credentials::Fixed([("a".to_owned(), ("u".to_owned(), "secret".to_owned()))].into());
        assert!(!format!("{fixed:?}").contains("secret"));
        assert!(fixed.find("a").await.unwrap() == basic("u", "secret"));
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let unreadable = Credentials::DockerConfig(dir.path().to_owned());
        assert!(unreadable.find("a").await.unwrap_err().contains("cannot read"));
    }
}
