//! The secrets of an action: names and places, in platform properties. No value is ever in an action.

use crate::Action;

/// `NAME=SOURCE`, one for each secret.
const SECRET: &str = "secret";
/// The name of one that is in an environment variable as well.
const IN_ENV: &str = "secret-in-env";
/// `NAME=IDENTITY` of one whose value has a part in the key.
const IDENTITY: &str = "secret-identity";

/// What stands in front of `PROVIDER:KEY` where a provider of the worker has the value.
const PROVIDER: &str = "provider:";

/// A secret that an action needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionSecret {
    /// Its name.
    pub name: String,
    /// Whether an environment variable has it, too.
    pub in_env: bool,
    /// The provider that has it, by its name, and what it is asked for.
    pub provider: Option<(String, String)>,
}

/// The platform properties of a secret. `source` is where its value comes from: two steps that get different values under
/// one name must not have one key.
pub fn secret_properties(
    name: &str,
    source: &str,
    in_env: bool,
    identity: Option<&str>,
) -> Vec<(String, String)> {
    let mut properties = vec![(SECRET.to_owned(), format!("{name}={source}"))];
    if in_env {
        properties.push((IN_ENV.to_owned(), name.to_owned()));
    }
    if let Some(identity) = identity {
        properties.push((IDENTITY.to_owned(), format!("{name}={identity}")));
    }
    properties
}

impl Action {
    /// The secrets that it needs, sorted by name.
    pub fn secrets(&self) -> Vec<ActionSecret> {
        let properties = |wanted: &'static str| {
            self.platform.iter().filter(move |(name, _)| name == wanted).map(|(_, value)| value.as_str())
        };
        let mut secrets: Vec<ActionSecret> = properties(SECRET)
            .map(|value| {
                let (name, source) = value.split_once('=').unwrap_or((value, ""));
                let provider = source.strip_prefix(PROVIDER).and_then(|place| place.split_once(':'));
                ActionSecret {
                    name: name.to_owned(),
                    in_env: properties(IN_ENV).any(|exposed| exposed == name),
                    provider: provider.map(|(provider, key)| (provider.to_owned(), key.to_owned())),
                }
            })
            .collect();
        secrets.sort_by(|one, other| one.name.cmp(&other.name));
        secrets
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use cullet_digest::DigestFunction;

    use super::*;

    #[test]
    fn secrets_survive_the_stored_form() {
        let one = secret_properties("TOKEN", "env:A=B", true, Some("00ff"));
        let two = secret_properties("KEY", "provider:vault:app/db:x#f", false, None);
        let function = DigestFunction::Blake3;
        let action = Action {
            arguments: vec!["x".to_owned()],
            env: Vec::new(),
            working_directory: String::new(),
            outputs: Vec::new(),
            input_root: function.digest(b""),
            platform: [one, two].concat(),
            timeout: Duration::from_secs(1),
            do_not_cache: false,
            salt: Vec::new(),
            trees: false,
        };
        let encoded = action.encode(function);
        let decoded = Action::decode(function, &encoded.action, &encoded.command).unwrap();
        let provider = Some(("vault".to_owned(), "app/db:x#f".to_owned()));
        let expected = [
            ActionSecret { name: "KEY".to_owned(), in_env: false, provider },
            ActionSecret { name: "TOKEN".to_owned(), in_env: true, provider: None },
        ];
        assert_eq!(decoded.secrets(), expected);
    }
}
