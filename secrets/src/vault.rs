//! HashiCorp Vault, and what speaks its HTTP API (OpenBao): values of the key-value engines, versions 1 and 2.
//!
//! Source: "Vault HTTP API", the pages `secret/kv/kv-v1`, `secret/kv/kv-v2` and `auth/approle`.

mod answer;
mod client;

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use crate::{Provider, SecretError, SecretValue};
use client::Client;

/// How a server is reached and who asks.
#[derive(Clone)]
pub struct VaultOptions {
    /// `http[s]://HOST[:PORT]`.
    pub address: String,
    /// The namespace of Vault Enterprise.
    pub namespace: Option<String>,
    /// Where the key-value engine is mounted.
    pub mount: String,
    /// Its version, 1 or 2.
    pub version: u8,
    /// Who asks.
    pub login: Login,
    /// Authorities that are trusted besides those of the machine, in PEM.
    pub authorities: Vec<Vec<u8>>,
    /// How long one answer may take.
    pub timeout: Duration,
    /// How often a request is tried again that failed in a way that may pass.
    pub retries: u32,
    /// The first pause before that; each further one is twice as long.
    pub pause: Duration,
}

/// Who asks.
#[derive(Clone)]
pub enum Login {
    /// Whoever has this token.
    Token(SecretValue),
    /// Whoever has the token in this file, which an agent of Vault may renew.
    TokenFile(std::path::PathBuf),
    /// An application: its role, and the secret of that role.
    AppRole {
        /// Where the method is mounted; usually `approle`.
        mount: String,
        /// The role.
        role: String,
        /// The file with the secret.
        secret_file: std::path::PathBuf,
    },
}

/// One server.
#[derive(Debug)]
pub struct Vault {
    client: Client,
    mount: String,
    version: u8,
    login: Login,
    /// Of an application that has logged in.
    token: Mutex<Option<Zeroizing<String>>>,
}

impl Vault {
    /// Checks the settings; nobody is asked yet.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn new(options: VaultOptions) -> Result<Self, String> {
        if !matches!(options.version, 1 | 2) {
            return Err(format!("key-value engines have version 1 or 2, not {}", options.version));
        }
        let mount = path(&options.mount).ok_or_else(|| format!("`{}` is no mount", options.mount))?;
        let (version, login) = (options.version, options.login.clone());
        Ok(Self { client: Client::new(options)?, mount, version, login, token: Mutex::default() })
    }

    async fn token(&self) -> Result<Zeroizing<String>, SecretError> {
        let (mount, role, secret_file) = match &self.login {
            Login::Token(token) => return text(token, "the token"),
            Login::TokenFile(path) => return text(&crate::read_file(path)?, &path.display().to_string()),
            Login::AppRole { mount, role, secret_file } => (mount, role, secret_file),
        };
        // Locked while one asks: the others want the same answer.
        let mut known = self.token.lock().await;
        if let Some(token) = &*known {
            return Ok(token.clone());
        }
        let secret = text(&crate::read_file(secret_file)?, &secret_file.display().to_string())?;
        let token = self.client.log_in(mount, role, &secret).await?;
        *known = Some(token.clone());
        Ok(token)
    }

    /// Whether there is somebody to log in once more, because the login may be over.
    async fn forget(&self, token: &str) -> bool {
        if !matches!(self.login, Login::AppRole { .. }) {
            return false;
        }
        let mut known = self.token.lock().await;
        if known.as_ref().is_some_and(|known| known.as_str() == token) {
            *known = None;
        }
        true
    }
}

/// `PATH` or `PATH#FIELD`, without the mount.
#[async_trait]
impl Provider for Vault {
    async fn get(&self, key: &str) -> Result<SecretValue, SecretError> {
        let (place, field) = match key.split_once('#') {
            Some((place, field)) => (place, Some(field)),
            None => (key, None),
        };
        let Some(place) = path(place) else {
            let problem = format!("`{}` is no key for Vault: it is PATH or PATH#FIELD", key.escape_debug());
            return Err(SecretError::Missing(problem));
        };
        let data = if self.version == 2 { "/data" } else { "" };
        let place = format!("{}{data}/{place}", self.mount);
        let token = self.token().await?;
        let found = match self.client.read(&place, &token).await {
            Err(client::Refused::Forbidden(_)) if self.forget(&token).await => {
                let token = self.token().await?;
                self.client.read(&place, &token).await
            }
            found => found,
        };
        answer::field(&found?, self.version, &self.client.named(&place), field)
    }
}

/// A path of the API: `a/b`, without anything that means something in an address.
fn path(text: &str) -> Option<String> {
    let text = text.trim_matches('/');
    let parts = text.split('/');
    let is_part = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(char::is_control);
    let escaped = |part: &str| {
        let byte = |byte: u8| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        };
        part.bytes().map(byte).collect::<String>()
    };
    let parts: Vec<&str> = parts.collect();
    let usable = parts.iter().all(|part| is_part(part));
    usable.then(|| parts.into_iter().map(escaped).collect::<Vec<_>>().join("/"))
}

fn text(value: &SecretValue, place: &str) -> Result<Zeroizing<String>, SecretError> {
    let text = std::str::from_utf8(value.expose()).map(str::trim).ok();
    let usable = text.filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic()));
    usable
        .map(|text| Zeroizing::new(text.to_owned()))
        .ok_or_else(|| SecretError::Missing(format!("{place} is no token: it has other characters")))
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Token(_) => f.write_str("Token(***)"),
            Self::TokenFile(path) => f.debug_tuple("TokenFile").field(path).finish(),
            Self::AppRole { role, .. } => {
                f.debug_struct("AppRole").field("role", role).finish_non_exhaustive()
            }
        }
    }
}

impl std::fmt::Debug for VaultOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { address, login, .. } = self;
        f.debug_struct("VaultOptions").field("address", address).field("login", login).finish_non_exhaustive()
    }
}
