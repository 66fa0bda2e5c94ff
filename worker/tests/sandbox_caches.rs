//! Cache volumes of steps, as the sandbox mounts them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;

use cullet_worker::VolumeMount;
use cullet_worker::sandbox::Sandbox;
use support::image::{Image, file, link, opaque};
use support::{Step, run_in, sandbox, step};

/// Adds a volume with two layers, in which there are `old`, `gone` and `below`.
fn volume(sandbox: &Sandbox, step: &mut Step, path: &str) -> VolumeMount {
    let dir = step.dir.path().join(format!("volume-{}", step.launch.caches.len()));
    let owner = sandbox.owner();
    let make = |name: &str| {
        fs::create_dir_all(dir.join(name)).unwrap();
        chown(dir.join(name), owner, owner).unwrap();
        dir.join(name)
    };
    let layers = vec![make("one"), make("two")];
    for (layer, name, text) in [(0, "old", "1\n"), (0, "below", "1\n"), (1, "old", "2\n"), (1, "gone", "2\n")]
    {
        fs::write(layers[layer].join(name), text).unwrap();
        chown(layers[layer].join(name), owner, owner).unwrap();
    }
    for name in ["draft", "draft/upper", "draft/work"] {
        make(name);
    }
    let mount = VolumeMount { path: path.to_owned(), layers, draft: dir.join("draft"), most_bytes: 1 << 30 };
    step.launch.caches.push(mount.clone());
    mount
}

fn text(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap()
}

/// Uses the volume at `$1`, and says what is in it.
const USE: &str = "set -e; cd $1; cat old below; echo 3 > old; echo new > made; rm gone; mkdir d; echo deep > d/x; \
                   stat -c %u . made below | sort -u | grep -qx $(id -u); ls -A";

#[track_caller]
fn check_used(mount: &VolumeMount) {
    let failed = fs::read_to_string(mount.draft.join(VolumeMount::FAILED));
    assert!(failed.is_err(), "{failed:?}");
    let upper = mount.draft.join("upper");
    assert_eq!((text(upper.join("old")), text(upper.join("made"))), ("3\n".to_owned(), "new\n".to_owned()));
    assert_eq!(text(upper.join("d/x")), "deep\n");
    assert!(!upper.join("below").exists());
    assert_eq!(
        (text(mount.layers[0].join("old")), text(mount.layers[1].join("old"))),
        ("1\n".to_owned(), "2\n".to_owned())
    );
    assert_eq!(text(mount.layers[1].join("gone")), "2\n");
}

const SEEN: &str = "2\n1\nbelow\nd\nmade\nold";

both_users! {
    fn a_volume_is_wherever_a_step_wants_it() {
        let sandbox = sandbox();
        let before = run_in(&sandbox, &step("ls -A / /root /home /opt /var /usr")).ok().to_owned();
        let paths = ["/root/.cargo/registry", "/cache", "/home/user/.cache/pip", "/tmp/a/b", "/var/tmp/v", "/workspace/target",
                     "/workspace/in/deep/er", "/mnt", "/opt/tool/cache", "/var/cache/mine", "/usr/local/mine/cache"];
        for path in paths {
            let mut used = step(&USE.replace("$1", path)).input(sandbox.owner(), "in/file", "input\n");
            let mount = volume(&sandbox, &mut used, path);
            assert_eq!(run_in(&sandbox, &used).ok(), SEEN, "{path}");
            check_used(&mount);
        }
        assert_eq!(run_in(&sandbox, &step("ls -A / /root /home /opt /var /usr")).ok(), before, "nothing stays in the view");
    }

    fn several_volumes_hide_nothing_of_each_other_or_of_the_machine() {
        let sandbox = sandbox();
        let script = "set -e; for path in /c/a /c/b /root/.x/y /root/.x/z/w /usr/share/mine; do cat $path/old; echo 3 > $path/old; done; \
                      ls / | grep -qx usr; ls /usr/share | wc -l; ls -A /c /root/.x; sh -c 'echo still works'; \
                      ! touch /root/.x/new 2>/dev/null; ! touch /root/new 2>/dev/null; test -r /dev/null; cat /proc/self/comm";
        let mut used = step(script);
        let mounts = ["/c/a", "/c/b", "/root/.x/y", "/root/.x/z/w"].map(|path| volume(&sandbox, &mut used, path));
        // More names than are shown one by one: the step has to do without.
        let refused = volume(&sandbox, &mut used, "/usr/bin/mine");
        used.launch.arguments[2] = script.replace(" /usr/share/mine;", ";");
        let said = run_in(&sandbox, &used).ok().to_owned();
        let names = fs::read_dir("/usr/share").unwrap().count();
        assert_eq!(said, format!("2\n2\n2\n2\n{names}\n/c:\na\nb\n\n/root/.x:\ny\nz\nstill works\ncat"));
        for mount in mounts {
            assert_eq!(text(mount.draft.join("upper/old")), "3\n");
        }
        let why = text(refused.draft.join(VolumeMount::FAILED));
        assert!(why.contains("more than 500 names") , "{why}");
    }

    fn a_volume_is_in_an_image_too_whoever_the_user_is() {
        let sandbox = sandbox();
        for user in ["", "app"] {
            let image = Image::new().user(user).layer(|tree| {
                link(tree, "srv/link", "../lower");
                file(tree, "opaque/file", "");
                opaque(tree, "opaque");
            });
            let paths = ["/root/.cargo/registry", "/cache", "/srv/app/.cache", "/srv/link/in", "/opaque/a/b", "/tmp/a/b", "/workspace/target"];
            for path in paths {
                let mut used = image.step(&USE.replace("$1", path));
                let mount = volume(&sandbox, &mut used, path);
                // Below directories that only root enters there is nothing for others, in an image as anywhere.
                let outcome = run_in(&sandbox, &used);
                assert_eq!(outcome.ok(), SEEN, "{path} as '{user}'");
                check_used(&mount);
            }
        }
    }

    fn places_in_images_are_not_left_behind() {
        let (sandbox, image) = (sandbox(), Image::new());
        let mut used = image.step("cat /new/place/old /root/.cargo/registry/old");
        for path in ["/new/place", "/root/.cargo/registry"] {
            volume(&sandbox, &mut used, path);
        }
        let upper = run_in(&sandbox, &used).execution.root_upper.unwrap().path;
        assert_eq!(fs::read_dir(upper).unwrap().count(), 0);
    }

    fn what_stands_in_the_way_is_told_and_the_step_runs() {
        let sandbox = sandbox();
        let image = Image::new().layer(|tree| {
            link(tree, "out", "/proc");
            link(tree, "all", "/");
        });
        let mut steps = [
            (step("cat in/file"), "/workspace/in/file/x"),
            (step("cat in/file"), "/etc/passwd/x"),
            (image.step("cat in/file; test ! -e /proc/sys/old"), "/out/sys"),
            (image.step("cat in/file"), "/etc/passwd"),
            (image.step("cat in/file; test ! -e /old"), "/all"),
        ].map(|(step, path)| (step.input(sandbox.owner(), "in/file", "input\n"), path));
        for (step, path) in &mut steps {
            let mount = volume(&sandbox, step, path);
            assert_eq!(run_in(&sandbox, step).ok(), "input", "{path}");
            let why = text(mount.draft.join(VolumeMount::FAILED));
            assert!(why.contains(&format!("make a place for the cache at {path}")), "{why}");
        }
    }

    fn layers_that_cannot_be_mounted_leave_an_empty_directory() {
        let sandbox = sandbox();
        let mut used = step("ls -A /tmp/c; echo x > /tmp/c/x");
        let mount = volume(&sandbox, &mut used, "/tmp/c");
        used.launch.caches[0].layers.push("/proc/self".into());
        assert_eq!(run_in(&sandbox, &used).ok(), "");
        assert!(mount.draft.join(VolumeMount::FAILED).exists());
    }
}
