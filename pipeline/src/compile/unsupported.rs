//! Keys that are checked in full here and executed by a later version.

use super::Compiler;
use super::inputs::Resolving;
use crate::decode::{Field, Lazy, Named, Scalar};
use crate::plan::{Settings, Unsupported};
use crate::scalar::check_name;
use crate::syntax::{ServiceDef, StepDef};
use crate::yaml::Node;

impl<'a> Compiler<'a> {
    pub(super) fn unsupported(
        &self,
        settings: &mut Settings,
        at: &Resolving<'_, 'a>,
        definition: &StepDef<'a>,
    ) {
        if let Some(services) = &definition.services {
            self.services(at, &services.value);
            settings.unsupported.push(unsupported(services.key));
        }
        if let Some(secrets) = &definition.secrets {
            settings.secrets = self.secrets(at, &secrets.value, &settings.env);
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
