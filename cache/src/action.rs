//! What is executed: a REAPI `Action` with its `Command`, checked. Its digest is the key of everything.
//!
//! An output is a path, and REAPI knows no more than that. What a pipeline adds (a pattern instead of a path, an
//! output that may be missing) travels in platform properties, so it is part of the key and no REAPI client can
//! set it by accident.

use std::time::Duration;

use cullet_digest::{Digest, DigestFunction, ParseDigestError};
use cullet_proto::reapi;
use prost::Message as _;

/// Marks an output path as newline-separated globs.
const GLOBS: &str = "cullet:output-globs";
/// Marks an output path that may be missing.
const OPTIONAL: &str = "cullet:output-optional";

/// The platform property of an action whose process sees the machine's network.
pub const NETWORK: (&str, &str) = ("network", "full");
/// The platform property of an action that nothing isolates, so that its results stay apart.
pub const PLAIN: (&str, &str) = ("executor", "plain");

/// The platform property that a step of a pipeline has: the version of what Cullet itself puts around it. An action without is one
/// of a client of the Remote Execution API, and is executed as that says.
pub const ENVIRONMENT: &str = "environment";

/// The platform property that says what the root directory of the process is made of.
const IMAGE: &str = "image";
/// What stands in front of the fingerprint of a machine's own software in [`IMAGE`].
const HOST: &str = "host";

/// The output path that stands for what a process changed of its root directory, as a layer of an image: a tar archive.
pub const ROOT_OUTPUT: &str = ".cullet/root.tar";
/// The platform property of a process whose root directory has such layers above its image: their digests, the lowest
/// first, with commas between them.
pub const ROOT_LAYERS: &str = "rootLayers";

/// A process, its inputs, and the machine it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// The program and its arguments.
    pub arguments: Vec<String>,
    /// Declared variables.
    pub env: Vec<(String, String)>,
    /// Where it starts, relative to the input root; empty for the root.
    pub working_directory: String,
    /// What it leaves behind.
    pub outputs: Vec<OutputPath>,
    /// The root directory of its inputs.
    pub input_root: Digest,
    /// What the machine must be, by property name. The same name may stand more than once.
    pub platform: Vec<(String, String)>,
    /// When it is stopped.
    pub timeout: Duration,
    /// Its result is never reused.
    pub do_not_cache: bool,
    /// Separates otherwise equal keys.
    pub salt: Vec<u8>,
    /// Whether its output directories are wanted as `Tree` messages, too.
    pub trees: bool,
}

/// Where an output is, relative to the working directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OutputPath {
    /// A path, or globs with newlines between them.
    pub path: String,
    /// Whether `path` holds globs.
    pub globs: bool,
    /// Whether nothing there is no failure.
    pub optional: bool,
}

/// Values of `OutputDirectoryFormat`, since version 2.3.
const DIRECTORY_ONLY: i32 = 1;
const TREE_AND_DIRECTORY: i32 = 2;

/// An action in its stored form: two blobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedAction {
    /// The key.
    pub digest: Digest,
    /// The bytes of the `Action`.
    pub action: Vec<u8>,
    /// The digest that the action names.
    pub command_digest: Digest,
    /// The bytes of the `Command`.
    pub command: Vec<u8>,
}

/// Why bytes are not an action.
#[derive(Debug, thiserror::Error)]
pub enum ActionError {
    /// Not the message it should be.
    #[error("these bytes are not {what}")]
    Decode {
        /// Which message.
        what: &'static str,
        /// What is wrong.
        source: prost::DecodeError,
    },
    /// A field that must be there is missing.
    #[error("the Action has no {0}")]
    Missing(&'static str),
    /// A digest in it is no digest.
    #[error(transparent)]
    Digest(#[from] ParseDigestError),
    /// The timeout is negative or out of range.
    #[error("the Action's timeout is not a usable duration")]
    Timeout,
}

impl Action {
    /// The canonical bytes: variables, outputs and properties sorted, as REAPI v2 asks.
    pub fn encode(&self, function: DigestFunction) -> EncodedAction {
        let command = self.command().encode_to_vec();
        let command_digest = function.digest(&command);
        let message = reapi::Action {
            command_digest: Some(to_wire(&command_digest)),
            input_root_digest: Some(to_wire(&self.input_root)),
            timeout: prost_types::Duration::try_from(self.timeout).ok(),
            do_not_cache: self.do_not_cache,
            salt: self.salt.clone().into(),
            platform: Some(self.platform_message()),
        };
        let action = message.encode_to_vec();
        EncodedAction { digest: function.digest(&action), action, command_digest, command }
    }

    /// Whether the platform has this property with this value.
    pub fn requires(&self, (name, value): (&str, &str)) -> bool {
        self.platform.iter().any(|(known, has)| known == name && has == value)
    }

    /// The digest of the manifest of the image that it runs in; none where that is the machine's own software.
    pub fn image(&self) -> Option<&str> {
        let Some(image) = self.property(IMAGE) else {
            return self.container_image().and_then(|reference| Some(reference.split_once('@')?.1));
        };
        let is_host = image.split(':').next() == Some(HOST);
        (!is_host).then_some(image)
    }

    /// The value of a platform property; the first, where it is there more than once.
    pub fn property(&self, name: &str) -> Option<&str> {
        self.platform.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether what it changed of its root directory is one of its outputs.
    pub fn leaves_root(&self) -> bool {
        self.outputs.iter().any(|output| output.path == ROOT_OUTPUT && !output.globs)
    }

    /// The layers above its image, the lowest first.
    ///
    /// # Errors
    /// [`ActionError::Digest`].
    pub fn root_layers(&self) -> Result<Vec<Digest>, ActionError> {
        let function = self.input_root.function();
        let layers = self.platform.iter().filter(|(name, _)| name == ROOT_LAYERS);
        let digests = layers.flat_map(|(_, value)| value.split(','));
        digests.map(|text| Ok(Digest::parse(function, text)?)).collect()
    }

    /// Puts layers above its image, the lowest first.
    pub fn set_root_layers(&mut self, layers: &[Digest]) {
        self.platform.retain(|(name, _)| name != ROOT_LAYERS);
        if !layers.is_empty() {
            let digests: Vec<String> = layers.iter().map(ToString::to_string).collect();
            self.platform.push((ROOT_LAYERS.to_owned(), digests.join(",")));
        }
    }

    fn command(&self) -> reapi::Command {
        let mut env = self.env.clone();
        env.sort();
        let mut output_paths: Vec<String> = self.outputs.iter().map(|output| output.path.clone()).collect();
        output_paths.sort();
        reapi::Command {
            arguments: self.arguments.clone(),
            environment_variables: env
                .into_iter()
                .map(|(name, value)| reapi::EnvironmentVariable { name, value })
                .collect(),
            working_directory: self.working_directory.clone(),
            output_paths,
            // The root directory is what a dependent step's key needs.
            output_directory_format: if self.trees { TREE_AND_DIRECTORY } else { DIRECTORY_ONLY },
            ..Default::default()
        }
    }

    fn platform_message(&self) -> reapi::Platform {
        let mut properties = self.platform.clone();
        for output in &self.outputs {
            if output.globs {
                properties.push((GLOBS.to_owned(), output.path.clone()));
            }
            if output.optional {
                properties.push((OPTIONAL.to_owned(), output.path.clone()));
            }
        }
        properties.sort();
        let properties = properties.into_iter().map(|(name, value)| reapi::Property { name, value });
        reapi::Platform { properties: properties.collect() }
    }

    /// The digest of the Command that encoded Action bytes name.
    pub fn command_digest(function: DigestFunction, action: &[u8]) -> Result<Digest, ActionError> {
        let action = decode::<reapi::Action>("an Action", action)?;
        from_wire(function, action.command_digest, "command digest")
    }

    /// Reads an action from its two blobs.
    pub fn decode(function: DigestFunction, action: &[u8], command: &[u8]) -> Result<Self, ActionError> {
        let action = decode::<reapi::Action>("an Action", action)?;
        let command = decode::<reapi::Command>("a Command", command)?;
        // Clients before version 2.2 say it in the Command.
        let (marks, platform): (Vec<_>, Vec<_>) = action
            .platform
            .or(command.platform)
            .unwrap_or_default()
            .properties
            .into_iter()
            .map(|property| (property.name, property.value))
            .partition(|(name, _)| name == GLOBS || name == OPTIONAL);
        let marked = |mark: &str, path: &str| marks.iter().any(|(name, value)| name == mark && value == path);
        let is_remote = !platform.iter().any(|(name, _)| name == ENVIRONMENT);
        let timeout = action.timeout.unwrap_or_default();
        let mut output_paths = command.output_paths;
        if output_paths.is_empty() {
            // Those of version 2.0.
            output_paths.extend(command.output_files.into_iter().chain(command.output_directories));
        }
        Ok(Self {
            arguments: command.arguments,
            env: command.environment_variables.into_iter().map(|env| (env.name, env.value)).collect(),
            working_directory: command.working_directory,
            outputs: output_paths
                .into_iter()
                .map(|path| OutputPath {
                    globs: marked(GLOBS, &path),
                    optional: is_remote || marked(OPTIONAL, &path),
                    path,
                })
                .collect(),
            input_root: from_wire(function, action.input_root_digest, "input root")?,
            platform,
            timeout: cullet_proto::duration(&timeout).ok_or(ActionError::Timeout)?,
            do_not_cache: action.do_not_cache,
            salt: action.salt.into(),
            trees: command.output_directory_format != DIRECTORY_ONLY,
        })
    }
}

fn decode<M: prost::Message + Default>(what: &'static str, bytes: &[u8]) -> Result<M, ActionError> {
    M::decode(bytes).map_err(|source| ActionError::Decode { what, source })
}

/// The wire form of a digest.
pub(crate) fn to_wire(digest: &Digest) -> reapi::Digest {
    reapi::Digest { hash: digest.hash_hex(), size_bytes: digest.size() as i64 }
}

fn from_wire(
    function: DigestFunction,
    digest: Option<reapi::Digest>,
    what: &'static str,
) -> Result<Digest, ActionError> {
    let digest = digest.ok_or(ActionError::Missing(what))?;
    Ok(Digest::from_wire(function, &digest.hash, digest.size_bytes)?)
}

#[cfg(test)]
mod tests;
