//! What runs beside a step.

use std::sync::Arc;

use cullet_cache::services::Ready;
use cullet_secrets::Masker;

use crate::{ImageRoot, SecretFile};

/// A service to start, with everything around it decided.
#[derive(Debug, Clone)]
pub struct ServiceLaunch {
    /// By which the step and other services reach it.
    pub name: String,
    /// The program and its arguments.
    pub arguments: Vec<String>,
    /// The declared environment; the executor adds what the image defines and nothing declares.
    pub env: Vec<(String, String)>,
    /// Where it starts: an absolute path in its image.
    pub working_directory: String,
    /// Its root directory.
    pub image: ImageRoot,
    /// When it is ready; none for as soon as its program was started.
    pub ready: Option<Ready>,
    /// What it finds below `/run/secrets`.
    pub secrets: Vec<SecretFile>,
    /// What masks all that is printed beside the step, and by it: the same for all of its services.
    pub masker: Arc<Masker>,
}

/// What an image says of the program that is run in it, where nobody says anything else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageProgram {
    /// `ENTRYPOINT` and `CMD`, as one list.
    pub arguments: Vec<String>,
    /// `WORKDIR`; empty for the root.
    pub working_directory: String,
}

impl ImageProgram {
    /// An absolute path: what is not one is below the root.
    pub(crate) fn directory(&self) -> String {
        format!("/{}", self.working_directory.trim_start_matches('/'))
    }
}
