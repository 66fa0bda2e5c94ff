//! What Cargo knows about the workspace.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use semver::Version;
use serde_json::Value;

/// How one package uses another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// In what is built and shipped.
    Normal,
    /// In a build script.
    Build,
    /// In tests only.
    Dev,
}

/// One package of the resolved graph.
#[derive(Debug, Clone)]
pub(crate) struct Package {
    /// Its name.
    pub(crate) name: String,
    /// Which one.
    pub(crate) version: Version,
    /// An SPDX expression, where it has one.
    pub(crate) license: Option<String>,
    /// Where it comes from; none for a directory.
    pub(crate) source: Option<String>,
    /// Dependencies that may have any version, and whether they are directories.
    pub(crate) wildcards: Vec<(String, bool)>,
    /// The directory below the repository's root, for a member of the workspace.
    pub(crate) member_dir: Option<String>,
    /// What it uses: ids and how.
    pub(crate) uses: Vec<(String, Kind)>,
}

/// The resolved graph by package id.
pub(crate) type Graph = BTreeMap<String, Package>;

/// Asks Cargo. Only this platform's part of the graph: the rest need not be downloaded.
pub(crate) fn load(root: &Path) -> Graph {
    load_for(root, &[host_triple()])
}

/// The graph for all of these platforms together.
pub(crate) fn load_for(root: &Path, platforms: &[String]) -> Graph {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1"])
        .args(platforms.iter().flat_map(|platform| ["--filter-platform", platform]))
        .current_dir(root)
        .output()
        .unwrap();
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    graph(&serde_json::from_slice(&output.stdout).unwrap())
}

fn host_triple() -> String {
    let output = Command::new("rustc").args(["-vV"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned()
}

fn graph(metadata: &Value) -> Graph {
    let root = metadata["workspace_root"].as_str().unwrap();
    let uses: BTreeMap<&str, &Value> =
        array(&metadata["resolve"]["nodes"]).map(|node| (node["id"].as_str().unwrap(), node)).collect();
    let members: Vec<&Value> = array(&metadata["workspace_members"]).collect();
    array(&metadata["packages"])
        .map(|package| {
            let id = package["id"].as_str().unwrap();
            let manifest = Path::new(package["manifest_path"].as_str().unwrap()).parent().unwrap();
            let member_dir = members
                .contains(&&package["id"])
                .then(|| manifest.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            let text = |key: &str| package[key].as_str().map(str::to_owned);
            let package = Package {
                name: text("name").unwrap(),
                version: text("version").unwrap().parse().unwrap(),
                license: text("license"),
                source: text("source"),
                wildcards: wildcards(package),
                member_dir,
                uses: uses.get(id).map_or_else(Vec::new, |node| arrows(node)),
            };
            (id.to_owned(), package)
        })
        .collect()
}

fn wildcards(package: &Value) -> Vec<(String, bool)> {
    let any = array(&package["dependencies"]).filter(|dependency| dependency["req"] == "*");
    any.map(|dependency| (dependency["name"].as_str().unwrap().to_owned(), dependency["path"].is_string()))
        .collect()
}

fn arrows(node: &Value) -> Vec<(String, Kind)> {
    let mut arrows = Vec::new();
    for dependency in array(&node["deps"]) {
        let id = dependency["pkg"].as_str().unwrap();
        for kind in array(&dependency["dep_kinds"]) {
            let kind = match kind["kind"].as_str() {
                None => Kind::Normal,
                Some("build") => Kind::Build,
                Some(_) => Kind::Dev,
            };
            arrows.push((id.to_owned(), kind));
        }
    }
    arrows
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().map(Vec::as_slice).unwrap_or_default().iter()
}

/// A graph as a test writes it: `name → names`, every name its own id, directories equal to names.
pub(crate) fn planted(arrows: &[(&str, &str, Kind)]) -> Graph {
    let mut graph = Graph::new();
    let package = |name: &str| Package {
        name: name.to_owned(),
        version: Version::new(0, 1, 0),
        license: Some("MIT".to_owned()),
        source: None,
        wildcards: Vec::new(),
        member_dir: name.starts_with("cullet").then(|| name.to_owned()),
        uses: Vec::new(),
    };
    for (from, to, kind) in arrows {
        graph.entry((*to).to_owned()).or_insert_with(|| package(to));
        graph.entry((*from).to_owned()).or_insert_with(|| package(from)).uses.push(((*to).to_owned(), *kind));
    }
    graph
}

#[test]
fn this_workspace_is_understood() {
    let graph = load(&cullet_tests::repository_root());
    let core = graph.values().find(|package| package.name == "cullet-core").unwrap();
    assert_eq!(core.member_dir.as_deref(), Some("coordinator/core"));
    assert!(core.uses.iter().any(|(id, kind)| graph[id].name == "cullet-digest" && *kind == Kind::Normal));
}
