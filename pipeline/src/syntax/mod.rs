//! The language: its keys, their types and their descriptions. `docs/pipeline.md` explains the same at length, and
//! a test keeps the two together.

mod cache;
mod deferred;
mod document;
mod image;
mod matrix;
mod output;
mod param;
mod run;
mod secret;
mod service;
mod source;
mod step;
mod words;

pub(crate) use cache::CacheDef;
pub(crate) use deferred::Deferred;
pub(crate) use document::Document;
pub(crate) use image::{ImageDef, ImageSource};
pub(crate) use matrix::MatrixDef;
pub(crate) use output::{RunOutputDef, RunOutputMap};
pub(crate) use param::{Literal, ParamDef};
pub(crate) use run::Run;
pub(crate) use secret::{SecretDef, SecretSource};
pub(crate) use service::{ReadyDef, ServiceDef};
pub(crate) use source::SourceDef;
pub(crate) use step::{RetriesDef, StepDef};
pub(crate) use words::{ImageText, StepText, Version};
