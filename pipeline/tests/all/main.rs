//! What the language accepts, refuses, says about it, and makes of it.

mod bounds;
mod definitions;
mod docs;
mod document;
mod expressions;
mod inputs;
mod limits;
mod matrix;
mod planning;
mod positions;
mod properties;
mod references;
mod roots;
mod secrets;
mod showing;
mod steps;
mod support;
mod targets;
mod warnings;
mod workspace;
