//! One comparison with its target.

/// Prints comparisons and remembers whether all were as wanted.
#[derive(Debug)]
pub(crate) struct Report {
    /// How far beyond its target a ratio may be.
    slack: f64,
    failed: bool,
}

/// A ratio's target.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    AtMost(f64),
    AtLeast(f64),
}

impl Report {
    pub(crate) const fn new(slack: f64) -> Self {
        Self { slack, failed: false }
    }

    pub(crate) const fn passed(&self) -> bool {
        !self.failed
    }

    /// A heading with the conditions of what follows.
    pub(crate) fn heading(&self, text: &str) {
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split(' ').next().unwrap_or_default();
        println!("\n{text} (load {load})");
    }

    /// Something worth knowing that has no target.
    pub(crate) fn note(&self, text: &str) {
        println!("        {text}");
    }

    /// `measured` over `reference`, both in the same unit; `unit` turns them into text.
    pub(crate) fn compare(
        &mut self,
        what: &str,
        measured: f64,
        reference: f64,
        target: Target,
        unit: impl Fn(f64) -> String,
    ) {
        let ratio = measured / reference;
        let (met, tolerated, sign, bound) = match target {
            Target::AtMost(bound) => (ratio <= bound, ratio <= bound * self.slack, '≤', bound),
            Target::AtLeast(bound) => (ratio >= bound, ratio >= bound / self.slack, '≥', bound),
        };
        let verdict = match (met, tolerated) {
            (true, _) => "PASS",
            (false, true) => "slow",
            (false, false) => "FAIL",
        };
        self.failed |= !tolerated;
        let (measured, reference) = (unit(measured), unit(reference));
        println!("{verdict}    {what}: {measured} / {reference} = {ratio:.2}, target {sign} {bound:.2}");
    }
}

/// Seconds, for people.
pub(crate) fn seconds(value: f64) -> String {
    match value {
        value if value < 1e-3 => format!("{:.0} µs", value * 1e6),
        value if value < 1.0 => format!("{:.1} ms", value * 1e3),
        value => format!("{value:.2} s"),
    }
}

/// Bytes, for people.
pub(crate) fn bytes(value: f64) -> String {
    format!("{value:.0} B")
}

/// Bytes per second, for people.
pub(crate) fn throughput(value: f64) -> String {
    format!("{:.2} GiB/s", value / f64::from(1 << 30))
}
