use cullet_cache::{ActionResult, ObjectOptions, Output, OutputKind, Scope, SharedCache, SigningKey};
use cullet_cache::{LogStream, Usage};
use cullet_digest::{DigestFunction, TreeRef};
use tempfile::TempDir;

use super::kept::KeptJournals;
use super::outcome::{Clusters, Quarantined, outcomes};
use super::taking::{Answer, Sender, take_in};
use super::*;
use crate::engine::StoredResults;
use crate::policy::{JournalKey, JournalTrust};

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32]).unwrap()
}

fn trust() -> JournalTrust {
    let keys = vec![JournalKey { key: key(1).public(), owner: "ada".to_owned() }];
    JournalTrust { keys, senders: None }
}

/// A store, and the journals in it.
struct World {
    _dir: TempDir,
    cache: SharedCache,
    kept: KeptJournals,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("store");
        let options = ObjectOptions::new(dir.path().join("spool"));
        let cache = SharedCache::open(store.to_str().unwrap(), &options).unwrap();
        let kept = KeptJournals::new(cache.kept.clone());
        Self { _dir: dir, cache, kept }
    }

    async fn send(&self, before: &[String], lines: &[String]) -> Answer {
        self.send_to(&trust(), before, lines).await
    }

    async fn send_to(&self, trust: &JournalTrust, before: &[String], lines: &[String]) -> Answer {
        let before: Vec<_> = before.iter().map(|line| sha256(line.as_bytes())).collect();
        let lines: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
        let sender = Sender { name: "ci", now_ms: 7 };
        take_in(&self.kept, trust, &before, &lines, sender).await.unwrap()
    }

    async fn entries(&self, journal: &[String]) -> usize {
        self.kept.known(&hash(journal[0].as_bytes())).await.unwrap().0.len()
    }
}

/// Entries that begin and end a run in turn, signed by the key of this seed, from the `first` on.
fn journal(seed: u8, count: u64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for seq in 1..=count {
        let begun =
            Begun { scope: "quarantine/ada".to_owned(), reason: format!("why {seq}"), ..Begun::default() };
        let event = match seq % 2 {
            1 => Event::Begun(Box::new(begun)),
            _ => Event::Finished(Finished { outcome: "succeeded".to_owned(), ..Finished::default() }),
        };
        let entry = entry(seq, lines.last(), event);
        lines.push(seal(&entry, &key(seed)).unwrap());
    }
    lines
}

fn entry(seq: u64, before: Option<&String>, event: Event) -> Entry {
    let previous = before.map_or_else(|| NOTHING.to_owned(), |line| hash(line.as_bytes()));
    let who = Who { user: "ada".to_owned(), uid: 1000, host: "laptop".to_owned() };
    let time = "2026-11-27T12:00:00Z".to_owned();
    Entry { seq, time, previous, who, run: format!("run {}", seq.div_ceil(2)), event }
}

/// The same entry with a change, sealed anew.
fn resealed(line: &str, seed: u8, change: impl FnOnce(&mut Entry)) -> String {
    let mut entry = Line::parse(line.as_bytes()).unwrap().entry;
    change(&mut entry);
    seal(&entry, &key(seed)).unwrap()
}

/// What became of lines: `+` taken, `=` known, or the fault.
fn said(answer: &Answer) -> Vec<String> {
    let of = |judged: &Judged| match &judged.verdict {
        Verdict::New(_) => "+".to_owned(),
        Verdict::Known => "=".to_owned(),
        Verdict::Refused(fault) => fault.to_string(),
    };
    answer.lines.iter().map(of).collect()
}

#[tokio::test]
async fn a_journal_is_taken_in_once_in_whatever_pieces() {
    let (world, lines) = (World::new(), journal(1, 5));
    assert_eq!(world.send(&lines, &[]).await.entries, 0, "a question");
    assert_eq!(said(&world.send(&[], &lines[..2]).await), ["+", "+"]);
    assert_eq!(said(&world.send(&lines[..2], &lines[2..4]).await), ["+", "+"]);
    let again = world.send(&[], &lines).await;
    assert_eq!((again.entries, said(&again)), (5, ["=", "=", "=", "=", "+"].map(str::to_owned).to_vec()));
    assert_eq!((again.differs, again.notes.len()), (None, 0));
    let question = world.send(&lines, &[]).await;
    assert_eq!((question.entries, question.differs), (5, None));
    let there = world.kept.line(&hash(lines[0].as_bytes()), 2).await.unwrap().unwrap();
    assert_eq!((there.line, there.by.as_str(), there.taken_at_ms), (lines[1].clone(), "ci", 7));
    let listed = world.kept.all().await.unwrap();
    assert_eq!(listed.iter().map(|about| &*about.user).collect::<Vec<_>>(), ["ada"]);
}

/// Sends a journal of which two entries are known, and five are changed, and says what became of the third to the fifth.
async fn tampered(change: impl FnOnce(&mut Vec<String>)) -> Vec<String> {
    let (world, mut lines) = (World::new(), journal(1, 5));
    world.send(&[], &lines[..2]).await;
    let known = lines.clone();
    change(&mut lines);
    let answer = world.send(&lines[..2], &lines[2..]).await;
    let said = said(&answer);
    let taken = said.iter().filter(|said| *said == "+").count();
    assert_eq!(world.entries(&known).await, 2 + taken, "nothing is kept of what was refused");
    assert_eq!(answer.entries as usize, if lines[0] == known[0] { 2 + taken } else { 0 });
    said
}

#[tokio::test]
async fn whatever_was_done_to_a_line_it_is_refused_with_what_and_where() {
    let after = |line| format!("it comes after line {line}, which was not taken in");
    let said = tampered(|lines| lines[3] = lines[3].replace("succeeded", "cancelled")).await;
    assert_eq!(
        said,
        ["+".to_owned(), "entry 4 was changed: its signature does not fit".to_owned(), after(4)]
    );
    let said = tampered(|lines| lines[2] = lines[2].replace("why 3", "why 4")).await;
    assert_eq!(said[0], "entry 3 was changed: its signature does not fit");
    let said = tampered(|lines| lines[2].truncate(50)).await;
    assert_eq!(said, ["line 3 is no entry: it was changed, or damaged".to_owned(), after(3), after(3)]);
    // Of a signature and of a key.
    let said = tampered(|lines| {
        let at = lines[2].len() - 3;
        let other = if &lines[2][at..=at] == "0" { "1" } else { "0" };
        lines[2].replace_range(at..=at, other);
    })
    .await;
    assert_eq!(said[0], "entry 3 was changed: its signature does not fit");
    let said = tampered(|lines| {
        lines[2] = lines[2].replace(&key(1).public().to_string(), &key(2).public().to_string());
    })
    .await;
    assert_eq!(said[0], "entry 3 was changed: its signature does not fit");
    let said = tampered(|lines| lines[2] = resealed(&lines[2], 2, |_| {})).await;
    assert!(said[0].starts_with(&format!("entry 3 is signed by {}", key(2).public())), "{said:?}");
}

#[tokio::test]
async fn lines_that_are_missing_or_stand_elsewhere_are_refused_with_what_and_where() {
    let said = tampered(|lines| drop(lines.remove(2))).await;
    assert_eq!(said[0], "entries are missing before line 3, which is entry 4");
    let said = tampered(|lines| lines.swap(2, 3)).await;
    assert_eq!(said[0], "entries are missing before line 3, which is entry 4");
    let said = tampered(|lines| lines.insert(3, lines[2].clone())).await;
    assert_eq!(said[..2], ["+".to_owned(), "line 4 is entry 3: entries are not in their order".to_owned()]);
    // By somebody who can sign, and so whatever they like.
    let said = tampered(|lines| lines[2] = resealed(&lines[2], 1, |entry| entry.seq = 9)).await;
    assert_eq!(said[0], "entries are missing before line 3, which is entry 9");
    let said =
        tampered(|lines| lines[2] = resealed(&lines[2], 1, |entry| entry.run = "other".to_owned())).await;
    assert_eq!(said[..2], ["+", "entry 3 was replaced: entry 4 names another one"], "the chain shows it");
    let said = tampered(|lines| {
        lines[2] = resealed(&lines[2], 1, |entry| {
            let Event::Begun(begun) = &mut entry.event else { return };
            begun.scope = "protected".to_owned();
        });
    })
    .await;
    assert!(said[0].starts_with("entry 3 says that its results belong to protected"), "{said:?}");
    // What is known is compared, whoever signed the new one.
    let said =
        tampered(|lines| lines[1] = resealed(&lines[1], 1, |entry| entry.run = "other".to_owned())).await;
    assert_eq!(said, vec!["it comes after line 2, which was not taken in"; 3]);
}

#[tokio::test]
async fn what_the_cluster_has_otherwise_or_not_at_all_is_said() {
    let (world, lines) = (World::new(), journal(1, 4));
    world.send(&[], &lines[..2]).await;
    let other = [lines[0].clone(), resealed(&lines[1], 1, |entry| entry.run = "other".to_owned())];
    let differs = format!(
        "entry 2 is not the one that the cluster took in: that one has the SHA-256 {}",
        hash(lines[1].as_bytes())
    );
    assert_eq!(said(&world.send(&[], &other).await), ["=".to_owned(), differs.clone()]);
    let asked = world.send(&other, &[]).await.differs.map(|(seq, fault)| (seq, fault.to_string()));
    assert_eq!(asked, Some((2, differs)));
    let held_back = said(&world.send(&lines[..3], &lines[3..]).await);
    assert_eq!(
        held_back,
        ["the cluster has the entries up to 2, and none up to 3, behind which this one is"]
    );
}

#[tokio::test]
async fn a_journal_that_begins_anew_is_another_one_and_said() {
    let (world, lines) = (World::new(), journal(1, 2));
    world.send(&[], &lines).await;
    let not_first = resealed(&lines[0], 1, |entry| entry.previous = hash(b"x"));
    assert_eq!(said(&world.send(&[], &[not_first]).await), ["entry 1 was not the first one of its journal"]);
    assert_eq!(world.kept.all().await.unwrap().len(), 1, "nothing is listed of what was refused");
    let anew = resealed(&lines[0], 1, |entry| entry.time = "2026-11-28T00:00:00Z".to_owned());
    let answer = world.send(&[], &[anew]).await;
    assert_eq!(said(&answer), ["+"]);
    assert!(answer.notes[0].contains("has signed another journal before"), "{:?}", answer.notes);
    assert_eq!(world.kept.all().await.unwrap().len(), 2);
    assert_eq!(world.entries(&lines).await, 2, "what was there stays");
}

#[tokio::test]
async fn where_nobody_says_whose_keys_there_are_every_key_is_taken() {
    let (world, lines) = (World::new(), journal(9, 2));
    let refused = said(&world.send(&[], &lines).await);
    assert!(refused[0].contains("whose journals the cluster does not take in"), "{refused:?}");
    assert_eq!(said(&world.send_to(&JournalTrust::default(), &[], &lines).await), ["+", "+"]);
}

#[tokio::test]
async fn what_is_remembered_may_lag_behind_and_what_is_changed_in_the_store_is_seen() {
    let (world, lines) = (World::new(), journal(1, 4));
    let name = hash(lines[0].as_bytes());
    world.send(&[], &lines).await;
    // As a leader leaves it that stood still while another one went on.
    let first = judge::Known(vec![sha256(lines[0].as_bytes())]);
    world.kept.extend(&name, 2, &[], &first).await.unwrap();
    assert_eq!(world.entries(&lines).await, 4);
    assert_eq!(said(&world.send(&lines[..3], &lines[3..]).await), ["="]);
    let changed = lines[1].replace("succeeded", "cancelled");
    world.cache.kept.put(&format!("journal {name} line 2"), changed.clone().into()).await.unwrap();
    let there = world.kept.line(&name, 2).await.unwrap().unwrap();
    let before = sha256(lines[0].as_bytes());
    assert_eq!(look_at(2, Some(&before), there.line.as_bytes(), &trust()), Err(Fault::Changed(2)));
}

fn result(content: &str, started_at_ms: u64) -> ActionResult {
    let digest = DigestFunction::Blake3.digest(content.as_bytes());
    let output = |path: &str, digest| Output {
        path: path.to_owned(),
        kind: OutputKind::Tree(TreeRef::File { digest, executable: false }),
    };
    let report = DigestFunction::Blake3.digest(&started_at_ms.to_le_bytes());
    ActionResult {
        exit_code: 0,
        outputs: vec![output("out", digest), output("report.xml", report)],
        stdout: LogStream::default(),
        stderr: LogStream::default(),
        interleaving: Vec::new(),
        worker: "w".to_owned(),
        started_at_ms,
        duration_ms: 1,
        usage: Usage::default(),
        signature: None,
        trees: Vec::new(),
        times: Default::default(),
    }
}

#[tokio::test]
async fn results_are_compared_with_what_the_quarantine_has_and_with_what_the_cluster_got() {
    let world = World::new();
    let scope = Scope::Quarantine("ada".to_owned());
    let (quarantine, protected) = (world.cache.only(&scope), world.cache.only(&Scope::Protected));
    let action = |step: &str| DigestFunction::Blake3.digest(step.as_bytes());
    let mut steps = Vec::new();
    // Of each: what was made behind the glass, what the quarantine has, and what the cluster got.
    for (step, made, there, cluster) in [
        ("same", "a", Some("a"), Some("a")),
        ("other", "a", Some("b"), None),
        ("absent", "a", None, Some("b")),
    ] {
        let made = result(made, 1);
        let mut outputs = outputs_of(&made);
        outputs.remove("report.xml");
        steps.push(StepRecord {
            step: step.to_owned(),
            status: "succeeded".to_owned(),
            action_digest: Some(action(step).to_string()),
            result_digest: Some(digest_of(&made).to_string()),
            outputs: Some(outputs),
            cached_from: None,
        });
        if let Some(there) = there {
            // A signature is nothing of a result.
            let signed = result(there, 1).signed(&key(3), &scope, &action(step));
            quarantine.put(&action(step), &signed).await.unwrap();
        }
        if let Some(cluster) = cluster {
            // Only what is complete is believed.
            for content in [cluster.as_bytes(), &2_u64.to_le_bytes()] {
                let digest = DigestFunction::Blake3.digest(content);
                world.cache.blobs.put(&digest, content.to_vec().into()).await.unwrap();
            }
            protected.put(&action(step), &result(cluster, 2)).await.unwrap();
        }
    }
    let untold = StepRecord { step: "untold".to_owned(), outputs: None, ..steps[0].clone() };
    let cached = StepRecord { cached_from: Some("shared".to_owned()), ..steps[0].clone() };
    let failed = StepRecord { status: "failed".to_owned(), ..steps[0].clone() };
    steps.extend([untold, cached, failed]);
    let entry = entry(1, None, Event::Finished(Finished { steps, ..Finished::default() }));
    let results = StoredResults { cache: world.cache.clone(), trusted: None };
    let found = outcomes(&results, &entry, 10).await;
    let names: Vec<&str> = found.iter().map(|outcome| &*outcome.step).collect();
    assert_eq!(names, ["same", "other", "absent", "untold"], "what was executed and succeeded");
    let there = digest_of(&result("b", 1));
    let quarantined: Vec<_> = found.iter().map(|outcome| outcome.quarantined.clone()).collect();
    assert_eq!(
        quarantined,
        [Quarantined::AsSaid, Quarantined::Other(there), Quarantined::Absent, Quarantined::AsSaid]
    );
    let cluster: Vec<_> = found.into_iter().map(|outcome| outcome.cluster).collect();
    assert_eq!(
        cluster,
        [Clusters::Same, Clusters::NotMade, Clusters::Different(vec!["out".to_owned()]), Clusters::Unknown]
    );
    assert_eq!(outcomes(&results, &entry, 2).await.len(), 2, "no more than are asked for");
}
