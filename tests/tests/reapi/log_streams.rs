//! `ExecuteOperationMetadata.stdout_stream_name` and `stderr_stream_name`: log streams, read with `ByteStream.Read`.

use bytes::Bytes;
use cullet_proto::bytestream::{ReadRequest, ReadResponse};
use cullet_proto::longrunning::{GetOperationRequest, Operation};
use cullet_proto::reapi::execution::Stage;
use cullet_tests::cluster::Cluster;
use tonic::transport::Endpoint;
use tonic::{Code, Status, Streaming};

use super::actions::{Job, asking, execute, followed, metadata};
use super::api::{Api, refused};
use super::blobs::{BLAKE3, SHA256};
use super::servers::{Kind, of_execution};

/// An operation that a worker executes.
struct Begun {
    operation: Operation,
    rest: Streaming<Operation>,
    stdout: String,
    stderr: String,
}

async fn begun(api: &Api, job: &Job) -> Begun {
    let action = job.stored(api).await;
    let mut rest = api.execution().execute(asking(&action)).await.unwrap().into_inner();
    loop {
        let operation = rest.message().await.unwrap().unwrap();
        let said = metadata(&operation);
        assert!(!operation.done, "{said:?}");
        if said.stage() == Stage::Executing {
            let (stdout, stderr) = (said.stdout_stream_name, said.stderr_stream_name);
            return Begun { operation, rest, stdout, stderr };
        }
        assert_eq!((said.stdout_stream_name, said.stderr_stream_name), Default::default(), "nothing prints");
    }
}

async fn open(api: &Api, name: &str) -> Result<Streaming<ReadResponse>, Status> {
    let request = ReadRequest { resource_name: name.to_owned(), ..ReadRequest::default() };
    Ok(api.streams().read(request).await?.into_inner())
}

/// What comes until there are so many bytes.
async fn first(stream: &mut Streaming<ReadResponse>, len: usize) -> Vec<u8> {
    let mut all = Vec::new();
    while all.len() < len {
        all.extend_from_slice(&stream.message().await.unwrap().unwrap().data);
    }
    all
}

/// What comes until the stream ends.
async fn rest(mut stream: Streaming<ReadResponse>) -> Result<Vec<u8>, Status> {
    let mut all = Vec::new();
    while let Some(piece) = stream.message().await? {
        all.extend_from_slice(&piece.data);
    }
    Ok(all)
}

async fn is_done(api: &Api, name: &str) -> bool {
    let request = GetOperationRequest { name: name.to_owned() };
    api.operations().get_operation(request).await.unwrap().into_inner().done
}

/// `LogStream`, "Reading": of a stream that is not finalized, the server keeps the call open and sends what becomes available,
/// and ends it when the stream is finalized. `stdout_stream_name`: standard output alone, `stderr_stream_name`: standard error alone.
#[test]
fn what_is_printed_is_read_while_it_is_printed() {
    of_execution(async |api| {
        let job =
            Job::script("echo one; echo err >&2; sleep 3; echo two; echo more >&2; sleep 1; echo three");
        let begun = begun(api, &job).await;
        assert!(begun.stdout.contains("logstreams/"), "{}", begun.stdout);
        assert_ne!(begun.stdout, begun.stderr);
        let mut stdout = open(api, &begun.stdout).await.unwrap();
        assert_eq!(first(&mut stdout, 4).await, b"one\n");
        assert!(!is_done(api, &begun.operation.name).await, "it is read before it is whole");
        let stderr = async { rest(open(api, &begun.stderr).await?).await };
        let (stdout, stderr, ended) = tokio::join!(rest(stdout), stderr, followed(begun.rest));
        assert_eq!(stdout.unwrap(), b"two\nthree\n");
        assert_eq!(stderr.unwrap(), b"err\nmore\n");
        assert_eq!(ended.unwrap().result().exit_code, 0);
    });
}

/// `LogStream`, "Reading": of one that is finalized, all from `read_offset` on. The bytes are those of the result, of either digest
/// function. `ReadRequest.read_limit`: the most bytes that are sent.
#[test]
fn what_was_printed_is_read_afterwards() {
    of_execution(async |api| {
        for function in [SHA256, BLAKE3] {
            // More than a result has in itself.
            let script = "seq 100000; seq 5 >&2; exit 3";
            let executed = Job::new(function, &["/bin/sh", "-c", script]).executed(api).await;
            let said = metadata(executed.told.last().unwrap());
            let [stdout, stderr] = [said.stdout_stream_name, said.stderr_stream_name];
            let (whole, err) = (executed.stdout(api, function).await, executed.stderr(api, function).await);
            assert_eq!(whole.len(), 588_895);
            assert!(api.read(&stdout, 0, 0).await.unwrap() == whole);
            assert!(api.read(&stderr, 0, 0).await.unwrap() == err);
            let len = whole.len() as i64;
            for (offset, limit) in [(1, 0), (300_000, 7), (0, 100_000), (len - 1, 5), (len, 0), (len, 1)] {
                let to = if limit == 0 { len } else { len.min(offset + limit) };
                let read = api.read(&stdout, offset, limit).await.unwrap();
                assert!(read == whole[offset as usize..to as usize], "{offset} {limit}");
            }
            for offset in [len + 1, i64::MAX, -1] {
                refused(api.read(&stdout, offset, 0).await, Code::OutOfRange, &offset.to_string());
            }
            refused(api.read(&stdout, 0, -1).await, Code::InvalidArgument, "a negative limit");
        }
    });
}

/// `LogStream.name`, `write_resource_name`: writing to the one or reading the other is an error.
#[test]
fn streams_are_not_written_by_clients() {
    of_execution(async |api| {
        let executed = Job::script("echo one").executed(api).await;
        let name = metadata(executed.told.last().unwrap()).stdout_stream_name;
        for wrong in [name.clone(), format!("{name}/token"), format!("uploads/u/{name}")] {
            refused(api.write(&wrong, 0, b"two\n", true).await, Code::InvalidArgument, &wrong);
            refused(api.written(&wrong).await, Code::InvalidArgument, &wrong);
        }
        refused(api.read(&format!("{name}/token"), 0, 0).await, Code::InvalidArgument, "to write");
        assert_eq!(api.read(&name, 0, 0).await.unwrap(), "one\n");
    });
}

/// `stdout_stream_name`: if set, it can be read. An operation that nothing is executed for has none.
#[test]
fn hits_have_no_streams() {
    of_execution(async |api| {
        let action = Job::script("echo one").stored(api).await;
        for cached in [false, true] {
            let executed = execute(api, asking(&action)).await.unwrap();
            assert_eq!(executed.response.cached_result, cached);
            let said = metadata(executed.told.last().unwrap());
            assert_eq!(said.stdout_stream_name.is_empty(), cached, "{said:?}");
            assert_eq!(said.stderr_stream_name.is_empty(), cached, "{said:?}");
        }
    });
}

/// `ByteStream.Read`: `NOT_FOUND` for what is not there; what is no name is `INVALID_ARGUMENT`.
#[test]
fn what_is_no_stream_is_refused() {
    of_execution(async |api| {
        let none = format!("logstreams/{:032x}-1-stdout", fastrand::u128(..));
        refused(api.read(&none, 0, 0).await, Code::NotFound, &none);
        let executed = Job::script("echo one").executed(api).await;
        let name = metadata(executed.told.last().unwrap()).stdout_stream_name;
        let other = name.replace("-1-", "-2-");
        refused(api.read(&other, 0, 0).await, Code::NotFound, "an attempt that never was");
        for wrong in ["logstreams/", "logstreams/x", "a/b/logstreams/x", &name.replace("-1-", "-0-")] {
            refused(api.read(wrong, 0, 0).await, Code::InvalidArgument, wrong);
        }
    });
}

/// `CancelOperation`, and the timeout of an action: what was printed until then ends the stream.
#[test]
fn a_stream_ends_with_an_action_that_is_ended() {
    of_execution(async |api| {
        let mut job = Job::script("echo begun; sleep 60");
        job.action.timeout = Some(prost_types::Duration { seconds: 2, nanos: 0 });
        let begun = begun(api, &job).await;
        let read = rest(open(api, &begun.stdout).await.unwrap()).await;
        assert_eq!(read.unwrap(), b"begun\n");
        let ended = followed(begun.rest).await.unwrap();
        assert_eq!(ended.status().code(), Code::DeadlineExceeded);
    });
}

/// `stdout_stream_name`: it is the same stream whichever coordinator is asked, while it is printed and afterwards; who breaks off goes
/// on at another one.
#[test]
fn any_coordinator_has_the_streams() {
    let cluster = Cluster::start(3, 1);
    cluster.agreed();
    cluster.with_workers(1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let apis = [0, 1, 2].map(|position| {
            let channel = Endpoint::from_shared(cluster.url(position)).unwrap().connect_lazy();
            Api::new(Kind::Cullet, channel, None)
        });
        let begun = begun(&apis[0], &Job::script("echo one; sleep 4; echo two")).await;
        for api in &apis {
            let mut stream = open(api, &begun.stdout).await.unwrap();
            assert_eq!(first(&mut stream, 4).await, b"one\n");
        }
        assert!(!is_done(&apis[1], &begun.operation.name).await);
        let others = apis.each_ref().map(|api| api.read(&begun.stdout, 4, 0));
        for read in futures_of(others).await {
            assert_eq!(read.unwrap(), "two\n");
        }
        followed(begun.rest).await.unwrap();
        for api in &apis {
            assert_eq!(api.read(&begun.stdout, 0, 0).await.unwrap(), "one\ntwo\n");
        }
    });
}

async fn futures_of<F: Future<Output = Result<Bytes, Status>>>(
    [one, two, three]: [F; 3],
) -> [Result<Bytes, Status>; 3] {
    tokio::join!(one, two, three).into()
}
