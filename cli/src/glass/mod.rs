//! Breaking the glass: the pipeline of a cluster on this machine, on purpose and on record.
//!
//! What such a run makes belongs to a scope that no other run reads. That it began is in a journal before anything is
//! executed, with who, why and what; how it ended comes behind it. Steps that act on the outside world need the approval of
//! somebody else.

mod approval;
mod cut_off;
mod files;
mod journal;
mod key;
mod reason;
mod record;
mod repository;
mod request;
mod run;
pub(crate) mod sent;

pub(crate) use approval::{Standing, Token, others, standing};
pub(crate) use cut_off::{
    ARGUMENT as CUT_OFF_ARGUMENT, again as cut_off_again, is_cut_off, main as cut_off_main,
};
pub(crate) use journal::{Journal, head, is_running, path_in, trial};
pub(crate) use key::known as known_keys;
pub(crate) use record::Record;
pub(crate) use request::Request;
pub(crate) use run::Glass;
