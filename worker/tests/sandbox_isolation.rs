//! What a step cannot do.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use cullet_worker::Exit;
use support::{run, run_in, sandbox, step};

both_users! {
    fn writes_nowhere_but_in_its_own_places() {
        let script = "for dir in / /usr /etc /opt /var /var/lib /dev /proc /proc/sys /proc/sys/kernel /sys /run /home /root /mnt /usr/local/bin; do \
                        (touch $dir/cullet-canary) 2>/dev/null && echo wrote $dir; done; \
                      for dir in /workspace /tmp /var/tmp /dev/shm; do touch $dir/canary || echo cannot $dir; done; \
                      find / -xdev -type d -writable 2>/dev/null | grep -vE '^/(tmp|var/tmp|workspace|dev/shm|proc/)' ; true";
        assert_eq!(run(&step(script)).ok(), "");
        for dir in ["/", "/usr", "/etc", "/opt", "/var", "/usr/local/bin", "/tmp", "/var/tmp", "/dev/shm"] {
            assert!(!std::path::Path::new(dir).join("cullet-canary").exists());
            assert!(!std::path::Path::new(dir).join("canary").exists());
        }
    }

    fn private_directories_start_empty_and_are_not_shared() {
        let sandbox = sandbox();
        let script = "ls -A /tmp /var/tmp /dev/shm | grep -v : ; touch /tmp/a /var/tmp/b /dev/shm/c; ls /tmp; stat -c %a /tmp";
        for _ in 0..2 {
            assert_eq!(run_in(&sandbox, &step(script)).ok(), "a\n1777");
        }
    }

    fn sees_no_process_of_the_machine() {
        let outcome = run(&step("ls /proc | grep -E '^[0-9]+$' | sort -n | tr '\\n' ' '; cat /proc/1/environ; true"));
        let numbers: Vec<u32> = outcome.ok().split_whitespace().map(|text| text.parse().unwrap()).collect();
        assert_eq!(numbers.first(), Some(&1));
        assert!(numbers.iter().all(|&number| number < 20), "{numbers:?}");
    }

    fn has_a_loopback_and_no_other_network() {
        let script = "import socket, os\n\
                      print(sorted(os.listdir('/proc/self/net/dev_snmp6')) if os.path.exists('/proc/self/net/dev_snmp6') else ['lo'])\n\
                      server = socket.create_server(('127.0.0.1', 0)); socket.create_connection(server.getsockname()); print('loopback')\n\
                      try:\n  socket.create_connection(('192.0.2.1', 80), 2)\n\
                      except OSError as e: print(e.errno)";
        let mut python = step("");
        python.launch.arguments = vec!["/usr/bin/python3".into(), "-c".into(), script.into()];
        assert_eq!(run(&python).ok(), "['lo']\nloopback\n101");
    }

    fn sees_the_network_only_when_asked() {
        let outcome = run(&step("cat /proc/net/dev | grep -c : ; wc -c < /etc/resolv.conf; cat /etc/hosts"));
        assert!(outcome.ok().starts_with("1\n0\n127.0.0.1 localhost cullet"), "{outcome:?}");
        let mut open = step("readlink /proc/self/ns/net; cat /etc/resolv.conf");
        open.launch.network = true;
        let machine = std::fs::read_link("/proc/self/ns/net").unwrap();
        let resolvers = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        let expected = format!("{}\n{}", machine.display(), resolvers);
        assert_eq!(run(&open).ok(), expected.trim());
    }

    fn has_no_capability_and_cannot_get_any() {
        let script = "grep -E '^(Cap|NoNewPrivs|Groups|Seccomp:)' /proc/self/status | tr -d '\\t '; \
                      unshare -U true 2>/dev/null && echo userns; unshare -Ur true 2>/dev/null && echo root; \
                      mount -t tmpfs none /tmp 2>/dev/null && echo mount; umount /proc 2>/dev/null && echo umount; \
                      hostname other 2>/dev/null && echo hostname; \
                      mknod /tmp/n b 8 0 2>/dev/null && echo mknod; true";
        let outcome = run(&step(script));
        for line in outcome.ok().lines() {
            let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("allowed: {line}"));
            match name {
                "NoNewPrivs" => assert_eq!(value, "1"),
                "Seccomp" => assert_eq!(value, "2"),
                "Groups" => assert!(value.is_empty() || !nix::unistd::geteuid().is_root(), "{line}"),
                _ => assert_eq!(value, "0000000000000000", "{line}"),
            }
        }
    }

    fn cannot_reach_the_machine_through_proc_and_sockets() {
        let script = "(echo '|/bin/x' > /proc/sys/kernel/core_pattern) 2>/dev/null && echo core_pattern; \
                      (echo 1 > /proc/sys/vm/drop_caches) 2>/dev/null && echo drop_caches; \
                      (echo b > /proc/sysrq-trigger) 2>/dev/null && echo sysrq; \
                      (echo 99999 > /proc/sys/user/max_user_namespaces) 2>/dev/null && echo userns; \
                      head -c1 /proc/kcore 2>/dev/null; \
                      ls /run/docker.sock /var/run/docker.sock /run/dbus /sys/kernel 2>/dev/null; \
                      head -c1 /proc/1/mem 2>/dev/null; ls -l /proc/1/fd /proc/1/root/ 2>/dev/null; \
                      cat /etc/shadow 2>/dev/null; ls -A /run /home /sys /mnt | grep -v :; true";
        let outcome = run(&step(script));
        assert_eq!(outcome.ok(), "");
    }

    fn refuses_dangerous_system_calls() {
        let script = "import ctypes, os\n\
                      libc = ctypes.CDLL(None, use_errno=True)\n\
                      calls = dict(keyctl=250, bpf=321, io_uring_setup=425, perf=298, userfaultfd=323, mount=165, setns=308)\n\
                      for name, number in calls.items():\n\
                      \x20 r = libc.syscall(number, 0, 0, 0, 0, 0)\n\
                      \x20 if r != -1 or ctypes.get_errno() != 1: print(name, r, ctypes.get_errno())\n\
                      r = libc.ptrace(16, 1, 0, 0)\n\
                      if r != -1: print('traced process 1')";
        let mut python = step("");
        python.launch.arguments = vec!["/usr/bin/python3".into(), "-c".into(), script.into()];
        if cfg!(target_arch = "x86_64") {
            assert_eq!(run(&python).ok(), "");
        }
    }

    fn inherits_no_descriptor() {
        // A descriptor that is not closed on exec in this process must not arrive, nor the launcher's own.
        let leaked = std::fs::File::open("/etc/hostname").unwrap();
        nix::fcntl::fcntl(&leaked, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty())).unwrap();
        // The directory that ls itself reads is 3.
        assert_eq!(run(&step("ls /proc/self/fd | tr '\\n' ' '")).ok(), "0 1 2 3");
    }

    fn hides_the_directories_it_is_told_to_hide() {
        let mut config = support::config();
        let target = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
        let dir = if nix::unistd::geteuid().is_root() { tempfile::tempdir_in(target).unwrap() } else { tempfile::tempdir().unwrap() };
        config.view.hidden = vec!["/usr/share/doc".into(), dir.path().into()];
        let sandbox = cullet_worker::sandbox::Sandbox::start(support::launcher(), config).unwrap();
        let script = format!("ls -A /usr/share/doc; ls {} 2>/dev/null; ls /usr/share | grep -c .", dir.path().display());
        assert_ne!(run_in(&sandbox, &step(&script)).ok(), "");
        assert!(!run_in(&sandbox, &step(&script)).ok().contains('\n'));
    }

    fn tells_nothing_of_the_machine_in_its_files() {
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        let script = "cat /etc/hostname /etc/machine-id; cat /etc/passwd | wc -l; cat /proc/self/cgroup; grep workspace /proc/self/mountinfo";
        let outcome = run(&step(script));
        assert!(outcome.ok().starts_with("cullet\n3\n"), "{outcome:?}");
        assert!(!outcome.stdout.contains(name.trim()) && !outcome.stdout.contains("scratch"), "{outcome:?}");
    }

    fn keeps_the_number_of_processes_bounded() {
        let mut config = support::config();
        config.view.max_processes = 50;
        let sandbox = cullet_worker::sandbox::Sandbox::start(support::launcher(), config).unwrap();
        let script = "for i in $(seq 200); do sleep 60 & done; wait";
        let outcome = run_in(&sandbox, &step(script));
        assert_ne!(outcome.exit(), Exit::Code(0));
        assert!(outcome.stderr.to_lowercase().contains("fork"), "{outcome:?}");
    }
}
