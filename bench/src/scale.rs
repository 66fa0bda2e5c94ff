//! How much is measured.

/// Sizes and repetitions.
#[derive(Debug, Clone)]
pub(crate) struct Scale {
    /// Steps of the replayed pipelines: small, middle, large.
    pub(crate) steps: [usize; 3],
    /// Up to so many steps are really executed to fill a cache.
    pub(crate) executed: usize,
    /// Whether processor time stands for wall clock, where a target is in seconds: for busy machines.
    pub(crate) by_cpu: bool,
    /// Repetitions of a whole run of the small pipeline; larger ones get fewer.
    pub(crate) runs: usize,
    /// Repetitions of a fan of steps with a cold cache.
    pub(crate) fans: usize,
    /// Bare launches between two fans.
    pub(crate) launches: usize,
    /// Files of the source tree that does not change.
    pub(crate) files: usize,
    /// Bytes of the source tree that is hashed.
    pub(crate) bytes: u64,
    /// Steps that the core decides about.
    pub(crate) core_steps: u32,
}

impl Scale {
    /// What the targets are about.
    pub(crate) const fn full() -> Self {
        Self {
            steps: [1_000, 10_000, 100_000],
            executed: 1_000,
            by_cpu: false,
            runs: 21,
            fans: 7,
            launches: 100,
            files: 100_000,
            bytes: 2 << 30,
            core_steps: 100_000,
        }
    }

    /// Everything once, in less than a minute, with a debug build as well.
    pub(crate) const fn quick() -> Self {
        Self {
            steps: [200, 1_000, 2_000],
            executed: 100,
            by_cpu: true,
            runs: 3,
            fans: 1,
            launches: 20,
            files: 5_000,
            bytes: 64 << 20,
            core_steps: 10_000,
        }
    }
}
