//! Keys that are checked in full here and executed by a later version.

use std::collections::HashMap;

use super::Compiler;
use super::inputs::Resolving;
use crate::decode::{Lazy, Named, Scalar};
use crate::diag::Diagnostic;
use crate::plan::{Settings, Unsupported};
use crate::scalar::AbsolutePath;
use crate::syntax::StepDef;
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
        if let Some(caches) = &definition.caches {
            self.caches(at, &caches.value);
            settings.unsupported.push(unsupported(caches.key));
        }
        if let Some(services) = &definition.services {
            settings.services = self.services(at, services, settings.network);
        }
        if let Some(secrets) = &definition.secrets {
            settings.secrets = self.secrets(at, &secrets.value, &settings.env);
        }
        settings.unsupported.sort_by_key(|unsupported| (unsupported.line, unsupported.column));
    }

    fn caches<S: Scalar<Value = String>>(&self, at: &Resolving<'_, 'a>, defined: &Named<'a, Lazy<'a, S>>) {
        let mut seen = HashMap::new();
        for (key, volume) in &defined.0 {
            volume.get(self.cx, &at.scope);
            let Some(path) = Lazy::<AbsolutePath>::of(*key).get(self.cx, &at.scope) else { continue };
            let message = format!("two caches are at `{path}`");
            if let Some(first) = seen.insert(path, key.span()) {
                self.cx.sink.push(Diagnostic::error(key.span(), message).label(first, "the other one"));
            }
        }
    }
}

fn unsupported(key: Node<'_>) -> Unsupported {
    let span = key.span();
    Unsupported { key: key.text().to_owned(), line: span.line, column: span.column }
}
