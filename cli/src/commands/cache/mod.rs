//! `cullet cache`.

mod mirror;
mod shared;

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use cullet_cache::disk::{Damaged, Stats};
use cullet_image::{Evicted, OwnerHelper, Store, StoreStats, Verified};
use serde_json::json;

use crate::args::{CacheArgs, CacheCommand, Format};
use crate::commands::{engine_images, run, volumes};
use crate::config::Config;
use crate::error::{CliError, ExitStatus};
use crate::history::Traffic;
use crate::images::SubIdHelper;
use crate::ui::{clean, duration, size};

/// Damaged entries that are named; beyond, they are counted.
const NAMED: usize = 50;

/// Looks at the cache, or after it.
pub(super) fn cache(args: &CacheArgs, config: &Config, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    let cache = cullet_cache::open(&config.cache_options())?;
    let text = match &args.command {
        CacheCommand::Stats { format } => {
            let (stats, images) = (cache.stats()?, Store::stats(&config.images_dir()).map_err(images)?);
            let volumes = volumes::bytes(&volumes::of(config))?;
            match format {
                Format::Human => {
                    describe(config, &stats, &images, volumes) + &traffic(Traffic::of(&config.cache_dir))
                }
                Format::Json => object(config, &stats, &images, volumes),
            }
        }
        CacheCommand::Gc { shared_cache: Some(location), policy, format, .. } => {
            shared::collect(location, &policy.policy(), *format, config)?
        }
        CacheCommand::Mirror(args) => return mirror::mirror(args, config, out),
        CacheCommand::Gc { to, .. } => {
            let bound = to.unwrap_or_else(|| cache.disk.bound());
            let report = cache.gc(bound)?;
            // Whoever asks for room has no use for what may be gone on with some time.
            let parts = clean(config)?;
            let layers = evict(config, bound)?;
            volumes::of(config).evict(bound).map_err(volumes::failed)?;
            let freed = report.bytes_before.saturating_sub(report.bytes_after)
                + layers.bytes_before.saturating_sub(layers.bytes_after)
                + parts;
            let in_engine = engine_images::remove(config, Some(bound));
            format!(
                "freed {}: {} blobs, {} results and {} layers of images; {} are left, and {} of images\n{in_engine}",
                size::human(freed),
                report.evicted_blobs,
                report.evicted_results,
                layers.layers,
                size::human(report.bytes_after),
                size::human(layers.bytes_after),
            )
        }
        CacheCommand::Verify => {
            let shares = Traffic::of(&config.cache_dir).hits_shared > 0;
            verify(&cache, &Store::verify(&config.images_dir()).map_err(images)?, shares)?
        }
        CacheCommand::Volumes { remove: None, remove_all: false, format } => {
            volumes::list(&volumes::of(config), *format)?
        }
        CacheCommand::Volumes { remove, .. } => volumes::remove(&volumes::of(config), remove.as_deref())?,
        CacheCommand::Promote(args) => return run::promote::promote(args, config, out),
        CacheCommand::Clear { force } => {
            cache.clear(*force)?;
            clean(config)?;
            evict(config, 0)?;
            volumes::of(config).evict(0).map_err(volumes::failed)?;
            let in_engine = engine_images::remove(config, None);
            format!("{in_engine}the cache in {} is empty\n", config.cache_dir.display())
        }
    };
    out.write_all(text.as_bytes()).map_err(CliError::output)?;
    Ok(ExitStatus::Success)
}

/// Removes what ended processes left half done, however long ago; how many bytes of parts of blobs that was.
fn clean(config: &Config) -> Result<u64, CliError> {
    Store::clean(&config.images_dir(), Duration::ZERO, helper().as_deref()).map_err(images)
}

fn evict(config: &Config, bound: u64) -> Result<Evicted, CliError> {
    Store::evict(&config.images_dir(), bound, helper().as_deref()).map_err(images)
}

/// Who removes what belongs to others.
fn helper() -> Option<Arc<dyn OwnerHelper>> {
    SubIdHelper::find().map(|helper| helper as Arc<dyn OwnerHelper>)
}

fn images(error: cullet_image::ImageError) -> CliError {
    CliError::infra("the images of the cache cannot be looked after").because(error)
}

fn describe(config: &Config, stats: &Stats, images: &StoreStats, volumes: (usize, u64)) -> String {
    let used = stats.blob_bytes + stats.result_bytes;
    let share = used.saturating_mul(100).checked_div(stats.bound).unwrap_or(100);
    let oldest =
        stats.oldest_use_ms.map_or_else(|| "-".to_owned(), |at| duration::ago(at, duration::now_ms()));
    format!(
        "directory  {}\nused       {} of {} ({share} %)\nblobs      {} in {}\nresults    {} in {}\n\
         images     {} layers, {} blobs and {} parts of blobs in {}\nvolumes    {} in {}\nlive runs  {}\nlast use   of the oldest entry: {oldest}\n",
        clean::line(&config.cache_dir.display().to_string()),
        size::human(used),
        size::human(stats.bound),
        stats.blobs,
        size::human(stats.blob_bytes),
        stats.results,
        size::human(stats.result_bytes),
        images.layers,
        images.blobs,
        images.parts,
        size::human(images.bytes()),
        volumes.0,
        size::human(volumes.1),
        stats.live_runs,
    )
}

/// What the tiers did in all runs so far.
fn traffic(traffic: Traffic) -> String {
    let Traffic { hits_local, hits_shared, downloaded_bytes, uploaded_bytes } = traffic;
    let shared = hits_shared + downloaded_bytes + uploaded_bytes > 0;
    let moved = format!(
        ", {hits_shared} of a shared cache; {} downloaded and {} uploaded",
        size::human(downloaded_bytes),
        size::human(uploaded_bytes)
    );
    format!("hits       {hits_local} of this cache{}\n", if shared { moved } else { String::new() })
}

fn object(config: &Config, stats: &Stats, images: &StoreStats, volumes: (usize, u64)) -> String {
    let object = json!({
        "directory": config.cache_dir.display().to_string(),
        "bound_bytes": stats.bound,
        "blobs": stats.blobs,
        "blob_bytes": stats.blob_bytes,
        "results": stats.results,
        "result_bytes": stats.result_bytes,
        "image_layers": images.layers,
        "image_blobs": images.blobs,
        "image_parts": images.parts,
        "image_bytes": images.bytes(),
        "volumes": volumes.0,
        "volume_bytes": volumes.1,
        "live_runs": stats.live_runs,
        "oldest_use_ms": stats.oldest_use_ms,
        "traffic": Traffic::of(&config.cache_dir),
    });
    format!("{object}\n")
}

/// `shares`: results may have come from a shared cache without all that they name.
fn verify(cache: &cullet_cache::LocalCache, images: &Verified, shares: bool) -> Result<String, CliError> {
    let report = cache.verify(true, &mut |_| {})?;
    let ours = report.damaged.iter().map(|damaged| match damaged {
        Damaged::Blob { hash, .. } => format!("damaged blob {hash}\n"),
        Damaged::Result { hash, .. } => format!("damaged result of action {hash}\n"),
        Damaged::Incomplete { action, missing } => {
            format!(
                "incomplete result of action {}: {} blobs are missing\n",
                action.hash_hex(),
                missing.len()
            )
        }
    });
    let of_images = images.damaged.iter().map(|digest| format!("damaged blob {digest} of an image\n"));
    let mut text: String = ours.chain(of_images).take(NAMED).collect();
    let damaged = report.damaged.len() + images.damaged.len();
    if damaged > NAMED {
        text.push_str(&format!("and {} more\n", damaged - NAMED));
    }
    let (blobs, results) = (report.blobs + images.blobs, report.results);
    let bytes = size::human(report.bytes + images.bytes);
    text.push_str(&format!("read {blobs} blobs ({bytes}) and {results} results: "));
    text.push_str(&match damaged {
        0 => "everything is right\n".to_owned(),
        count if shares => {
            format!("{count} removed; they are made again, or looked up in the shared cache, when they are needed\n")
        }
        count => format!("{count} removed; they are made again when they are needed\n"),
    });
    Ok(text)
}
