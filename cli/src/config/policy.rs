//! Who may run pipelines on a cluster as whom, and whose results and journals are believed there: the file that `--trust` names.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::path::Path;
use std::str::FromStr;

use cullet_cache::Scope;
use cullet_coordinator::policy::{JournalKey, JournalTrust, Pattern, Policy, Submitter, WorkerTrust};
use serde::Deserialize;
use toml::Spanned;

use super::Approver;
use super::file::position;
use crate::error::CliError;

/// What the file may say.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct File {
    default_scope: Option<Spanned<String>>,
    submitters: Vec<Entry>,
    workers: Workers,
    journals: Journals,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Entry {
    name: Spanned<String>,
    token_sha256: Option<Spanned<String>>,
    tenants: Option<Vec<String>>,
    scopes: Vec<Spanned<String>>,
    #[serde(default)]
    updates: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Workers {
    keys: Vec<Spanned<String>>,
    require_signatures: Option<Spanned<bool>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Journals {
    keys: Vec<Spanned<String>>,
    senders: Option<Vec<Spanned<String>>>,
}

/// Where it stands in the file, and what is wrong with it.
type Wrong = (usize, String);

/// Reads the file.
///
/// # Errors
/// It cannot be read, or something in it is wrong: where, and what.
pub fn policy(path: &Path) -> Result<Policy, CliError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| CliError::usage(format!("--trust {}", path.display())).because(error))?;
    parse(&text).map_err(|(byte, why)| {
        let (line, column) = position(&text, byte);
        CliError::usage(format!("{}:{line}:{column}: {}", path.display(), why.trim_end()))
    })
}

fn parse(text: &str) -> Result<Policy, Wrong> {
    let file: File = toml::from_str(text)
        .map_err(|error| (error.span().map_or(0, |span| span.start), error.message().to_owned()))?;
    let default_scope = file.default_scope.as_ref().map(parsed).transpose()?.unwrap_or_default();
    let mut names = BTreeSet::new();
    for Entry { name, .. } in &file.submitters {
        if !names.insert(name.get_ref().as_str()) {
            return Err((name.span().start, format!("there are two submitters '{}'", name.get_ref())));
        }
    }
    let submitters = file.submitters.iter().map(submitter).collect::<Result<_, _>>()?;
    let journals = journals(&file.journals, &names)?;
    Ok(Policy { default_scope, submitters, workers: workers(&file.workers)?, journals })
}

fn submitter(entry: &Entry) -> Result<Submitter, Wrong> {
    let scopes = entry.scopes.iter().map(|text| {
        // One without a star is a scope, or never matches any.
        if !text.get_ref().contains('*') {
            parsed::<Scope>(text)?;
        }
        Ok(Pattern::new(text.get_ref()))
    });
    Ok(Submitter {
        name: entry.name.get_ref().clone(),
        token: entry.token_sha256.as_ref().map(parsed).transpose()?,
        tenants: entry
            .tenants
            .as_ref()
            .map_or_else(|| vec![Pattern::new("*")], |tenants| tenants.iter().map(Pattern::new).collect()),
        scopes: scopes.collect::<Result<_, _>>()?,
        updates: entry.updates,
    })
}

fn workers(section: &Workers) -> Result<WorkerTrust, Wrong> {
    let keys: Vec<_> = section.keys.iter().map(parsed).collect::<Result<_, _>>()?;
    let require_signatures = section.require_signatures.as_ref().is_some_and(|asked| *asked.get_ref());
    match &section.require_signatures {
        Some(asked) if require_signatures && keys.is_empty() => {
            Err((asked.span().start, "without `keys`, no worker could do anything".to_owned()))
        }
        _ => Ok(WorkerTrust { keys, require_signatures }),
    }
}

fn journals(section: &Journals, submitters: &BTreeSet<&str>) -> Result<JournalTrust, Wrong> {
    let key = |text: &Spanned<String>| {
        let Approver { key, name } = parsed(text)?;
        Ok(JournalKey { key, owner: name })
    };
    let keys = section.keys.iter().map(key).collect::<Result<_, _>>()?;
    let sender = |name: &Spanned<String>| match submitters.contains(name.get_ref().as_str()) {
        true => Ok(name.get_ref().clone()),
        false => Err((name.span().start, format!("there is no submitter '{}'", name.get_ref()))),
    };
    let senders = section.senders.as_ref().map(|names| names.iter().map(sender).collect());
    Ok(JournalTrust { keys, senders: senders.transpose()? })
}

fn parsed<T: FromStr<Err: Display>>(text: &Spanned<String>) -> Result<T, Wrong> {
    text.get_ref().parse().map_err(|error: T::Err| (text.span().start, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ed25519:3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";

    /// The example of the documentation, so that it is one.
    fn example() -> String {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cluster.md");
        let page = std::fs::read_to_string(page).unwrap();
        let section = page.split("\n### ").find(|section| section.starts_with("Whose results\n")).unwrap();
        section.split("```toml\n").nth(1).unwrap().split("```").next().unwrap().to_owned()
    }

    #[test]
    fn the_example_of_the_documentation_says_what_it_seems_to() {
        let policy = parse(&example()).unwrap();
        let may = |authorization: Option<&[u8]>, tenant: &str, scope: &str| {
            policy.rights(authorization).unwrap().check(tenant, &scope.parse().unwrap()).is_ok()
        };
        assert_eq!(policy.default_scope.to_string(), "branch/unnamed");
        assert!(may(Some(b"Bearer abc"), "web", "protected"), "the hash is that of abc");
        assert!(!may(Some(b"Bearer abc"), "docs", "protected"));
        assert!(may(None, "docs", "branch/unnamed") && may(None, "docs", "user/ada"));
        assert!(!may(None, "web", "protected"));
        assert!(policy.workers.require_signatures && policy.workers.keys.len() == 1);
        let journals = &policy.journals;
        assert_eq!(journals.owner(&KEY.parse().unwrap()), Some("ada"));
        let sends = |authorization: Option<&[u8]>| policy.rights(authorization).unwrap().sends_journals();
        assert_eq!(sends(Some(b"Bearer abc")).unwrap(), "ci");
        let refused = sends(None).unwrap_err().to_string();
        assert_eq!(
            refused,
            "a call without a token (CULLET_CLUSTER_TOKEN) may not send journals of break-glass runs; ci may"
        );
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let refused = |text: &str| {
            std::fs::write(file.path(), text).unwrap();
            let said = policy(file.path()).unwrap_err().to_string();
            said.strip_prefix(&format!("{}:", file.path().display())).unwrap().to_owned()
        };
        let entry = |rest: &str| format!("[[submitters]]\nname = \"ci\"\n{rest}\n");
        for (text, said) in [
            ("default-scpe = \"x\"\n".to_owned(), "1:1: unknown field `default-scpe`"),
            ("\ndefault-scope = \"main\"\n".to_owned(), "2:17: 'main' is no scope"),
            (entry("scopes = [\"*\", \"main\"]"), "3:16: 'main' is no scope"),
            (entry("scopes = []\ntoken = \"abc\""), "4:1: unknown field `token`"),
            (entry("scopes = []\ntoken-sha256 = \"abc\""), "4:16: it is no SHA-256: write 64"),
            (entry("tenants = []"), "1:1: missing field `scopes`"),
            (entry("scopes = []") + &entry("scopes = []"), "5:8: there are two submitters 'ci'"),
            ("[workers]\nkeys = [\"rsa:1\"]\n".to_owned(), "2:9: 'rsa:1' is no public key"),
            ("[workers]\nrequire-signatures = true\n".to_owned(), "2:22: without `keys`"),
            (format!("[workers]\nkeys = [\"{KEY}\"]\nsigning = 1\n"), "3:1: unknown field `signing`"),
            (format!("[journals]\nkeys = [\"{KEY}\"]\n"), "2:9: write a public key and whose it is"),
            ("[journals]\nsenders = [\"ops\"]\n".to_owned(), "2:12: there is no submitter 'ops'"),
        ] {
            let refusal = refused(&text);
            assert!(refusal.starts_with(said), "{text}: {refusal}");
        }
        let nothing = parse("").unwrap();
        assert!(nothing.submitters.is_empty() && !nothing.workers.require_signatures);
    }
}
