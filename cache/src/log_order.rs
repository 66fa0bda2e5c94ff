//! The two streams of a process read as one, in the order in which they were printed.

/// Which of its two streams a process wrote to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// What is known of a log: part of it while the process runs, all of it afterwards.
#[derive(Debug, Clone, Copy)]
pub struct KnownLog<'a> {
    /// As in [`ActionResult::interleaving`](crate::ActionResult::interleaving).
    pub runs: &'a [u32],
    /// Whether no run is added any more and the last one does not grow.
    pub order_is_final: bool,
    /// Bytes of standard output.
    pub stdout: u64,
    /// Bytes of standard error.
    pub stderr: u64,
    /// Whether neither stream grows any more.
    pub ended: bool,
}

impl<'a> KnownLog<'a> {
    /// All of a log: what an action result says.
    pub fn whole(runs: &'a [u32], stdout: u64, stderr: u64) -> Self {
        Self { runs, order_is_final: true, stdout, stderr, ended: true }
    }

    fn length(&self, stream: Stream) -> u64 {
        match stream {
            Stream::Stdout => self.stdout,
            Stream::Stderr => self.stderr,
        }
    }
}

/// Where a log goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextBytes {
    /// These bytes of one stream.
    Here {
        /// Which.
        stream: Stream,
        /// The first one's position in the stream.
        from: u64,
        /// How many, at least 1.
        len: u64,
    },
    /// More may be printed.
    NotYet,
    /// Nowhere.
    End,
}

/// A place in a log. Offsets count the bytes of both streams in the order in which they were printed, without
/// gaps; one that was reached while the process ran means the same byte afterwards. Where the order is not known
/// to its end, the rest of standard output comes before the rest of standard error, also while the process runs.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogCursor {
    run: usize,
    in_run: u64,
    stdout: u64,
    stderr: u64,
    /// Bytes to pass over before anything is read.
    skip: u64,
}

impl LogCursor {
    /// At this offset, whether or not the log is that long already.
    pub fn at(offset: u64) -> Self {
        Self { skip: offset, ..Self::default() }
    }

    /// How many bytes were before this place.
    pub const fn offset(&self) -> u64 {
        self.stdout + self.stderr + self.skip
    }

    /// What is here. The place stays the same until [`LogCursor::advance`].
    pub fn next(&mut self, log: KnownLog<'_>) -> NextBytes {
        loop {
            let next = self.look(log);
            match next {
                NextBytes::Here { stream, len, .. } if self.skip > 0 => {
                    let passed = len.min(self.skip);
                    self.pass(stream, passed);
                    self.skip -= passed;
                }
                _ => return next,
            }
        }
    }

    /// Goes on by `bytes`, of those that [`LogCursor::next`] found here.
    pub fn advance(&mut self, stream: Stream, bytes: u64) {
        self.pass(stream, bytes);
    }

    fn pass(&mut self, stream: Stream, bytes: u64) {
        self.in_run += bytes;
        match stream {
            Stream::Stdout => self.stdout += bytes,
            Stream::Stderr => self.stderr += bytes,
        }
    }

    fn look(&mut self, log: KnownLog<'_>) -> NextBytes {
        while let Some(&run) = log.runs.get(self.run) {
            let stream = if self.run.is_multiple_of(2) { Stream::Stdout } else { Stream::Stderr };
            // A result made elsewhere may name runs that its streams are too short for.
            let len = u64::from(run).saturating_sub(self.in_run).min(self.left(log, stream));
            if len > 0 {
                return NextBytes::Here { stream, from: self.read(stream), len };
            }
            if self.run + 1 == log.runs.len() && !log.order_is_final {
                return NextBytes::NotYet;
            }
            self.run += 1;
            self.in_run = 0;
        }
        self.rest(log)
    }

    /// Beyond the runs.
    fn rest(&self, log: KnownLog<'_>) -> NextBytes {
        if !log.order_is_final {
            return NextBytes::NotYet;
        }
        for stream in [Stream::Stdout, Stream::Stderr] {
            let len = self.left(log, stream);
            if len > 0 {
                return NextBytes::Here { stream, from: self.read(stream), len };
            }
            if !log.ended {
                return NextBytes::NotYet;
            }
        }
        NextBytes::End
    }

    fn left(&self, log: KnownLog<'_>, stream: Stream) -> u64 {
        log.length(stream).saturating_sub(self.read(stream))
    }

    fn read(&self, stream: Stream) -> u64 {
        match stream {
            Stream::Stdout => self.stdout,
            Stream::Stderr => self.stderr,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUT: &str = "abcdef";
    const ERR: &str = "UVWXYZ";

    fn read(log: KnownLog<'_>, cursor: &mut LogCursor, most: u64) -> String {
        let mut text = String::new();
        while let NextBytes::Here { stream, from, len } = cursor.next(log) {
            let source = if stream == Stream::Stdout { OUT } else { ERR };
            let len = len.min(most);
            assert_eq!(cursor.offset(), cursor.stdout + cursor.stderr);
            text.push_str(&source[from as usize..(from + len) as usize]);
            cursor.advance(stream, len);
        }
        text
    }

    #[test]
    fn every_offset_goes_on_where_the_one_before_it_stopped() {
        for (runs, whole) in [
            (&[2, 3, 1][..], "abUVWcdefXYZ"),
            (&[0, 1, 2, 1], "UabVcdefWXYZ"),
            (&[], "abcdefUVWXYZ"),
            (&[100, u32::MAX, 7], "abcdefUVWXYZ"),
        ] {
            let log = KnownLog::whole(runs, 6, 6);
            for offset in 0..=whole.len() {
                for most in [1, 2, 100] {
                    let mut cursor = LogCursor::at(offset as u64);
                    assert_eq!(read(log, &mut cursor, most), whole[offset..], "{runs:?} {offset}");
                    assert_eq!((cursor.offset(), cursor.next(log)), (12, NextBytes::End));
                }
            }
            let mut beyond = LogCursor::at(13);
            assert_eq!(beyond.next(log), NextBytes::End);
        }
    }

    #[test]
    fn a_log_that_grows_reads_as_it_does_when_it_is_whole() {
        let stages = [
            (&[][..], false, 0, 0, false, ""),
            (&[2], false, 2, 0, false, "ab"),
            (&[2, 1], false, 2, 1, false, "U"),
            (&[2, 1, 1], false, 3, 1, false, "c"),
            // The record is full: standard error has to wait.
            (&[2, 1, 1], true, 4, 3, false, "d"),
            (&[2, 1, 1], true, 6, 6, false, "ef"),
            (&[2, 1, 1], true, 6, 6, true, "VWXYZ"),
        ];
        let mut cursor = LogCursor::default();
        let mut late = LogCursor::at(4);
        let mut seen = (String::new(), String::new());
        for (runs, order_is_final, stdout, stderr, ended, new) in stages {
            let log = KnownLog { runs, order_is_final, stdout, stderr, ended };
            let text = read(log, &mut cursor, 1);
            assert_eq!(text, new);
            seen.0 += &text;
            seen.1 += &read(log, &mut late, 2);
        }
        let whole = read(KnownLog::whole(&[2, 1, 1], 6, 6), &mut LogCursor::default(), 100);
        assert_eq!((seen.0, seen.1.as_str()), (whole.clone(), &whole[4..]));
    }

    #[test]
    fn an_order_that_is_left_out_at_the_end_changes_nothing() {
        let mut cursor = LogCursor::default();
        let growing = KnownLog { runs: &[2, 3], order_is_final: false, stdout: 2, stderr: 3, ended: false };
        assert_eq!(read(growing, &mut cursor, 4), "abUVW");
        assert_eq!(read(KnownLog::whole(&[], 2, 4), &mut cursor, 4), "X");
    }
}
