//! What the check of a service prints.

use std::sync::Arc;

use cullet_secrets::{MaskedStream, Masker};

use super::told::{self, LastLines};
use crate::sandbox::protocol::Ending;
use crate::{LogSink, Stream};

/// What a check prints. Values are masked before its lines are cut, and before those of its two outputs meet.
pub(crate) struct Said {
    last: LastLines,
    masked: [MaskedStream; 2],
    masker: Arc<Masker>,
}

impl LogSink for Said {
    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        let masked = &mut self.masked[usize::from(stream == Stream::Stderr)];
        masked.feed(&self.masker, bytes, &mut |bytes| self.last.add(bytes));
    }
}

impl Said {
    pub(crate) fn masked(masker: Arc<Masker>) -> Self {
        Self { last: LastLines::default(), masked: Default::default(), masker }
    }

    pub(crate) fn verdict(mut self, ending: Option<Ending>) -> Result<(), String> {
        match ending {
            Some(Ending::Code(0)) => Ok(()),
            Some(ending) => Err(format!("its check {}{}", told::ended(ending), self.told())),
            None => Err("its check was not run to its end".to_owned()),
        }
    }

    /// What it said last. It says no more.
    pub(crate) fn told(&mut self) -> String {
        for masked in &mut self.masked {
            masked.finish(&self.masker, &mut |bytes| self.last.add(bytes));
        }
        self.last.told("it")
    }
}

#[cfg(test)]
mod tests {
    use cullet_secrets::SecretValue;

    use super::*;

    #[test]
    fn what_a_check_says_is_masked_before_it_is_cut() {
        let value = SecretValue::new(b"hunter22-0123".to_vec()).unwrap();
        let masker = Arc::new(Masker::new([&value]).unwrap());
        let said = |pieces: &[(Stream, &[u8])]| {
            let mut said = Said::masked(Arc::clone(&masker));
            pieces.iter().for_each(|(stream, bytes)| said.write(*stream, bytes));
            said.verdict(Some(Ending::Code(1))).unwrap_err()
        };
        let one = said(&[
            (Stream::Stdout, b"password hunter"),
            (Stream::Stderr, b"no\n"),
            (Stream::Stdout, b"22-0123"),
        ]);
        assert_eq!(one, "its check ended with exit code 1; it said: password no / ***");
        // Where the line is cut, and where the check ends.
        let long = format!("{}hunter22-0123\n", "x".repeat(196));
        let cut = said(&[(Stream::Stdout, long.as_bytes()), (Stream::Stderr, b"hunter22-01")]);
        assert!(cut.ends_with("xxx*** / ***") && !cut.contains("hun"), "{cut}");
    }
}
