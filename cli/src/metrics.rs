//! What a process says of itself besides what it does: memory, processor time, open files, and its cache.

use std::fmt::Error;

use cullet_cache::{LocalCache, Moved, Tiers};
use cullet_coordinator::metrics::{counter, gauge};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// This process, as the kernel sees it. Where there is no /proc it says nothing. The names are those that every
/// Prometheus client uses.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProcessMetrics;

/// What /proc says.
#[derive(Debug, PartialEq)]
struct Seen {
    cpu_seconds: f64,
    resident_bytes: u64,
    /// After the machine started.
    start_seconds: f64,
}

impl Seen {
    /// From /proc/self/stat, whose second field is a name with anything in it, in brackets.
    fn parse(stat: &str, ticks_per_second: u64, page: u64) -> Option<Self> {
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        // Numbered from 1 in proc(5), where the state is the third.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        let seconds = |ticks: u64| ticks as f64 / ticks_per_second.max(1) as f64;
        Some(Self {
            cpu_seconds: seconds(field(14)? + field(15)?),
            resident_bytes: field(24)? * page,
            start_seconds: seconds(field(22)?),
        })
    }
}

/// When the machine started, in seconds since the Unix epoch.
fn booted() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok())
}

impl Collector for ProcessMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let (ticks, page) = (rustix::param::clock_ticks_per_second(), rustix::param::page_size() as u64);
        let stat = std::fs::read_to_string("/proc/self/stat").ok();
        if let Some(seen) = stat.and_then(|stat| Seen::parse(&stat, ticks, page)) {
            let help = "Processor time that the process has taken";
            let metric = encoder.encode_descriptor("process_cpu_seconds", help, None, MetricType::Counter)?;
            ConstCounter::new(seen.cpu_seconds).encode(metric)?;
            gauge(
                &mut encoder,
                "process_resident_memory_bytes",
                "Memory of the process",
                seen.resident_bytes,
            )?;
            if let Some(booted) = booted() {
                let help = "When the process started, in seconds since the Unix epoch";
                let metric =
                    encoder.encode_descriptor("process_start_time_seconds", help, None, MetricType::Gauge)?;
                ConstGauge::new(booted + seen.start_seconds).encode(metric)?;
            }
        }
        // One of them is the directory itself.
        let open = std::fs::read_dir("/proc/self/fd").map(|all| all.count().saturating_sub(1));
        if let Ok(open) = open {
            gauge(&mut encoder, "process_open_fds", "Open files of the process", open as u64)?;
        }
        Ok(())
    }
}

/// A worker's cache, and what went through it.
#[derive(Debug)]
pub(crate) struct CacheMetrics {
    pub(crate) cache: LocalCache,
    pub(crate) tiers: Tiers,
}

impl Collector for CacheMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        if let Some(used) = self.cache.disk.used_bytes() {
            gauge(&mut encoder, "cullet_cache_bytes", "Bytes in the cache of this machine", used)?;
        }
        let help = "Bytes that the cache may have";
        gauge(&mut encoder, "cullet_cache_limit_bytes", help, self.cache.disk.bound())?;
        let counts = self.tiers.counts();
        let tiers = [("peers", counts.from_peers), ("shared", counts.from_shared)];
        let help = "Bytes that were fetched, by where from";
        by_tier(&mut encoder, "cullet_cache_fetched_bytes", help, &tiers, |moved| moved.bytes)?;
        let help = "Blobs that were fetched, by where from";
        by_tier(&mut encoder, "cullet_cache_fetched_blobs", help, &tiers, |moved| moved.blobs)?;
        let sent = counts.uploaded;
        counter(&mut encoder, "cullet_cache_uploaded_bytes", "Bytes sent to the shared store", sent.bytes)?;
        counter(&mut encoder, "cullet_cache_uploaded_blobs", "Blobs sent to the shared store", sent.blobs)
    }
}

fn by_tier(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    tiers: &[(&str, Moved)],
    value: fn(&Moved) -> u64,
) -> Result<(), Error> {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (tier, moved) in tiers {
        ConstCounter::new(value(moved)).encode(metric.encode_family(&[("tier", *tier)])?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_confuse() {
        let stat = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 1 0 900 1000 25 0";
        let expected = Seen { cpu_seconds: 2.0, resident_bytes: 25 * 4096, start_seconds: 9.0 };
        assert_eq!(Seen::parse(stat, 100, 4096), Some(expected));
        assert_eq!(Seen::parse("7 (a) S 1", 100, 4096), None);
    }
}
