//! Coordinators come and go.

use cullet_proto::v1::attempt_finished::Outcome;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::fixture::{Fixture, attempt};
use crate::peer::Peer;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_outlives_its_coordinator_and_is_reported_to_the_next() {
    let (mut first, mut second) = (Peer::start().await, Peer::start().await);
    let fixture = Fixture::new(&[&first.address, &second.address]);
    // Whichever is asked first.
    let (call, gone, other) = tokio::select! {
        call = first.welcome() => (call, first, &mut second),
        call = second.welcome() => (call, second, &mut first),
    };
    let script = "echo x >> $D/runs; while [ ! -e $D/go ]; do sleep 0.05; done; echo done";
    call.start(&fixture.start(0, 1, script)).await;
    fixture.until("runs").await;
    drop((call, gone));
    let mut call = other.welcome().await;
    assert_eq!((call.hello.running.as_slice(), call.hello.finished.len()), (&[attempt(0, 1)][..], 0));
    // The new leader says what the old one said.
    call.start(&fixture.start(0, 1, script)).await;
    std::fs::write(fixture.path("go"), "").unwrap();
    let finished = call.finished().await;
    assert!(matches!(finished.outcome, Some(Outcome::Succeeded(_))), "{finished:?}");
    assert_eq!(fixture.lines("runs"), 1);
    // Lost on the way: it is in the next greeting.
    drop(call);
    let mut call = other.welcome().await;
    assert_eq!((call.hello.running.len(), call.hello.finished.as_slice()), (0, &[finished][..]));
    call.assert_quiet(5).await;
    call.acknowledge(&attempt(0, 1)).await;
    call.assert_quiet(2).await;
    drop(call);
    assert_eq!(other.welcome().await.hello.finished.len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_that_ends_between_two_leaders_is_in_the_greeting() {
    let mut first = Peer::start().await;
    let mut second = Peer::start().await;
    let fixture = Fixture::new(&[&first.address]);
    let call = first.welcome().await;
    call.start(&fixture.start(
        0,
        1,
        "touch $D/runs; while [ ! -e $D/go ]; do sleep 0.05; done; touch $D/end",
    ))
    .await;
    fixture.until("runs").await;
    drop(call);
    // An election: nobody leads, and everybody says so.
    for _ in 0..3 {
        first.accept().await.redirect("").await;
    }
    std::fs::write(fixture.path("go"), "").unwrap();
    fixture.until("end").await;
    let mut finished = 0;
    while finished == 0 {
        let call = first.accept().await;
        finished = call.hello.finished.len();
        // Written as people write it.
        call.redirect(second.address.trim_start_matches("http://")).await;
        if finished == 0 {
            second.accept().await.redirect("").await;
        }
    }
    let call = second.welcome().await;
    assert_eq!((call.hello.running.len(), call.hello.finished.len()), (0, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn coordinators_that_point_at_each_other_are_asked_again_until_one_leads() {
    let (mut first, mut second) = (Peer::start().await, Peer::start().await);
    let _fixture = Fixture::new(&[&first.address, &second.address]);
    for _ in 0..12 {
        tokio::select! {
            call = first.accept() => call.redirect(&second.address).await,
            call = second.accept() => call.redirect(&first.address).await,
        }
    }
    let mut call = tokio::select! {
        call = first.welcome() => call,
        call = second.welcome() => call,
    };
    call.assert_quiet(3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_leads_is_followed_however_often_that_led_nowhere() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    let (mut first, mut second) = (Peer::start().await, Peer::start().await);
    let _fixture = Fixture::new(&[&first.address]);
    for _ in 0..3 {
        first.accept().await.redirect(&gone).await;
    }
    first.accept().await.redirect(&second.address).await;
    tokio::select! {
        _ = second.welcome() => {}
        _ = first.accept() => panic!("the leader was not asked"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_coordinator_that_is_dead_or_dumb_does_not_keep_the_worker_from_another() {
    // One accepts and says nothing; nobody listens at the other any more.
    let dumb = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addresses = [&dumb, &dead].map(|listener| listener.local_addr().unwrap().to_string());
    drop(dead);
    let mut peer = Peer::start().await;
    let _fixture = Fixture::new(&[&addresses[0], &addresses[1], &peer.address]);
    peer.welcome().await.assert_quiet(3).await;
}

/// Passes bytes on until it freezes, as a network or a process does that hangs: connections stay open.
async fn freezing(target: &str, frozen: CancellationToken) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, target) = (listener.local_addr().unwrap(), target.trim_start_matches("http://").to_owned());
    tokio::spawn(async move {
        loop {
            let (inner, outer) =
                (listener.accept().await.unwrap().0, TcpStream::connect(&target).await.unwrap());
            let ((from, to), (back_from, back_to)) = (inner.into_split(), outer.into_split());
            for (mut from, mut to) in [(from, back_to), (back_from, to)] {
                let frozen = frozen.clone();
                tokio::spawn(async move {
                    let mut bytes = vec![0; 4096];
                    while let Ok(count @ 1..) = from.read(&mut bytes).await {
                        if frozen.is_cancelled() {
                            std::future::pending::<()>().await;
                        }
                        if to.write_all(&bytes[..count]).await.is_err() {
                            break;
                        }
                    }
                });
            }
        }
    });
    address.to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_hangs_is_left_while_the_step_goes_on() {
    let (mut first, mut second) = (Peer::start().await, Peer::start().await);
    let frozen = CancellationToken::new();
    let hanging = freezing(&first.address, frozen.clone()).await;
    let fixture = Fixture::new(&[&hanging, &second.address]);
    // The other one redirects until it leads.
    let call = loop {
        tokio::select! {
            call = first.welcome() => break call,
            call = second.accept() => call.redirect(&hanging).await,
        }
    };
    call.start(&fixture.start(0, 1, "echo x >> $D/runs; while [ ! -e $D/go ]; do sleep 0.05; done")).await;
    fixture.until("runs").await;
    let started = std::time::Instant::now();
    frozen.cancel();
    let mut call = second.welcome().await;
    assert_eq!(call.hello.running, [attempt(0, 1)]);
    // Three seconds until the connection counts as dead, and the way to another coordinator.
    assert!(started.elapsed().as_secs() < 15, "{:?}", started.elapsed());
    std::fs::write(fixture.path("go"), "").unwrap();
    assert!(matches!(call.finished().await.outcome, Some(Outcome::Succeeded(_))));
    assert_eq!(fixture.lines("runs"), 1);
}
