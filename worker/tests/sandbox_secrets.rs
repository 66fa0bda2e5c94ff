//! Secrets as a step finds them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::path::Path;

use cullet_secrets::SecretValue;
use cullet_worker::plain::PlainExecutor;
use cullet_worker::{ExecuteError, SecretFile};
use support::image::{Image, file, is_root, link};
use support::{Step, config, eventually, launcher, run, run_in, runtime, sandbox, step};

const CANARY: &str = "canary-0123456789";

fn secret(name: &str, value: &[u8], in_env: bool) -> SecretFile {
    SecretFile { name: name.to_owned(), value: SecretValue::new(value.to_vec()).unwrap(), in_env }
}

fn with(mut step: Step, secrets: Vec<SecretFile>) -> Step {
    step.launch.secrets = secrets;
    step
}

/// Whether the value is in any file below that is ours to read; overlayfs closes a directory of its own, which is empty.
fn holds(dir: &Path) -> bool {
    let Ok(mut entries) = std::fs::read_dir(dir) else { return false };
    entries.any(|entry| {
        let path = entry.unwrap().path();
        let found = path.symlink_metadata().unwrap();
        let in_file = || {
            found.is_file() && {
                let bytes = std::fs::read(&path).unwrap_or_default();
                bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes())
            }
        };
        (found.is_dir() && holds(&path)) || in_file()
    })
}

/// Whether the value is in what a process has written in its memory, which root alone can read.
fn remembers(process: u32, value: &str) -> bool {
    let memory = std::fs::File::open(format!("/proc/{process}/mem")).unwrap();
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    maps.lines().filter(|line| line.contains(" rw")).any(|line| {
        let (from, to) = line.split_once(' ').unwrap().0.split_once('-').unwrap();
        let [from, to] = [from, to].map(|number| u64::from_str_radix(number, 16).unwrap());
        let mut bytes = vec![0; usize::try_from(to - from).unwrap()];
        let read = std::os::unix::fs::FileExt::read_at(&memory, &mut bytes, from).unwrap_or(0);
        bytes[..read].windows(value.len()).any(|window| window == value.as_bytes())
    })
}

fn children(process: u32) -> Vec<u32> {
    let children = std::fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap();
    children.split_whitespace().map(|number| number.parse().unwrap()).collect()
}

both_users! {
    fn is_forgotten_by_all_but_the_steps_own_program() {
        if !is_root() {
            return;
        }
        // Of what is freed, the beginning is overwritten anyway.
        let (in_env, in_file) = ("the-end-of-a-variable", "the-end-of-a-file");
        let value = |end: &str| format!("{}{end}", "0123456789abcdef".repeat(20)).into_bytes();
        for image in [None, Some(Image::new())] {
            let script = "echo started; sleep 1000 & wait";
            let step = image.as_ref().map_or_else(|| step(script), |image| image.step(script));
            let step = with(step, vec![secret("A", &value(in_env), true), secret("B", &value(in_file), false)]);
            let (sandbox, cancel, log) = (sandbox(), step.cancel.clone(), step.log.clone());
            std::thread::scope(|scope| {
                let found = scope.spawn(|| {
                    eventually("the step starts", || log.stdout().contains("started"));
                    let launcher = sandbox.launcher_pid();
                    let first = children(launcher)[0];
                    let programs = children(first);
                    let has = |process| [in_env, in_file].map(|end| remembers(process, end));
                    let found = (has(launcher), has(first), has(programs[0]));
                    cancel.cancel();
                    found
                });
                run_in(&sandbox, &step);
                assert_eq!(found.join().unwrap(), ([false; 2], [false; 2], [true, false]));
            });
        }
    }

    fn goes_through_a_launcher_that_nobody_else_may_look_into() {
        let sandbox = sandbox();
        let of = |process: &str| {
            std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(format!("/proc/{process}/environ")).unwrap())
        };
        let launcher = of(&sandbox.launcher_pid().to_string());
        assert!(is_root() || launcher != of("self"), "{launcher}");
        assert_eq!(run_in(&sandbox, &step("echo fine")).ok(), "fine");
    }

    fn goes_through_a_program_that_no_step_can_change() {
        let sandbox = sandbox();
        let program = format!("/proc/{}/exe", sandbox.launcher_pid());
        // Nobody but root can look.
        let Ok(found) = std::fs::metadata(&program) else { return assert!(!is_root()) };
        let changed = std::fs::set_permissions(&program, found.permissions());
        assert_eq!(changed.unwrap_err().kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    }

    fn is_a_file_in_memory_that_only_the_step_can_read() {
        let step = with(
            step("cd /run/secrets; stat -c '%n %a %U' *; cat TOKEN; echo $((1 + 1)) > /run/x || echo no; true > TOKEN || echo no; \
                  rm -f TOKEN || echo no; sed -n 's/ - / /; s/.* \\/run \\(.*\\)/\\1/p' /proc/self/mountinfo; env | grep TOKEN || echo unset"),
            vec![secret("B", b"0123", false), secret("TOKEN", format!("{CANARY}\n").as_bytes(), false)],
        );
        let sandbox = sandbox();
        let outcome = run_in(&sandbox, &step);
        let text = outcome.ok();
        let expected = format!("B 400 cullet\nTOKEN 400 cullet\n{CANARY}\nno\nno\nno\nro,nosuid,nodev,noexec");
        assert!(text.starts_with(&expected), "{text}\n{}", outcome.stderr);
        assert!(text.contains("ramfs") && text.ends_with("unset"), "{text}");
        assert!(!holds(step.dir.path()));
        // Nobody else has it.
        assert_eq!(run_in(&sandbox, &support::step("ls -A /run; ulimit -c")).ok(), "0");
    }

    fn is_in_a_variable_only_where_that_is_said() {
        let secrets = || vec![secret("IN_ENV", format!("{CANARY}\n").as_bytes(), true), secret("NOT", b"0123", false)];
        let script = "echo \"[$IN_ENV]\"; wc -c < /run/secrets/IN_ENV; echo ${NOT-unset}; cat /proc/1/environ /proc/1/mem 2>&1 | grep -c canary";
        let expected = format!("[{CANARY}]\n18\nunset\n0");
        let outcome = run(&with(step(&format!("{script}; true")), secrets()));
        assert_eq!(outcome.ok(), expected);
        let image = Image::new();
        assert_eq!(run(&with(image.step(&format!("{script}; true")), secrets())).ok(), expected);
    }

    fn wins_over_what_an_image_or_the_machine_says() {
        let secrets = || vec![secret("HOME", b"/of/the/secret", true)];
        let script = "env | grep -c ^HOME=; echo $HOME";
        assert_eq!(run(&with(step(script), secrets())).ok(), "1\n/of/the/secret");
        assert_eq!(run(&with(Image::new().step(script), secrets())).ok(), "1\n/of/the/secret");
    }

    fn is_the_users_in_an_image() {
        let users = if is_root() { vec!["root", "app"] } else { vec!["root"] };
        for user in users {
            let image = Image::new().user(user);
            let step = with(
                image.step("stat -c '%a %U' /run/secrets/TOKEN; cat /run/secrets/TOKEN; echo; echo x > /run/secrets/y || echo no; ls /run"),
                vec![secret("TOKEN", CANARY.as_bytes(), false)],
            );
            let outcome = run(&step);
            assert_eq!(outcome.ok(), format!("400 {user}\n{CANARY}\nno\nsecrets"));
            assert!(!holds(step.dir.path()));
        }
    }

    fn is_shown_whatever_an_image_has_there() {
        for target in ["/etc", "../../../..", "/nowhere", "/proc"] {
            let image = Image::new().layer(|tree| link(tree, "run/secrets", target));
            let secrets = vec![secret("TOKEN", CANARY.as_bytes(), false)];
            let outcome = run(&with(image.step("cat /run/secrets/TOKEN; ls -A /run/secrets"), secrets));
            assert_eq!(outcome.ok(), format!("{CANARY}TOKEN"), "{target}");
        }
    }

    fn leaves_nothing_in_what_a_step_changed_of_its_root() {
        let bare = Image::new();
        let image = Image::new().layer(|tree| file(tree, "run/lock/there", ""));
        let full = Image::new().layer(|tree| file(tree, "run/secrets/there", ""));
        for (image, more) in [(&bare, ""), (&image, "lock"), (&full, "")] {
            let with = |script: &str| with(image.step(script), vec![secret("TOKEN", CANARY.as_bytes(), false)]);
            let quiet = with("cat /run/secrets/TOKEN; ls /run");
            let outcome = run(&quiet);
            assert_eq!(outcome.ok(), format!("{CANARY}{more}{}secrets", if more.is_empty() { "" } else { "\n" }));
            let upper = outcome.execution.root_upper.unwrap();
            assert!(!upper.path.join("run").exists() && upper.without().contains(&"run/secrets"));
            // What it writes beside them is its own, in a directory of root's.
            let busy = with("touch /run/made; stat -c '%u %g %a' /run");
            let outcome = run(&busy);
            assert_eq!(outcome.ok(), "0 0 755");
            let run = outcome.execution.root_upper.unwrap().path.join("run");
            let names: Vec<_> = std::fs::read_dir(run).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            assert_eq!(names, ["made"]);
        }
    }

    fn takes_as_many_as_a_step_may_have() {
        let all = (0..64).map(|number| secret(&format!("S{number}"), &[b'x'; 4096], false)).collect();
        let outcome = run(&with(step("ls /run/secrets | wc -l; cat /run/secrets/* | wc -c"), all));
        assert_eq!(outcome.ok(), "64\n262144");
    }

    fn is_not_for_plain_processes() {
        let config = config();
        let plain = PlainExecutor::start(launcher(), config.view.tools, config.grace).unwrap();
        let step = with(step("true"), vec![secret("TOKEN", CANARY.as_bytes(), false)]);
        let refused = runtime().block_on(step.run_on(&plain)).unwrap_err();
        assert!(matches!(refused, ExecuteError::Unavailable(why) if why.contains("need the sandbox")));
    }
}

#[test]
fn no_value_is_in_what_a_launch_looks_like() {
    let step = with(step("true"), vec![secret("TOKEN", CANARY.as_bytes(), true)]);
    let text = format!("{:?}", step.launch);
    assert!(text.contains("TOKEN") && !text.contains("canary"), "{text}");
}
