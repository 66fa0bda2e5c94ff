//! How secrets are found.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cullet_secrets::{Login, Provider, SecretValue, Vault, VaultOptions};
use serde::Deserialize;

use super::Env;
use crate::error::CliError;

/// The section `secrets` of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Section {
    pub(super) salt_file: Option<PathBuf>,
    pub(super) providers: BTreeMap<String, ProviderSettings>,
}

/// A provider of secrets.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(super) enum ProviderSettings {
    /// HashiCorp Vault, or what speaks its API.
    Vault(VaultSettings),
}

/// How a Vault is reached, where that is not the usual way.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct VaultSettings {
    address: Option<String>,
    namespace: Option<String>,
    mount: Option<String>,
    version: Option<u8>,
    token_file: Option<PathBuf>,
    role_id: Option<String>,
    secret_id_file: Option<PathBuf>,
    auth_mount: Option<String>,
    ca: Vec<PathBuf>,
    timeout: Option<u64>,
}

/// What environment and file say about secrets.
#[derive(Debug, Clone, Default)]
pub struct SecretSettings {
    salt_file: Option<PathBuf>,
    providers: BTreeMap<String, ProviderSettings>,
    address: Option<String>,
    namespace: Option<String>,
    token: Option<SecretValue>,
    token_file: Option<PathBuf>,
    authority: Option<PathBuf>,
}

/// An answer of a server nearby takes milliseconds; half a minute with the retries is what a person waits.
const TIMEOUT: Duration = Duration::from_secs(10);
const RETRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(250);

impl Section {
    /// All paths in it, to be made relative to the file.
    pub(super) fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let providers = self.providers.values_mut().flat_map(|ProviderSettings::Vault(vault)| {
            vault.token_file.iter_mut().chain(&mut vault.secret_id_file).chain(&mut vault.ca)
        });
        self.salt_file.iter_mut().chain(providers)
    }
}

impl SecretSettings {
    pub(super) fn of(env: &Env<'_>, section: Section, file: Option<&Path>) -> Self {
        let home = env.path("HOME");
        let beside = || {
            let base = env.path("XDG_CONFIG_HOME").or_else(|| Some(home.clone()?.join(".config")));
            base.map(|base| base.join("cullet"))
        };
        let dir = file.and_then(Path::parent).map(Path::to_owned).or_else(beside);
        Self {
            salt_file: section.salt_file.or_else(|| dir.map(|dir| dir.join("secrets-salt"))),
            providers: section.providers,
            address: env.text("VAULT_ADDR"),
            namespace: env.text("VAULT_NAMESPACE"),
            token: env.text("VAULT_TOKEN").and_then(|token| SecretValue::new(token.into_bytes()).ok()),
            token_file: home.map(|home| home.join(".vault-token")),
            authority: env.path("VAULT_CACERT"),
        }
    }

    /// Where the salt of identities is; none where nobody has a home.
    pub fn salt_file(&self) -> Option<&Path> {
        self.salt_file.as_deref()
    }

    /// The names of all providers.
    pub fn provider_names(&self) -> impl Iterator<Item = &str> {
        self.providers.keys().map(String::as_str)
    }

    /// A provider by its name; none where it is not configured.
    ///
    /// # Errors
    /// What is wrong with its settings.
    pub fn provider(&self, name: &str) -> Result<Option<Arc<dyn Provider>>, CliError> {
        let Some(ProviderSettings::Vault(settings)) = self.providers.get(name) else { return Ok(None) };
        let wrong = |why: String| CliError::usage(format!("the provider of secrets `{name}`: {why}"));
        let options = self.vault(name, settings).map_err(wrong)?;
        let vault = Vault::new(options).map_err(wrong)?;
        Ok(Some(Arc::new(vault)))
    }

    fn vault(&self, name: &str, settings: &VaultSettings) -> Result<VaultOptions, String> {
        let VaultSettings { address, namespace, mount, version, timeout, .. } = settings.clone();
        let section = format!("[secrets.providers.{name}]");
        let authorities =
            settings.ca.iter().chain(self.authority.as_ref().filter(|_| settings.ca.is_empty()));
        let read = |path: &PathBuf| {
            std::fs::read(path)
                .map_err(|error| format!("cannot read the authority {}: {error}", path.display()))
        };
        Ok(VaultOptions {
            address: address.or_else(|| self.address.clone()).ok_or_else(|| {
                format!(
                    "it has no address: set `address` in {section} of the configuration file, or VAULT_ADDR"
                )
            })?,
            namespace: namespace.or_else(|| self.namespace.clone()),
            mount: mount.unwrap_or_else(|| "secret".to_owned()),
            version: version.unwrap_or(2),
            login: self.login(&section, settings)?,
            authorities: authorities.map(read).collect::<Result<_, _>>()?,
            timeout: timeout.map_or(TIMEOUT, Duration::from_secs),
            retries: RETRIES,
            pause: PAUSE,
        })
    }

    fn login(&self, section: &str, settings: &VaultSettings) -> Result<Login, String> {
        let mount = settings.auth_mount.clone().unwrap_or_else(|| "approle".to_owned());
        match (settings.role_id.clone(), settings.secret_id_file.clone()) {
            (Some(role), Some(secret_file)) => return Ok(Login::AppRole { mount, role, secret_file }),
            (None, None) => {}
            _ => return Err(format!("`role-id` and `secret-id-file` of {section} belong together")),
        }
        if let Some(path) = &settings.token_file {
            return Ok(Login::TokenFile(path.clone()));
        }
        if let Some(token) = &self.token {
            return Ok(Login::Token(token.clone()));
        }
        let usual = self.token_file.as_ref().filter(|path| path.is_file());
        usual.map(|path| Login::TokenFile(path.clone())).ok_or_else(|| {
            format!(
                "there is no token: set VAULT_TOKEN, log in with `vault login`, or set `token-file`, or `role-id` and \
                 `secret-id-file`, in {section} of the configuration file"
            )
        })
    }
}

/// A variable of this process, for the pipeline that names it.
pub fn environment(name: &str) -> Option<OsString> {
    if name.is_empty() || name.contains(['=', '\0']) { None } else { std::env::var_os(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(file: &str, env: &[(&str, &str)]) -> SecretSettings {
        let variable =
            |name: &str| env.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let env = Env { variable: &variable };
        SecretSettings::of(&env, toml::from_str(file).unwrap(), None)
    }

    fn said(settings: &SecretSettings) -> String {
        settings.provider("v").map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn a_vault_is_found_by_file_and_environment() {
        let bare = "[providers.v]\nkind = \"vault\"\n";
        let env = [("VAULT_ADDR", "http://127.0.0.1:8200"), ("VAULT_TOKEN", "hvs.canary"), ("HOME", "/h")];
        let found = settings(bare, &env);
        assert!(found.provider("v").unwrap().is_some());
        assert!(found.provider("w").unwrap().is_none());
        assert!(!format!("{found:?}").contains("canary"));
        assert_eq!(found.salt_file(), Some(Path::new("/h/.config/cullet/secrets-salt")));
        assert!(said(&settings(bare, &env[1..])).contains("it has no address"));
        assert!(said(&settings(bare, &env[..1])).contains("there is no token: set VAULT_TOKEN"));
        let half = format!("{bare}role-id = \"r\"\n");
        assert!(said(&settings(&half, &env)).contains("belong together"));
        let version = format!("{bare}version = 3\n");
        assert!(said(&settings(&version, &env)).contains("version 1 or 2, not 3"));
        let address = format!("{bare}address = \"vault:8200\"\n");
        assert!(said(&settings(&address, &env)).contains("the address is not http[s]://HOST[:PORT]"));
        assert!(toml::from_str::<Section>(&format!("{bare}adress = \"x\"\n")).is_err());
    }
}
