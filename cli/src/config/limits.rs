//! What a step may take that says nothing about it itself.

use std::collections::BTreeMap;

use clap::ValueEnum;
use cullet_worker::StepLimits;
use serde::{Deserialize, Deserializer};

use super::file::Amount;
use super::{Env, choice};
use crate::error::CliError;
use crate::ui::size;

/// What is limited, as `limits` of a step names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LimitKind {
    /// Memory of all its processes
    Memory,
    /// Processors
    Cpu,
    /// Processes and threads at a time
    Processes,
    /// What it writes to the disk
    Disk,
    /// All its outputs
    Output,
    /// Each of its two logs
    Log,
}

/// Of each kind how much: bytes, thousandths of a processor, or processes. 0 takes back what the environment or the file
/// says.
pub type UsualLimits = BTreeMap<LimitKind, u64>;

/// The most processes: more than Linux has numbers for.
const MOST_PROCESSES: u64 = 1 << 22;

/// `disk=10GiB`.
///
/// # Errors
/// Something else, in a sentence.
pub fn parse_limit(text: &str) -> Result<(LimitKind, u64), String> {
    let Some((kind, amount)) = text.split_once('=') else {
        return Err(format!("'{text}' is no limit: write KIND=AMOUNT, such as disk=10GiB"));
    };
    let kind = choice::<LimitKind>(kind.trim())?;
    Ok((kind, parse_amount(kind, amount)?))
}

fn parse_amount(kind: LimitKind, text: &str) -> Result<u64, String> {
    let text = text.trim();
    if text == "none" {
        return Ok(0);
    }
    let (name, is_wrong) = (name(kind), |what: &str| format!("{}: '{text}' is not {what}", name(kind)));
    let amount = match kind {
        LimitKind::Memory | LimitKind::Disk | LimitKind::Output | LimitKind::Log => {
            size::parse(text).map_err(|why| format!("{name}: {why}"))?
        }
        LimitKind::Cpu => {
            let cpus = text.parse::<f64>().ok().filter(|cpus| (0.001..=10_000.0).contains(cpus));
            (cpus.ok_or_else(|| is_wrong("a number of processors, such as 2 or 0.5"))? * 1000.0) as u64
        }
        LimitKind::Processes => text
            .parse()
            .ok()
            .filter(|count| *count <= MOST_PROCESSES)
            .ok_or_else(|| is_wrong("a number of processes, such as 500"))?,
    };
    if amount == 0 {
        return Err(format!("{name}: nothing can run with 0; write none for no limit"));
    }
    Ok(amount)
}

fn name(kind: LimitKind) -> String {
    kind.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// A table of the configuration file.
pub(super) fn table<'de, D: Deserializer<'de>>(from: D) -> Result<UsualLimits, D::Error> {
    let table = BTreeMap::<LimitKind, Amount>::deserialize(from)?;
    let parse = |(kind, amount): (LimitKind, Amount)| Ok((kind, parse_amount(kind, &amount.text())?));
    table.into_iter().map(parse).collect::<Result<_, String>>().map_err(serde::de::Error::custom)
}

/// What environment and file say.
pub(super) fn usual(env: &Env<'_>, file: &UsualLimits) -> Result<UsualLimits, CliError> {
    let parse = |text: &str| text.split(',').map(parse_limit).collect::<Result<Vec<_>, _>>();
    let said = env.parsed("CULLET_LIMITS", parse)?.unwrap_or_default();
    Ok(with(file, &said))
}

/// With further ones, which win.
pub(super) fn with(limits: &UsualLimits, said: &[(LimitKind, u64)]) -> UsualLimits {
    let mut limits = limits.clone();
    limits.extend(said.iter().copied());
    limits
}

/// As a worker takes them.
pub(super) fn of_steps(limits: &UsualLimits) -> StepLimits {
    let of = |kind| limits.get(&kind).copied().unwrap_or(0);
    let small = |kind| u32::try_from(of(kind)).unwrap_or(u32::MAX);
    StepLimits {
        cpu_millis: small(LimitKind::Cpu),
        memory_bytes: of(LimitKind::Memory),
        processes: small(LimitKind::Processes),
        disk_bytes: of(LimitKind::Disk),
        output_bytes: of(LimitKind::Output),
        log_bytes: of(LimitKind::Log),
    }
}

/// For people: `memory 2 GiB, cpu 1.5`. None where nothing is limited.
pub(crate) fn describe(limits: &UsualLimits) -> Option<String> {
    let one = |(kind, amount): (&LimitKind, &u64)| {
        let amount = match kind {
            LimitKind::Cpu => (*amount as f64 / 1000.0).to_string(),
            LimitKind::Processes => amount.to_string(),
            LimitKind::Memory | LimitKind::Disk | LimitKind::Output | LimitKind::Log => size::human(*amount),
        };
        format!("{} {amount}", name(*kind))
    };
    let texts: Vec<String> = limits.iter().filter(|(_, amount)| **amount > 0).map(one).collect();
    (!texts.is_empty()).then(|| texts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_own_amounts() {
        let is = |text, kind, amount| assert_eq!(parse_limit(text), Ok((kind, amount)), "{text}");
        is("memory=2GiB", LimitKind::Memory, 2 << 30);
        is("cpu=0.5", LimitKind::Cpu, 500);
        is("processes=100", LimitKind::Processes, 100);
        is("disk = 10 GiB", LimitKind::Disk, 10 << 30);
        is("log=none", LimitKind::Log, 0);
        for (wrong, said) in [
            ("memory", "KIND=AMOUNT"),
            ("memroy=1GiB", "'memroy' is not one of memory, cpu"),
            ("memory=lots", "memory: "),
            ("output=0", "output: nothing can run with 0"),
            ("cpu=0", "cpu: '0' is not a number of processors"),
            ("cpu=nan", "cpu: 'nan'"),
            ("processes=-1", "processes: '-1'"),
            ("processes=4194305", "processes: '4194305'"),
        ] {
            let refused = parse_limit(wrong).unwrap_err();
            assert!(refused.contains(said), "{wrong}: {refused}");
        }
    }

    #[test]
    fn the_last_word_of_each_kind_counts() {
        let file = UsualLimits::from([(LimitKind::Disk, 1 << 30), (LimitKind::Memory, 5 << 30)]);
        let env = |name: &str| (name == "CULLET_LIMITS").then(|| "disk=none,cpu=1.5".to_owned());
        let usual = usual(&Env { variable: &env }, &file).unwrap();
        assert_eq!(describe(&usual).as_deref(), Some("memory 5.0 GiB, cpu 1.5"));
        let all = of_steps(&with(&usual, &[(LimitKind::Memory, 7), (LimitKind::Processes, 9)]));
        let expected =
            StepLimits { cpu_millis: 1500, memory_bytes: 7, processes: 9, ..StepLimits::default() };
        assert_eq!(all, expected);
        assert_eq!(describe(&UsualLimits::from([(LimitKind::Log, 0)])), None);
        let bad = |name: &str| (name == "CULLET_LIMITS").then(|| "disk".to_owned());
        let refused = super::usual(&Env { variable: &bad }, &file).unwrap_err();
        assert!(refused.to_string().starts_with("CULLET_LIMITS: 'disk'"), "{refused}");
    }
}
