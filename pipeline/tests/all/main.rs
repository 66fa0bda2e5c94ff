//! What the language accepts, refuses, says about it, and makes of it.

mod bounds;
mod docs;
mod document;
mod expressions;
mod matrix;
mod planning;
mod properties;
mod references;
mod showing;
mod steps;
mod support;
mod warnings;
mod workspace;
