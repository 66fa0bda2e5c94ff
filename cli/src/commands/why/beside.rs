//! The services of an action, for comparing them with those of another.

use cullet_cache::Action;
use cullet_cache::services::{self, Check, Ready, Service};

/// Everything that is said of each, by a name. None where it cannot be read.
pub(super) fn facts(action: &Action) -> Option<Vec<(String, String)>> {
    services::of_action(action).ok().map(|services| services.iter().flat_map(of).collect())
}

fn of(service: &Service) -> Vec<(String, String)> {
    let Service { name, image, command, env, ready, secrets } = service;
    let command = command.as_ref().map(|command| ("command".to_owned(), command.join(" ")));
    let ready = ready.as_ref().map(|ready| ("readiness".to_owned(), shown(ready)));
    let secrets = Some(secrets.join(", ")).filter(|names| !names.is_empty());
    let secrets = secrets.map(|names| ("secrets".to_owned(), names));
    let env = env.iter().map(|(variable, value)| (format!("variable {variable}"), value.clone()));
    let facts = [("image".to_owned(), image.clone())]
        .into_iter()
        .chain(command)
        .chain(env)
        .chain(ready)
        .chain(secrets);
    facts.map(|(what, value)| (format!("'{name}': {what}"), value)).collect()
}

fn shown(ready: &Ready) -> String {
    let check = match &ready.check {
        Check::Tcp { port } => format!("tcp {port}"),
        Check::Http { port, path, status } => {
            let status = status.map(|status| format!(" {status}")).unwrap_or_default();
            format!("http {port} {path}{status}")
        }
        Check::Exec { command } => format!("exec {}", command.join(" ")),
    };
    format!("{check}, within {:?}, every {:?}", ready.timeout(), ready.interval())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_service_has_a_name() {
        let ready = Ready { check: Check::Tcp { port: 5432 }, timeout_ms: 60_000, interval_ms: 200 };
        let db = Service {
            name: "db".to_owned(),
            image: "sha256:00".to_owned(),
            command: Some(vec!["postgres".to_owned(), "-F".to_owned()]),
            env: vec![("A".to_owned(), "1".to_owned())],
            ready: Some(ready),
            secrets: vec!["A".to_owned(), "B".to_owned()],
        };
        let facts = of(&db);
        let expected = [
            ("'db': image", "sha256:00"),
            ("'db': command", "postgres -F"),
            ("'db': variable A", "1"),
            ("'db': readiness", "tcp 5432, within 60s, every 200ms"),
            ("'db': secrets", "A, B"),
        ];
        assert_eq!(facts, expected.map(|(what, value)| (what.to_owned(), value.to_owned())));
    }
}
