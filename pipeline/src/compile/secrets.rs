//! The secrets of a step.

use super::Compiler;
use super::inputs::Resolving;
use crate::decode::{Field, Lazy, Named, Scalar};
use crate::diag::Diagnostic;
use crate::expr::Complaint;
use crate::plan::{Identity, Secret, SecretSource};
use crate::syntax::{SecretDef, SecretSource as Source};
use crate::yaml::Node;

/// Each is a file and is searched for in all that the step prints.
const MOST_SECRETS: usize = 64;

/// The most characters of a place, and of a program with its arguments: they are in keys and in messages.
const LONGEST_PLACE: usize = 4096;

/// What a definition may have exactly one of.
const PLACES: [&str; 4] = ["env", "file", "command", "provider"];

impl<'a> Compiler<'a> {
    /// Sorted by name; `env` are the step's variables.
    pub(super) fn secrets(
        &self,
        at: &Resolving<'_, 'a>,
        defined: &Named<'a, SecretDef<'a>>,
        env: &[(String, String)],
    ) -> Vec<Secret> {
        if let Some((key, _)) = defined.0.get(MOST_SECRETS) {
            let message = format!("a step has at most {MOST_SECRETS} secrets");
            self.cx.error(*key, Complaint::new(message));
        }
        let mut secrets: Vec<Secret> = Vec::new();
        for (key, definition) in &defined.0 {
            self.secret_name(*key);
            let Some(secret) = self.secret(at, *key, definition) else { continue };
            if secret.in_env && env.iter().any(|(name, _)| *name == secret.name) {
                let message = format!("`env` declares the variable `{}` as well", secret.name);
                let help = "leave one of them out".to_owned();
                self.cx.error(*key, Complaint::new(message).help(help));
            }
            secrets.push(secret);
        }
        secrets.sort_by(|one, other| one.name.cmp(&other.name));
        secrets
    }

    fn secret(&self, at: &Resolving<'_, 'a>, key: Node<'a>, definition: &SecretDef<'a>) -> Option<Secret> {
        let span = key.span();
        let plain = Secret {
            name: key.text().to_owned(),
            source: SecretSource::Env(key.text().to_owned()),
            in_env: false,
            identity: Identity::None,
            line: span.line,
            column: span.column,
        };
        let SecretDef::Full(node, source) = definition else { return Some(plain) };
        let found = self.secret_source(at, key, source);
        let in_env = self.given(at, source.expose.as_ref()).is_some();
        let wanted = self.given(at, source.identity.as_ref()) == Some(true);
        if node.pairs().filter(|(key, _)| PLACES.contains(&key.text())).count() != 1 {
            let complaint = Complaint::new("a secret comes from exactly one place");
            let help = "give one of `env`, `file`, `command` and `provider`".to_owned();
            self.cx.error(*node, complaint.help(help));
        }
        if let (Some(asked), None) = (&source.key, &source.provider) {
            self.cx.error(asked.key, Complaint::new("`key` belongs to a `provider`"));
        }
        let identity = if wanted { Identity::Wanted } else { Identity::None };
        Some(Secret { source: found?, in_env, identity, ..plain })
    }

    fn secret_source(
        &self,
        at: &Resolving<'_, 'a>,
        key: Node<'a>,
        source: &Source<'a>,
    ) -> Option<SecretSource> {
        let env = self.given(at, source.env.as_ref()).map(SecretSource::Env);
        let file = self.given(at, source.file.as_ref()).map(SecretSource::File);
        let command = source.command.as_ref().and_then(|field| {
            let arguments = field.value.0.iter().map(|argument| argument.get(self.cx, &at.scope));
            let arguments: Vec<String> = arguments.collect::<Option<_>>()?;
            if arguments.first().is_none_or(|program| program.trim().is_empty()) {
                self.cx.error(field.key, Complaint::new("there is no program to run"));
                return None;
            }
            Some(SecretSource::Command(arguments))
        });
        let asked = self.given(at, source.key.as_ref());
        let provider = self.given(at, source.provider.as_ref()).map(|provider| SecretSource::Provider {
            provider,
            key: asked.unwrap_or_else(|| key.text().to_owned()),
        });
        let found = env.or(file).or(command).or(provider)?;
        if found.text().len() > LONGEST_PLACE {
            let message = format!("where a secret comes from is said in at most {LONGEST_PLACE} characters");
            self.cx.sink.push(Diagnostic::error(key.span(), message));
        }
        Some(found)
    }

    fn given<S: Scalar>(
        &self,
        at: &Resolving<'_, 'a>,
        field: Option<&Field<'a, Lazy<'a, S>>>,
    ) -> Option<S::Value> {
        field.and_then(|field| field.value.get(self.cx, &at.scope))
    }

    /// Secrets are found as files of their name, and some are in variables of that name.
    fn secret_name(&self, key: Node<'a>) {
        let name = key.text();
        let word = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !word || name.is_empty() || name.len() > 100 || name.starts_with(|c: char| c.is_ascii_digit()) {
            let message = format!("`{}` cannot be the name of a secret", name.escape_debug());
            let complaint = Complaint::new(message);
            self.cx.error(key, complaint.help("use letters, digits and `_`, no digit first".to_owned()));
        }
    }
}
