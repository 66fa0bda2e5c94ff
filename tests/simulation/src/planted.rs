//! Mistakes by name.

use cullet_coordinator::planted as coordinator;
use cullet_core::planted as core;
use cullet_raft_log::planted as log;
use cullet_worker::planted as worker;

/// Has the mistake made from here on. False where there is none of this name.
pub(crate) fn plant(name: &str) -> bool {
    match name {
        "IgnoreEpoch" => {
            core::plant(core::Bug::IgnoreEpoch);
            coordinator::plant(coordinator::Bug::IgnoreEpoch);
        }
        "RestartEffects" => core::plant(core::Bug::RestartEffects),
        "LeakCapacity" => core::plant(core::Bug::LeakCapacity),
        "StartEarly" => core::plant(core::Bug::StartEarly),
        "LoseCancel" => core::plant(core::Bug::LoseCancel),
        "AckBeforeSync" => log::plant(log::Bug::AckBeforeSync),
        "LoseVotes" => log::plant(log::Bug::LoseVotes),
        "KeepTail" => log::plant(log::Bug::KeepTail),
        "SkipBarrier" => coordinator::plant(coordinator::Bug::SkipBarrier),
        "RestoreLeader" => coordinator::plant(coordinator::Bug::RestoreLeader),
        "NoKeepalive" => coordinator::plant(coordinator::Bug::NoKeepalive),
        "SkipEntry" => coordinator::plant(coordinator::Bug::SkipEntry),
        "StaleSnapshot" => coordinator::plant(coordinator::Bug::StaleSnapshot),
        "DenyUnknown" => coordinator::plant(coordinator::Bug::DenyUnknown),
        "AckEarly" => coordinator::plant(coordinator::Bug::AckEarly),
        "ForgetOutstanding" => coordinator::plant(coordinator::Bug::ForgetOutstanding),
        "LeadNobody" => coordinator::plant(coordinator::Bug::LeadNobody),
        "LeadEarly" => coordinator::plant(coordinator::Bug::LeadEarly),
        "DropReport" => coordinator::plant(coordinator::Bug::DropReport),
        "LoseWorkers" => coordinator::plant(coordinator::Bug::LoseWorkers),
        "DropCancel" => coordinator::plant(coordinator::Bug::DropCancel),
        "KeepReplaced" => coordinator::plant(coordinator::Bug::KeepReplaced),
        "ChangeWhenOut" => coordinator::plant(coordinator::Bug::ChangeWhenOut),
        "ForgetRequests" => coordinator::plant(coordinator::Bug::ForgetRequests),
        "ForgetReports" => worker::plant(worker::Bug::ForgetReports),
        "StartTwice" => worker::plant(worker::Bug::StartTwice),
        _ => return false,
    }
    true
}
