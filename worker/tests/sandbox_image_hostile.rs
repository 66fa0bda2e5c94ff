//! Images that were made to lead the sandbox astray.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use support::image::{Image, file, link};
use support::{run, run_in, sandbox};

/// Places that the sandbox mounts something at.
const PLACES: [&str; 7] = ["workspace", "tmp", "var/tmp", "proc", "dev", "sys", "var"];

both_users! {
    fn links_in_place_of_directories_lead_nowhere() {
        let (sandbox, outside) = (sandbox(), tempfile::tempdir().unwrap());
        let outside_path = outside.path().to_str().unwrap();
        for target in [outside_path, "/", "/etc", "../../../../../../../..", "/proc/self/root", "/proc/1/cwd", "missing", "."] {
            for place in PLACES {
                let image = Image::new().layer(|tree| link(tree, place, target));
                let script = "set -e; for dir in /workspace /tmp /var/tmp; do echo x > $dir/canary; rm $dir/canary; done; pwd; \
                              [ -e /proc/self/status ]; [ -c /dev/null ]; ls -A /sys; cat in; echo x > made; ls /bin/sh /etc/passwd > /dev/null";
                let step = image.step(script).input(sandbox.owner(), "in", "input\n");
                std::os::unix::fs::chown(&step.launch.inputs, sandbox.owner(), sandbox.owner()).unwrap();
                let outcome = run_in(&sandbox, &step);
                assert_eq!(outcome.ok(), "/workspace\ninput", "{place} -> {target}: {outcome:?}");
                assert!(outcome.upper().join("made").exists());
                assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0, "{place} -> {target}");
            }
        }
    }

    fn files_in_place_of_directories_and_the_other_way_round() {
        for place in PLACES {
            let image = Image::new().layer(|tree| file(tree, place, "x"));
            assert_eq!(run(&image.step("cd /tmp; cd /var/tmp; cd /proc/self; cd /dev/shm; cd /sys; echo fine")).ok(), "fine", "{place}");
        }
        let image = Image::new().layer(|tree| file(tree, "etc/hosts/file", "x"));
        let error = support::runtime().block_on(image.step("true").run_on(&sandbox())).unwrap_err();
        assert!(error.to_string().contains("/etc/hosts"), "{error}");
    }

    fn links_in_place_of_files_are_replaced() {
        let (sandbox, outside) = (sandbox(), tempfile::NamedTempFile::new().unwrap());
        let outside_path = outside.path().to_str().unwrap();
        for target in [outside_path, "/etc/shadow", "../../../../etc/passwd", "/proc/self/root/etc/shadow", "missing", "hosts"] {
            for name in ["etc/hosts", "etc/hostname", "etc/resolv.conf"] {
                let image = Image::new().layer(|tree| link(tree, name, target));
                let outcome = run_in(&sandbox, &image.step("cat /etc/hostname /etc/resolv.conf; wc -l < /etc/hosts; cat /etc/passwd | wc -l"));
                assert_eq!(outcome.ok(), "cullet\n2\n2", "{name} -> {target}");
            }
        }
        assert_eq!(outside.as_file().metadata().unwrap().len(), 0);
    }

    fn accounts_are_never_those_of_the_machine() {
        let sandbox = sandbox();
        let accounts = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(accounts.path(), "evil:x:12:12::/evil:/bin/sh\n").unwrap();
        let outside = accounts.path().to_str().unwrap();
        let up = format!("../../../../../../../../..{outside}");
        for target in [outside, up.as_str(), "/proc/self/root/etc/passwd", "passwd", "/etc"] {
            let image = Image::new().layer(|tree| {
                std::fs::create_dir(tree.join("etc")).unwrap();
                link(tree, "etc/passwd", target);
            });
            let image = image.user("evil");
            let error = support::runtime().block_on(image.step("true").run_on(&sandbox)).unwrap_err();
            assert!(error.to_string().contains("'evil' in /etc/passwd of the image"), "{target}: {error}");
            let image = image.user("");
            assert_eq!(run_in(&sandbox, &image.step("echo $HOME")).ok(), "/", "{target}");
        }
        // A link within the image is followed.
        let image = Image::new().layer(|tree| {
            file(tree, "accounts/passwd", "evil:x:12:13::/home:/bin/sh\n");
            link(tree, "etc/passwd", "/accounts/passwd");
        });
        assert_eq!(run_in(&sandbox, &image.user("evil").step("id -u; id -g")).ok(), "12\n13");
    }

    fn odd_accounts_are_survived() {
        let sandbox = sandbox();
        for contents in [&b"\xff\xfe\0:::::\n"[..], b"app:x:-1:0::/:\n", b"app:x:4294967295:0::/:\n", b":::::::\n\n\n", &[b'a'; 3 << 20]] {
            let image = Image::new().layer(|tree| {
                std::fs::create_dir(tree.join("etc")).unwrap();
                std::fs::write(tree.join("etc/passwd"), contents).unwrap();
                std::fs::write(tree.join("etc/group"), contents).unwrap();
            });
            assert_eq!(run_in(&sandbox, &image.step("id -u; echo $HOME")).ok(), "0\n/");
            let image = image.user("app");
            assert!(support::runtime().block_on(image.step("true").run_on(&sandbox)).is_err());
        }
    }
}
