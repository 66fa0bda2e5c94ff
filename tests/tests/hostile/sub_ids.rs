//! Images with files of several owners, for a user who has sub-ids, one who has none, and root.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use super::guest::Guest;
use super::made::Image;
use super::support::{expect, shell, skip};

/// Ids that nobody has.
const FIRST: u32 = 1_700_000_000;

const PIPELINE: &str = "\
cullet: 1
name: owners
images: { base: 'oci-layout:base', mine: 'oci-layout:mine' }
steps:
  install:
    image: base
    caches: { /kept: kept }
    run: |
      busybox mkdir -p /srv/data /srv/shared
      echo secret > /srv/data/file
      busybox chown -R app:app /srv/data; busybox chmod 700 /srv/data; busybox chmod 600 /srv/data/file
      busybox chown 70:71 /srv/shared
      busybox su -s /bin/sh app -c 'echo theirs >> /srv/data/file; test \"$(id -u):$(id -g)\" = 500:501'
      busybox su -s /bin/sh app -c 'cat /etc/shadow' && exit 1
      echo out > out; busybox chown app out; busybox chmod 600 out
      busybox mkdir -p dir/inner; echo deep > dir/inner/file; busybox chown -R 70:71 dir; busybox chmod -R 700 dir
      busybox mkdir /kept/mine; echo kept > /kept/mine/file
      busybox chown -R app /kept/mine; busybox chmod 700 /kept/mine
    outputs: { image: rootfs, out: out, dir: dir }
  again:
    from: install
    inputs: { out: install.out }
    caches: { /kept: kept }
    run: |
      test \"$(busybox stat -c %u:%g:%a /srv/data)\" = 500:501:700
      test \"$(busybox stat -c %u:%g:%a /srv/data/file)\" = 500:501:600
      test \"$(busybox stat -c %u:%g /srv/shared)\" = 70:71
      test \"$(busybox stat -c %u:%g out)\" = 0:0
      busybox su -s /bin/sh app -c 'cat /srv/data/file > /tmp/seen'
      cat /tmp/seen; cat /kept/mine/file
  mine:
    image: mine
    inputs: { out: install.out }
    run: |
      test \"$(id -u):$(id -g)\" = 500:501
      test \"$(busybox stat -c %u:%g /etc/passwd)\" = 0:0
      test \"$(busybox stat -c %u:%g:%a /srv/own)\" = 500:501:700
      test \"$(busybox stat -c %u:%g out)\" = 500:501
      echo more >> out; echo mine > /srv/own/file; cat out > made
      echo no > /etc/passwd && exit 1
      test ! -e /nowhere
    outputs: { made: made }
outputs: { app: install.image, out: install.out, dir: install.dir, made: mine.made }
";

fn guest(pipeline: &str) -> Option<Guest> {
    let guest = Guest::arrive(pipeline)?;
    let (base, mine) = (guest.project().join("base"), guest.project().join("mine"));
    Image::default().layout(&base);
    Image { user: "app", owned: &["srv/own"], ..Image::default() }.layout(&mine);
    shell(&guest.project(), "chown -R 65532:65532 .");
    Some(guest)
}

/// The binary as this user, who has sub-ids; nobody else sees them.
fn with_sub_ids(guest: &Guest, arguments: &[&str]) -> Command {
    let (lines, users) = (guest.path("sub-ids"), guest.path("passwd"));
    fs::write(&lines, format!("somebody-else:1:65536\nguest:{FIRST}:65536\n")).unwrap();
    // Whoever has no name gets nothing from newuidmap.
    let known = fs::read_to_string("/etc/passwd").unwrap();
    fs::write(&users, format!("{known}guest:x:65532:65532::/:/bin/sh\n")).unwrap();
    let mount = format!(
        "mount --bind {1} /etc/passwd && mount --bind {0} /etc/subuid && mount --bind {0} /etc/subgid",
        lines.display(),
        users.display()
    );
    let become_guest = "exec setpriv --reuid 65532 --regid 65532 --clear-groups \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["-m", "--propagation", "private", "sh", "-c", &format!("{mount} && {become_guest}"), "sh"]);
    command.arg(guest.path("cullet")).args(arguments).current_dir(guest.project());
    command.env_clear().env("HOME", guest.path("")).envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    command
}

fn run(guest: &Guest, arguments: &[&str]) -> Output {
    with_sub_ids(guest, arguments).output().unwrap()
}

/// Paths below that belong to somebody else than the user.
fn foreign(dir: &Path) -> String {
    let found = Command::new("find").arg(dir).args(["!", "-uid", "65532"]).output().unwrap();
    String::from_utf8(found.stdout).unwrap()
}

fn is_possible() -> bool {
    ["/usr/bin/newuidmap", "/usr/bin/newgidmap", "/etc/subuid", "/etc/subgid"]
        .iter()
        .all(|path| Path::new(path).exists())
}

const IMPOSSIBLE: &str = "only root can become somebody else, and newuidmap (Debian: uidmap) has to be there";

#[test]
fn files_of_images_have_their_owners() {
    let Some(guest) = guest(PIPELINE).filter(|_| is_possible()) else { return skip(IMPOSSIBLE) };
    let from = format!("users from {FIRST} on");
    expect(&run(&guest, &["doctor"]), 0, &["sub-ids", &from]);
    expect(&run(&guest, &["run", "--output", "out", "--progress", "plain"]), 0, &["3 executed"]);
    shell(&guest.project(), "grep out out/out; grep deep out/dir/inner/file; grep more out/made");
    expect(&run(&guest, &["logs", "again"]), 0, &["secret", "theirs", "kept"]);
    expect(&run(&guest, &["run", "--output", "out"]), 0, &["3 cached"]);
    let cache = guest.path(".cache/cullet");
    assert!(foreign(&cache.join("images/layers")).contains("/srv/own"), "layers have their owners");
    for own in
        ["work", "volumes", "blobs", "cas"].map(|name| cache.join(name)).iter().filter(|dir| dir.exists())
    {
        assert_eq!(foreign(own), "", "{}", own.display());
    }
    assert_eq!(fs::read_dir(cache.join("work")).unwrap().count(), 0);

    // The same results as those of root, who has all users anyway.
    let user = cullet_tests::User::new();
    let checkout = cullet_tests::Checkout::of_pipeline(PIPELINE);
    for name in ["base", "mine"] {
        shell(checkout.path(), &format!("cp -r {} {name}", guest.project().join(name).display()));
    }
    user.run_with(&checkout, ["--output", "root"]).assert_success();
    let ours = guest.project().join("out");
    let theirs = checkout.path().join("root");
    shell(&ours, &format!("diff -r . {}", theirs.display()));

    // All of it goes again.
    expect(&run(&guest, &["cache", "clear"]), 0, &["is empty"]);
    assert_eq!(foreign(&cache), "");
}

#[test]
fn without_sub_ids_one_user_has_everything() {
    let pipeline = "cullet: 1\nname: one\nimages: { base: 'oci-layout:base', mine: 'oci-layout:mine' }\nsteps:\n  \
        root: { image: base, run: 'id -u > out; busybox chown 70 out 2> /dev/null || echo refused >> out', outputs: { o: out } }\n  \
        mine: { image: mine, run: 'busybox stat -c %u /etc/passwd > out', outputs: { o: out } }\n  \
        same: { image: base, run: 'echo same > /srv-file; echo same > out', outputs: { o: out, image: rootfs } }\n\
        outputs: { root: root.o, mine: mine.o, same: same.o, image: same.image }\n";
    let Some(guest) = guest(pipeline).filter(|_| is_possible()) else { return skip(IMPOSSIBLE) };
    expect(&guest.cullet(&["doctor"]), 0, &["sub-ids", "has no 65536 ids in a row for 65532"]);
    expect(&guest.cullet(&["run", "--output", "one"]), 0, &["3 executed"]);
    shell(&guest.project(), "grep refused one/root; grep 500 one/mine");
    // Keys are the same: what was made without is a hit with.
    expect(&run(&guest, &["run", "--output", "two"]), 0, &["3 cached"]);
    // And a step that does not look leaves the same.
    expect(&run(&guest, &["run", "--no-cache", "--output", "three"]), 0, &["3 executed"]);
    shell(
        &guest.project(),
        "diff -r one two; diff one/same three/same; diff -r one/image three/image; ! grep refused three/root; grep '^0' three/mine",
    );
    // Both kinds of layers are there, and each has its own steps.
    expect(&guest.cullet(&["run", "--no-cache", "--output", "four"]), 0, &["3 executed"]);
    shell(&guest.project(), "diff -r one four");
}

#[test]
fn what_a_killed_run_leaves_is_removed() {
    let pipeline = "cullet: 1\nname: killed\nimages: { base: 'oci-layout:base' }\nsteps:\n  \
        long: { image: base, run: 'busybox mkdir -p /a/b d/e; touch /a/b/f d/e/f; busybox chown -R app /a d; busybox chmod 700 /a/b d/e; echo ready; busybox sleep 60' }\n  \
        short: { image: base, run: 'true' }\n";
    let Some(guest) = guest(pipeline).filter(|_| is_possible()) else { return skip(IMPOSSIBLE) };
    let work = guest.path(".cache/cullet/work");
    let mut running = with_sub_ids(&guest, &["run", "long"]).spawn().unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    while !foreign(&work).contains("/e/f") {
        assert!(Instant::now() < end, "the step has not begun");
        std::thread::sleep(Duration::from_millis(20));
    }
    running.kill().unwrap();
    running.wait().unwrap();
    expect(&run(&guest, &["run", "short"]), 0, &["1 executed"]);
    let left: Vec<_> = fs::read_dir(&work).unwrap().flatten().map(|entry| entry.path()).collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(fs::metadata(&work).unwrap().uid(), 65_532);
}
