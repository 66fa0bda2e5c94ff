//! Bazel 4.2.3 of Debian.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use cullet_tests::cluster::Cluster;
use tempfile::TempDir;

use super::{configuration, has};

/// A file that is made of another, one of these, and a directory with a link in it.
const BUILD: &str = r#"
load(":rules.bzl", "directory", "packed")

genrule(name = "a", srcs = ["in.txt"], outs = ["a.txt"], cmd = "cat $(SRCS) > $@; echo a >> $@")
genrule(name = "b", srcs = [":a"], outs = ["b.txt"], cmd = "cat $(SRCS) $(SRCS) > $@; echo b >> $@")
directory(name = "d")
packed(name = "p", src = ":d")
"#;

const RULES: &str = r#"
def _directory(ctx):
    out = ctx.actions.declare_directory(ctx.label.name)
    ctx.actions.run_shell(
        outputs = [out],
        command = "mkdir -p $1/x/y && echo 1 > $1/x/1 && echo 2 > $1/x/y/2 && ln -s 1 $1/x/link",
        arguments = [out.path],
    )
    return [DefaultInfo(files = depset([out]))]

directory = rule(implementation = _directory)

def _packed(ctx):
    out = ctx.actions.declare_file(ctx.label.name + ".txt")
    src = ctx.files.src[0]
    ctx.actions.run_shell(
        outputs = [out],
        inputs = [src],
        command = "(cd $2 && find . -type f | sort | xargs cat) > $1",
        arguments = [out.path, src.path],
    )
    return [DefaultInfo(files = depset([out]))]

packed = rule(implementation = _packed, attrs = {"src": attr.label()})
"#;

/// Somebody with a workspace and a home of their own.
pub(crate) struct Somebody {
    dir: TempDir,
}

/// What a build said.
pub(crate) struct Built {
    pub(crate) success: bool,
    pub(crate) said: String,
}

impl Built {
    /// Actions that the cache answered, and those that were executed here.
    fn counts(&self) -> (u32, u32) {
        (self.count("remote cache hit"), self.count("local"))
    }

    /// How many processes were of a kind.
    pub(crate) fn count(&self, wanted: &str) -> u32 {
        let line = self.said.lines().find(|line| line.starts_with("INFO: ") && line.contains(" process"));
        let line = line.unwrap_or_else(|| panic!("{}", self.said));
        let (_, kinds) = line.split_once(": ").unwrap().1.split_once(": ").unwrap_or(("", ""));
        let kinds = kinds.trim_end_matches('.').split(", ").filter_map(|kind| kind.split_once(' '));
        kinds.filter(|(_, kind)| *kind == wanted).map(|(count, _)| count.parse::<u32>().unwrap()).sum()
    }
}

impl Somebody {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let this = Self { dir };
        fs::create_dir(this.workspace()).unwrap();
        for (name, text) in [("WORKSPACE", ""), ("BUILD", BUILD), ("rules.bzl", RULES), ("in.txt", "hello\n")]
        {
            fs::write(this.workspace().join(name), text).unwrap();
        }
        this
    }

    pub(crate) fn workspace(&self) -> PathBuf {
        self.dir.path().join("workspace")
    }

    pub(crate) fn bazel(&self, arguments: &[&str]) -> Built {
        let output = self.command(arguments).output().unwrap();
        let said = [output.stderr, b"\n".to_vec(), output.stdout].concat();
        Built { success: output.status.success(), said: String::from_utf8_lossy(&said).into_owned() }
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("timeout");
        command.args(["--kill-after=10", "300", "bazel", "--batch"]);
        command.arg(format!("--output_user_root={}", self.dir.path().join("out").display()));
        command.args(arguments).current_dir(self.workspace()).env("HOME", self.dir.path());
        command
    }

    /// Forgets what it built, and builds everything with a configuration.
    pub(crate) fn builds_anew(&self, configuration: &str, arguments: &[&str]) -> Built {
        let file = self.workspace().join(".bazelrc");
        // It would ask the cluster first.
        fs::write(&file, "").unwrap();
        let clean = self.bazel(&["clean"]);
        assert!(clean.success, "{}", clean.said);
        fs::write(&file, configuration).unwrap();
        let usual = ["build", "--color=no", "--curses=no", "--verbose_failures"];
        self.bazel(&[&usual, arguments].concat())
    }

    /// Builds everything from nothing, with a configuration. The strategy says only where what is not cached is executed.
    fn builds(&self, configuration: &str) -> Built {
        self.builds_anew(configuration, &["--spawn_strategy=local", "//..."])
    }

    pub(crate) fn made(&self) -> [String; 2] {
        ["b.txt", "p.txt"]
            .map(|name| fs::read_to_string(self.workspace().join("bazel-bin").join(name)).unwrap())
    }
}

#[test]
fn what_one_built_is_a_hit_for_another_whichever_coordinator_is_left() {
    if !has("bazel") {
        return;
    }
    let mut cluster = Cluster::start(3, 0);
    let leader = cluster.leader_of(&cluster.agreed());
    let guide = |position: usize| {
        let url = cluster.url(position);
        configuration("bazel.md", "bazelrc", url.trim_start_matches("http://"))[0].clone()
    };
    let guides = [0, 1, 2].map(guide);
    let one = Somebody::new();
    let built = one.builds(&guides[leader]);
    assert!(built.success && built.counts() == (0, 4), "{}", built.said);
    assert_eq!(one.made(), ["hello\na\nhello\na\nb\n", "1\n2\n"]);
    let another = Somebody::new();
    let next = (leader + 1) % 3;
    let found = another.builds(&guides[next]);
    assert!(found.success && found.counts() == (4, 0), "{}", found.said);
    assert_eq!(another.made(), one.made());
    let link = another.workspace().join("bazel-bin/d/x/link");
    assert_eq!(fs::read_link(link).unwrap(), PathBuf::from("1"));
    cluster.kill_coordinator(leader);
    let found = another.builds(&guides[next]);
    assert!(found.success && found.counts() == (4, 0), "{}", found.said);
    // What changed is built, and nothing else.
    fs::write(another.workspace().join("in.txt"), "bye\n").unwrap();
    let changed = another.builds(&guides[next]);
    assert!(changed.success && changed.counts() == (2, 2), "{}", changed.said);
    // Without any coordinator, everything is.
    cluster.kill_coordinator(next);
    cluster.kill_coordinator((leader + 2) % 3);
    let alone =
        another.builds(&format!("{}build --remote_retries=0\nbuild --remote_local_fallback\n", guides[next]));
    assert!(!alone.success || alone.counts() == (0, 4), "{}", alone.said);
}

#[test]
fn over_plain_http_it_is_a_cache_as_well() {
    if !has("bazel") {
        return;
    }
    let cluster = Cluster::start(1, 0);
    cluster.agreed();
    let url = cluster.url(0);
    let guide = configuration("bazel.md", "bazelrc", url.trim_start_matches("http://"))[1].clone();
    let (one, another) = (Somebody::new(), Somebody::new());
    let built = one.builds(&guide);
    assert!(built.success && built.counts() == (0, 4), "{}", built.said);
    let found = another.builds(&guide);
    assert!(found.success && found.counts() == (4, 0), "{}", found.said);
    assert_eq!(another.made(), one.made());
}

pub(crate) const TRUST: &str = "[[submitters]]\nname = \"ci\"\n\
                     token-sha256 = \"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"\n\
                     scopes = [\"protected\"]\nupdates = true\n\
                     [[submitters]]\nname = \"everybody\"\nscopes = [\"user/*\"]\n";

#[test]
fn who_may_not_write_reads_and_who_may_not_read_is_told() {
    if !has("bazel") {
        return;
    }
    let mut cluster = Cluster::prepare(cullet_tests::cullet_binary().clone(), 1, 0);
    let trust = cluster.dir().join("trust.toml");
    fs::write(&trust, TRUST).unwrap();
    cluster.run_coordinator_with(0, &["--trust", trust.to_str().unwrap()]);
    cluster.agreed();
    let url = cluster.url(0);
    let address = url.trim_start_matches("http://");
    let guides = configuration("bazel.md", "bazelrc", address);
    let of = |instance: &str, token: Option<&str>| {
        let guide = guides[0].replace("web/branch/main", instance);
        token.map_or(guide.clone(), |token| guide + &guides[2].replace("TOKEN", token))
    };
    let (laptop, ci) = (Somebody::new(), Somebody::new());
    let denied = ci.builds(&of("protected", None));
    assert!(!denied.success && denied.said.contains("may not run anything as protected"), "{}", denied.said);
    let refused = laptop.builds(&of("user/ada", None));
    assert!(!refused.success && refused.said.contains("not authorized to write"), "{}", refused.said);
    let reading = of("user/ada", None) + &guides[3];
    for time in ["the first time", "again, as it writes nothing"] {
        let built = laptop.builds(&reading);
        assert!(built.success && built.counts() == (0, 4), "{time}: {}", built.said);
    }
    let built = ci.builds(&of("protected", Some("abc")));
    assert!(built.success && built.counts() == (0, 4), "{}", built.said);
    let found = laptop.builds(&reading);
    assert!(found.success && found.counts() == (4, 0), "{}", found.said);
}
