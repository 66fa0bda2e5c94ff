//! A step sees of the machine's own directories what the fingerprint covers.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::path::Path;

use support::{run, step};

both_users! {
    fn accounts_keys_and_the_time_zone_are_hidden() {
        let script = "cd /etc && ls -d shadow* passwd- ssh fstab localtime timezone cron* sudoers systemd 2>/dev/null; \
                      ls -A /etc/ssl/private /etc/pki/tls/private 2>/dev/null | grep -v :; date +%Z";
        assert_eq!(run(&step(script)).ok(), "UTC");
    }

    fn what_configures_software_is_there() {
        for name in ["alternatives", "os-release", "ld.so.cache", "ssl", "profile", "ca-certificates.conf"] {
            if Path::new("/etc").join(name).exists() {
                let script = format!("cat /etc/{name} >/dev/null 2>&1 || ls /etc/{name} >/dev/null && echo there");
                assert_eq!(run(&step(&script)).ok(), "there", "{name}");
            }
        }
        assert_eq!(run(&step("id -un; wc -l < /etc/passwd; cat /etc/hostname; readlink /etc/mtab")).ok().lines().count(), 4);
    }

    fn of_opt_only_what_tools_need() {
        // The tests' sandbox has no tools in /opt; a link of the machine's may still lead there.
        assert_eq!(run(&step("ls -d /opt; ls /nix /gnu /libexec 2>/dev/null; true")).ok(), "/opt");
    }
}
