use super::*;

fn key(digest: &str, at_ms: u64) -> KeyRecord {
    let (digest, status) = (digest.to_owned(), "succeeded".to_owned());
    KeyRecord { digest, status, cached: false, at_ms, run: format!("r{at_ms}") }
}

fn keys(list: &[(&str, KeyRecord)]) -> Vec<(String, KeyRecord)> {
    list.iter().map(|(step, key)| ((*step).to_owned(), key.clone())).collect()
}

fn digests(dir: &Path, step: &str) -> Vec<String> {
    nearest(dir, "app", step).unwrap().into_iter().map(|key| key.digest).collect()
}

#[test]
fn the_newest_key_comes_first_and_its_first_sighting_stays_when_it_is_used_again() {
    let dir = tempfile::tempdir().unwrap();
    for (at, digest) in ["a/1", "b/1", "c/1", "a/1"].iter().enumerate() {
        assert!(record(dir.path(), "app", &keys(&[("build", key(digest, at as u64))])).unwrap());
    }
    assert_eq!(digests(dir.path(), "build"), ["a/1", "c/1", "b/1", "a/1"]);
    let known = nearest(dir.path(), "app", "build").unwrap();
    assert_eq!((&known[0], &known[3]), (&key("a/1", 3), &key("a/1", 0)));
    assert_eq!(digests(dir.path(), "other"), [""; 0]);
    assert_eq!(nearest(dir.path(), "another", "build").unwrap(), []);
}

#[test]
fn nothing_is_written_when_nothing_changed() {
    let dir = tempfile::tempdir().unwrap();
    assert!(record(dir.path(), "app", &keys(&[("x", key("a/1", 1)), ("y", key("b/1", 1))])).unwrap());
    let hit = KeyRecord { cached: true, ..key("b/1", 2) };
    assert!(!record(dir.path(), "app", &keys(&[("y", hit)])).unwrap());
    let failed = KeyRecord { status: "failed".to_owned(), ..key("b/1", 3) };
    assert!(record(dir.path(), "app", &keys(&[("y", failed.clone())])).unwrap());
    let shared = KeyRecord { cached: true, ..failed.clone() };
    assert!(!record(dir.path(), "app", &keys(&[("y", shared)])).unwrap());
    // One key that went both ways: both are kept, the newest first.
    assert_eq!(nearest(dir.path(), "app", "y").unwrap(), [failed, key("b/1", 1)]);
}

#[test]
fn of_each_key_the_first_and_the_last_sightings_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let failed = |at_ms| KeyRecord { status: "failed".to_owned(), ..key("a/1", at_ms) };
    for at_ms in 0..10 {
        let other = key("b/1", 100 + at_ms);
        assert!(record(dir.path(), "app", &keys(&[("x", failed(at_ms))])).unwrap(), "executed again");
        assert!(record(dir.path(), "app", &keys(&[("x", other)])).unwrap());
    }
    let known = nearest(dir.path(), "app", "x").unwrap();
    let of_a: Vec<KeyRecord> = known.into_iter().filter(|key| key.digest == "a/1").collect();
    assert_eq!(of_a, [failed(9), failed(8), failed(0)]);
}

#[test]
fn a_step_that_is_run_again_in_one_run_is_one_sighting() {
    let dir = tempfile::tempdir().unwrap();
    let first = KeyRecord { cached: true, ..key("a/1", 5) };
    let again = KeyRecord { at_ms: 6, cached: false, ..first.clone() };
    record(dir.path(), "app", &keys(&[("x", first), ("x", again.clone())])).unwrap();
    assert_eq!(nearest(dir.path(), "app", "x").unwrap(), [again]);
}

#[test]
fn names_of_any_kind_stay_apart() {
    let dir = tempfile::tempdir().unwrap();
    let names = ["a\tb", "a\nb", "a%09b", "日本[x=1]"];
    let all: Vec<_> = names.iter().map(|name| (*name, key(&format!("{}/1", name.len()), 1))).collect();
    record(dir.path(), "app", &keys(&all)).unwrap();
    for name in names {
        assert_eq!(nearest(dir.path(), "app", name).unwrap().len(), 1, "{name}");
    }
}

#[test]
fn each_step_keeps_a_few_keys() {
    let dir = tempfile::tempdir().unwrap();
    for at in 0..20 {
        record(dir.path(), "app", &keys(&[("x", key(&format!("{at}/1"), at))])).unwrap();
    }
    assert_eq!(digests(dir.path(), "x").len(), 8);
    assert_eq!(digests(dir.path(), "x")[0], "19/1");
}

#[test]
fn a_damaged_file_is_as_good_as_none() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path(), "app", &keys(&[("x", key("a/1", 1))])).unwrap();
    let path = path(dir.path(), "app");
    let whole = fs::read(&path).unwrap();
    for cut in 0..whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        assert!(digests(dir.path(), "x").len() <= 1);
    }
    fs::write(&path, [0xff; 100]).unwrap();
    assert!(record(dir.path(), "app", &keys(&[("x", key("b/1", 2))])).unwrap());
    assert_eq!(digests(dir.path(), "x"), ["b/1"]);
}

#[test]
fn processes_do_not_lose_each_others_keys() {
    let dir = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let dir = dir.path();
            scope.spawn(move || {
                for n in 0..10 {
                    let step = format!("s{thread}.{n}");
                    record(dir, "app", &keys(&[(&step, key("a/1", 1))])).unwrap();
                }
            });
        }
    });
    for thread in 0..8 {
        for n in 0..10 {
            assert_eq!(digests(dir.path(), &format!("s{thread}.{n}")), ["a/1"]);
        }
    }
}
