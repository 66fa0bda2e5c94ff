//! The pipeline language: a file becomes a checked pipeline becomes a [`Plan`], a DAG of step templates. Pure:
//! no file is read and no process is started here.

pub mod plan;

pub use plan::Plan;
