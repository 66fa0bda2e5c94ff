//! Keys that are checked in full here and executed by a later version.

use super::Compiler;
use super::inputs::Resolving;
use crate::decode::{Field, Lazy, Named, Scalar};
use crate::expr::Complaint;
use crate::plan::{Settings, Unsupported};
use crate::scalar::check_name;
use crate::syntax::{SecretDef, ServiceDef, StepDef};
use crate::yaml::Node;

impl<'a> Compiler<'a> {
    pub(super) fn unsupported(
        &self,
        settings: &mut Settings,
        at: &Resolving<'_, 'a>,
        definition: &StepDef<'a>,
    ) {
        if let Some(image) = &definition.image {
            let text = image.value.get(self.cx, &at.scope);
            if let Some(image) = text.and_then(|text| self.image(image.value.node, &text)) {
                settings.image = image;
            }
        }
        if let Some(services) = &definition.services {
            self.services(at, &services.value);
            settings.unsupported.push(unsupported(services.key));
        }
        if let Some(secrets) = &definition.secrets {
            self.secrets(at, &secrets.value);
            settings.unsupported.push(unsupported(secrets.key));
        }
        settings.unsupported.sort_by_key(|unsupported| (unsupported.line, unsupported.column));
    }

    fn services(&self, at: &Resolving<'_, 'a>, defined: &Named<'a, ServiceDef<'a>>) {
        for (key, service) in &defined.0 {
            if let Err(complaint) = check_name("service", key.text()) {
                self.cx.error(*key, complaint);
            }
            if let Some(image) = &service.image
                && let Some(text) = image.value.get(self.cx, &at.scope)
            {
                self.image(image.value.node, &text);
            }
            if let Some(run) = &service.run {
                self.run(at, &run.value);
            }
            if let Some(env) = &service.env {
                self.env(at, &env.value);
            }
            if let Some(ready) = &service.ready {
                self.check(at, ready.value.tcp.as_ref());
                self.check(at, ready.value.timeout.as_ref());
            }
        }
    }

    fn secrets(&self, at: &Resolving<'_, 'a>, defined: &Named<'a, SecretDef<'a>>) {
        for (key, secret) in &defined.0 {
            self.secret_name(*key);
            let SecretDef::Full(node, source) = secret else { continue };
            let places = [&source.env, &source.file, &source.provider];
            places.iter().for_each(|place| self.check(at, place.as_ref()));
            self.check(at, source.key.as_ref());
            self.check(at, source.identity.as_ref());
            if node.pairs().filter(|(key, _)| matches!(key.text(), "env" | "file" | "provider")).count() != 1
            {
                let complaint = Complaint::new("a secret comes from exactly one place");
                self.cx.error(*node, complaint.help("give one of `env`, `file` and `provider`".to_owned()));
            }
            if let (Some(asked), None) = (&source.key, &source.provider) {
                self.cx.error(asked.key, Complaint::new("`key` belongs to a `provider`"));
            }
        }
    }

    /// Secrets are found as files of their name, and frontends hand them over in variables.
    fn secret_name(&self, key: Node<'a>) {
        let name = key.text();
        let word = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !word || name.is_empty() || name.len() > 100 || name.starts_with(|c: char| c.is_ascii_digit()) {
            let message = format!("`{}` cannot be the name of a secret", name.escape_debug());
            let complaint = Complaint::new(message);
            self.cx.error(key, complaint.help("use letters, digits and `_`, no digit first".to_owned()));
        }
    }

    fn check<S: Scalar>(&self, at: &Resolving<'_, 'a>, field: Option<&Field<'a, Lazy<'a, S>>>) {
        if let Some(field) = field {
            field.value.get(self.cx, &at.scope);
        }
    }
}

fn unsupported(key: Node<'_>) -> Unsupported {
    let span = key.span();
    Unsupported { key: key.text().to_owned(), line: span.line, column: span.column }
}
