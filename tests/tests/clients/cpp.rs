//! A small program in C++, built by Bazel on a cluster.

use std::fs;
use std::path::Path;
use std::process::Command;

use cullet_tests::cluster::Cluster;

use super::bazel::Somebody;
use super::{configuration, has};

/// Stands for the rules that Bazel's own tools load from the network: those that are built in.
fn rules(dir: &Path, language: &str, names: &[&str]) -> String {
    let root = dir.join(format!("rules_{language}"));
    let package = root.join(language);
    fs::create_dir_all(&package).unwrap();
    for file in [root.join("WORKSPACE"), root.join("BUILD"), package.join("BUILD")] {
        fs::write(file, "").unwrap();
    }
    let rules: String =
        names.iter().map(|name| format!("{language}_{name} = native.{language}_{name}\n")).collect();
    fs::write(package.join("defs.bzl"), rules).unwrap();
    format!("--override_repository=rules_{language}={}", root.display())
}

const FILES: [(&str, &str); 4] = [
    (
        "BUILD",
        "cc_library(name = \"greet\", srcs = [\"greet.cc\"], hdrs = [\"greet.h\"])\n\
         cc_binary(name = \"hello\", srcs = [\"hello.cc\"], deps = [\":greet\"])\n",
    ),
    ("greet.h", "#include <string>\nstd::string greet();\n"),
    ("greet.cc", "#include \"greet.h\"\nstd::string greet() { return \"hello\"; }\n"),
    (
        "hello.cc",
        "#include <iostream>\n#include \"greet.h\"\nint main() { std::cout << greet() << std::endl; }\n",
    ),
];

#[test]
fn a_program_in_cpp_is_compiled_and_linked_there() {
    if !has("bazel") || !has("g++") {
        return;
    }
    let cluster = Cluster::start(1, 1);
    cluster.agreed();
    cluster.with_workers(1);
    let url = cluster.url(0);
    let guide = configuration("bazel.md", "bazelrc", url.trim_start_matches("http://"))[4].clone();
    let stubs = tempfile::tempdir().unwrap();
    let cc = rules(
        stubs.path(),
        "cc",
        &["binary", "library", "test", "toolchain", "toolchain_suite", "import", "proto_library"],
    );
    let of_java =
        ["binary", "library", "import", "toolchain", "runtime", "package_configuration", "plugin", "test"];
    let java = rules(stubs.path(), "java", &of_java);
    let one = Somebody::new();
    fs::remove_file(one.workspace().join("rules.bzl")).unwrap();
    for (name, text) in FILES {
        fs::write(one.workspace().join(name), text).unwrap();
    }
    let wanted = [cc.as_str(), java.as_str(), "//:hello"];
    for kind in ["remote", "remote cache hit"] {
        let built = one.builds_anew(&guide, &wanted);
        assert!(built.success && built.count(kind) == 3, "{kind}: {}", built.said);
        let hello = Command::new(one.workspace().join("bazel-bin/hello")).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&hello.stdout), "hello\n");
    }
    // What changed is compiled, and linked.
    fs::write(one.workspace().join("greet.cc"), FILES[2].1.replace("hello", "bye")).unwrap();
    let changed = one.builds_anew(&guide, &wanted);
    let counts = (changed.count("remote cache hit"), changed.count("remote"));
    assert!(changed.success && counts == (1, 2), "{}", changed.said);
}
