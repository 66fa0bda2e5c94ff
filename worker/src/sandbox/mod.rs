//! The namespace sandbox: every step in user, mount, pid, network, IPC, UTS and cgroup namespaces of its own.
//! What it promises and how it is built is in `docs/sandbox.md`.

mod config;
mod connection;
mod cut_off;
mod descriptors;
mod disk;
mod executor;
mod fault;
mod frame;
mod launcher;
mod owner;
mod probe;
pub(crate) mod protocol;
mod quota;
pub(crate) mod runner;
mod services;
mod sub_ids;
mod supervise;
mod tier;

pub use config::{IMAGE_BLOCK, INSIDE_UID, LauncherCommand, SANDBOX_UID, SandboxConfig, ViewConfig};
pub use cut_off::cut_off;
pub use executor::Sandbox;
pub use launcher::launcher_main;
use launcher::loopback_up;
pub(crate) use launcher::{Account, ETC_FILES, Wanted};
pub use owner::sandbox_owner;
pub use probe::{Fact, SandboxReport, probe};
pub use sub_ids::{NoSubIds, SubIds, enter_sub_ids};
pub use tier::Tier;
