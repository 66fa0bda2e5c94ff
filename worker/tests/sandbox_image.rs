//! Steps whose root directory is an image.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use cullet_worker::Exit;
use support::image::{Image, file, is_root, link, opaque, whiteout};
use support::{command, run, run_in, sandbox};

both_users! {
    fn runs_as_root_of_the_image_in_the_workspace() {
        let image = Image::new();
        let outcome = run(&image.step("id -u; id -un; id -gn; pwd; hostname; cat /etc/hosts; stat -c %u:%g:%a / /workspace"));
        let hosts = "127.0.0.1 localhost cullet\n::1 localhost ip6-localhost ip6-loopback";
        assert_eq!(outcome.ok(), format!("0\nroot\nroot\n/workspace\ncullet\n{hosts}\n0:0:755\n0:0:755"));
    }

    fn has_the_environment_of_the_image_and_its_own() {
        let image = Image::new().env("A", "image").env("B", "image");
        assert_eq!(run(&image.command(&["env"]).env("B", "step")).ok(), "B=step\nPATH=/bin\nA=image\nHOME=/root");
        assert_eq!(run(&image.command(&["env"]).env("HOME", "/h").env("A", "")).ok(), "HOME=/h\nA=\nPATH=/bin\nB=image");
        let mut bare = Image::new();
        bare.root.env.clear();
        assert!(run(&bare.command(&["env"])).ok().starts_with("PATH=/usr/local/sbin:/usr/local/bin:"));
    }

    fn sees_layers_one_over_the_other_and_nothing_of_the_machine() {
        let image = Image::new().layer(|tree| {
            whiteout(tree, "lower/hidden");
            file(tree, "lower/shown", "upper\n");
            file(tree, "upper/new", "new\n");
            opaque(tree, "replaced");
            file(tree, "replaced/by", "");
        });
        let script = "cat lower/shown upper/new; ls lower replaced; ls -A /; ls -A /usr /home /sys /tmp /var/tmp /dev/shm 2>/dev/null | grep -v :";
        let outcome = run(&image.step(&format!("cd /; {script}; true")));
        let root = "bin\ndev\netc\nlower\nproc\nreplaced\nsys\ntmp\nupper\nvar\nworkspace";
        assert_eq!(outcome.ok(), format!("upper\nnew\nlower:\nshown\n\nreplaced:\nby\n{root}"));
    }

    fn the_root_is_writable_and_thrown_away() {
        let (sandbox, image) = (sandbox(), Image::new());
        let before = image.paths();
        let script = "set -e; [ ! -e /new ]; echo a > /new; echo b >> /etc/passwd; rm /lower/hidden; rm -r /bin/cat; mkdir -p /usr/local/x; \
                      chmod 700 /lower/shown; mv /lower/shown /moved; mv /lower /else; touch /tmp/x /var/tmp/x; tail -n 1 /etc/passwd";
        for _ in 0..2 {
            let step = image.step(script);
            let outcome = run_in(&sandbox, &step);
            assert_eq!(outcome.ok(), "b");
            let upper = outcome.execution.root_upper.unwrap();
            assert_eq!(upper.path, step.launch.scratch.join("root/upper"));
            assert_eq!(std::fs::read_to_string(upper.path.join("new")).unwrap(), "a\n");
            std::fs::remove_dir_all(&step.launch.scratch).unwrap();
        }
        assert_eq!(image.paths(), before);
    }

    fn nothing_is_left_but_what_the_step_wrote() {
        for (script, left) in [("true", vec![]), ("touch /etc/new /tmp/x /workspace/x", vec!["etc", "etc/new"])] {
            let image = Image::new();
            let step = image.step(script);
            let upper = run(&step).execution.root_upper.unwrap().path;
            let mut found = Vec::new();
            let mut pending = vec![upper.clone()];
            while let Some(dir) = pending.pop() {
                for entry in std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
                    found.push(entry.strip_prefix(&upper).unwrap().to_str().unwrap().to_owned());
                    pending.extend(Some(entry).filter(|entry| entry.is_dir()));
                }
            }
            found.sort();
            assert_eq!(found, left);
        }
    }

    fn the_workspace_is_the_users_and_is_collected() {
        let sandbox = sandbox();
        for user in ["", "app", "500:77"] {
            let image = Image::new().user(user);
            let step = image.step("set -e; stat -c %u in | grep -qx $(id -u); cat in; echo more >> in; mkdir out; cp in out/copy; echo e > /dev/stderr");
            let step = step.input(sandbox.owner(), "in", "input\n");
            std::os::unix::fs::chown(&step.launch.inputs, sandbox.owner(), sandbox.owner()).unwrap();
            let outcome = run_in(&sandbox, &step);
            assert_eq!((outcome.ok(), outcome.stderr.as_str()), ("input", "e\n"), "{user}");
            assert_eq!(std::fs::read_to_string(outcome.upper().join("out/copy")).unwrap(), "input\nmore\n");
            assert_eq!(std::fs::read_to_string(step.launch.inputs.join("in")).unwrap(), "input\n");
        }
    }

    fn the_user_is_that_of_the_image() {
        let sandbox = sandbox();
        let shown = |user: &str| {
            let image = Image::new().user(user);
            let step = image.step("echo $(id -u) $(id -g) $HOME; grep CapEff /proc/self/status | tr -d '\\t'");
            run_in(&sandbox, &step).ok().to_owned()
        };
        let none = "CapEff:0000000000000000";
        assert_eq!(shown("app"), format!("500 501 /srv/app\n{none}"));
        assert_eq!(shown("500"), format!("500 501 /srv/app\n{none}"));
        assert_eq!(shown("app:extra"), format!("500 77 /srv/app\n{none}"));
        assert_eq!(shown("4000:4001"), format!("4000 4001 /\n{none}"));
        assert_eq!(shown("65535"), format!("65535 0 /\n{none}"));
        assert_eq!(shown("root:app"), "0 501 /root\nCapEff:00000000800401fb");
        let app = Image::new().user("app");
        let groups = run_in(&sandbox, &app.command(&["id", "-G"]));
        assert_eq!(groups.ok(), if is_root() { "501 77" } else { "501" });
    }

    fn a_user_that_the_image_does_not_have_is_said() {
        let sandbox = sandbox();
        for (user, said) in [("ghost", "user 'ghost' in /etc/passwd"), ("app:ghosts", "group 'ghosts'"), ("70000", "70000")] {
            let image = Image::new().user(user);
            let step = image.step("true");
            let error = support::runtime().block_on(step.run_on(&sandbox)).unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
        }
    }

    fn answers_for_missing_programs_as_a_shell() {
        let (sandbox, image) = (sandbox(), Image::new());
        for (program, code) in [("no-such-program", 127), ("/no/such", 127), ("/etc/passwd", 126), ("/etc", 126)] {
            let outcome = run_in(&sandbox, &image.command(&[program]));
            assert_eq!(outcome.exit(), Exit::Code(code), "{program}: {outcome:?}");
            assert!(outcome.stderr.contains(&format!("cannot run '{program}'")), "{outcome:?}");
        }
        for empty in [Image::empty(), Image::empty().layer(|tree| file(tree, "readme", "x"))] {
            let outcome = run_in(&sandbox, &empty.command(&["/bin/sh", "-c", "true"]));
            assert_eq!(outcome.exit(), Exit::Code(127));
            assert_eq!(outcome.stderr, "cullet: cannot run '/bin/sh': No such file or directory\n");
        }
    }

    fn a_layer_that_is_not_there_is_not_the_steps_fault() {
        let mut image = Image::new();
        image.root.layers.push("/does/not/exist".into());
        for user in ["", "app"] {
            image.root.user = user.to_owned();
            let error = support::runtime().block_on(image.step("true").run_on(&sandbox())).unwrap_err();
            assert!(error.to_string().contains("/does/not/exist"), "{error}");
        }
    }

    fn takes_as_many_layers_as_overlayfs() {
        let mut image = Image::new();
        for index in image.root.layers.len()..500 {
            image = image.layer(|tree| file(tree, &format!("many/{index}"), "x"));
        }
        assert_eq!(run(&image.step("ls /many | wc -l")).ok(), "499");
        image = image.user("app");
        assert_eq!(run(&image.step("ls /many | wc -l")).ok(), "499");
        let error = support::runtime().block_on(image.layer(|_| ()).step("true").run_on(&sandbox())).unwrap_err();
        assert!(error.to_string().contains("501 layers"), "{error}");
    }

    fn sees_the_network_files_of_the_machine_only_when_asked() {
        let image = Image::new().layer(|tree| {
            file(tree, "etc/hosts", "6.6.6.6 image\n");
            link(tree, "etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf");
        });
        let script = "cat /etc/hosts /etc/resolv.conf; cat /proc/net/dev | grep -c :";
        assert_eq!(run(&image.step(script)).ok(), "127.0.0.1 localhost cullet\n::1 localhost ip6-localhost ip6-loopback\n1");
        let mut open = image.step("cat /etc/resolv.conf /etc/hosts");
        open.launch.network = true;
        let machines = ["resolv.conf", "hosts"].map(|name| std::fs::read_to_string(format!("/etc/{name}")).unwrap());
        assert_eq!(run(&open).ok(), machines.concat().trim());
    }

    fn steps_of_the_machine_and_in_images_go_side_by_side() {
        let (sandbox, image) = (sandbox(), Image::new());
        for _ in 0..3 {
            assert_eq!(run_in(&sandbox, &image.step("id -u")).ok(), "0");
            assert_eq!(run_in(&sandbox, &command(&["id", "-u"])).ok(), "1000");
        }
    }
}

/// What takes more ids than one, which only root has.
#[test]
fn root_of_an_image_has_its_users() {
    if !is_root() {
        return;
    }
    let image = Image::new().layer(|tree| {
        file(tree, "srv/app/file", "x");
        file(tree, "srv/far", "x");
        for path in ["srv/app", "srv/app/file"] {
            std::os::unix::fs::chown(tree.join(path), Some(500), Some(501)).unwrap();
        }
        std::os::unix::fs::chown(tree.join("srv/far"), Some(70_000), Some(1)).unwrap();
    });
    let sandbox = sandbox();
    let script = "set -e; stat -c %u:%g /srv/app/file /srv/app; echo y >> /srv/app/file; stat -c %u:%g /srv/app/file; \
                  touch /own; chown 1000:2000 /own; stat -c %u:%g /own; stat -c %u /srv/far /etc/shadow; \
                  su app -s /bin/sh -c 'id -u; id -G; touch /srv/app/new; cat /etc/shadow; touch /no' 2>/dev/null || true; \
                  chown app:extra /workspace; stat -c %u:%g /workspace";
    let step = image.step(script);
    let outcome = run_in(&sandbox, &step);
    assert_eq!(outcome.ok(), "500:501\n500:501\n500:501\n1000:2000\n65534\n0\n500\n501 77\n500:77");
    let upper = outcome.execution.root_upper.unwrap();
    let owner = |path: &str| {
        use std::os::unix::fs::MetadataExt;
        let found = std::fs::symlink_metadata(upper.path.join(path)).unwrap();
        upper.owners.inside(found.uid(), found.gid())
    };
    assert_eq!(owner("own"), (1000, 2000));
    assert_eq!(
        (owner("srv/app/file"), owner("srv/app/new"), owner("srv/app")),
        ((500, 501), (500, 501), (500, 501))
    );
    assert_eq!(owner(""), (0, 0));

    let as_app = run_in(
        &sandbox,
        &image
            .user("app")
            .step("stat -c %u:%g /srv/app /etc /workspace; touch /srv/app/x /workspace/y; touch /z"),
    );
    assert_eq!(
        (as_app.exit(), as_app.stdout.as_str()),
        (Exit::Code(1), "500:501\n0:0\n500:501\n"),
        "{as_app:?}"
    );
    assert!(as_app.stderr.contains("/z: Permission denied"), "{as_app:?}");
}
