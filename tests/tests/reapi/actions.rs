//! Actions, and what becomes of them.

use bytes::Bytes;
use cullet_proto::longrunning::{Operation, Outcome};
use cullet_proto::reapi::execution::{ExecuteOperationMetadata, ExecuteRequest, ExecuteResponse, Stage};
use cullet_proto::reapi::{Action, ActionResult, Command, Digest, EnvironmentVariable, Platform, Property};
use prost::Message as _;
use prost_types::Any;
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt as _;

use super::api::Api;
use super::blobs::{Blob, Function, SHA256};
use super::directories::Directory;

/// Something to execute, which nobody has executed before.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) function: Function,
    pub(crate) command: Command,
    pub(crate) action: Action,
    /// What it needs in the store besides its Action and Command.
    pub(crate) inputs: Vec<Blob>,
}

impl Job {
    /// A program with its arguments, in an empty directory.
    pub(crate) fn new(function: Function, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let variable = |(name, value): (&str, &str)| EnvironmentVariable {
            name: name.to_owned(),
            value: value.to_owned(),
        };
        let environment_variables = vec![variable(("PATH", "/usr/bin:/bin"))];
        let command = Command { arguments, environment_variables, ..Command::default() };
        let salt = Bytes::copy_from_slice(&fastrand::u128(..).to_le_bytes());
        let job =
            Self { function, command, action: Action { salt, ..Action::default() }, inputs: Vec::new() };
        job.root(&Directory::default())
    }

    /// A script of the shell.
    pub(crate) fn script(script: &str) -> Self {
        Self::new(SHA256, &["/bin/sh", "-c", script])
    }

    /// With these `output_paths`, in their order.
    pub(crate) fn outputs(mut self, paths: &[&str]) -> Self {
        self.command.output_paths = paths.iter().map(|path| (*path).to_owned()).collect();
        self
    }

    /// With this input root, which is stored with it.
    pub(crate) fn root(mut self, root: &Directory) -> Self {
        let root = root.blob(self.function);
        self.action.input_root_digest = Some(root.digest.clone());
        self.with(root)
    }

    /// With one more blob to store.
    pub(crate) fn with(mut self, blob: Blob) -> Self {
        self.inputs.push(blob);
        self
    }

    /// With these platform properties, in their order.
    pub(crate) fn platform(mut self, properties: &[(&str, &str)]) -> Self {
        let property =
            |(name, value): &(&str, &str)| Property { name: (*name).to_owned(), value: (*value).to_owned() };
        let properties = properties.iter().map(property).collect();
        self.action.platform = Some(Platform { properties });
        self
    }

    /// The Command and the Action.
    pub(crate) fn messages(&self) -> [Blob; 2] {
        let command = Blob::new(self.function, self.command.encode_to_vec());
        let action = Action { command_digest: Some(command.digest.clone()), ..self.action.clone() };
        [command, Blob::new(self.function, action.encode_to_vec())]
    }

    /// Stores all of it, and gives the Action.
    pub(crate) async fn stored(&self, api: &Api) -> Blob {
        let [command, action] = self.messages();
        let all: Vec<&Blob> = self.inputs.iter().chain([&command, &action]).collect();
        api.put(&all).await;
        action
    }

    /// Stores and executes it.
    pub(crate) async fn executed(&self, api: &Api) -> Executed {
        execute(api, asking(&self.stored(api).await)).await.unwrap()
    }
}

/// A request to execute an Action.
pub(crate) fn asking(action: &Blob) -> ExecuteRequest {
    ExecuteRequest {
        action_digest: Some(action.digest.clone()),
        digest_function: action.function.number,
        ..ExecuteRequest::default()
    }
}

/// An operation at its end.
#[derive(Debug, Clone)]
pub(crate) struct Executed {
    /// All that was told of it.
    pub(crate) told: Vec<Operation>,
    pub(crate) response: ExecuteResponse,
}

/// Executes an Action to its end.
pub(crate) async fn execute(api: &Api, request: ExecuteRequest) -> Result<Executed, Status> {
    followed(api.execution().execute(request).await?.into_inner()).await
}

/// All that a stream tells of an operation.
pub(crate) async fn followed(mut stream: Streaming<Operation>) -> Result<Executed, Status> {
    let mut told = Vec::new();
    while let Some(operation) = stream.message().await? {
        told.push(operation);
    }
    let response = response(told.last().expect("a stream tells something"));
    Ok(Executed { told, response })
}

/// The response of an operation that is done.
pub(crate) fn response(operation: &Operation) -> ExecuteResponse {
    assert!(operation.done, "{operation:?}");
    match &operation.result {
        Some(Outcome::Response(any)) => unpacked(any, "ExecuteResponse"),
        other => panic!("no response: {other:?}"),
    }
}

/// What an operation says of itself.
pub(crate) fn metadata(operation: &Operation) -> ExecuteOperationMetadata {
    unpacked(operation.metadata.as_ref().unwrap(), "ExecuteOperationMetadata")
}

fn unpacked<M: prost::Message + Default>(any: &Any, name: &str) -> M {
    let expected = format!("type.googleapis.com/build.bazel.remote.execution.v2.{name}");
    assert_eq!(any.type_url, expected);
    M::decode(&*any.value).unwrap()
}

impl Executed {
    pub(crate) fn name(&self) -> &str {
        &self.told[0].name
    }

    pub(crate) fn stages(&self) -> Vec<Stage> {
        self.told.iter().map(|operation| metadata(operation).stage()).collect()
    }

    /// Why it was not executed; OK where it was.
    pub(crate) fn status(&self) -> Status {
        let status = self.response.status.clone().unwrap_or_default();
        Status::with_details(Code::from(status.code), status.message.clone(), status.encode_to_vec().into())
    }

    /// Its result, as it was executed.
    pub(crate) fn result(&self) -> &ActionResult {
        let status = self.status();
        assert_eq!(status.code(), Code::Ok, "{status}");
        self.response.result.as_ref().unwrap()
    }

    /// What its process printed.
    pub(crate) async fn stdout(&self, api: &Api, function: Function) -> String {
        let result = self.result();
        text(api, function, &result.stdout_raw, result.stdout_digest.as_ref()).await
    }

    /// The same of a script ([`Job::script`]).
    pub(crate) async fn printed(&self, api: &Api) -> String {
        self.stdout(api, SHA256).await
    }

    /// What it said besides.
    pub(crate) async fn stderr(&self, api: &Api, function: Function) -> String {
        let result = self.result();
        text(api, function, &result.stderr_raw, result.stderr_digest.as_ref()).await
    }

    /// The contents of an output file.
    pub(crate) async fn file(&self, api: &Api, function: Function, path: &str) -> String {
        let file = self.result().output_files.iter().find(|file| file.path == path);
        let file = file.unwrap_or_else(|| panic!("no {path}: {:?}", self.result()));
        text(api, function, b"", file.digest.as_ref()).await
    }
}

/// What is inlined, or stored.
async fn text(api: &Api, function: Function, raw: &[u8], digest: Option<&Digest>) -> String {
    let Some(digest) = digest.filter(|_| raw.is_empty()) else {
        return String::from_utf8(raw.to_vec()).unwrap();
    };
    String::from_utf8(stored(api, function, digest).await.to_vec()).unwrap()
}

/// A blob of which only the digest is known.
pub(crate) async fn stored(api: &Api, function: Function, digest: &Digest) -> Bytes {
    let named = Blob { function, digest: digest.clone(), bytes: Bytes::new() };
    let bytes = api.read(&named.name(), 0, 0).await.unwrap();
    assert_eq!(function.digest(&bytes), *digest);
    bytes
}

/// Why an execution came to nothing, however it was told: by the call, or by its response.
pub(crate) fn failure(outcome: Result<Executed, Status>) -> Status {
    outcome.map_or_else(|status| status, |executed| executed.status())
}

/// The blobs that a failure says are missing: `PreconditionFailure.violations` of type `MISSING`, by their subjects.
pub(crate) fn named_missing(status: &Status) -> Vec<String> {
    assert_eq!(status.code(), Code::FailedPrecondition, "{status}");
    let failure = status.get_details_precondition_failure().unwrap_or_else(|| panic!("no details: {status}"));
    assert!(failure.violations.iter().all(|violation| violation.r#type == "MISSING"), "{failure:?}");
    let mut subjects: Vec<String> =
        failure.violations.into_iter().map(|violation| violation.subject).collect();
    subjects.sort_unstable();
    subjects
}
