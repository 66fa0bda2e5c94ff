//! `cullet cache`.

use std::io::Write;
use std::time::Duration;

use cullet_cache::disk::{Damaged, Stats};
use cullet_image::{Store, StoreStats};
use serde_json::json;

use super::volumes;
use crate::args::{CacheArgs, CacheCommand, Format};
use crate::config::Config;
use crate::error::{CliError, ExitStatus};
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
                Format::Human => describe(config, &stats, &images, volumes),
                Format::Json => object(config, &stats, &images, volumes),
            }
        }
        CacheCommand::Gc { to } => {
            let bound = to.unwrap_or_else(|| cache.disk.bound());
            let report = cache.gc(bound)?;
            // Whoever asks for room has no use for what may be gone on with some time.
            let parts = Store::clean(&config.images_dir(), Duration::ZERO).map_err(images)?;
            let layers = Store::evict(&config.images_dir(), bound).map_err(images)?;
            volumes::of(config).evict(bound).map_err(volumes::failed)?;
            let freed = report.bytes_before.saturating_sub(report.bytes_after)
                + layers.bytes_before.saturating_sub(layers.bytes_after)
                + parts;
            format!(
                "freed {}: {} blobs, {} results and {} layers of images; {} are left, and {} of images\n",
                size::human(freed),
                report.evicted_blobs,
                report.evicted_results,
                layers.layers,
                size::human(report.bytes_after),
                size::human(layers.bytes_after),
            )
        }
        CacheCommand::Verify => verify(&cache)?,
        CacheCommand::Volumes { remove: None, remove_all: false, format } => {
            volumes::list(&volumes::of(config), *format)?
        }
        CacheCommand::Volumes { remove, .. } => volumes::remove(&volumes::of(config), remove.as_deref())?,
        CacheCommand::Clear { force } => {
            cache.clear(*force)?;
            Store::clean(&config.images_dir(), Duration::ZERO).map_err(images)?;
            Store::evict(&config.images_dir(), 0).map_err(images)?;
            volumes::of(config).evict(0).map_err(volumes::failed)?;
            format!("the cache in {} is empty\n", config.cache_dir.display())
        }
    };
    out.write_all(text.as_bytes()).map_err(CliError::output)?;
    Ok(ExitStatus::Success)
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
         images     {} layers and {} blobs in {}\nvolumes    {} in {}\nlive runs  {}\nlast use   of the oldest entry: {oldest}\n",
        clean::line(&config.cache_dir.display().to_string()),
        size::human(used),
        size::human(stats.bound),
        stats.blobs,
        size::human(stats.blob_bytes),
        stats.results,
        size::human(stats.result_bytes),
        images.layers,
        images.blobs,
        size::human(images.bytes()),
        volumes.0,
        size::human(volumes.1),
        stats.live_runs,
    )
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
        "image_bytes": images.bytes(),
        "volumes": volumes.0,
        "volume_bytes": volumes.1,
        "live_runs": stats.live_runs,
        "oldest_use_ms": stats.oldest_use_ms,
    });
    format!("{object}\n")
}

fn verify(cache: &cullet_cache::LocalCache) -> Result<String, CliError> {
    let report = cache.verify(true, &mut |_| {})?;
    let mut text = String::new();
    for damaged in report.damaged.iter().take(NAMED) {
        text.push_str(&match damaged {
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
    }
    if report.damaged.len() > NAMED {
        text.push_str(&format!("and {} more\n", report.damaged.len() - NAMED));
    }
    let (blobs, bytes, results) = (report.blobs, size::human(report.bytes), report.results);
    text.push_str(&format!("read {blobs} blobs ({bytes}) and {results} results: "));
    text.push_str(&match report.damaged.len() {
        0 => "everything is right\n".to_owned(),
        count => format!("{count} removed; they are made again when they are needed\n"),
    });
    Ok(text)
}
