//! Services of an action: what runs beside its process. They travel in one platform property, in one form, so that they
//! are part of the key and whoever executes it finds them there.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Action;

/// The name of the property. Its value is a JSON array of [`Service`]s, sorted by name, without white space.
const SERVICES: &str = "services";

/// A program that runs beside an action's process, in a container of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// By which the process reaches it.
    pub name: String,
    /// The digest of the manifest of its image.
    pub image: String,
    /// The program and its arguments; none for what the image says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// Declared variables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<(String, String)>,
    /// How it says that it is ready; none where it has only to be started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<Ready>,
    /// Which of the action's secrets it gets as files: their names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
}

/// When a service is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ready {
    /// What has to succeed.
    pub check: Check,
    /// How long that may take, in milliseconds.
    pub timeout_ms: u64,
    /// How long it is waited after a check that has failed, in milliseconds.
    pub interval_ms: u64,
}

/// What is tried to find out whether a service is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Check {
    /// It accepts connections at this port.
    Tcp {
        /// Of the loopback interface.
        port: u16,
    },
    /// It answers a GET.
    Http {
        /// Of the loopback interface.
        port: u16,
        /// With a `/` at its beginning.
        path: String,
        /// What it has to answer; none for anything from 200 to 399.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
    },
    /// A program exits 0 in its container.
    Exec {
        /// The program and its arguments.
        command: Vec<String>,
    },
}

/// A property that says nothing about services.
#[derive(Debug, thiserror::Error)]
pub enum ServicesError {
    /// It was made by another version, or by nobody.
    #[error("the services of this action are written in a form that is not known here")]
    Form(#[from] serde_json::Error),
    /// Two services of one name.
    #[error("two services of this action are called '{0}'")]
    Twice(String),
}

impl Ready {
    /// How long it may take.
    pub const fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    /// How long it is waited after a check that has failed.
    pub const fn interval(&self) -> Duration {
        Duration::from_millis(self.interval_ms)
    }
}

/// The platform property that stands for them; none without any.
pub fn property(mut services: Vec<Service>) -> Option<(String, String)> {
    services.sort_by(|one, other| one.name.cmp(&other.name));
    for service in &mut services {
        service.env.sort();
        service.secrets.sort();
    }
    // Texts, numbers and lists of them have a form in JSON.
    let value = serde_json::to_string(&services).ok().filter(|_| !services.is_empty())?;
    Some((SERVICES.to_owned(), value))
}

/// The services of an action, sorted by name.
///
/// # Errors
/// They cannot be read. Such an action must not be executed without them.
pub fn of_action(action: &Action) -> Result<Vec<Service>, ServicesError> {
    let mut services: Vec<Service> = Vec::new();
    for (_, value) in action.platform.iter().filter(|(name, _)| name == SERVICES) {
        services.extend(serde_json::from_str::<Vec<Service>>(value)?);
    }
    services.sort_by(|one, other| one.name.cmp(&other.name));
    let mut names = BTreeSet::new();
    match services.iter().find(|service| !names.insert(service.name.as_str())) {
        Some(twice) => Err(ServicesError::Twice(twice.name.clone())),
        None => Ok(services),
    }
}

#[cfg(test)]
mod tests {
    use cullet_digest::DigestFunction;

    use super::*;

    fn action(value: Option<&str>) -> Action {
        Action {
            arguments: vec!["true".to_owned()],
            env: Vec::new(),
            working_directory: String::new(),
            outputs: Vec::new(),
            input_root: DigestFunction::Blake3.digest(b""),
            platform: value.map(|value| (SERVICES.to_owned(), value.to_owned())).into_iter().collect(),
            timeout: Duration::from_secs(1),
            do_not_cache: false,
            salt: Vec::new(),
            trees: false,
        }
    }

    fn service(name: &str, check: Option<Check>) -> Service {
        let pair = |name: &str| (name.to_owned(), "x".to_owned());
        let ready = check.map(|check| Ready { check, timeout_ms: 60_000, interval_ms: 200 });
        let (name, image) = (name.to_owned(), "sha256:1".to_owned());
        let (command, env) = (None, vec![pair("B"), pair("A")]);
        Service { name, image, command, env, ready, secrets: Vec::new() }
    }

    #[test]
    fn there_is_one_form_whatever_the_order() {
        let [db, web] = [service("db", Some(Check::Tcp { port: 5432 })), service("web", None)];
        let one = property(vec![web.clone(), db.clone()]).unwrap();
        assert_eq!(property(vec![db, web]).unwrap(), one);
        assert_eq!(
            one.1,
            r#"[{"name":"db","image":"sha256:1","env":[["A","x"],["B","x"]],"ready":{"check":{"tcp":{"port":5432}},"timeout_ms":60000,"interval_ms":200}},{"name":"web","image":"sha256:1","env":[["A","x"],["B","x"]]}]"#
        );
        assert_eq!(property(Vec::new()), None);
    }

    #[test]
    fn what_was_written_is_read() {
        let http = Check::Http { port: 80, path: "/up".to_owned(), status: Some(204) };
        let exec = Check::Exec { command: vec!["pg_isready".to_owned()] };
        let mut services = vec![service("a", Some(http)), service("b", Some(exec)), service("c", None)];
        services[2].command = Some(vec!["serve".to_owned(), "a b".to_owned()]);
        services[2].secrets = vec!["PASSWORD".to_owned()];
        let value = property(services.clone()).unwrap().1;
        let read = of_action(&action(Some(&value))).unwrap();
        services.iter_mut().for_each(|service| service.env.sort());
        assert_eq!(read, services);
        assert!(of_action(&action(None)).unwrap().is_empty());
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for value in ["", "{}", r#"[{"name":"a"}]"#, r#"[{"name":"a","image":"i","volume":"v"}]"#] {
            assert!(matches!(of_action(&action(Some(value))), Err(ServicesError::Form(_))), "{value}");
        }
        let twice = r#"[{"name":"a","image":"i"},{"name":"a","image":"j"}]"#;
        assert!(matches!(of_action(&action(Some(twice))), Err(ServicesError::Twice(name)) if name == "a"));
    }
}
