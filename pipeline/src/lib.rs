//! The pipeline language: a file becomes a checked [`Pipeline`] becomes a [`Plan`], a DAG of step templates. Pure:
//! no file is read and no process is started here.
//!
//! The way of a file: `yaml` makes a tree with positions; `syntax` says what keys there are, and `decode` and
//! `scalar` how nodes become their types; `expr` evaluates `${{ }}`; `compile` resolves names, expands matrices
//! and orders the steps. Whatever goes wrong on the way is collected and reported at once by `diag`.

mod compile;
mod decode;
mod diag;
mod expr;
pub mod graph;
mod pipeline;
pub mod plan;
mod plan_secret;
mod scalar;
mod schema;
mod syntax;
mod yaml;

pub use diag::{Diagnostic, Diagnostics, Label, SHOWN, Severity, Span};
pub use pipeline::{Pipeline, load};
pub use plan::Plan;
pub use scalar::{parse_cpu, parse_duration, parse_memory};
pub use schema::schema;
