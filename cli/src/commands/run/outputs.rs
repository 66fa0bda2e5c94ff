//! The outputs of a cluster's run, brought to this machine.

use std::path::Path;
use std::sync::Arc;

use cullet_cache::{NoPeers, Tiers, TiersOptions};
use cullet_coordinator::deliverable::{Deliverable, ImageExport};
use cullet_coordinator::resolve::describe;
use cullet_coordinator::workers::Delivery as _;
use cullet_digest::{Digest, TreeRef};
use cullet_image::Reference;
use cullet_pipeline::plan::ImageFormat;
use cullet_proto::v1;
use cullet_proto::v1::exported_image::Format;
use cullet_proto::v1::tree::Kind;
use tokio::runtime::Handle;

use super::deliver::{OutputDir, Written};
use super::prepare::FUNCTION;
use super::watchers::Watchers;
use crate::cluster::Cluster;
use crate::config::Config;
use crate::diagnostics;
use crate::images::Exporter;

/// Writes what `run` hands out, by way of the cache of this machine: what is there already is not fetched.
///
/// # Errors
/// One sentence about what is missing or could not be written.
pub(super) async fn bring(
    config: &Config,
    cluster: &Cluster,
    run: &str,
    written: &Written,
    watchers: &Watchers,
) -> Result<(), String> {
    let v1::Run { outputs, outputs_trouble, .. } =
        cluster.run(run).await.map_err(|error| error.to_string())?;
    if !outputs_trouble.is_empty() {
        return Err(format!("the cluster does not know what the run hands out: {outputs_trouble}"));
    }
    let outputs: Vec<Deliverable<TreeRef>> = outputs.into_iter().map(parse).collect::<Result<_, _>>()?;
    let fetched =
        |error: &dyn std::error::Error| format!("the outputs cannot be fetched: {}", describe(error));
    let cache = cullet_cache::open(&config.cache_options()).map_err(|error| fetched(&error))?;
    // Until they are written, they are not evicted.
    let live = cache.live_run().map_err(|error| fetched(&error))?;
    let store = cluster.store(&config.cache_dir).map_err(|error| fetched(&error))?;
    let (disk, store) = (cache.disk.clone(), Arc::new(store));
    let tiers = Tiers::new(disk, Arc::new(NoPeers), store, &TiersOptions::default(), Handle::current())
        .map_err(|error| fetched(&error))?;
    for Deliverable { path, parts, .. } in &outputs {
        for (_, tree) in parts {
            let brought = match tree {
                TreeRef::File { digest, .. } => tiers.fetch(digest).await,
                TreeRef::Directory(root) => tiers.fetch_tree(root).await,
            };
            brought
                .map_err(|error| format!("the output '{path}' cannot be fetched: {}", describe(&error)))?;
        }
    }
    // Images of a cluster's runs come from registries.
    let images = Exporter::new(config, Path::new(""), watchers.clone());
    let to = OutputDir {
        written: written.clone(),
        blobs: Arc::new(tiers),
        disk: cache.disk.clone(),
        behind: None,
        images,
    };
    if !to.deliver(outputs).await?.is_empty() {
        return Err("the outputs were evicted from the cache while they were written".to_owned());
    }
    drop(live);
    // The run is over: what fails here cannot change how it ended.
    if let Err(error) = cache.maybe_gc() {
        diagnostics::report(&format!("warning: the cache could not be brought below its bound: {error}\n"));
    }
    if let Err(error) = to.images.settle(cache.disk.bound()) {
        diagnostics::report(&format!(
            "warning: the images could not be brought below their bound: {error}\n"
        ));
    }
    Ok(())
}

/// What comes from elsewhere is checked before anything is written by it.
fn parse(output: v1::RunOutput) -> Result<Deliverable<TreeRef>, String> {
    let v1::RunOutput { path, tree, image } = output;
    let wrong =
        || format!("the cluster names an output that makes no sense: '{}'", crate::ui::clean::line(&path));
    let leads_out = |segment: &str| matches!(segment, "" | "." | "..") || segment.contains('\0');
    if !path.is_empty() && path.split('/').any(leads_out) {
        return Err(wrong());
    }
    let Some(image) = image else {
        let tree = tree.as_ref().and_then(parse_tree).ok_or_else(wrong)?;
        return Ok(Deliverable::tree(path, 0, tree));
    };
    let format = match image.format() {
        Format::OciLayout => ImageFormat::OciLayout,
        Format::DockerArchive => ImageFormat::DockerArchive,
        Format::Unspecified => return Err(wrong()),
    };
    let layers: Option<Vec<(u32, TreeRef)>> =
        image.layers.iter().map(|layer| Some((0, parse_tree(layer)?))).collect();
    let parts = layers.filter(|layers| !path.is_empty() && !layers.is_empty()).ok_or_else(wrong)?;
    let v1::ExportedImage { reference, manifest, name, .. } = image;
    let name = Some(name).filter(|name| !name.is_empty());
    if let Some(name) = &name
        && !matches!(name.parse::<Reference>(), Ok(Reference::Registry(_)))
    {
        return Err(wrong());
    }
    Ok(Deliverable { path, parts, image: Some(ImageExport { reference, manifest, format, name }) })
}

fn parse_tree(tree: &v1::Tree) -> Option<TreeRef> {
    let digest = tree.digest.as_ref()?;
    let text = format!("{}/{}", digest.hash, digest.size_bytes);
    let digest = Digest::parse(FUNCTION, &text).ok()?;
    match tree.kind() {
        Kind::File => Some(TreeRef::File { digest, executable: false }),
        Kind::Executable => Some(TreeRef::File { digest, executable: true }),
        Kind::Directory => Some(TreeRef::Directory(digest)),
        Kind::Unspecified => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(path: &str, kind: Kind) -> v1::RunOutput {
        let digest = FUNCTION.digest(b"x");
        let digest = v1::Digest { hash: digest.hash_hex().to_string(), size_bytes: 1 };
        let tree = v1::Tree { kind: kind as i32, digest: Some(digest) };
        v1::RunOutput { path: path.to_owned(), tree: Some(tree), image: None }
    }

    #[test]
    fn outputs_stay_where_they_are_wanted() {
        let digest = FUNCTION.digest(b"x");
        assert_eq!(
            parse(output("", Kind::Directory)),
            Ok(Deliverable::tree("", 0, TreeRef::Directory(digest)))
        );
        let program = TreeRef::File { digest, executable: true };
        assert_eq!(parse(output("bin/app", Kind::Executable)), Ok(Deliverable::tree("bin/app", 0, program)));
        for path in ["/etc/passwd", "..", "a/../b", "a//b", "./a", "a/"] {
            assert!(parse(output(path, Kind::File)).is_err(), "{path}");
        }
        assert!(parse(output("a", Kind::Unspecified)).is_err());
        assert!(parse(v1::RunOutput { path: "a".to_owned(), ..v1::RunOutput::default() }).is_err());
    }
}
