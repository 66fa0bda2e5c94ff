//! Makes a step's input root appear, runs it through an executor, collects what it leaves behind.

pub mod attempt;
pub mod cgroup;
pub mod collect;
pub mod conclusion;
pub mod docker;
pub mod executor;
pub mod host;
mod image_root;
mod image_user;
pub mod images;
mod in_use;
pub mod incoming;
pub mod input_root;
pub mod junit;
mod layers;
pub mod logs;
pub mod plain;
pub mod planted;
mod pump;
pub mod remote;
pub mod sandbox;
pub mod secrets;
mod service;
mod services;
pub mod space;
mod stopping;
mod visit;
pub mod volumes;

pub use attempt::{
    Attempt, AttemptReport, LocalFiles, NoSourceFiles, Reclaim, SourceFiles, Stores, Worker, WorkerConfig,
    WorkerError,
};
pub use collect::{CollectError, OutputFault, OutputLimits};
pub use conclusion::{Conclusion, Declared, Outcome};
pub use executor::{
    ExecuteError, Execution, Exit, Launch, LogSink, StepExecutor, StepLimits, Stream, TerminalHost, Usage,
    Visit,
};
pub use image_root::{EngineUpper, ImageRoot, Owners, RootUpper};
pub use image_user::image_user;
pub use images::{
    AboveFault, CaptureFault, HeldLayer, HeldRoot, ImageFault, ImageRoots, LayerFault, NoImages,
};
pub use in_use::{InUse, Uses};
pub use input_root::{InputError, LostInput, LostInputs};
pub use secrets::{MOST_SECRET_BYTES, Masks, NoSecrets, SecretFault, SecretFile, SecretValues};
pub use service::{ImageProgram, ServiceLaunch};
pub use space::{Room, SpaceWatching};
pub use volumes::{
    Moved, SharedVolumes, Travels, VolumeEvents, VolumeMount, VolumeStore, VolumeUse, Volumes, VolumesConfig,
};
