//! In which order the two streams of a step were written.

use crate::executor::Stream;

/// Beyond this many changes of stream the order is no longer recorded. It keeps a step that alternates a byte at
/// a time from making its result megabytes long; a log with more changes than this is not read line by line.
const MAX_RUNS: usize = 65_536;

/// Lengths of alternating runs, standard output first (see `ActionResult::interleaving`).
#[derive(Debug, Default)]
pub(crate) struct Interleaving {
    runs: Vec<u32>,
    full: bool,
}

impl Interleaving {
    /// Notes that `bytes` bytes of `stream` come next.
    pub(crate) fn add(&mut self, stream: Stream, bytes: usize) {
        let mut left = bytes as u64;
        while left > 0 && !self.full {
            if !self.last_is(stream) {
                self.push(0);
                continue;
            }
            let Some(last) = self.runs.last_mut() else { return };
            let taken = left.min(u64::from(u32::MAX - *last));
            // `taken` fits: it is at most what is missing to u32::MAX.
            *last += taken as u32;
            left -= taken;
            if left > 0 {
                self.push(0);
            }
        }
    }

    /// The runs so far.
    pub(crate) fn runs(&self) -> &[u32] {
        &self.runs
    }

    /// Whether no more is recorded.
    pub(crate) fn is_full(&self) -> bool {
        self.full
    }

    /// The runs, or none where saying nothing says the same.
    pub(crate) fn finish(self) -> Vec<u32> {
        if self.runs.len() <= 2 { Vec::new() } else { self.runs }
    }

    fn last_is(&self, stream: Stream) -> bool {
        let standard_output_is_last = self.runs.len() % 2 == 1;
        !self.runs.is_empty() && standard_output_is_last == (stream == Stream::Stdout)
    }

    fn push(&mut self, run: u32) {
        if self.runs.len() < MAX_RUNS {
            self.runs.push(run);
        } else {
            self.full = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Stream::{Stderr, Stdout};

    const NOTHING: [u32; 0] = [];

    fn runs(writes: &[(Stream, usize)]) -> Vec<u32> {
        let mut order = Interleaving::default();
        writes.iter().for_each(|&(stream, bytes)| order.add(stream, bytes));
        order.finish()
    }

    #[test]
    fn runs_alternate_and_begin_with_standard_output() {
        assert_eq!(runs(&[(Stderr, 2), (Stdout, 3), (Stdout, 4), (Stderr, 5)]), [0, 2, 7, 5]);
        assert_eq!(runs(&[(Stdout, 1), (Stderr, 0), (Stdout, 1), (Stderr, 1), (Stdout, 1)]), [2, 1, 1]);
    }

    #[test]
    fn what_the_default_order_says_is_not_repeated() {
        assert_eq!(runs(&[]), NOTHING);
        assert_eq!(runs(&[(Stdout, 9)]), NOTHING);
        assert_eq!(runs(&[(Stderr, 9)]), NOTHING);
        assert_eq!(runs(&[(Stdout, 9), (Stderr, 9)]), NOTHING);
    }

    #[test]
    fn the_record_is_bounded() {
        let mut order = Interleaving::default();
        for _ in 0..100_000 {
            order.add(Stdout, 1);
            order.add(Stderr, 1);
        }
        let runs = order.finish();
        assert_eq!(runs.len(), MAX_RUNS);
        assert!(runs.iter().all(|&run| run == 1));
    }

    #[test]
    fn a_run_longer_than_a_number_holds_goes_on_after_an_empty_one() {
        let long = u32::MAX as usize + 5;
        assert_eq!(runs(&[(Stderr, 1), (Stdout, long)]), [0, 1, u32::MAX, 0, 5]);
    }
}
