//! What a step cannot do as root of an image.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use cullet_worker::Exit;
use cullet_worker::sandbox::Sandbox;
use support::image::{Image, is_root};
use support::{command, run, run_in, sandbox};

both_users! {
    fn writes_to_nothing_of_the_machine() {
        // A write that goes to the step's own root or /tmp is none to the machine; /proc and /dev are what is shared.
        let script = "for file in $(find /proc/sys /proc/sysrq-trigger /proc/irq /proc/fs /proc/bus /proc/scsi /proc/acpi /proc/mtrr /proc/tty \
                        /proc/driver /proc/pressure -type f 2>/dev/null); do \
                        value=$(cat $file 2>/dev/null) || value=1; (echo \"$value\" > $file) 2>/dev/null && echo wrote $file; done; \
                      for dir in /dev /dev/pts /proc /proc/sys /proc/sys/kernel /sys; do (mkdir $dir/canary || touch $dir/canary) 2>/dev/null && echo made $dir/canary; done; \
                      for file in null zero full random urandom tty; do chmod 777 /dev/$file 2>/dev/null && echo chmod $file; \
                        chown 1:1 /dev/$file 2>/dev/null && echo chown $file; rm -f /dev/$file 2>/dev/null && echo rm $file; done; \
                      (echo '|/bin/x' > /proc/sys/kernel/core_pattern) 2>/dev/null && echo core_pattern; \
                      (echo x > /proc/sys/kernel/hostname) 2>/dev/null && echo hostname; \
                      chmod 666 /proc/sys/kernel/core_pattern 2>/dev/null && echo chmod; chown 0 /proc/sys/kernel/core_pattern 2>/dev/null && echo chown; \
                      head -c1 /proc/kcore 2>/dev/null; true";
        let pattern = std::fs::read("/proc/sys/kernel/core_pattern").unwrap();
        let image = Image::new();
        assert_eq!(run(&image.step(script)).ok(), "");
        assert_eq!(std::fs::read("/proc/sys/kernel/core_pattern").unwrap(), pattern);
    }

    fn changes_no_mount_and_no_network() {
        let script = "mount -t tmpfs none /lower 2>/dev/null && echo tmpfs; mount -t proc none /lower 2>/dev/null && echo proc; \
                      mount -o bind /bin /lower 2>/dev/null && echo bind; mount -o remount,rw /sys 2>/dev/null && echo remount; \
                      mount -o remount,rw,dev,suid / 2>/dev/null && echo remount; \
                      for place in /proc /dev /dev/null /dev/pts /tmp /workspace /sys /etc/hosts /; do umount -l $place 2>/dev/null && echo umount $place; done; \
                      hostname other 2>/dev/null && echo hostname; (echo x > /etc/hosts) 2>/dev/null && echo hosts; \
                      for kind in m n p u i U; do unshare -$kind true 2>/dev/null && echo unshare $kind; done; \
                      for ns in mnt net pid user uts ipc; do readlink /proc/1/ns/$ns && echo ns $ns; done 2>/dev/null; \
                      mknod /disk b 8 0 2>/dev/null && echo block; mknod /mem c 1 1 2>/dev/null && echo char; true";
        let image = Image::new();
        assert_eq!(run(&image.step(script)).ok(), "");
    }

    fn keeps_no_more_capabilities_than_are_documented() {
        let script = "grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status | tr -d '\\t '";
        let image = Image::new();
        let kept = "00000000800401fb";
        let none = "0000000000000000";
        let expected = format!("CapInh:{none}\nCapPrm:{kept}\nCapEff:{kept}\nCapBnd:{kept}\nCapAmb:{none}\nNoNewPrivs:1\nSeccomp:2");
        assert_eq!(run(&image.step(script)).ok(), expected);
        let expected = format!("CapInh:{none}\nCapPrm:{none}\nCapEff:{none}\nCapBnd:{none}\nCapAmb:{none}\nNoNewPrivs:1\nSeccomp:2");
        assert_eq!(run(&image.user("app").step(script)).ok(), expected);
    }

    fn reaches_no_other_process_and_not_its_first_one() {
        let script = "ls /proc | grep -E '^[0-9]+$' | wc -l; cat /proc/1/environ /proc/1/maps 2>/dev/null; ls /proc/1/root/ /proc/1/cwd/ 2>/dev/null; \
                      (echo x > /proc/1/mem) 2>/dev/null && echo mem; (echo -1000 > /proc/1/oom_score_adj) 2>/dev/null && echo oom; \
                      kill -9 1; sleep 0.1; echo alive; ls /proc/1/fd 2>/dev/null";
        let image = Image::new();
        let outcome = run(&image.step(&format!("{script}; true")));
        let (count, rest) = outcome.ok().split_once('\n').unwrap();
        assert!(count.parse::<u32>().unwrap() < 8, "{count}");
        assert_eq!(rest, "alive");
    }

    fn leaves_its_root_neither_by_chroot_nor_by_descriptors() {
        // The classic way out of a chroot ends at the step's own root.
        let script = "mkdir /jail; exec 9</; cp /bin/busybox /jail/; chroot /jail /busybox sh -c 'cd /proc/self/fd/9 2>/dev/null; \
                        /busybox ls -d ../../../../../../lower ../../../../home 2>/dev/null'; ls /proc/self/fd | tr '\\n' ' '; cd /; ls ../../../; ls -A /proc/1/cwd/ 2>/dev/null";
        let image = Image::new();
        let outcome = run(&image.step(&format!("{script}; true")));
        assert!(!outcome.ok().contains("home") && outcome.ok().contains("0 1 2 3 9"), "{outcome:?}");
        assert!(outcome.ok().ends_with("bin\ndev\netc\njail\nlower\nproc\nreplaced\nsys\ntmp\nvar\nworkspace"), "{outcome:?}");
    }

    fn set_user_id_programs_have_no_effect() {
        let script = "cp /bin/busybox /workspace/id; chmod 6755 /workspace/id /bin/busybox; grep Cap /proc/self/status > /dev/null; \
                      cp /bin/busybox /tmp/id; chmod 6755 /tmp/id; echo made";
        let image = Image::new();
        assert_eq!(run(&image.step(script)).ok(), "made");
        let suid = Image::new().layer(|tree| {
            use std::os::unix::fs::PermissionsExt;
            std::fs::create_dir(tree.join("bin")).unwrap();
            std::fs::copy("/bin/busybox", tree.join("bin/busybox")).unwrap();
            std::fs::set_permissions(tree.join("bin/busybox"), std::fs::Permissions::from_mode(0o6755)).unwrap();
        });
        let outcome = run(&suid.user("app").step("id -u; id -g; touch /etc/x 2>/dev/null && echo wrote; true"));
        // Everything in an image is the user's where there is one id only.
        assert_eq!(outcome.ok(), if is_root() { "500\n501" } else { "500\n501\nwrote" });
    }

    fn keeps_the_number_of_processes_bounded() {
        let mut config = support::config();
        config.view.max_processes = 50;
        let sandbox = Sandbox::start(support::launcher(), config).unwrap();
        let image = Image::new();
        let outcome = run_in(&sandbox, &image.step("for i in $(seq 200); do sleep 60 & done; wait"));
        assert_ne!(outcome.exit(), Exit::Code(0));
        assert!(outcome.stderr.contains("fork"), "{outcome:?}");
    }

    fn leaves_no_process_behind_and_ends_at_its_timeout() {
        let marker = format!("7{:07}.5", std::process::id());
        let image = Image::new();
        let script = format!("(setsid sleep {marker} &); su app -s /bin/sh -c 'sleep {marker} &' 2>/dev/null; echo started");
        assert_eq!(run(&image.step(&script)).ok(), "started");
        assert_eq!(support::processes_with(&marker), Vec::<String>::new());
        let slow = image.step(&format!("trap '' TERM; sleep {marker}")).timeout(std::time::Duration::from_millis(300));
        let outcome = run(&slow);
        assert_eq!((outcome.exit(), outcome.execution.root_upper), (Exit::TimedOut, None));
        assert_eq!(support::processes_with(&marker), Vec::<String>::new());
    }
}

/// A limit counts all users of an image together, and not those of another step.
#[test]
fn processes_are_counted_whichever_user_they_run_as() {
    if !is_root() {
        return;
    }
    let mut config = support::config();
    config.view.max_processes = 40;
    let sandbox = Sandbox::start(support::launcher(), config).unwrap();
    let image = Image::new().layer(|tree| {
        let users: String = (1000..1020).map(|uid| format!("u{uid}:x:{uid}:{uid}::/:/bin/sh\n")).collect();
        support::image::file(tree, "etc/passwd", &format!("root:x:0:0::/:/bin/sh\n{users}"));
    });
    let script = "for u in $(seq 1000 1019); do su u$u -s /bin/sh -c 'sleep 60 & sleep 60 & sleep 60 & sleep 60 &' 2>/dev/null; done; \
                  ps=$(ls /proc | grep -cE '^[0-9]+$'); [ $ps -lt 45 ] && [ $ps -gt 30 ] && echo bounded || echo $ps";
    let bomb = image.step(&script.replace("[ $ps -lt", "sleep 0.3; [ $ps -lt"));
    let beside = image.step("sleep 0.2; for i in $(seq 20); do sleep 0.1 & done; wait; echo fine");
    let (bombed, other) = std::thread::scope(|scope| {
        let other = scope.spawn(|| run_in(&sandbox, &beside));
        (run_in(&sandbox, &bomb), other.join().unwrap())
    });
    // Reading the count takes processes, too.
    assert!(bombed.stdout.contains("bounded") || bombed.stderr.contains("fork"), "{bombed:?}");
    assert_eq!(other.ok(), "fine");
}

#[test]
fn the_plain_executor_refuses_images() {
    let executor = cullet_worker::plain::PlainExecutor::start(
        support::launcher(),
        support::config().view.tools,
        std::time::Duration::from_millis(300),
    )
    .unwrap();
    let mut step = command(&["true"]);
    step.launch.image = Some(cullet_worker::ImageRoot::default());
    let error = support::runtime().block_on(step.run_on(&executor)).unwrap_err();
    assert!(error.to_string().contains("need the sandbox"), "{error}");
    assert!(sandbox().takes_owned_layers() == is_root());
}
