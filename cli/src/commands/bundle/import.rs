//! `cullet bundle import`.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use cullet_bundle::Bundle;
use cullet_cache::{ActionCache as _, NoPeers, StoreError, Tiers, TiersOptions};
use cullet_coordinator::resolve::describe;
use tokio::runtime::Handle;

use super::{open, project};
use crate::args::BundleImportArgs;
use crate::config::Config;
use crate::error::{CliError, ExitStatus};
use crate::images::Outbound;
use crate::runtime;
use crate::shared_store;
use crate::ui::{clean, size};

pub(super) fn import(
    args: &BundleImportArgs,
    config: &Config,
    out: &mut dyn Write,
) -> Result<ExitStatus, CliError> {
    let (bundle, verified) = open(&args.file)?;
    if let Some(dir) = &args.project {
        refuse_occupied(dir)?;
        project::unpack(&bundle, config, dir)?;
    }
    let runtime = runtime::of_threads(3)?;
    let taken = runtime.block_on(async {
        tokio::select! {
            taken = take(&bundle, config) => taken.map(Some),
            _ = tokio::signal::ctrl_c() => Ok(None),
        }
    });
    runtime.shutdown_background();
    let Some(results) = taken? else { return Ok(ExitStatus::Interrupted) };
    let text = format!(
        "{}: {}, {results} results and {} images are in the cache of this machine\n",
        args.file.bundle.display(),
        size::human(verified.bytes),
        bundle.contents().images.len(),
    );
    out.write_all(text.as_bytes()).map_err(CliError::output)?;
    Ok(ExitStatus::Success)
}

fn refuse_occupied(dir: &Path) -> Result<(), CliError> {
    let first = std::fs::read_dir(dir).map(|mut entries| entries.next());
    match first {
        Ok(None) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        _ => Err(CliError::usage(format!("'{}' is not an empty directory", dir.display()))
            .hint("name one that is empty, or not there, with --project")),
    }
}

/// Takes over images and results, and says how many of the latter.
async fn take(bundle: &Arc<Bundle>, config: &Config) -> Result<usize, CliError> {
    let mut with_bundle = config.clone();
    with_bundle.registries.bring(bundle.clone());
    let images = Outbound::new(&with_bundle, Path::new(""));
    for image in &bundle.contents().images {
        images.take(&image.reference, image.manifest).await?;
    }
    let cache = cullet_cache::open(&config.cache_options())?;
    let live = cache.live_run()?;
    let kept = shared_store::of_bundle(bundle, &config.cache_dir)?;
    let (disk, options) = (cache.disk.clone(), TiersOptions::default());
    let from = Tiers::new(disk, Arc::new(NoPeers), kept.objects.clone(), &options, Handle::current())?;
    for result in &bundle.contents().results {
        let taken = async {
            let action = result.key().ok_or("its key makes no sense".to_owned())?;
            let lost = |error: StoreError| describe(&error);
            let found = kept.all_actions.get(&action).await.map_err(lost)?;
            let found = found.ok_or("the bundle does not have it".to_owned())?;
            for root in found.directories() {
                from.fetch_tree(&root).await.map_err(lost)?;
            }
            for digest in found.digests() {
                from.fetch(&digest).await.map_err(lost)?;
            }
            cache.all_actions.put(&action, &found).await.map_err(lost)
        };
        taken.await.map_err(|why: String| {
            let step = clean::line(&result.step);
            CliError::infra(format!("the result of '{step}' cannot be taken over")).because(why)
        })?;
    }
    drop(live);
    Ok(bundle.contents().results.len())
}
