//! Every decision of Cullet and no action: [`State::apply`] takes a [`LogCommand`] and gives [`Effect`]s, plain
//! data with ids. No clock, no randomness, no I/O, no async; time arrives inside commands. The same commands in
//! the same order give the same state, the same effects and the same hash, on every machine and version.
//!
//! `cullet run` drives this core directly; a replicated coordinator will drive it through raft.

mod apply;
mod clients;
pub mod command;
mod detail;
mod durations;
pub mod effect;
mod ending;
mod flights;
mod forgotten;
mod graph;
mod hash;
pub mod id;
mod journal;
mod labels;
mod outstanding;
mod place;
mod placement;
pub mod planted;
mod ready;
mod retired;
mod run;
mod runs;
mod schedule;
mod settings;
mod shunned;
pub mod spec;
mod state;
mod status;
mod step;
mod tenants;
mod validate;
mod version;
mod worker_spec;
mod workers;

pub use apply::admit::Refusal;
pub use command::{AttemptOutcome, LogCommand, Resolution};
pub use detail::{Detail, Usage};
pub use effect::Effect;
pub use id::{AttemptId, Epoch, RunId, StepId, StepIndex, TimeMs, WorkerId};
pub use journal::{AttemptEnd, Note, RunEvent, RunEventKind, StepEnd};
pub use placement::Wait;
pub use run::{Counts, Run};
pub use settings::Settings;
pub use state::State;
pub use status::{RunStatus, StepStatus};
pub use step::{StepPhase, StepView};
pub use tenants::TenantView;
pub use version::{FIRST_VERSION, NEWEST_VERSION};
pub use worker_spec::WorkerSpec;
pub use workers::WorkerView;
