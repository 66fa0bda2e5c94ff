use cullet_secrets::SecretValue;

use super::*;

#[derive(Clone, Default)]
struct Seen(Arc<Mutex<(Vec<u8>, Vec<u8>)>>);

impl LogSink for Seen {
    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        assert!(!bytes.is_empty() && bytes.len() <= CHUNK_BYTES);
        let mut both = self.0.lock().unwrap();
        if stream == Stream::Stdout {
            both.0.extend_from_slice(bytes);
        } else {
            both.1.extend_from_slice(bytes);
        }
    }
}

impl Seen {
    fn texts(&self) -> (String, String) {
        let both = self.0.lock().unwrap();
        (String::from_utf8(both.0.clone()).unwrap(), String::from_utf8(both.1.clone()).unwrap())
    }
}

fn shared() -> (Seen, SharedLog) {
    let seen = Seen::default();
    (seen.clone(), SharedLog::new(Box::new(seen), Arc::default()))
}

#[test]
fn every_line_of_a_service_has_its_name() {
    let (seen, log) = shared();
    let (mut db, last) = log.of_service("db");
    db.write(Stream::Stdout, b"one\ntw");
    db.write(Stream::Stderr, b"err\n");
    db.write(Stream::Stdout, b"o\n\nend");
    db.end(Some("ended with exit code 1"));
    let said =
        "db | one\ndb | err\ndb | two\ndb | \ndb | end\ndb | cullet: the service ended with exit code 1\n";
    assert_eq!(seen.texts(), (String::new(), said.to_owned()));
    assert!(last.lock().unwrap().told("it").ends_with("end"));
}

#[test]
fn lines_of_the_step_are_not_torn() {
    let (seen, log) = shared();
    let (mut db, _) = log.of_service("db");
    let mut step = log.clone();
    step.write(Stream::Stdout, b"half of ");
    db.write(Stream::Stdout, b"1\n");
    step.write(Stream::Stderr, b"waiting ...");
    db.write(Stream::Stdout, b"2\n");
    step.write(Stream::Stderr, b" done\nand");
    db.write(Stream::Stdout, b"3\n");
    step.write(Stream::Stdout, b"a line\n");
    log.end();
    let stderr = "db | 1\nwaiting ... done\ndb | 2\nand\ndb | 3\n";
    assert_eq!(seen.texts(), ("half of a line\n".to_owned(), stderr.to_owned()));
}

#[test]
fn nothing_waits_without_a_bound() {
    let (seen, log) = shared();
    let (mut db, _) = log.of_service("db");
    let mut step = log;
    step.write(Stream::Stderr, b"progress");
    db.write(Stream::Stdout, &[b'x'; 3 * LINE_BYTES + 5]);
    let stderr = seen.texts().1;
    assert_eq!(
        stderr.lines().map(str::len).collect::<Vec<_>>(),
        [8, LINE_BYTES + 5, LINE_BYTES + 5, LINE_BYTES + 5]
    );
    db.end(None);
    assert!(seen.texts().1.ends_with("\ndb | xxxxx\n"));
}

#[test]
fn a_service_that_prints_too_much_is_cut_and_that_is_said_once() {
    let (seen, log) = shared();
    let (mut db, _) = log.of_service("db");
    let line = [vec![b'x'; 1023], vec![b'\n']].concat();
    for _ in 0..SERVICE_BYTES / 1024 + 100 {
        db.write(Stream::Stdout, &line);
    }
    db.end(Some("was killed by signal 9"));
    let stderr = seen.texts().1;
    assert!(stderr.len() <= SERVICE_BYTES + 6 * SERVICE_BYTES / 1024);
    assert_eq!(stderr.matches("prints too much").count(), 1);
    assert!(
        stderr.ends_with("nothing more of it is kept\ndb | cullet: the service was killed by signal 9\n")
    );
}

fn masked(values: &[&str]) -> (Seen, SharedLog) {
    let values: Vec<SecretValue> =
        values.iter().map(|value| SecretValue::new(value.as_bytes().to_vec()).unwrap()).collect();
    let (seen, masker) = (Seen::default(), Arc::new(Masker::new(&values).unwrap()));
    (seen.clone(), SharedLog::new(Box::new(seen), masker))
}

#[test]
fn a_value_is_masked_whoever_prints_between_its_parts() {
    let (seen, log) = masked(&["hunter22-0123"]);
    let (mut db, last) = log.of_service("db");
    let (mut web, _) = log.of_service("web");
    let mut step = log.clone();
    step.write(Stream::Stderr, b"mine: hunter22");
    db.write(Stream::Stdout, b"theirs: hunter");
    web.write(Stream::Stdout, b"a line\n");
    web.write(Stream::Stdout, &[b'x'; HELD_BYTES + 10]);
    web.write(Stream::Stdout, b"\n");
    db.write(Stream::Stdout, b"22-0123 done\n");
    step.write(Stream::Stderr, b"-0123 done\n");
    db.write(Stream::Stderr, b"and last hunter22-01");
    db.end(None);
    log.end();
    let stderr = seen.texts().1;
    for said in ["mine: ", "\n*** done\n", "db | theirs: *** done\n", "db | and last ***\n", "web | a line\n"]
    {
        assert!(stderr.contains(said), "{said:?} is not in {stderr}");
    }
    assert!(!stderr.contains("hunter") && !stderr.contains("-0123"), "{stderr}");
    assert!(!last.lock().unwrap().told("it").contains("hunter"));
}

#[test]
fn a_value_is_masked_where_a_long_line_is_cut() {
    let (seen, log) = masked(&["hunter22-0123"]);
    let (mut db, _) = log.of_service("db");
    db.write(Stream::Stdout, &vec![b'x'; LINE_BYTES - 6]);
    db.write(Stream::Stdout, b"hunter22-0123\n");
    db.end(None);
    let stderr = seen.texts().1;
    assert!(stderr.ends_with("***\n") && !stderr.contains("hunter") && !stderr.contains("0123"), "{stderr}");
}
