//! Two actions, compared.

use cullet_cache::action::ROOT_LAYERS;
use cullet_cache::{Action, BlobStore};
use cullet_coordinator::resolve::describe;
use cullet_digest::Digest;

use super::{beside, trees};
use crate::commands::run::prepare;
use crate::config::Config;
use crate::ui::clean;

/// The most lines of a script that are shown as changed.
const MAX_SCRIPT_LINES: usize = 10;

/// The most of the machine's tools that are named.
const MAX_TOOLS: usize = 20;

/// The largest Action or Command that is compared.
const MAX_BYTES: u64 = 16 << 20;

/// The differences, a line each.
///
/// # Errors
/// One of the two can no longer be read, in a sentence.
pub(super) async fn actions(
    blobs: &dyn BlobStore,
    config: &Config,
    old: &Digest,
    new: &Digest,
) -> Result<Vec<String>, String> {
    let (old, new) = (read(blobs, old).await?, read(blobs, new).await?);
    let mut lines = Vec::new();
    arguments(&old, &new, &mut lines);
    pairs("variable", &old.env, &new.env, &mut lines);
    platform(config, &old, &new, &mut lines);
    settings(&old, &new, &mut lines);
    if old.input_root != new.input_root {
        trees::compare(blobs, old.input_root, new.input_root, &mut lines).await;
    }
    Ok(lines)
}

/// Whether results of this key may not be reused, as far as the action can still be read.
pub(super) async fn is_never_reused(blobs: &dyn BlobStore, key: Option<Digest>) -> bool {
    let Some(key) = key else { return false };
    read(blobs, &key).await.is_ok_and(|action| action.do_not_cache)
}

async fn read(blobs: &dyn BlobStore, key: &Digest) -> Result<Action, String> {
    let action = blob(blobs, key).await?;
    let command = Action::command_digest(key.function(), &action).map_err(|error| describe(&error))?;
    let command = blob(blobs, &command).await?;
    Action::decode(key.function(), &action, &command).map_err(|error| describe(&error))
}

async fn blob(blobs: &dyn BlobStore, digest: &Digest) -> Result<bytes::Bytes, String> {
    if digest.size() > MAX_BYTES {
        return Err(format!("{} has {} bytes", digest.short(), digest.size()));
    }
    let blob = blobs.get(digest).await.map_err(|error| describe(&error))?;
    blob.into_bytes().map_err(|error| error.to_string())
}

fn arguments(old: &Action, new: &Action, lines: &mut Vec<String>) {
    if old.arguments == new.arguments {
        return;
    }
    let script = |action: &Action| match action.arguments.as_slice() {
        [shell, flags, dash_c, script] if shell == "/bin/sh" && flags == "-eu" && dash_c == "-c" => {
            Some(script.clone())
        }
        _ => None,
    };
    if let (Some(old), Some(new)) = (script(old), script(new)) {
        lines.push("the script changed:".to_owned());
        changed_lines(&old, &new, lines);
        return;
    }
    let count = old.arguments.len().max(new.arguments.len());
    for index in 0..count {
        match (old.arguments.get(index), new.arguments.get(index)) {
            (Some(old), Some(new)) if old != new => {
                lines.push(format!("argument {index} changed: {} -> {}", quote(old), quote(new)));
            }
            (None, Some(new)) => lines.push(format!("argument {index} is new: {}", quote(new))),
            (Some(old), None) => lines.push(format!("argument {index} is gone: {}", quote(old))),
            _ => {}
        }
    }
}

/// The lines between what the two scripts have in common at both ends.
fn changed_lines(old: &str, new: &str, lines: &mut Vec<String>) {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let head = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let rest = old.len().min(new.len()) - head;
    let tail = old.iter().rev().zip(new.iter().rev()).take(rest).take_while(|(old, new)| old == new).count();
    let removed = old[head..old.len() - tail].iter().map(|line| format!("  - {}", clean::line(line)));
    let added = new[head..new.len() - tail].iter().map(|line| format!("  + {}", clean::line(line)));
    let changed: Vec<String> = removed.chain(added).collect();
    let more = changed.len().saturating_sub(MAX_SCRIPT_LINES);
    lines.extend(changed.into_iter().take(MAX_SCRIPT_LINES));
    if more > 0 {
        lines.push(format!("  … {more} more lines"));
    }
}

fn pairs(what: &str, old: &[(String, String)], new: &[(String, String)], lines: &mut Vec<String>) {
    for (name, value) in new {
        match old.iter().find(|(known, _)| known == name) {
            Some((_, before)) if before != value => {
                lines.push(format!("{what} {name} changed: {} -> {}", quote(before), quote(value)));
            }
            Some(_) => {}
            None => lines.push(format!("{what} {name} is new: {}", quote(value))),
        }
    }
    for (name, value) in old {
        if !new.iter().any(|(known, _)| known == name) {
            lines.push(format!("{what} {name} is gone: it was {}", quote(value)));
        }
    }
}

fn platform(config: &Config, old: &Action, new: &Action, lines: &mut Vec<String>) {
    let host = |action: &Action| {
        let image = action.platform.iter().find(|(name, _)| name == "image");
        image.and_then(|(_, value)| value.strip_prefix("host:")).map(str::to_owned)
    };
    match (host(old), host(new)) {
        (Some(old), Some(new)) if old != new => {
            lines.push(tools(&prepare::host_differences(config, &old, &new)));
        }
        (Some(_), Some(_)) => {}
        _ => image(old, new, lines),
    }
    let beside = beside::facts(old).zip(beside::facts(new));
    let is_told = |name: &str| name == "image" || (name == "services" && beside.is_some());
    let others = |action: &Action| -> Vec<(String, String)> {
        let apart = |name: &str| is_told(name) || name == ROOT_LAYERS;
        action.platform.iter().filter(|(name, _)| !apart(name)).cloned().collect()
    };
    roots(old, new, lines);
    pairs("platform property", &others(old), &others(new), lines);
    if let Some((old, new)) = beside {
        pairs("service", &old, &new, lines);
    }
}

/// One line for another root that is continued: which of its layers is the first that is not as it was.
fn roots(old: &Action, new: &Action, lines: &mut Vec<String>) {
    let layers = |action: &Action| action.root_layers().unwrap_or_default();
    let (old, new) = (layers(old), layers(new));
    if old == new {
        return;
    }
    let first = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let shown = |layers: &[Digest]| layers.get(first).map_or_else(|| "none".to_owned(), Digest::short);
    let (number, count) = (first + 1, old.len().max(new.len()));
    let change = format!("{} -> {}", shown(&old), shown(&new));
    lines.push(format!(
        "the root that it continues changed: layer {number} of {count} above the image, {change}"
    ));
}

/// One line for another image, whether a reference or what it means changed. Which machine's `host` it was says nothing
/// then.
fn image(old: &Action, new: &Action, lines: &mut Vec<String>) {
    let shown = |action: &Action| match action.platform.iter().find(|(name, _)| name == "image") {
        Some((_, value)) if value.starts_with("host:") => "host".to_owned(),
        Some((_, value)) => clean::line(value),
        None => "none".to_owned(),
    };
    let (old, new) = (shown(old), shown(new));
    if old != new {
        lines.push(format!("image changed: {old} -> {new}"));
    }
}

/// One line for a machine that changed, which two digests would not explain.
fn tools(changed: &[String]) -> String {
    let mut names: Vec<String> = changed.iter().take(MAX_TOOLS).map(|name| clean::line(name)).collect();
    if changed.is_empty() {
        names.push("which ones is not known here".to_owned());
    }
    let more = changed.len().saturating_sub(MAX_TOOLS);
    if more > 0 {
        names.push(format!("{more} more"));
    }
    format!("the machine's tools changed: {}", names.join(", "))
}

fn settings(old: &Action, new: &Action, lines: &mut Vec<String>) {
    if old.outputs != new.outputs {
        let paths = |action: &Action| {
            let paths = action.outputs.iter().map(|output| output.path.replace('\n', " "));
            paths.collect::<Vec<_>>().join(", ")
        };
        lines.push(format!("outputs changed: {} -> {}", quote(&paths(old)), quote(&paths(new))));
    }
    if old.timeout != new.timeout {
        lines.push(format!("timeout changed: {:?} -> {:?}", old.timeout, new.timeout));
    }
    if old.working_directory != new.working_directory {
        lines.push("the working directory changed".to_owned());
    }
    if old.do_not_cache != new.do_not_cache {
        lines.push("`effects` changed".to_owned());
    }
}

fn quote(text: &str) -> String {
    const MOST: usize = 200;
    let line = clean::line(text);
    match line.char_indices().nth(MOST) {
        Some((cut, _)) => format!("'{}…'", &line[..cut]),
        None => format!("'{line}'"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn changed(old: &str, new: &str) -> Vec<String> {
        let mut lines = Vec::new();
        changed_lines(old, new, &mut lines);
        lines
    }

    #[test]
    fn a_script_is_shown_where_it_changed() {
        assert_eq!(changed("a\nb\nc", "a\nx\nc"), ["  - b", "  + x"]);
        assert_eq!(changed("a", "a\nb"), ["  + b"]);
        assert_eq!(changed("a\na", "a"), ["  - a"]);
        assert_eq!(changed("", "a"), ["  + a"]);
    }

    #[test]
    fn a_long_change_is_cut() {
        let new: String = (0..30).map(|line| format!("{line}\n")).collect();
        let lines = changed("", &new);
        assert_eq!((lines.len(), lines[10].as_str()), (11, "  … 20 more lines"));
    }

    fn action(image: &str, arch: &str) -> Action {
        let platform = [("Arch", arch), ("image", image)];
        Action {
            arguments: Vec::new(),
            env: Vec::new(),
            working_directory: String::new(),
            outputs: Vec::new(),
            input_root: prepare::FUNCTION.digest(b""),
            platform: platform.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            timeout: std::time::Duration::ZERO,
            do_not_cache: false,
            salt: Vec::new(),
            trees: false,
        }
    }

    #[test]
    fn a_machine_that_changed_is_told_by_its_tools_and_not_by_digests() {
        let dir = tempfile::tempdir().unwrap();
        let variable = |name: &str| (name == "CULLET_CACHE_DIR").then(|| dir.path().display().to_string());
        let config = Config::from_sources(&crate::args::GlobalArgs::default(), &variable).unwrap();
        std::fs::create_dir(dir.path().join("host")).unwrap();
        for (digest, cc) in [("old", "12"), ("new", "13")] {
            let parts = [("cc", cc), ("ld", "2")].map(|(name, value)| json!({"name": name, "value": value}));
            let text = json!({"digest": digest, "parts": parts}).to_string();
            std::fs::write(dir.path().join(format!("host/{digest}.json")), text).unwrap();
        }
        let told = |new: &str| {
            let mut lines = Vec::new();
            platform(&config, &action("host:old", "x"), &action(new, "y"), &mut lines);
            lines
        };
        let arch = "platform property Arch changed: 'x' -> 'y'";
        assert_eq!(told("host:old"), [arch]);
        assert_eq!(told("host:new"), ["the machine's tools changed: cc", arch]);
        let unknown = "the machine's tools changed: which ones is not known here";
        assert_eq!(told("host:gone"), [unknown, arch]);
        assert_eq!(told("sha256:00"), ["image changed: host -> sha256:00", arch]);
        let mut lines = Vec::new();
        platform(&config, &action("sha256:00", "x"), &action("sha256:11", "x"), &mut lines);
        assert_eq!(lines, ["image changed: sha256:00 -> sha256:11"]);
    }

    #[test]
    fn what_changed_of_a_service_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let variable = |name: &str| (name == "CULLET_CACHE_DIR").then(|| dir.path().display().to_string());
        let config = Config::from_sources(&crate::args::GlobalArgs::default(), &variable).unwrap();
        let with = |services: &str| {
            let mut action = action("host:old", "x");
            action.platform.push(("services".to_owned(), services.to_owned()));
            action
        };
        let (old, new) = (
            with(r#"[{"name":"db","image":"a"}]"#),
            with(r#"[{"name":"db","image":"b"},{"name":"x","image":"c"}]"#),
        );
        let mut lines = Vec::new();
        platform(&config, &old, &new, &mut lines);
        assert_eq!(lines, ["service 'db': image changed: 'a' -> 'b'", "service 'x': image is new: 'c'"]);
        lines.clear();
        platform(&config, &with("?"), &new, &mut lines);
        assert!(lines[0].starts_with("platform property services changed: '?' -> "), "{lines:?}");
    }

    #[test]
    fn tools_of_the_machine_are_named_in_one_line() {
        assert_eq!(tools(&["cc".to_owned(), "ld".to_owned()]), "the machine's tools changed: cc, ld");
        assert_eq!(tools(&[]), "the machine's tools changed: which ones is not known here");
        let many: Vec<String> = (0..25).map(|tool| format!("t{tool}")).collect();
        assert!(tools(&many).ends_with("t19, 5 more"));
    }

    #[test]
    fn variables_are_named() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut lines = Vec::new();
        let old = [pair("A", "1"), pair("B", "2"), pair("C", "3")];
        let new = [pair("B", "2"), pair("C", "4"), pair("D", "5")];
        pairs("variable", &old, &new, &mut lines);
        let expected =
            ["variable C changed: '3' -> '4'", "variable D is new: '5'", "variable A is gone: it was '1'"];
        assert_eq!(lines, expected);
    }
}
