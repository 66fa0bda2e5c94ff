//! Approvals: another person's signature under one request, for an hour.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cullet_cache::{PublicKey, SigningKey};
use cullet_coordinator::glass::Approved;

use super::request::{Request, VALID};
use crate::config::{Approver, GlassSettings};
use crate::ui::duration::rfc3339;

/// What comes before every approval, so that no other text with a signature of the same key is one.
const CONTEXT: &[u8] = b"cullet break-glass approval 1\0";

/// How much clocks of two machines may differ.
const CLOCKS: u64 = 300;

/// Bytes of a token: until when, by whom, and their signature.
const BYTES: usize = 8 + 32 + 64;

/// An approval as it is handed over. Nobody has checked it yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(super) until: u64,
    key: PublicKey,
    signature: [u8; 64],
}

impl Token {
    /// Approves a request.
    pub(crate) fn sign(request: &Request, key: &SigningKey) -> Self {
        Self { until: request.until, key: key.public(), signature: key.sign(&signed(request)) }
    }

    /// Letters, digits, `-` and `_`.
    pub(crate) fn encode(&self) -> String {
        let until = self.until.to_be_bytes();
        URL_SAFE_NO_PAD.encode([&until[..], &self.key.bytes()[..], &self.signature[..]].concat())
    }

    fn decode(text: &str) -> Option<Self> {
        let bytes: [u8; BYTES] = URL_SAFE_NO_PAD.decode(text.trim()).ok()?.try_into().ok()?;
        let until = u64::from_be_bytes(bytes[..8].try_into().ok()?);
        let key = PublicKey::new(bytes[8..40].try_into().ok()?);
        Some(Self { until, key, signature: bytes[40..].try_into().ok()? })
    }
}

fn signed(request: &Request) -> Vec<u8> {
    [CONTEXT, &request.hash()].concat()
}

/// Why an approval does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// Some other text.
    #[error("it is no token that `cullet approve` gives")]
    NoToken,
    /// By the machine that asks.
    #[error("it is signed with a key of this machine, and somebody else has to approve")]
    OwnKey,
    /// By whoever asks.
    #[error("it is signed by {0}, who asks for it, and somebody else has to approve")]
    OwnName(String),
    /// By a stranger.
    #[error(
        "it is signed by {0}, who is not among the `approvers` in [break-glass] of the configuration file"
    )]
    Stranger(PublicKey),
    /// Too late.
    #[error("it counted until {0}")]
    Expired(String),
    /// For too long.
    #[error("it counts until {0}, which is more than an hour")]
    TooLong(String),
    /// Of something else.
    #[error(
        "it is for another request: the pipeline, its sources or images, targets, parameters, the executor, the reason or the user differ"
    )]
    Other,
}

/// What an approval is compared with.
#[derive(Debug)]
pub(crate) struct Approving<'a> {
    pub(crate) approvers: &'a [Approver],
    /// Keys of this machine.
    pub(crate) own: &'a [PublicKey],
    /// Seconds since the Unix epoch.
    pub(crate) now: u64,
}

impl Approving<'_> {
    /// Whose approval of a request this is. Until when the request counts is said by the approval.
    ///
    /// # Errors
    /// See [`Refused`].
    pub(crate) fn check(&self, text: &str, request: &Request) -> Result<Approved, Refused> {
        let token = Token::decode(text).ok_or(Refused::NoToken)?;
        let request = Request { until: token.until, ..request.clone() };
        if self.own.contains(&token.key) || token.key.to_string() == request.machine {
            return Err(Refused::OwnKey);
        }
        let approver = self.approvers.iter().find(|approver| approver.key == token.key);
        let Approver { name, .. } = approver.ok_or(Refused::Stranger(token.key))?;
        if *name == request.who.user {
            return Err(Refused::OwnName(name.clone()));
        }
        let until = rfc3339(token.until.saturating_mul(1000));
        if token.until < self.now {
            return Err(Refused::Expired(until));
        }
        if token.until > self.now + VALID.as_secs() + CLOCKS {
            return Err(Refused::TooLong(until));
        }
        if !token.key.signed(&signed(&request), &token.signature) {
            return Err(Refused::Other);
        }
        Ok(Approved { name: name.clone(), key: token.key.to_string(), until, token: token.encode() })
    }

    /// The approvals that count, one of each person.
    ///
    /// # Errors
    /// The first that does not.
    pub(crate) fn check_all(&self, tokens: &[String], request: &Request) -> Result<Vec<Approved>, Refused> {
        let mut all = BTreeMap::new();
        for token in tokens {
            let approved = self.check(token, request)?;
            all.insert(approved.name.clone(), approved);
        }
        Ok(all.into_values().collect())
    }
}

/// Whether steps with effects could be approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nobody has to.
    Waived,
    /// So many of so many people have to.
    Possible(usize, usize),
    /// More have to than may.
    Impossible(usize, usize),
}

/// So many others, in words.
pub(crate) fn others(count: usize) -> String {
    if count == 1 { "1 other".to_owned() } else { format!("{count} others") }
}

/// See [`Standing`]: who asks does not count among those who may.
pub(crate) fn standing(settings: &GlassSettings) -> Standing {
    // A key is that of whom it is named after first, as in `Approving::check`.
    let mut keys = BTreeSet::new();
    let known = settings.approvers.iter().filter(|approver| keys.insert(approver.key));
    let names: BTreeSet<&str> =
        known.map(|approver| &*approver.name).filter(|name| *name != settings.user).collect();
    match (settings.approvals, names.len()) {
        (0, _) => Standing::Waived,
        (needed, there) if needed <= there => Standing::Possible(needed, there),
        (needed, there) => Standing::Impossible(needed, there),
    }
}

#[cfg(test)]
mod tests {
    use cullet_coordinator::glass::{Begun, Who};

    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed(&[seed; 32]).unwrap()
    }

    fn request(change: impl FnOnce(&mut Begun)) -> Request {
        let mut begun =
            Begun { reason: "down".to_owned(), effects: vec!["ship".to_owned()], ..Begun::default() };
        change(&mut begun);
        let who = Who { user: "ada".to_owned(), uid: 1000, host: "laptop".to_owned() };
        Request::of(&begun, &who, &key(1).public().to_string(), NOW + VALID.as_secs())
    }

    fn approvers() -> Vec<Approver> {
        let approver = |seed, name: &str| Approver { key: key(seed).public(), name: name.to_owned() };
        vec![approver(2, "grace"), approver(3, "ada"), approver(1, "machine"), approver(4, "grace")]
    }

    fn check_at(now: u64, token: &Token, request: &Request) -> Result<Approved, Refused> {
        let (approvers, own) = (approvers(), [key(5).public()]);
        Approving { approvers: &approvers, own: &own, now }.check(&token.encode(), request)
    }

    #[test]
    fn another_person_approves_what_they_saw() {
        let asked = request(|_| {});
        let seen = Request::decode(&asked.encode()).unwrap();
        assert_eq!(seen, asked);
        let words = seen.words().join("\n");
        for part in ["ada (uid 1000) asks on laptop", "because: down", "outside world: ship", "no repository"]
        {
            assert!(words.contains(part), "{part}: {words}");
        }
        let token = Token::sign(&seen, &key(2));
        // The run that is to be approved is another one, a moment later.
        let later = Request { until: asked.until + 7, ..asked };
        let approved = check_at(NOW + 60, &token, &later).unwrap();
        assert_eq!((approved.name.as_str(), approved.key), ("grace", key(2).public().to_string()));
    }

    #[test]
    fn what_does_not_count_is_refused_with_why() {
        let asked = request(|_| {});
        let by = |seed| Token::sign(&asked, &key(seed));
        assert_eq!(check_at(NOW, &by(1), &asked), Err(Refused::OwnKey), "of the machine");
        assert_eq!(check_at(NOW, &by(5), &asked), Err(Refused::OwnKey), "another of the machine");
        assert_eq!(check_at(NOW, &by(3), &asked), Err(Refused::OwnName("ada".to_owned())));
        assert_eq!(check_at(NOW, &by(9), &asked), Err(Refused::Stranger(key(9).public())));
        let late = NOW + VALID.as_secs() + 1;
        assert!(matches!(check_at(late, &by(2), &asked), Err(Refused::Expired(_))));
        let long = Request { until: NOW + 2 * VALID.as_secs(), ..asked.clone() };
        let refused = check_at(NOW, &Token::sign(&long, &key(2)), &asked);
        assert!(matches!(refused, Err(Refused::TooLong(_))));
        // Nobody makes it count for longer than it was signed for.
        let stretched = Token { until: by(2).until + 60, ..by(2) };
        assert_eq!(check_at(NOW, &stretched, &asked), Err(Refused::Other));
        let mut wrong = by(2);
        wrong.signature[0] ^= 1;
        assert_eq!(check_at(NOW, &wrong, &asked), Err(Refused::Other));
        let approvers = approvers();
        let checked = Approving { approvers: &approvers, own: &[], now: NOW }.check("abc", &asked);
        assert_eq!(checked, Err(Refused::NoToken));
    }

    #[test]
    fn an_approval_is_of_exactly_one_request() {
        let token = Token::sign(&request(|_| {}), &key(2));
        let text = |text: &str| text.to_owned();
        let others = [
            request(|begun| begun.reason = text("up")),
            request(|begun| begun.pipeline.digest = text("x")),
            request(|begun| begun.targets.push(text("ship"))),
            request(|begun| drop(begun.params.insert(text("to"), text("production")))),
            request(|begun| drop(begun.sources.insert(text("code"), text("x")))),
            request(|begun| drop(begun.images.insert(text("alpine"), text("x")))),
            request(|begun| begun.executor = text("plain")),
            request(|begun| begun.effects.push(text("delete"))),
            Request { who: Who { user: text("eve"), ..Who::default() }, ..request(|_| {}) },
        ];
        for other in others {
            assert_eq!(check_at(NOW, &token, &other), Err(Refused::Other), "{other:?}");
        }
    }

    #[test]
    fn two_keys_of_one_person_are_one_approval() {
        let (asked, approvers) = (request(|_| {}), approvers());
        let approving = Approving { approvers: &approvers, own: &[], now: NOW };
        let tokens = [2, 4].map(|seed| Token::sign(&asked, &key(seed)).encode());
        assert_eq!(approving.check_all(&tokens, &asked).unwrap().len(), 1);
    }

    #[test]
    fn no_request_is_no_request() {
        for text in ["", "x", "e30", "!!"] {
            assert_eq!(Request::decode(text), None, "{text}");
        }
    }
}
