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
use crate::cluster::Addresses;
use crate::config::Config;
use crate::error::{CliError, ErrorKind, ExitStatus};

/// What does not change anything is answered at once or not at all.
const ASKING: Duration = Duration::from_secs(5);

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
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::infra("cannot start").because(error))?;
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
            let status =
                client(url, ASKING)?.status(v1::StatusRequest {}).await.map_err(failed)?.into_inner();
            Ok(match format {
                Format::Human => describe(&status),
                Format::Json => object(&status),
            })
        }
        ClusterCommand::Add { address, learner } => {
            let failed_there = |status: Status| refused(address, &status);
            let asked = client(address, ASKING)?.status(v1::StatusRequest {}).await;
            let id = asked.map_err(failed_there)?.into_inner().id;
            let request = v1::AddMemberRequest { id, address: address.clone(), learner: *learner };
            let added = client(url, CHANGING)?.add_member(request).await.map_err(failed)?.into_inner();
            Ok(members(&added.members, 0))
        }
        ClusterCommand::Remove { id } => {
            let request = v1::RemoveMemberRequest { id: parse(id)? };
            let removed = client(url, CHANGING)?.remove_member(request).await.map_err(failed)?.into_inner();
            Ok(members(&removed.members, 0))
        }
        ClusterCommand::Transfer { id } => {
            let to = id.as_deref().map(parse).transpose()?.unwrap_or(0);
            let request = v1::TransferLeadershipRequest { to };
            let moved =
                client(url, CHANGING)?.transfer_leadership(request).await.map_err(failed)?.into_inner();
            Ok(format!("{} leads\n", hex(moved.leader)))
        }
    }
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

fn describe(status: &v1::StatusResponse) -> String {
    let cluster = if status.cluster_id.is_empty() { "none yet" } else { &*status.cluster_id };
    let state = if status.ready { "ready".to_owned() } else { format!("not ready: {}", status.reason) };
    let mut text = format!("cluster      {cluster}\ncoordinator  {} {state}\n", hex(status.id));
    text.push_str(&format!(
        "log          {} entries, {} applied, term {}\n",
        status.last_log_index, status.applied_index, status.term
    ));
    text.push_str(&format!("runs         {} live\n", status.live_runs));
    text.push_str(&members(&status.members, status.leader));
    for worker in &status.workers {
        let draining = if worker.draining { ", draining" } else { "" };
        text.push_str(&format!("worker       {} {} running{draining}\n", worker.name, worker.running));
    }
    text
}

fn members(members: &[v1::Member], leader: u64) -> String {
    let line = |member: &v1::Member| {
        let role = match (member.id == leader, member.voter) {
            (true, _) => "leader",
            (false, true) => "voter",
            (false, false) => "learner",
        };
        format!("{role:<12} {} {}\n", hex(member.id), member.address)
    };
    members.iter().map(line).collect()
}

fn object(status: &v1::StatusResponse) -> String {
    let members: Vec<_> = status
        .members
        .iter()
        .map(|member| json!({ "id": hex(member.id), "address": member.address, "voter": member.voter }))
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
