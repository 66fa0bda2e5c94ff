//! Why no worker could run a step, for people.

use crate::place::Demand;
use crate::spec::Label;
use crate::workers::{Worker, Workers};

/// Names of workers that a reason lists.
const NAMED: usize = 5;

pub(crate) fn unplaceable(demand: Demand, labels: &[Label], workers: &Workers) -> String {
    let has = workers.iter().filter(|(_, worker)| worker.has(labels)).map(|(_, worker)| worker);
    let labelled: Vec<&Worker> = has.collect();
    let wanted: Vec<String> = labels.iter().map(|(label, value)| format!("{label}={value}")).collect();
    let wanted = wanted.join(", ");
    if labelled.is_empty() && labels.is_empty() {
        return "no worker takes steps".to_owned();
    }
    if labelled.is_empty() {
        return format!("no worker has labels {wanted} ({})", listed(workers));
    }
    let among = if labels.is_empty() { String::new() } else { format!(" with labels {wanted}") };
    let cpu_millis = labelled.iter().map(|worker| worker.spec().cpu_millis).max().unwrap_or(0);
    let memory_bytes = labelled.iter().map(|worker| worker.spec().memory_bytes).max().unwrap_or(0);
    let (asked_cpu, asked_memory) = (processors(demand.cpu_millis), memory(demand.memory_bytes));
    if cpu_millis < demand.cpu_millis {
        let has = processors(cpu_millis);
        return format!("it asks for {asked_cpu} processors; the largest worker{among} has {has}");
    }
    if memory_bytes < demand.memory_bytes {
        let has = memory(memory_bytes);
        return format!("it asks for {asked_memory} of memory; the largest worker{among} has {has}");
    }
    format!("it asks for {asked_cpu} processors and {asked_memory} of memory; no worker{among} has both")
}

fn listed(workers: &Workers) -> String {
    let count = workers.iter().count();
    if count == 0 {
        return "there is none that takes steps".to_owned();
    }
    let named: Vec<&str> = workers.iter().take(NAMED).map(|(_, worker)| &*worker.spec().name).collect();
    let more = if count > NAMED { format!(" and {} more", count - NAMED) } else { String::new() };
    let noun = if count == 1 { "worker" } else { "workers" };
    format!("{count} {noun}: {}{more}", named.join(", "))
}

fn processors(millis: u32) -> String {
    match millis % 1000 {
        0 => (millis / 1000).to_string(),
        rest => format!("{}.{rest:03}", millis / 1000).trim_end_matches('0').to_owned(),
    }
}

fn memory(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = UNITS.iter().find(|(size, _)| bytes >= *size && bytes.is_multiple_of(*size));
    unit.map_or_else(|| format!("{bytes} bytes"), |(size, name)| format!("{} {name}", bytes / size))
}
