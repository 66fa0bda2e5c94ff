use std::sync::Arc;

use cullet_cache::LogStream;
use cullet_worker::logs::live_log;
use cullet_worker::{Attempt, AttemptReport, Exit, Stream};
use tokio_util::sync::CancellationToken;

use crate::fixture::{Fixture, action, attempt, run, succeeded, text};

#[tokio::test]
async fn short_logs_stand_in_the_result_and_long_ones_in_the_cache() {
    let fixture = Fixture::new();
    let worker = fixture.worker(|_, log| {
        log.write(Stream::Stdout, b"compiling\n");
        for _ in 0..1000 {
            log.write(Stream::Stderr, b"warning: unused\n");
        }
        log.write(Stream::Stdout, b"done\n");
        Exit::Code(0)
    });
    let result = succeeded(run(&worker, action(&[])).await);
    assert_eq!(result.stdout, LogStream::Inline("compiling\ndone\n".into()));
    assert!(matches!(&result.stderr, LogStream::Blob(digest) if digest.size() == 16_000));
    assert_eq!(text(&fixture, &result.stderr).await, "warning: unused\n".repeat(1000));
    assert_eq!(result.interleaving, [10, 16_000, 5]);
    drop(worker);
    fixture.assert_clean();
}

#[tokio::test]
async fn a_log_beyond_its_limit_ends_with_a_note() {
    let mut fixture = Fixture::new();
    fixture.change = |config| config.log_bytes = 1 << 20;
    let worker = fixture.worker(|_, log| {
        let endless = [b'x'; 64 << 10];
        for _ in 0..160 {
            log.write(Stream::Stdout, &endless);
        }
        Exit::Code(0)
    });
    let result = succeeded(run(&worker, action(&[])).await);
    let log = text(&fixture, &result.stdout).await;
    assert_eq!(log.trim_start_matches('x'), "\nlog limit reached: 9437184 bytes dropped\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_arrive_while_the_step_runs() {
    let fixture = Fixture::new();
    let (source, mut reader) = live_log(1 << 20);
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let worker = Arc::new(fixture.worker(move |_, log| {
        log.write(Stream::Stdout, b"first\nsec");
        wait.lock().unwrap().recv().unwrap();
        log.write(Stream::Stdout, b"ond\n");
        Exit::Code(0)
    }));
    let action = action(&[]);
    let attempt = Attempt { write_result: false, ..attempt(action) };
    let sender = source.sender(5);
    drop(source);
    let running = tokio::spawn({
        let worker = Arc::clone(&worker);
        async move { worker.run(attempt, sender, CancellationToken::new()).await }
    });
    let first = reader.next().await.unwrap();
    assert_eq!((first.tag, &*first.text), (5, "first\n"));
    go.send(()).unwrap();
    assert_eq!(reader.next().await.unwrap().text, "second\n");
    succeeded(running.await.unwrap());
    assert_eq!(reader.next().await, None);
}

#[tokio::test]
async fn a_cancelled_step_keeps_its_logs_and_nothing_else() {
    let fixture = Fixture::new();
    let cancel = CancellationToken::new();
    let from_within = cancel.clone();
    let worker = fixture.worker(move |sight, log| {
        sight.write("out", "x");
        log.write(Stream::Stdout, b"so far\n");
        from_within.cancel();
        Exit::Code(0)
    });
    let action = action(&["out"]);
    let attempt = attempt(action);
    let events = cullet_worker::logs::NoEvents;
    match worker.run(attempt.clone(), events, cancel.clone()).await {
        AttemptReport::Cancelled { result: Some(result) } => {
            assert_eq!((result.exit_code, result.outputs.len()), (130, 0));
            assert_eq!(text(&fixture, &result.stdout).await, "so far\n");
        }
        other => panic!("{other:#?}"),
    }
    let again = worker.run(attempt, events, cancel).await;
    assert!(matches!(again, AttemptReport::Cancelled { result: None }));
}
