//! Whose journals of break-glass runs are taken in, and from whom.

use cullet_cache::PublicKey;

/// Whose journals are taken in, and from whom. By default everybody's are, from everybody; then nobody knows who signed them.
#[derive(Debug, Clone, Default)]
pub struct JournalTrust {
    /// What they are signed with; where there are none, every key is taken.
    pub keys: Vec<JournalKey>,
    /// The names of the submitters who may send; every caller that is one of them, where none are named.
    pub senders: Option<Vec<String>>,
}

/// The key of a journal, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalKey {
    /// The key.
    pub key: PublicKey,
    /// For people.
    pub owner: String,
}

impl JournalTrust {
    /// Whether entries that are signed with a key are taken in.
    pub fn takes(&self, key: &PublicKey) -> bool {
        self.is_unverified() || self.owner(key).is_some()
    }

    /// Whether nobody says whose keys there are.
    pub fn is_unverified(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whose key it is.
    pub fn owner(&self, key: &PublicKey) -> Option<&str> {
        self.keys.iter().find(|known| known.key == *key).map(|known| &*known.owner)
    }
}
