//! `cullet cache volumes`, and the volumes of the other subcommands of `cullet cache`.

use std::sync::Arc;

use cullet_worker::volumes::{Evicted, VolumeError, VolumeEvents, VolumeInfo, Volumes};
use serde_json::json;

use crate::args::Format;
use crate::config::Config;
use crate::error::CliError;
use crate::ui::{clean, duration, size};

/// Nobody runs a step here.
#[derive(Debug)]
struct Nobody;

impl VolumeEvents for Nobody {
    fn tell(&self, _: &str, _: bool, _: String) {}
}

/// The volumes of the cache directory.
pub(super) fn of(config: &Config) -> Volumes {
    config.volumes(Arc::new(Nobody))
}

/// They cannot be looked at, or after.
pub(super) fn failed(error: VolumeError) -> CliError {
    CliError::infra("the cache volumes of steps cannot be looked after").because(error)
}

/// Bytes of all.
pub(super) fn bytes(volumes: &Volumes) -> Result<(usize, u64), CliError> {
    let list = volumes.list().map_err(failed)?;
    Ok((list.len(), list.iter().map(|volume| volume.bytes).sum()))
}

/// What there is.
pub(super) fn list(volumes: &Volumes, format: Format) -> Result<String, CliError> {
    let list = volumes.list().map_err(failed)?;
    Ok(match format {
        Format::Json => list.iter().map(object).collect(),
        Format::Human if list.is_empty() => "there are no cache volumes\n".to_owned(),
        Format::Human => table(&list),
    })
}

/// Removes those of a name, or all.
pub(super) fn remove(volumes: &Volumes, name: Option<&str>) -> Result<String, CliError> {
    let wanted = |volume: &VolumeInfo| name.is_none_or(|name| volume.volume == name);
    let Evicted { volumes: count, bytes_before, bytes_after } = volumes.remove(wanted).map_err(failed)?;
    let kept = volumes.list().map_err(failed)?.into_iter().filter(wanted).count();
    let freed = size::human(bytes_before - bytes_after);
    let in_use = if kept == 0 { String::new() } else { format!("; {kept} in use stay") };
    let plural = if count == 1 { "" } else { "s" };
    Ok(format!("removed {count} cache volume{plural}, freed {freed}{in_use}\n"))
}

fn object(volume: &VolumeInfo) -> String {
    let object = json!({
        "pipeline": volume.scope,
        "volume": volume.volume,
        "bytes": volume.bytes,
        "layers": volume.layers,
        "used_ms": volume.used_ms,
        "in_use": volume.in_use,
    });
    format!("{object}\n")
}

fn table(list: &[VolumeInfo]) -> String {
    let now = duration::now_ms();
    let row = |volume: &VolumeInfo| {
        let used = if volume.in_use { "now".to_owned() } else { duration::ago(volume.used_ms, now) };
        [clean::line(&volume.scope), volume.volume.clone(), size::human(volume.bytes), used]
    };
    let head = ["PIPELINE", "VOLUME", "SIZE", "LAST USE"].map(str::to_owned);
    let rows: Vec<[String; 4]> = std::iter::once(head).chain(list.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (first, second, third) = (width(0), width(1), width(2));
    rows.iter().map(|[a, b, c, d]| format!("{a:first$}  {b:second$}  {c:>third$}  {d}\n")).collect()
}
