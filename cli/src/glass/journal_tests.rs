use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;

use cullet_coordinator::glass::{Begun, Checked, Finished, check};

use super::*;

fn settings(dir: &Path) -> GlassSettings {
    GlassSettings {
        dir: dir.join("break-glass"),
        signing_key: None,
        approvals: 1,
        approvers: Vec::new(),
        reason: None,
        user: "ada".to_owned(),
    }
}

fn begun(reason: &str) -> Event {
    Event::Begun(Box::new(Begun { reason: reason.to_owned(), ..Begun::default() }))
}

fn finished() -> Event {
    Event::Finished(Finished { outcome: "succeeded".to_owned(), ..Finished::default() })
}

fn append(journal: &Journal, run: &str, event: Event) -> Appended {
    journal.append(&Who::default(), run, event).unwrap()
}

/// A journal with five entries.
fn journal(dir: &Path) -> Journal {
    let journal = Journal::open(&settings(dir)).unwrap();
    for run in ["a", "b"] {
        append(&journal, run, begun("the cluster is down \u{1f525}"));
        append(&journal, run, finished());
    }
    assert_eq!(append(&journal, "c", begun("again")), Appended { seq: 5, notes: Vec::new() });
    journal
}

fn checked(journal: &Journal) -> Checked {
    let keys = BTreeSet::from([journal.key()]);
    check(&fs::read(journal.path()).unwrap(), Some(&keys), head(&journal.dir).as_ref())
}

/// What is wrong with a journal whose lines somebody changed.
fn problems(change: impl FnOnce(&mut Vec<String>)) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let journal = journal(dir.path());
    assert_eq!(checked(&journal).problems, [""; 0]);
    let text = fs::read_to_string(journal.path()).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    change(&mut lines);
    fs::write(journal.path(), lines.concat_lines()).unwrap();
    checked(&journal).problems
}

trait ConcatLines {
    fn concat_lines(&self) -> String;
}

impl ConcatLines for Vec<String> {
    fn concat_lines(&self) -> String {
        self.iter().map(|line| format!("{line}\n")).collect()
    }
}

#[test]
fn what_is_written_is_read_and_is_its_owners_alone() {
    let dir = tempfile::tempdir().unwrap();
    let journal = journal(dir.path());
    let found = checked(&journal);
    assert_eq!((found.problems.len(), found.entries.len(), found.torn), (0, 5, false));
    assert_eq!(found.keys, BTreeSet::from([journal.key()]));
    let unfinished: Vec<&str> = found.unfinished().iter().map(|entry| &*entry.run).collect();
    assert_eq!(unfinished, ["c"]);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&journal.path()), mode(&journal.dir)), (0o600, 0o700));
}

#[test]
fn a_changed_entry_is_named() {
    assert_eq!(
        problems(|lines| lines[1] = lines[1].replace("succeeded", "cancelled")),
        ["entry 2 was changed: its signature does not fit"]
    );
    assert_eq!(problems(|lines| lines[2].truncate(40)), ["line 3 is no entry: it was changed, or damaged"]);
    assert_eq!(
        problems(|lines| lines[4] = lines[4].replace("again", "never")),
        ["entry 5 was changed: its signature does not fit"]
    );
}

#[test]
fn entries_that_were_removed_are_named() {
    assert_eq!(problems(|lines| drop(lines.remove(0))), ["entry 1 is missing before entry 2"]);
    assert_eq!(problems(|lines| drop(lines.drain(1..3))), ["entries 2 to 3 are missing before entry 4"]);
    assert_eq!(problems(|lines| lines.truncate(3)), ["entries 4 to 5 are missing at the end"]);
    assert_eq!(problems(Vec::clear), ["entries 1 to 5 are missing at the end"]);
}

#[test]
fn entries_that_stand_elsewhere_or_twice_are_named() {
    let swapped = problems(|lines| lines.swap(1, 2));
    assert_eq!(swapped[0], "entry 3 is not in its place: entry 2 comes after it");
    assert_eq!(swapped[1], "entry 2 is not in its place: entry 3 stands before it");
    let twice = problems(|lines| lines.push(lines[4].clone()));
    assert_eq!(twice, ["entry 5 is not in its place: entry 5 stands before it"]);
}

#[test]
fn an_entry_that_was_signed_anew_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let journal = journal(dir.path());
    let text = fs::read_to_string(journal.path()).unwrap();
    let resealed = |at: usize, key: &SigningKey| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let mut entry = Line::parse(lines[at].as_bytes()).unwrap().entry;
        entry.who.user = "eve".to_owned();
        lines[at] = seal(&entry, key).unwrap();
        fs::write(journal.path(), lines.concat_lines()).unwrap();
        checked(&journal).problems
    };
    assert_eq!(resealed(1, &journal.key), ["entry 2 was replaced: entry 3 names another one"]);
    assert_eq!(resealed(4, &journal.key), ["entry 5 was replaced after it was written"]);
    let other = SigningKey::from_seed(&[7; 32]).unwrap();
    let foreign = format!("entry 2 is signed by {}, who may not", other.public());
    assert_eq!(resealed(1, &other), [foreign]);
}

#[test]
fn half_an_entry_is_kept_aside_and_said() {
    let dir = tempfile::tempdir().unwrap();
    let journal = journal(dir.path());
    let mut bytes = fs::read(journal.path()).unwrap();
    bytes.extend_from_slice(b"{\"entry\":{\"seq\":6,");
    fs::write(journal.path(), &bytes).unwrap();
    let torn = checked(&journal);
    assert!(torn.torn && torn.problems.is_empty());
    let next = append(&journal, "c", finished());
    assert_eq!((next.seq, next.notes.len()), (6, 1));
    let aside = next.notes[0].rsplit(' ').next().unwrap();
    assert_eq!(fs::read(aside).unwrap(), b"{\"entry\":{\"seq\":6,");
    let mended = checked(&journal);
    assert!(!mended.torn && mended.problems.is_empty() && mended.entries.len() == 6, "{mended:?}");
}

#[test]
fn a_gap_at_the_end_stays_to_be_seen() {
    let dir = tempfile::tempdir().unwrap();
    let journal = journal(dir.path());
    let text = fs::read_to_string(journal.path()).unwrap();
    let kept: String = text.lines().take(3).map(|line| format!("{line}\n")).collect();
    fs::write(journal.path(), kept).unwrap();
    let next = append(&journal, "d", begun("x"));
    assert_eq!((next.seq, next.notes.len()), (6, 1));
    assert_eq!(checked(&journal).problems, ["entries 4 to 5 are missing before entry 6"]);
}

#[test]
fn a_power_cut_before_the_head_is_written_is_no_problem() {
    let dir = tempfile::tempdir().unwrap();
    let journal = journal(dir.path());
    let earlier = fs::read(head_in(&journal.dir)).unwrap();
    append(&journal, "c", finished());
    fs::write(head_in(&journal.dir), earlier).unwrap();
    assert_eq!(checked(&journal).problems, [""; 0]);
    assert_eq!(append(&journal, "d", begun("x")), Appended { seq: 7, notes: Vec::new() });
}

#[test]
fn two_write_without_losing_anything() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path());
    std::thread::scope(|scope| {
        for name in ["a", "b", "c", "d"] {
            let settings = &settings;
            scope.spawn(move || {
                // Each as another process would: the first of all makes the key.
                let journal = Journal::open(settings).unwrap();
                for _ in 0..10 {
                    append(&journal, name, begun(name));
                }
            });
        }
    });
    let found = checked(&Journal::open(&settings).unwrap());
    assert_eq!((found.entries.len(), found.problems), (40, Vec::new()));
}

#[test]
fn a_run_goes_on_while_its_process_lives() {
    let dir = tempfile::tempdir().unwrap();
    let journal = journal(dir.path());
    let running = journal.running("c").unwrap();
    assert!(is_running(&journal.dir, "c"));
    drop(running);
    assert!(!is_running(&journal.dir, "c"));
}

#[test]
fn what_cannot_be_written_is_not_in_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    // No directory can be made below a file, not even by root.
    let refused = Journal::open(&GlassSettings { dir: file.join("x"), ..settings(dir.path()) });
    assert!(matches!(refused, Err(JournalError::Io { action: "make", .. })));
    let journal = journal(dir.path());
    assert!(journal.try_out().is_ok());
    assert_eq!(checked(&journal).entries.len(), 5);
}
