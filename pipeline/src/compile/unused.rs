//! Definitions that nothing uses: most often a slip elsewhere.

use super::Compiler;
use crate::yaml::Node;

impl Compiler<'_> {
    pub(super) fn report_unused(&self) {
        // What uses them may be what has the error.
        if self.cx.sink.has_errors() {
            return;
        }
        let warn = |what: &str, key: Node<'_>| {
            self.warn(key, format!("nothing uses the {what} `{}`", key.text()), "leave it out");
        };
        self.sources.list.iter().filter(|s| !s.used.get()).for_each(|s| warn("source", s.key));
        self.images.by_name.values().filter(|i| !i.used.get()).for_each(|i| warn("image", i.key));
        self.params.all().filter(|p| !p.used.get()).for_each(|p| warn("parameter", p.key));
    }
}
