//! The secrets of a step that its services get as well.

use super::Compiler;
use super::inputs::Resolving;
use crate::decode::{Field, List, Named};
use crate::expr::Complaint;
use crate::plan::Settings;
use crate::syntax::{SecretDef, ServiceDef};
use crate::yaml::Node;

impl<'a> Compiler<'a> {
    /// Gives services what they name of `of_step`, which is what the step defines.
    pub(super) fn secrets_of_services(
        &self,
        at: &Resolving<'_, 'a>,
        defined: &Field<'a, Named<'a, ServiceDef<'a>>>,
        of_step: Option<&Named<'a, SecretDef<'a>>>,
        settings: &mut Settings,
    ) {
        for (key, service) in &defined.value.0 {
            let Some(Field { value: List(wanted), .. }) = &service.secrets else { continue };
            let mut names: Vec<String> = Vec::new();
            for lazy in wanted {
                let Some(name) = lazy.get(self.cx, &at.scope) else { continue };
                if names.contains(&name) {
                    self.cx.error(lazy.node, Complaint::new(format!("the secret `{name}` is named twice")));
                } else if self.is_secret(lazy.node, &name, of_step) {
                    names.push(name);
                }
            }
            names.sort_unstable();
            let found = settings.services.iter_mut().find(|found| found.name == key.text());
            let Some(found) = found else { continue };
            let in_env =
                |name: &&String| settings.secrets.iter().any(|secret| secret.name == **name && secret.in_env);
            let twice =
                names.iter().filter(in_env).find(|name| found.env.iter().any(|(other, _)| other == *name));
            if let Some(name) = twice {
                let message = format!("`env` declares the variable `{name}` as well");
                self.cx.error(*key, Complaint::new(message).help("leave one of them out".to_owned()));
            }
            found.secrets = names;
        }
    }

    fn is_secret(&self, node: Node<'a>, name: &str, of_step: Option<&Named<'a, SecretDef<'a>>>) -> bool {
        let known = || of_step.into_iter().flat_map(|named| named.0.iter().map(|(key, _)| key.text()));
        if known().any(|known| known == name) {
            return true;
        }
        let help = self.cx.sink.did_you_mean(name, known());
        let help = help.unwrap_or_else(|| "say in `secrets` of the step where it comes from".to_owned());
        let message = format!("the step has no secret `{}`", name.escape_debug());
        self.cx.error(node, Complaint::new(message).help(help));
        false
    }
}
