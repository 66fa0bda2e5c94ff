//! Images by name, and what a step's `image` means.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use super::Compiler;
use super::params::Params;
use crate::decode::{Cx, Field, Named, Scope};
use crate::diag::Diagnostic;
use crate::expr::Complaint;
use crate::plan::Image;
use crate::scalar::{check_name, normalise};
use crate::syntax::{ImageDef, ImageSource};
use crate::yaml::Node;

pub(super) struct Images<'a> {
    pub(super) by_name: BTreeMap<&'a str, NamedImage<'a>>,
    /// What steps and services have besides names.
    direct: RefCell<BTreeSet<String>>,
}

pub(super) struct NamedImage<'a> {
    pub(super) key: Node<'a>,
    pub(super) used: Cell<bool>,
    /// None where it is wrong or not known yet.
    reference: Option<String>,
}

impl<'a> Images<'a> {
    pub(super) fn new(
        cx: Cx<'a>,
        defined: Option<Field<'a, Named<'a, ImageDef<'a>>>>,
        params: &Params<'a>,
    ) -> Self {
        let mut by_name = BTreeMap::new();
        for (key, definition) in defined.map(|field| field.value.0).unwrap_or_default() {
            let named = match key.text() {
                "host" => Err(Complaint::new("`host` always means the machine's own root")
                    .help("choose another name".to_owned())),
                name => check_name("image", name),
            };
            if let Err(complaint) = named {
                cx.error(key, complaint);
                continue;
            }
            let reference = reference(cx, &definition, params);
            by_name.insert(key.text(), NamedImage { key, used: Cell::new(false), reference });
        }
        Images { by_name, direct: RefCell::default() }
    }

    /// All references, sorted, each once.
    pub(super) fn references(&self) -> Vec<String> {
        let mut all = self.direct.borrow().clone();
        all.extend(self.by_name.values().filter_map(|named| named.reference.clone()));
        all.into_iter().collect()
    }
}

fn reference<'a>(cx: Cx<'a>, definition: &ImageDef<'a>, scope: Scope<'_>) -> Option<String> {
    let (lazy, digest) = match definition {
        ImageDef::Reference(lazy) => (*lazy, None),
        ImageDef::Full(ImageSource { reference, digest }) => {
            (reference.as_ref()?.value, digest.as_ref().map(|field| field.value))
        }
    };
    let digest = digest.map(|digest| digest.get(cx, scope));
    let text = lazy.get(cx, scope)?;
    if let Err(complaint) = check_reference(&text) {
        cx.error(lazy.node, complaint);
        return None;
    }
    match digest {
        None => Some(text),
        // Its manifest is made when it is read: nobody who writes a digest has one to write.
        Some(_) if text.starts_with(ARCHIVE) => {
            let complaint = Complaint::new("an archive has no digest that could be given here");
            cx.error(
                lazy.node,
                complaint.help("leave out `digest`: `cullet lock` pins the archive".to_owned()),
            );
            None
        }
        Some(digest) if !text.contains('@') => Some(format!("{text}@{}", digest?)),
        Some(_) => {
            cx.error(lazy.node, Complaint::new("the reference has a digest and `digest` gives another"));
            None
        }
    }
}

impl<'a> Compiler<'a> {
    /// The image that `text`, written at `node`, means.
    pub(super) fn image(&self, node: Node<'a>, text: &str) -> Option<Image> {
        if text == "host" {
            return Some(Image::Host);
        }
        if let Some(named) = self.images.by_name.get(text) {
            named.used.set(true);
            return named.reference.clone().map(Image::Reference);
        }
        if !text.contains(['/', ':', '@']) {
            let names = self.images.by_name.keys().copied().chain(["host"]);
            let help = self.cx.sink.did_you_mean(text, names).unwrap_or_else(|| {
                format!(
                    "define it in `images:`, or write a full reference such as `docker.io/library/{text}`"
                )
            });
            let message = format!("there is no image `{}`", text.escape_debug());
            self.cx.sink.push(Diagnostic::error(node.span(), message).help(help));
            return None;
        }
        match check_reference(text) {
            Ok(()) => {
                let mut direct = self.images.direct.borrow_mut();
                if !direct.contains(text) {
                    direct.insert(text.to_owned());
                }
                Some(Image::Reference(text.to_owned()))
            }
            Err(complaint) => {
                self.cx.error(node, complaint);
                None
            }
        }
    }
}

/// Before a file that `docker save` wrote.
const ARCHIVE: &str = "docker-archive:";

/// A registry reference, `oci-layout:DIR` or `docker-archive:FILE`.
fn check_reference(text: &str) -> Result<(), Complaint> {
    let file = text.strip_prefix("oci-layout:").or_else(|| text.strip_prefix(ARCHIVE));
    if let Some(path) = file {
        return match path.strip_prefix('/') {
            Some(absolute) => normalise(absolute),
            None => normalise(path),
        }
        .map(drop);
    }
    let allowed =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'/' | b':' | b'@' | b'+');
    let whole = !text.is_empty() && text.bytes().all(allowed) && text.as_bytes()[0].is_ascii_alphanumeric();
    if whole && !text.contains("//") && !text.ends_with(['/', ':', '@']) {
        return Ok(());
    }
    Err(Complaint::new(format!("`{}` is not an image reference", text.escape_debug())).help(
        "write it as `registry.example/name:tag`, `oci-layout:DIR` or `docker-archive:FILE`".to_owned(),
    ))
}
