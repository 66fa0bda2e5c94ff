//! `cullet cluster`.

use std::io::Write;
use std::time::Duration;

use cullet_coordinator::cluster::connect;
use cullet_proto::v1::cluster_client::ClusterClient;
use cullet_proto::{Dial, v1};
use serde_json::json;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::coordinator::hex;
use crate::args::{ClusterArgs, ClusterCommand, Format};
use crate::cluster::{Addresses, address};
use crate::config::Config;
use crate::error::{CliError, ErrorKind, ExitStatus};
use crate::runtime;
use crate::ui::{clean, duration};

/// What does not change anything is answered at once or not at all.
const ASKING: Duration = Duration::from_secs(5);

/// How long the leader has to say whom it hears, where another one was asked.
const ASKING_LEADER: Duration = Duration::from_secs(2);

/// One that was not heard for so long is named as such: a leader asks ten times a second.
const MISSED: Duration = Duration::from_secs(2);

/// A new member is taken in when it has caught up.
const CHANGING: Duration = Duration::from_secs(120);

type Client = ClusterClient<Channel>;

/// Asks a cluster, or changes who belongs to it.
pub(super) fn cluster(
    args: &ClusterArgs,
    config: &Config,
    out: &mut dyn Write,
) -> Result<ExitStatus, CliError> {
    let Some(url) = config.cluster(args.cluster.as_deref()) else {
        let hint = "name one of its coordinators with --cluster URL or CULLET_CLUSTER";
        return Err(CliError::usage("no cluster is named").hint(hint));
    };
    let runtime = runtime::of_one_thread()?;
    let addresses: Addresses = url.parse()?;
    let text = runtime.block_on(ask_any(&addresses, &args.command))?;
    out.write_all(text.as_bytes()).map_err(CliError::output)?;
    Ok(ExitStatus::Success)
}

fn client(url: &str, deadline: Duration) -> Result<Client, CliError> {
    let channel = connect(&Dial::default(), url, deadline).map_err(|error| {
        CliError::usage(format!("'{url}' is no address of a coordinator"))
            .because(error)
            .hint("write it as http://host:port")
    })?;
    Ok(ClusterClient::new(channel))
}

/// The answer of the first coordinator that gives one.
async fn ask_any(addresses: &Addresses, command: &ClusterCommand) -> Result<String, CliError> {
    let mut answer = Err(CliError::usage("no cluster is named"));
    for url in addresses.urls() {
        answer = ask(url, command).await;
        if !matches!(&answer, Err(error) if error.kind() == ErrorKind::Infra) {
            break;
        }
    }
    answer
}

async fn ask(url: &str, command: &ClusterCommand) -> Result<String, CliError> {
    let failed = |status: Status| refused(url, &status);
    match command {
        ClusterCommand::Status { format } => {
            let mut status =
                client(url, ASKING)?.status(v1::StatusRequest {}).await.map_err(failed)?.into_inner();
            let known = ask_leader(&mut status).await;
            Ok(match format {
                Format::Human => describe(&status, known),
                Format::Json => object(&status),
            })
        }
        ClusterCommand::Add { address, learner } => {
            let address = new_address(address)?;
            let asked = client(&address, ASKING)?.status(v1::StatusRequest {}).await;
            let id = asked.map_err(|status| no_newcomer(&address, &status))?.into_inner().id;
            let request = v1::AddMemberRequest { id, address, learner: *learner };
            let added = client(url, CHANGING)?.add_member(request).await.map_err(failed)?.into_inner();
            Ok(members(&added.members, 0, |_| String::new()))
        }
        ClusterCommand::Remove { id } => {
            let request = v1::RemoveMemberRequest { id: parse(id)? };
            let removed = client(url, CHANGING)?.remove_member(request).await.map_err(failed)?.into_inner();
            Ok(members(&removed.members, 0, |_| String::new()))
        }
        ClusterCommand::Transfer { id } => {
            let to = id.as_deref().map(parse).transpose()?.unwrap_or(0);
            let request = v1::TransferLeadershipRequest { to };
            let moved =
                client(url, CHANGING)?.transfer_leadership(request).await.map_err(failed)?.into_inner();
            Ok(format!("{} leads\n", hex(moved.leader)))
        }
        ClusterCommand::Upgrade => {
            let upgraded =
                client(url, CHANGING)?.upgrade(v1::UpgradeRequest {}).await.map_err(failed)?.into_inner();
            Ok(describe_upgrade(&upgraded))
        }
    }
}

/// Who is to be taken in does not say who it is.
fn no_newcomer(address: &str, status: &Status) -> CliError {
    let address = clean::line(address);
    match status.code() {
        Code::Unimplemented => CliError::usage(format!("what answers at {address} is no coordinator")),
        _ => {
            CliError::infra(format!("no coordinator answers at {address}: {}", clean::line(status.message())))
                .hint("start it first, with --peer and the addresses of the cluster")
        }
    }
}

fn describe_upgrade(upgraded: &v1::UpgradeResponse) -> String {
    let v1::UpgradeResponse { log_version, newest_log_version, behind } = upgraded;
    match behind {
        Some(member) => format!(
            "the cluster is at version {log_version} of the log, not {newest_log_version}: coordinator {} at {} knows no newer one\n",
            hex(member.id),
            clean::line(&member.address)
        ),
        None => format!(
            "the cluster is at version {log_version} of the log, the newest that its coordinators know\n"
        ),
    }
}

/// Where a new coordinator is.
fn new_address(text: &str) -> Result<String, CliError> {
    address(text).map_err(|reason| {
        CliError::usage(format!("'{}' is no address of a coordinator: {reason}", clean::line(text)))
            .hint("write it as http://host:port, for instance http://c-3:7400")
    })
}

/// Completes what one coordinator said by whom the leader hears, which only the leader knows. Says whether it is known.
async fn ask_leader(status: &mut v1::StatusResponse) -> bool {
    if status.leader == status.id {
        return true;
    }
    let leader = status.members.iter().find(|member| member.id == status.leader);
    let Some(Ok(mut there)) = leader.map(|leader| client(&leader.address, ASKING_LEADER)) else {
        return false;
    };
    let Ok(answer) = there.status(v1::StatusRequest {}).await else { return false };
    let answer = answer.into_inner();
    if answer.id != status.leader || answer.leader != answer.id {
        return false;
    }
    for member in &mut status.members {
        let same = answer.members.iter().find(|known| known.id == member.id);
        member.heard_ms_ago = same.and_then(|known| known.heard_ms_ago);
    }
    true
}

fn parse(id: &str) -> Result<u64, CliError> {
    u64::from_str_radix(id, 16).ok().filter(|number| *number != 0).ok_or_else(|| {
        let hint = "`cullet cluster status` lists them: 16 hexadecimal digits";
        CliError::usage(format!("'{id}' is no number of a coordinator")).hint(hint)
    })
}

fn refused(url: &str, status: &Status) -> CliError {
    match status.code() {
        Code::FailedPrecondition | Code::InvalidArgument => CliError::usage(status.message().to_owned()),
        _ => CliError::infra(format!("{url} did not do it: {}", status.message()))
            .hint("ask another coordinator of the cluster, or look whether it is running"),
    }
}

/// `known` says that the leader told whom it hears.
fn describe(status: &v1::StatusResponse, known: bool) -> String {
    let cluster = if status.cluster_id.is_empty() { "none yet" } else { &*status.cluster_id };
    let state = if status.ready { "ready".to_owned() } else { format!("not ready: {}", status.reason) };
    let mut text = format!("cluster      {cluster}\ncoordinator  {} {state}\n", hex(status.id));
    text.push_str(&format!(
        "log          {} entries, {} applied, term {}\n",
        status.last_log_index, status.applied_index, status.term
    ));
    if status.log_version != 0 && status.log_version < status.newest_log_version {
        let (now, known) = (status.log_version, status.newest_log_version);
        text.push_str(&format!(
            "version      {now} of the log; this coordinator knows {known}: `cullet cluster upgrade`\n"
        ));
    }
    text.push_str(&format!("runs         {} live\n", status.live_runs));
    text.push_str(&members(&status.members, status.leader, |member| heard(member, status.leader, known)));
    for worker in &status.workers {
        let draining = if worker.draining { ", draining" } else { "" };
        text.push_str(&format!("worker       {} {} running{draining}\n", worker.name, worker.running));
    }
    text
}

/// Whether a coordinator is there.
fn heard(member: &v1::Member, leader: u64, known: bool) -> String {
    match member.heard_ms_ago.map(Duration::from_millis) {
        _ if !known => "  not known whether it is there: no leader says".to_owned(),
        _ if member.id == leader => String::new(),
        Some(ago) if ago < MISSED => format!("  heard {:.1} s ago", ago.as_secs_f32()),
        Some(ago) => format!("  not heard for {}", duration::human(ago)),
        None => "  not heard since the leader leads".to_owned(),
    }
}

/// A line for each, with what there is to say of it.
fn members(members: &[v1::Member], leader: u64, say: impl Fn(&v1::Member) -> String) -> String {
    let line = |member: &v1::Member| {
        let role = match (member.id == leader, member.voter) {
            (true, _) => "leader",
            (false, true) => "voter",
            (false, false) => "learner",
        };
        format!("{role:<12} {} {}{}\n", hex(member.id), member.address, say(member))
    };
    members.iter().map(line).collect()
}

fn object(status: &v1::StatusResponse) -> String {
    let members: Vec<_> = status
        .members
        .iter()
        .map(|member| {
            let v1::Member { id, address, voter, heard_ms_ago } = member;
            json!({ "id": hex(*id), "address": address, "voter": voter, "heard_ms_ago": heard_ms_ago })
        })
        .collect();
    let workers: Vec<_> = status
        .workers
        .iter()
        .map(|worker| json!({ "name": worker.name, "running": worker.running, "draining": worker.draining }))
        .collect();
    let object = json!({
        "id": hex(status.id),
        "cluster": status.cluster_id,
        "version": status.version,
        "log_version": status.log_version,
        "newest_log_version": status.newest_log_version,
        "ready": status.ready,
        "reason": status.reason,
        "leader": (status.leader != 0).then(|| hex(status.leader)),
        "term": status.term,
        "last_log_index": status.last_log_index,
        "applied_index": status.applied_index,
        "snapshot_index": status.snapshot_index,
        "log_hash": status.log_hash,
        "members": members,
        "workers": workers,
        "live_runs": status.live_runs,
    });
    format!("{object}\n")
}
