//! Any bytes as requests of any call: they are answered, never with INTERNAL or UNKNOWN, which say that the server was wrong, and whatever is
//! refused stores nothing.
//!
//! Each case has a seed, which a failure names. `CASES=100000 FIRST=1000 cargo test -p cullet-tests --test reapi fuzz` has more of
//! them, or one again with `CASES=1`.

mod bytes;
mod calls;
mod raw;
mod values;

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};

use cullet_proto::reapi::execution::ExecuteRequest;
use cullet_proto::reapi::storage::{BatchUpdateBlobsResponse, GetTreeRequest};
use cullet_tests::cluster::{Cluster, settled};
use fastrand::Rng;
use prost::Message as _;
use tokio::runtime::Builder;
use tonic::transport::Endpoint;
use tonic::{Code, Status};

use self::calls::{CALLS, Call};
pub(crate) use self::raw::ask;
use super::actions::{Job, asking, execute};
use super::api::Api;
use super::blobs::{Blob, SHA256};
use super::directories::Directory;
use super::servers::Kind;

/// Seeds, as the environment says.
fn seeds(usual: u64) -> Range<u64> {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
    let first: u64 = number("FIRST").unwrap_or(0);
    first..first + number("CASES").unwrap_or(usual)
}

/// A cluster of its own: what it stores is looked at.
fn with_cluster(check: impl AsyncFn(&Api, &Cluster)) {
    let cluster = Cluster::start(1, 1);
    cluster.agreed();
    cluster.with_workers(1);
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let channel = Endpoint::from_shared(cluster.url(0)).unwrap().connect_lazy();
        check(&Api::new(Kind::Cullet, channel, Some(cluster.store().to_owned())), &cluster).await;
    });
    let logs = cluster.logs();
    assert!(!logs.contains("panicked"), "{logs}");
}

/// All files of a store.
pub(crate) fn files(dir: &Path) -> BTreeSet<PathBuf> {
    settled(dir);
    let (mut found, mut waiting) = (BTreeSet::new(), vec![dir.to_owned()]);
    while let Some(dir) = waiting.pop() {
        for entry in std::fs::read_dir(&dir).into_iter().flatten().map(|entry| entry.unwrap()) {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                waiting.push(entry.path());
            } else {
                found.insert(entry.path());
            }
        }
    }
    found
}

/// That a server blames nobody but the client, and itself at most for having much to do.
#[track_caller]
fn blameless(code: Code, what: &str) {
    // A handler that panics ends its stream, which is CANCELLED for the client.
    let wrong = [Code::Internal, Code::Unknown, Code::DataLoss, Code::DeadlineExceeded, Code::Cancelled];
    assert!(!wrong.contains(&code), "{code:?} for {what}");
}

/// Whether something may have been stored.
fn may_store(call: &Call, answered: &Result<Vec<bytes::Bytes>, Status>) -> bool {
    match answered {
        Err(_) => false,
        Ok(answers) if call.path.ends_with("/BatchUpdateBlobs") => answers.iter().any(|answer| {
            let answer = BatchUpdateBlobsResponse::decode(answer.clone()).unwrap();
            answer.responses.iter().any(|of| of.status.clone().unwrap_or_default().code == 0)
        }),
        Ok(_) => call.stores,
    }
}

#[test]
fn any_bytes_are_answered_and_what_is_refused_stores_nothing() {
    with_cluster(async |api, cluster| {
        let there = Blob::new(SHA256, "something that is there");
        api.put(&[&there]).await;
        let mut before = files(cluster.store());
        for (number, call) in CALLS.iter().enumerate() {
            let mut refused = 0;
            for seed in seeds(100) {
                let mut rng = Rng::with_seed(seed << 8 | number as u64);
                let messages = call.messages(&mut rng, &there);
                let what = || format!("{} of seed {seed}: {messages:02x?}", call.path);
                let answered = ask(api.channel(), call.path, messages.clone()).await;
                blameless(answered.as_ref().err().map_or(Code::Ok, Status::code), &what());
                refused += u64::from(answered.is_err());
                let after = files(cluster.store());
                assert!(after == before || may_store(call, &answered), "stored by {}", what());
                before = after;
            }
            assert!(refused > 0, "{}: nothing was refused, so nothing was tried", call.path);
        }
        assert_eq!(api.read(&there.name(), 0, 0).await.unwrap(), there.bytes, "it still serves");
    });
}

#[test]
fn any_bytes_as_an_action_are_refused_or_executed() {
    with_cluster(async |api, _| {
        for seed in seeds(60) {
            let mut rng = Rng::with_seed(seed);
            let job = Job::new(SHA256, &["/bin/true"]).root(&Directory::default());
            let [mut command, mut action] = job.messages();
            let mut root = Directory::default().file("a", &command).blob(SHA256);
            match rng.u8(..3) {
                0 => action = Blob::new(SHA256, bytes::changed(&mut rng, &action.bytes)),
                1 => command = Blob::new(SHA256, bytes::changed(&mut rng, &command.bytes)),
                _ => root = Blob::new(SHA256, bytes::changed(&mut rng, &root.bytes)),
            }
            let changed = Job { inputs: vec![root.clone(), command.clone()], ..job };
            let action = if rng.bool() {
                let mut of_both = changed.action.clone();
                of_both.command_digest = Some(command.digest.clone());
                of_both.input_root_digest = Some(root.digest.clone());
                of_both.timeout = Some(prost_types::Duration { seconds: 20, nanos: 0 });
                Blob::new(SHA256, of_both.encode_to_vec())
            } else {
                action
            };
            api.put(&[&root, &command, &action, &Directory::default().blob(SHA256)]).await;
            let what = format!("the action of seed {seed}: {action:02x?} {command:02x?} {root:02x?}");
            let request = ExecuteRequest { skip_cache_lookup: rng.bool(), ..asking(&action) };
            match execute(api, request).await {
                Ok(executed) => blameless_unless_late(executed.status().code(), &what),
                Err(status) => blameless(status.code(), &what),
            }
            let tree = GetTreeRequest { root_digest: Some(root.digest.clone()), ..GetTreeRequest::default() };
            let walked = match api.storage().get_tree(tree).await {
                Ok(stream) => stream.into_inner().message().await.map(drop),
                Err(status) => Err(status),
            };
            blameless(walked.err().map_or(Code::Ok, |status| status.code()), &what);
        }
    });
}

/// An action may have a timeout of its own by now.
#[track_caller]
fn blameless_unless_late(code: Code, what: &str) {
    if code != Code::DeadlineExceeded {
        blameless(code, what);
    }
}
