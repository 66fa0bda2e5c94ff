//! Containers that belong together: those of a step and its services, and the one that holds what they share.

use std::collections::HashMap;
use std::time::Duration;

use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigLogConfig, Mount, MountType, MountVolumeOptions,
    MountVolumeOptionsDriverConfig,
};

use super::super::helper;
use super::super::holder::variables;
use super::super::owner::Process;
use super::{Spec, bare};
use crate::SecretFile;

/// Where a step finds its secrets.
pub(in super::super) const SECRETS_DIR: &str = "/run/secrets";
/// Where it finds the program that makes variables of them: in memory, where the image's root has no part.
pub(in super::super) const HELPER_DIR: &str = "/dev/cullet";

/// A filesystem that lives in memory and is never swapped, as in the sandbox.
const IN_MEMORY: [(&str, &str); 3] =
    [("type", "ramfs"), ("device", "ramfs"), ("o", "mode=0755,nosuid,nodev,noexec")];

/// The holder itself, and a check of each service, with what an engine needs to start one.
const MOST_PROCESSES: i64 = 256;

/// Nobody of any image.
const NOBODY: &str = "65534:65534";

/// What a container holds.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Held<'a> {
    /// Of services, for whom it has a network.
    pub(in super::super) names: &'a [String],
    /// Whether there is room for secrets.
    pub(in super::super) secrets: bool,
    /// Whether others need its program: where secrets are to be variables, and for visits.
    pub(in super::super) program: bool,
}

/// What a container has of holders.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Shared<'a> {
    /// Whose network it has; none for one of its own.
    pub(in super::super) network: Option<&'a str>,
    /// Who has its secrets, and the program.
    pub(in super::super) holder: &'a str,
    pub(in super::super) secrets: &'a [SecretFile],
    /// Whether somebody looks into it: programs are started in it by hand.
    pub(in super::super) is_visited: bool,
}

/// A program in a container that has the program of [`HELPER_DIR`], as what it becomes.
pub(in super::super) fn command(secrets: &[SecretFile], arguments: &[String]) -> Vec<String> {
    let names: Vec<&str> = variables(secrets).collect();
    let program = [format!("{HELPER_DIR}/helper"), "secrets".to_owned(), names.join(",")];
    program.into_iter().chain(arguments.iter().cloned()).collect()
}

impl Spec {
    /// A container that does nothing, and with which others are started.
    pub(in super::super) fn to_hold(
        image: &str,
        held: Held<'_>,
        (process, needed): (&Process, Duration),
    ) -> Self {
        let secrets = held.secrets.then(|| volume(SECRETS_DIR, Some(in_memory())));
        let program = held.program.then(|| volume(HELPER_DIR, None));
        let hosts = std::iter::once("cullet").chain(held.names.iter().map(String::as_str));
        // Any port may be listened at, as in the sandbox.
        let ports = ("net.ipv4.ip_unprivileged_port_start".to_owned(), "0".to_owned());
        let config = HostConfig {
            mounts: Some(secrets.into_iter().chain(program).collect()),
            network_mode: Some("none".to_owned()),
            // For those that the engine cannot show files of this machine.
            extra_hosts: Some(hosts.map(|name| format!("{name}:127.0.0.1")).collect()),
            sysctls: (!held.names.is_empty()).then(|| [ports].into()),
            readonly_rootfs: Some(true),
            log_config: Some(HostConfigLogConfig {
                typ: Some("none".to_owned()),
                config: Some(HashMap::new()),
            }),
            cap_drop: Some(vec!["ALL".to_owned()]),
            security_opt: Some(vec!["no-new-privileges".to_owned()]),
            pids_limit: Some(MOST_PROCESSES),
            ..HostConfig::default()
        };
        let body = ContainerCreateBody {
            cmd: Some(vec![helper::PATH.to_owned(), "hold".to_owned()]),
            user: Some(NOBODY.to_owned()),
            hostname: Some("cullet".to_owned()),
            labels: Some(process.labels(needed)),
            host_config: Some(config),
            ..bare(image)
        };
        Self { body, shown: Vec::new() }
    }

    /// The same, with what a holder has.
    #[must_use]
    pub(in super::super) fn sharing(mut self, shared: Shared<'_>) -> Self {
        let config = self.body.host_config.get_or_insert_default();
        if let Some(holder) = shared.network {
            config.network_mode = Some(format!("container:{holder}"));
            // That of the holder.
            self.body.hostname = None;
        }
        if !shared.secrets.is_empty() || shared.is_visited {
            config.volumes_from = Some(vec![format!("{}:ro", shared.holder)]);
        }
        if shared.is_visited {
            self.body.cmd = Some(vec![format!("{HELPER_DIR}/helper"), "hold".to_owned()]);
        } else if variables(shared.secrets).next().is_some() {
            let own = self.body.cmd.take().unwrap_or_default();
            self.body.cmd = Some(command(shared.secrets, &own));
        }
        self
    }

    /// The same, that starts in this directory, which is made if it is not there.
    #[must_use]
    pub(in super::super) fn starting_at(mut self, directory: String) -> Self {
        self.body.working_dir = Some(directory);
        self
    }

    /// Whether its names are those of another container.
    pub(super) fn has_others_names(&self) -> bool {
        let network = self.body.host_config.as_ref().and_then(|config| config.network_mode.as_deref());
        network.is_some_and(|network| network.starts_with("container:"))
    }
}

/// Without a name: it goes with the last of the containers that have it.
fn volume(target: &str, driver_config: Option<MountVolumeOptionsDriverConfig>) -> Mount {
    let options = MountVolumeOptions { no_copy: Some(true), driver_config, ..MountVolumeOptions::default() };
    Mount {
        typ: Some(MountType::VOLUME),
        target: Some(target.to_owned()),
        volume_options: Some(options),
        ..Mount::default()
    }
}

fn in_memory() -> MountVolumeOptionsDriverConfig {
    let options = IN_MEMORY.map(|(name, value)| (name.to_owned(), value.to_owned()));
    MountVolumeOptionsDriverConfig { name: Some("local".to_owned()), options: Some(options.into()) }
}

#[cfg(test)]
mod tests {
    use cullet_secrets::SecretValue;

    use super::*;

    fn secret(name: &str, in_env: bool) -> SecretFile {
        let value = SecretValue::new(b"hidden".to_vec()).unwrap();
        SecretFile { name: name.to_owned(), value, in_env }
    }

    #[test]
    fn names_of_secrets_are_told_and_values_are_not() {
        let secrets = [secret("A", true), secret("B", false), secret("C", true)];
        let cmd = Some(vec!["make".to_owned()]);
        let spec = Spec { body: ContainerCreateBody { cmd, ..bare("i") }, shown: Vec::new() };
        let shared = Shared { network: None, holder: "h", secrets: &secrets, is_visited: false };
        let body = spec.clone().sharing(shared).body(true);
        assert_eq!(body.cmd.as_deref().unwrap(), ["/dev/cullet/helper", "secrets", "A,C", "make"]);
        assert_eq!(body.host_config.as_ref().unwrap().volumes_from.as_deref().unwrap(), ["h:ro"]);
        assert!(!serde_json::to_string(&body).unwrap().contains("hidden"));
        let plain = spec.clone().sharing(Shared { secrets: &secrets[1..2], ..shared }).body(true);
        assert_eq!(plain.cmd.unwrap(), ["make"]);
        let visited = spec.sharing(Shared { secrets: &[], is_visited: true, ..shared }).body(true);
        assert_eq!(visited.cmd.unwrap(), ["/dev/cullet/helper", "hold"]);
        assert_eq!(visited.host_config.unwrap().volumes_from.unwrap(), ["h:ro"]);
    }

    #[test]
    fn one_network_has_one_list_of_names() {
        let names = ["db".to_owned(), "web".to_owned()];
        let held = Held { names: &names, secrets: false, program: false };
        let body = Spec::to_hold("i", held, (&Process::this(), Duration::ZERO)).body(true);
        let hosts = body.host_config.unwrap().extra_hosts.unwrap();
        assert_eq!(hosts, ["cullet:127.0.0.1", "db:127.0.0.1", "web:127.0.0.1"]);
        let body = ContainerCreateBody { hostname: Some("cullet".to_owned()), ..bare("i") };
        let spec = Spec { body, shown: vec![("/here".into(), "/etc/hosts".to_owned())] };
        let spec = spec.sharing(Shared { network: Some("n"), holder: "h", secrets: &[], is_visited: false });
        for with_files in [true, false] {
            let body = spec.body(with_files);
            assert_eq!(body.hostname, None, "engines refuse one beside the network of another container");
            let config = body.host_config.unwrap();
            assert_eq!(config.network_mode.as_deref(), Some("container:n"));
            assert_eq!((config.extra_hosts, config.mounts.is_some()), (None, with_files));
        }
    }
}
