//! What clients of real processes were told is linearizable while leaders end and stand still.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cullet_proto::v1;
use cullet_proto::v1::runs_client::RunsClient;
use cullet_tests::calls::{Answered, Asked, Call, contradiction};
use cullet_tests::cluster::{Cluster, until};
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

use super::support::led_among;

const CLIENTS: u64 = 4;

/// How long a client waits for an answer: longer than an election.
const PATIENCE: Duration = Duration::from_secs(4);

/// Requests at most: the worker ends so many while the test lasts.
const MOST: u64 = 60;

/// What all clients write down.
struct Ledger {
    began: Instant,
    pages: Mutex<Pages>,
}

#[derive(Default)]
struct Pages {
    calls: Vec<Call>,
    /// The ids of runs by request.
    runs: BTreeMap<u64, String>,
    requests: u64,
    closed: bool,
}

impl Ledger {
    fn open(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Microseconds since the first call.
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap()
    }

    /// Calls since then that somebody answered.
    fn answered_since(&self, since: u64, asked: Asked) -> usize {
        let pages = self.open();
        let calls = pages.calls.iter().filter(|call| call.began >= since && call.asked == asked);
        calls.filter(|call| !matches!(call.answered, Answered::Unknown)).count()
    }

    /// Waits until so many submissions of these moments are answered.
    fn goes_on(&self, what: &str) {
        let since = self.now();
        until(what, || (self.answered_since(since, Asked::Submit) >= 3).then_some(()));
        until(what, || (self.answered_since(since, Asked::Get) >= 3).then_some(()));
    }
}

fn channel(url: &str) -> Channel {
    let endpoint = Endpoint::from_shared(url.to_owned()).unwrap();
    endpoint.connect_timeout(Duration::from_secs(1)).timeout(PATIENCE).connect_lazy()
}

/// Asks once, and writes down what it was told.
async fn call(ledger: &Ledger, channel: &Channel, asked: Asked, request: u64) -> Answered {
    let mut client = RunsClient::new(channel.clone());
    let run = ledger.open().runs.get(&request).cloned().unwrap_or_default();
    let began = ledger.now();
    let asking = async {
        Ok(match asked {
            Asked::Submit => {
                let pipeline = format!(
                    "cullet: 1\nname: r{request}\nsteps:\n  s: {{ run: 'sleep 0.{} # {request}' }}\n",
                    request % 7
                );
                let submission = v1::SubmitRequest {
                    request_id: format!("request-{request}"),
                    pipeline: pipeline.into_bytes().into(),
                    ..v1::SubmitRequest::default()
                };
                let answer = client.submit(submission).await?.into_inner();
                ledger.open().runs.insert(request, answer.run);
                Answered::Taken { existed: answer.existed }
            }
            Asked::Get => {
                let answer = client.get_run(v1::GetRunRequest { run }).await?.into_inner();
                Answered::Status(answer.run.unwrap().summary.unwrap().status)
            }
            Asked::Cancel => {
                let answer = client.cancel_run(v1::CancelRunRequest { run }).await?.into_inner();
                Answered::Cancelled { had_ended: answer.had_ended }
            }
        })
    };
    let answered = match tokio::time::timeout(PATIENCE, asking).await {
        Ok(Ok(answered)) => answered,
        Ok(Err(status)) => unanswered(&status),
        Err(_) => Answered::Unknown,
    };
    let call = Call { asked, request, began, ended: ledger.now(), answered: answered.clone() };
    ledger.open().calls.push(call);
    answered
}

fn unanswered(status: &tonic::Status) -> Answered {
    match status.code() {
        Code::NotFound => Answered::Nothing,
        Code::InvalidArgument | Code::FailedPrecondition => panic!("a good request is refused: {status}"),
        _ => Answered::Unknown,
    }
}

/// One client, until no more is asked.
async fn go_on(ledger: &Ledger, urls: &[String], seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let channels: Vec<Channel> = urls.iter().map(|url| channel(url)).collect();
    while !ledger.open().closed {
        let (asked, request) = {
            let mut pages = ledger.open();
            let known = pages.runs.len();
            let some = (known > 0).then(|| *pages.runs.keys().nth(random.usize(..known)).unwrap());
            match (random.u8(..100), some) {
                (0..30, _) if pages.requests < MOST => {
                    pages.requests += 1;
                    (Asked::Submit, pages.requests)
                }
                // One that was taken in comes again.
                (0..35, Some(some)) => (Asked::Submit, some),
                (35..45, Some(some)) => (Asked::Cancel, some),
                (_, Some(some)) => (Asked::Get, some),
                (_, None) => continue,
            }
        };
        let answered = call(ledger, random.choice(&channels).unwrap(), asked, request).await;
        // What became of it is only known when it is submitted again, elsewhere.
        if asked == Asked::Submit && answered == Answered::Unknown {
            call(ledger, random.choice(&channels).unwrap(), asked, request).await;
        }
        tokio::time::sleep(Duration::from_millis(random.u64(10..120))).await;
    }
}

/// Has the leader killed and another one stopped, while clients go on.
fn fail(cluster: &mut Cluster, ledger: &Ledger) {
    ledger.goes_on("answers at first");
    let killed = cluster.leader_of(&cluster.agreed_leader());
    cluster.kill_coordinator(killed);
    ledger.goes_on("answers without the leader");
    cluster.run_coordinator(killed);
    let stopped = cluster.leader_of(&cluster.agreed_leader());
    let others: Vec<usize> = (0..3).filter(|position| *position != stopped).collect();
    cluster.coordinator(stopped).unwrap().signal("-STOP");
    until("another leader", || led_among(cluster, &others));
    ledger.goes_on("answers while the leader stands still");
    cluster.coordinator(stopped).unwrap().signal("-CONT");
    ledger.goes_on("answers afterwards");
}

#[test]
fn what_clients_are_told_is_linearizable_while_leaders_end_and_stand_still() {
    let mut cluster = Cluster::start(3, 1);
    cluster.with_workers(1);
    let urls: Vec<String> = (0..3).map(|position| cluster.url(position)).collect();
    let ledger = Ledger { began: Instant::now(), pages: Mutex::default() };
    std::thread::scope(|scope| {
        for seed in 0..CLIENTS {
            let (ledger, urls) = (&ledger, &urls);
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(go_on(ledger, urls, seed));
            });
        }
        let failing = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| fail(&mut cluster, &ledger)));
        ledger.open().closed = true;
        failing.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    cluster.agreed();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let runs: Vec<u64> = ledger.open().runs.keys().copied().collect();
    for request in runs {
        for url in &urls {
            let asking = || async { call(&ledger, &channel(url), Asked::Get, request).await };
            let ended = || match runtime.block_on(asking()) {
                Answered::Status(status) if status == "running" => None,
                Answered::Status(_) => Some(()),
                other => panic!("request {request} was taken in, and {url} says {other:?}"),
            };
            until("every run ends", ended);
        }
    }
    // Nobody saw when runs ended.
    assert_eq!(contradiction(&ledger.open().calls, |_| Some(0)), None);
}
