//! The sandbox knows what the machine allows, and refuses what it does not.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use cullet_worker::ExecuteError;
use cullet_worker::sandbox::{LauncherCommand, Sandbox, Tier, probe, sandbox_owner};
use support::image::Image;
use support::{launcher, run_in, sandbox, step};

both_users! {
    fn this_machine_allows_what_the_sandbox_uses() {
        let dir = tempfile::tempdir().unwrap();
        let report = probe(&launcher(), &support::config().view, dir.path());
        assert_eq!(report.tier, Tier::Full, "{report:#?}");
        assert_eq!(report.tier, sandbox().tier());
        // What an ordinary user has only where somebody gave it.
        let given = ["cgroups", "sub-ids"];
        assert!(report.facts.iter().all(|fact| fact.ok || given.contains(&fact.name)), "{report:#?}");
        let is_root = nix::unistd::geteuid().is_root();
        assert_eq!((report.facts.len(), report.sub_ids().is_none()), (if is_root { 10 } else { 11 }, is_root));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    fn a_broken_launcher_is_reported() {
        let dir = tempfile::tempdir().unwrap();
        let broken = LauncherCommand { program: "/bin/false".into(), args: Vec::new() };
        let report = probe(&broken, &support::config().view, dir.path());
        assert!(matches!(report.tier, Tier::Unavailable { .. }), "{report:?}");
        let error = Sandbox::start(broken, support::config()).unwrap_err();
        assert!(matches!(error, ExecuteError::Setup { .. }), "{error}");
    }

    fn forbidden_namespaces_are_refused_with_a_reason() {
        let dir = tempfile::tempdir().unwrap();
        let command = in_container("echo 0 > /proc/sys/user/max_user_namespaces");
        let error = Sandbox::start(command.clone(), support::config()).unwrap_err();
        assert!(matches!(error, ExecuteError::Unavailable(_)), "{error}");
        assert!(error.to_string().contains("raise `sysctl user.max_user_namespaces`"), "{error}");
        let report = probe(&command, &support::config().view, dir.path());
        assert!(matches!(report.tier, Tier::Unavailable { .. }), "{report:?}");
        let failed: Vec<_> = report.facts.iter().filter(|fact| !fact.ok && fact.remedy.is_some()).map(|fact| fact.name).collect();
        assert!(failed.contains(&"user namespace"), "{report:#?}");
    }

    fn root_of_a_user_namespace_is_as_good_as_a_plain_user() {
        let sandbox = Sandbox::start(in_container("true"), support::config()).unwrap();
        assert_eq!((sandbox.tier(), sandbox.owner()), (Tier::Full, None));
        assert_eq!(run_in(&sandbox, &step("id -u; echo x > file; ls /proc | grep -c '^[0-9]*$'")).ok().lines().next(), Some("1000"));
        let image = for_container();
        assert!(!sandbox.takes_owned_layers());
        assert_eq!(run_in(&sandbox, &image.step("id -u; echo x > /new; cat /new; stat -c %u /etc/passwd")).ok(), "0\nx\n0");
    }

    fn a_masked_proc_makes_a_weaker_tier_that_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let command = in_container("mount --bind /dev/null /proc/version");
        let sandbox = Sandbox::start(command.clone(), support::config()).unwrap();
        assert!(matches!(sandbox.tier(), Tier::Degraded { .. }));
        // The real root that runs this test is another owner than the root of the container.
        if sandbox_owner().is_none() {
            assert_eq!(probe(&command, &support::config().view, dir.path()).tier, sandbox.tier());
        }
        let script = "cat /proc/version; id -u; unshare -U true 2>/dev/null && echo userns; (echo 1 > /proc/self/oom_score_adj) 2>/dev/null && echo wrote; \
                      (echo x > /proc/sys/kernel/hostname) 2>/dev/null && echo hostname; sleep 600 & exit 0";
        assert_eq!(run_in(&sandbox, &step(script)).ok(), "1000");
        // As container runtimes do it: the settings cannot be written even by whoever may.
        let read_only = "mount --bind /dev/null /proc/version && mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys";
        let sandbox = Sandbox::start(in_container(read_only), support::config()).unwrap();
        assert!(matches!(sandbox.tier(), Tier::Degraded { .. }));
        let script = format!("unshare -Ur true 2>/dev/null && echo root; {script}");
        assert_eq!(run_in(&sandbox, &step(&script)).ok(), "1000");
        let image = for_container();
        let script = "id -u; unshare -U true 2>/dev/null && echo userns; (echo x > /proc/sys/kernel/hostname) 2>/dev/null && echo hostname; \
                      umount /proc 2>/dev/null && echo umount; (echo 1 > /proc/sysrq-trigger) 2>/dev/null && echo sysrq; sleep 600 & exit 0";
        assert_eq!(run_in(&sandbox, &image.step(script)).ok(), "0");
    }
}

/// Layers as whoever is in there makes them, who is not real root even where this test is.
fn for_container() -> Image {
    let mut image = Image::new();
    image.root.owned = false;
    image
}

/// The launcher as it would be inside a container without real root, after `preparation`.
fn in_container(preparation: &str) -> LauncherCommand {
    let script = format!("{preparation} && exec {}", launcher().program.display());
    let args = ["-Urm", "/bin/sh", "-c", &script].map(str::to_owned).to_vec();
    LauncherCommand { program: "/usr/bin/unshare".into(), args }
}
