//! What a container is made of: as much like the sandbox as an engine can make it.

mod company;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigLogConfig, Mount, MountType, MountVolumeOptions,
    ResourcesUlimits,
};

pub(super) use self::company::{HELPER_DIR, Held, SECRETS_DIR, Shared, command};
use super::account::Account;
use super::owner::Process;
use crate::Launch;
use crate::host::complete_image_env;

/// A container to be made.
#[derive(Debug, Clone)]
pub(super) struct Spec {
    body: ContainerCreateBody,
    /// Files of this machine, and where they are to be seen.
    shown: Vec<(PathBuf, String)>,
}

/// Of Docker's capabilities, those that root of an image does not have in the sandbox.
const DROPPED: [&str; 4] = ["MKNOD", "NET_RAW", "NET_BIND_SERVICE", "AUDIT_WRITE"];

/// What is private and in memory; the engine's own defaults would make programs in it impossible.
const PRIVATE: [&str; 3] = ["/tmp", "/var/tmp", "/dev/shm"];
const PRIVATE_OPTIONS: &str = "rw,exec,nosuid,nodev,mode=1777";

/// As any step may have in the sandbox, and one more for the engine's init.
const MOST_PROCESSES: u32 = 4096;
const OPEN_FILES: u64 = 65_536;

/// Bytes of a core dump: neither a file nor a program of the machine gets one. 0 forbids files only (core(5)).
const CORE: i64 = 1;

/// The least memory that an engine takes for a limit: 6 MiB.
const LEAST_MEMORY: u64 = 6 << 20;
/// The least and most of a processor, in thousandths: what engines take lies between that and all there are.
const LEAST_CPU: u32 = 10;

impl Spec {
    /// For a step, of this image and by this account, on an engine that can limit it to parts of so many processors; none
    /// where it cannot.
    pub(super) fn of(
        launch: &Launch,
        image: &str,
        account: &Account,
        shown: Vec<(PathBuf, String)>,
        (process, processors): (&Process, Option<u32>),
    ) -> Self {
        let directory = format!("/workspace/{}", launch.working_directory);
        let body = ContainerCreateBody {
            cmd: Some(launch.arguments.clone()),
            env: Some(environment(launch, account)),
            user: Some(format!("{}:{}", account.uid, account.gid)),
            working_dir: Some(directory.trim_end_matches('/').to_owned()),
            hostname: Some("cullet".to_owned()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            labels: Some(process.labels(launch.timeout)),
            host_config: Some(host_config(launch, account, processors)),
            ..bare(image)
        };
        Self { body, shown: if launch.network { Vec::new() } else { shown } }
    }

    /// With volumes at these paths, empty at first and gone with the container.
    pub(super) fn with_volumes(mut self, paths: Vec<String>) -> Self {
        let config = self.body.host_config.get_or_insert_default();
        config.mounts.get_or_insert_default().extend(paths.into_iter().map(volume));
        self
    }

    /// One that is never started.
    pub(super) fn to_look_into(image: &str, process: &Process) -> Self {
        let labels = Some(process.labels(Duration::ZERO));
        Self {
            body: ContainerCreateBody { labels, cmd: Some(vec!["-".to_owned()]), ..bare(image) },
            shown: Vec::new(),
        }
    }

    /// Where [`Self::to_read`] shows the directory.
    pub(super) const READ: &str = "/cullet-read";

    /// One that is never started and shows a directory of the engine's machine.
    pub(super) fn to_read(image: &str, process: &Process, dir: &Path) -> Self {
        let shown = Mount {
            typ: Some(MountType::BIND),
            source: Some(dir.to_string_lossy().into_owned()),
            target: Some(Self::READ.to_owned()),
            read_only: Some(true),
            ..Mount::default()
        };
        let mut spec = Self::to_look_into(image, process);
        spec.body.host_config = Some(HostConfig { mounts: Some(vec![shown]), ..HostConfig::default() });
        spec
    }

    /// Whether it depends on the engine seeing files of this machine.
    pub(super) fn shows_files(&self) -> bool {
        !self.shown.is_empty()
    }

    /// In the engine's terms. With files that it sees, `/etc/hosts` and others are to the byte as in the sandbox, and
    /// otherwise they are the engine's own, with the same names in it.
    pub(super) fn body(&self, with_files: bool) -> ContainerCreateBody {
        let mut body = self.body.clone();
        let Some(config) = body.host_config.as_mut().filter(|_| self.shows_files()) else { return body };
        if with_files {
            let files = self.shown.iter().map(|(here, there)| Mount {
                typ: Some(MountType::BIND),
                source: Some(here.to_string_lossy().into_owned()),
                target: Some(there.clone()),
                read_only: Some(true),
                ..Mount::default()
            });
            config.mounts.get_or_insert_default().extend(files);
        } else if !self.has_others_names() {
            config.extra_hosts = Some(vec!["cullet:127.0.0.1".to_owned()]);
        }
        body
    }
}

fn bare(image: &str) -> ContainerCreateBody {
    ContainerCreateBody { image: Some(image.to_owned()), ..ContainerCreateBody::default() }
}

/// As in the sandbox; and without the engine's own `HOSTNAME`, which a name without a value removes.
fn environment(launch: &Launch, account: &Account) -> Vec<String> {
    let image = launch.image.as_ref().map(|image| &*image.env).unwrap_or_default();
    let complete = complete_image_env(launch.env.clone(), image);
    let has = |name: &str| complete.iter().any(|(known, _)| known == name);
    let home = (!has("HOME")).then(|| format!("HOME={}", account.home));
    let hostname = (!has("HOSTNAME")).then(|| "HOSTNAME".to_owned());
    let pairs = complete.iter().map(|(name, value)| format!("{name}={value}"));
    pairs.chain(home).chain(hostname).collect()
}

fn host_config(launch: &Launch, account: &Account, processors: Option<u32>) -> HostConfig {
    let limits = &launch.limits;
    let memory = (limits.memory_bytes > 0).then(|| signed(limits.memory_bytes.max(LEAST_MEMORY)));
    // Engines leave out other limits that they cannot enforce, and make no container because of this one.
    let nano_cpus = processors.filter(|_| limits.cpu_millis > 0).map(|processors| {
        let most = processors.saturating_mul(1000).max(LEAST_CPU);
        i64::from(limits.cpu_millis.clamp(LEAST_CPU, most)) * 1_000_000
    });
    let processes = if limits.processes == 0 { MOST_PROCESSES } else { limits.processes.min(MOST_PROCESSES) };
    HostConfig {
        mounts: Some(vec![volume("/workspace".to_owned())]),
        tmpfs: Some(PRIVATE.iter().map(|&place| (place.to_owned(), PRIVATE_OPTIONS.to_owned())).collect()),
        network_mode: Some(if launch.network { "host" } else { "none" }.to_owned()),
        log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: Some(HashMap::new()) }),
        init: Some(true),
        group_add: Some(account.groups.iter().map(u32::to_string).collect()),
        cap_drop: Some(DROPPED.map(str::to_owned).to_vec()),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        memory,
        // No swap beyond it.
        memory_swap: memory,
        nano_cpus,
        pids_limit: Some(i64::from(processes) + 1),
        ulimits: Some(vec![ulimit("core", CORE), ulimit("nofile", open_files())]),
        ipc_mode: Some("private".to_owned()),
        ..HostConfig::default()
    }
}

/// Empty at first, whatever the image has there; and gone with the container.
fn volume(target: String) -> Mount {
    Mount {
        typ: Some(MountType::VOLUME),
        target: Some(target),
        volume_options: Some(MountVolumeOptions { no_copy: Some(true), ..MountVolumeOptions::default() }),
        ..Mount::default()
    }
}

/// No more than this process may have, which is what the engine's own may have where both are started as usual.
fn open_files() -> i64 {
    let hard = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    signed(hard.map_or(OPEN_FILES, |hard| hard.min(OPEN_FILES)))
}

fn ulimit(name: &str, most: i64) -> ResourcesUlimits {
    ResourcesUlimits { name: Some(name.to_owned()), soft: Some(most), hard: Some(most) }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ImageRoot, StepLimits};

    fn launch(env: &[(&str, &str)], limits: StepLimits) -> Launch {
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let image = ImageRoot { env: vec![pair(&("FROM_IMAGE", "a=b"))], ..ImageRoot::default() };
        Launch {
            arguments: vec!["x".to_owned()],
            env: env.iter().map(pair).collect(),
            working_directory: "sub".to_owned(),
            inputs: PathBuf::new(),
            scratch: PathBuf::new(),
            network: false,
            timeout: Duration::from_secs(1),
            limits,
            image: Some(image),
            keeps_root: false,
            keeps_workspace: true,
            visit: None,
            secrets: Vec::new(),
            caches: Vec::new(),
            services: Vec::new(),
        }
    }

    fn body(launch: &Launch, with_files: bool) -> ContainerCreateBody {
        body_on(Some(2), launch, with_files)
    }

    fn body_on(processors: Option<u32>, launch: &Launch, with_files: bool) -> ContainerCreateBody {
        let account = Account { uid: 5, gid: 6, groups: vec![7], home: "/srv".to_owned() };
        let shown = vec![(PathBuf::from("/here/hosts"), "/etc/hosts".to_owned())];
        Spec::of(launch, "sha256:1", &account, shown, (&Process::this(), processors)).body(with_files)
    }

    #[test]
    fn the_environment_is_the_sandboxs() {
        let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        let none = body(&launch(&[], StepLimits::default()), true);
        assert_eq!(none.env.unwrap(), ["FROM_IMAGE=a=b", path, "HOME=/srv", "HOSTNAME"]);
        assert_eq!(
            (none.user.as_deref(), none.working_dir.as_deref()),
            (Some("5:6"), Some("/workspace/sub"))
        );
        let all = [("HOME", "/h"), ("HOSTNAME", "mine"), ("PATH", "/p"), ("FROM_IMAGE", "")];
        let declared = body(&launch(&all, StepLimits::default()), true);
        assert_eq!(declared.env.unwrap(), ["HOME=/h", "HOSTNAME=mine", "PATH=/p", "FROM_IMAGE="]);
    }

    #[test]
    fn files_are_shown_where_they_are_seen() {
        let launch = launch(&[], StepLimits::default());
        let mounts =
            |body: &ContainerCreateBody| body.host_config.as_ref().unwrap().mounts.as_ref().unwrap().len();
        let (seen, apart) = (body(&launch, true), body(&launch, false));
        assert_eq!((mounts(&seen), mounts(&apart)), (2, 1));
        assert_eq!(apart.host_config.unwrap().extra_hosts.unwrap(), ["cullet:127.0.0.1"]);
        let network = Launch { network: true, ..launch };
        assert_eq!(mounts(&body(&network, true)), 1);
    }

    #[test]
    fn limits_are_within_what_engines_take() {
        let config = |limits| body(&launch(&[], limits), true).host_config.unwrap();
        let none = config(StepLimits::default());
        assert_eq!(
            (none.memory, none.memory_swap, none.nano_cpus, none.pids_limit),
            (None, None, None, Some(4097))
        );
        let small =
            config(StepLimits { cpu_millis: 1, memory_bytes: 1, processes: 9, ..StepLimits::default() });
        assert_eq!(
            (small.memory, small.nano_cpus, small.pids_limit),
            (Some(6 << 20), Some(10_000_000), Some(10))
        );
        assert_eq!(small.memory_swap, small.memory);
        let large = config(StepLimits {
            cpu_millis: 64_000,
            memory_bytes: u64::MAX,
            processes: u32::MAX,
            ..StepLimits::default()
        });
        assert_eq!(
            (large.memory, large.nano_cpus, large.pids_limit),
            (Some(i64::MAX), Some(2_000_000_000), Some(4097))
        );
    }

    #[test]
    fn processor_time_is_not_limited_where_engines_refuse_that() {
        let limits = StepLimits { cpu_millis: 500, memory_bytes: 8 << 20, ..StepLimits::default() };
        let config = body_on(None, &launch(&[], limits), true).host_config.unwrap();
        assert_eq!((config.nano_cpus, config.memory), (None, Some(8 << 20)));
    }
}
