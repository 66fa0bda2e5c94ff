//! What people should know of a run, in the form in which it stands in the log.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::Note;
use crate::resolve::LookupNote;

/// A note without the step it is about, which the log knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Said {
    /// `info` or `warning`.
    pub(crate) level: String,
    /// As in [`Note::kind`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<String>,
    /// One sentence.
    pub(crate) text: String,
}

/// Bytes of a note: what the core keeps of a text.
const MOST: usize = 1024;

impl Said {
    /// A warning.
    pub(crate) fn warning(kind: Option<&str>, text: impl Into<String>) -> Self {
        Self { level: "warning".to_owned(), kind: kind.map(str::to_owned), text: text.into() }
    }

    /// About a step, if about any.
    pub(crate) fn of(self, step: Option<String>) -> Note {
        let Self { level, kind, text } = self;
        Note { level, kind, step, text }
    }

    /// As the log has it. A long sentence loses its end.
    pub(crate) fn encode(&self) -> String {
        let mut said = self.clone();
        loop {
            let encoded = serde_json::json!(said).to_string();
            if encoded.len() <= MOST {
                return encoded;
            }
            said.text.truncate(said.text.floor_char_boundary(said.text.len() / 2));
            said.text.push('…');
        }
    }

    /// What the log has. Text of another version is taken as a sentence.
    pub(crate) fn decode(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_else(|_| Self::warning(None, text))
    }
}

/// Why a step that had succeeded runs again.
pub(crate) fn rewound(step: &str) -> Said {
    let text = format!("outputs of {step} can no longer be read from the cache: running it again");
    Said::warning(Some(Note::RERUN), text)
}

/// Why another attempt follows, and which.
pub(crate) fn retry(attempt: u32, why: &str) -> Said {
    Said::warning(Some(Note::RETRY), format!("trying again (attempt {attempt}): {why}"))
}

/// What there is to say of a lookup.
pub(crate) fn of_lookup(note: &LookupNote, step: &str) -> Said {
    let text = match note {
        LookupNote::Trouble(why) => format!("the cache could not be asked: {why}"),
        LookupNote::Incomplete { missing } => {
            let blobs = if *missing == 1 { "1 blob is" } else { &format!("{missing} blobs are") };
            format!("the cached result of {step} is not whole ({blobs} missing): running it again")
        }
    };
    Said::warning(Some(Note::RERUN), text)
}

/// Why a step is not looked up yet.
pub(crate) fn waiting_for_store(step: &str, patience: Duration, why: &str) -> Said {
    let minutes = patience.as_secs() / 60;
    let text = format!("the store does not answer; {step} waits for it, {minutes} minutes at most: {why}");
    Said::warning(Some(Note::SHARED), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_survives_and_never_grows_beyond_what_is_kept() {
        let said = Said::warning(Some(Note::RERUN), "x is \"new\"");
        assert_eq!(Said::decode(&said.encode()), said);
        for long in ["é".repeat(5000), "\u{1}".repeat(5000), "a".repeat(2000)] {
            let encoded = Said::warning(Some(Note::RERUN), long).encode();
            assert!(encoded.len() <= MOST, "{}", encoded.len());
            assert!(Said::decode(&encoded).text.ends_with('…'));
        }
        assert_eq!(Said::decode("plain words"), Said::warning(None, "plain words"));
    }
}
