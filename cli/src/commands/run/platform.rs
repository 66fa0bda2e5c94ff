//! Which platform the images of a run are for.

use std::collections::BTreeMap;
use std::path::Path;

use cullet_coordinator::images::LABEL;
use cullet_image::Platform;
use cullet_pipeline::{Plan, plan};
use cullet_proto::v1;

use crate::cluster::Addresses;
use crate::commands::on_cluster;
use crate::error::CliError;

/// What the pipeline says. Where it says nothing, this machine's, or on a cluster that of workers there.
///
/// # Errors
/// This machine is another one and is to run it, or the cluster does not answer.
pub(super) fn of_run(plan: &Plan, file: &Path, cluster: Option<&Addresses>) -> Result<Platform, CliError> {
    let here = Platform::host();
    let Some(addresses) = cluster else {
        return match plan.platform.as_ref().map(in_images).transpose()? {
            Some(wanted) if wanted != here => Err(CliError::usage(format!(
                "{}: the pipeline is for {wanted}, and this machine is {here}",
                file.display()
            ))
            .hint("run it on a cluster that has such workers (--cluster URL), or change its `platform`")),
            _ => Ok(here),
        };
    };
    match &plan.platform {
        Some(platform) => in_images(platform),
        None if plan.step_images().is_empty() => Ok(here),
        None => {
            let workers = on_cluster::block_on(addresses, async |cluster| Ok(cluster.workers().await?))?;
            Ok(of_workers(here, &workers))
        }
    }
}

fn in_images(platform: &plan::Platform) -> Result<Platform, CliError> {
    let wrong = |error| CliError::usage("the pipeline's `platform` cannot be used").because(error);
    platform.to_string().parse().map_err(wrong)
}

/// This machine's, if a worker has that, so that both make the same keys; otherwise the one that has most processors. This
/// machine's while there is no worker: then nothing runs anyway.
fn of_workers(here: Platform, workers: &[v1::WorkerStatus]) -> Platform {
    let mut platforms: BTreeMap<String, u64> = BTreeMap::new();
    let label = |worker: &v1::WorkerStatus, name: &str| worker.labels.get(name).cloned();
    for worker in workers.iter().filter(|worker| !worker.draining) {
        let runs_images = label(worker, LABEL.0).is_some_and(|value| value == LABEL.1);
        if let (true, Some(arch)) = (runs_images, label(worker, "Arch")) {
            let platform = plan::Platform::of_machine(&arch).to_string();
            *platforms.entry(platform).or_default() += u64::from(worker.cpu_millis);
        }
    }
    if platforms.contains_key(&here.to_string()) {
        return here;
    }
    // Of equals the first by name, so that two submissions agree.
    let most = platforms.into_iter().rev().max_by_key(|(_, cpus)| *cpus);
    most.and_then(|(name, _)| name.parse().ok()).unwrap_or(here)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(arch: &str, cpu_millis: u32, image: &str) -> v1::WorkerStatus {
        let labels = [("Arch", arch), (LABEL.0, image)];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
        v1::WorkerStatus { cpu_millis, labels: labels.into(), ..Default::default() }
    }

    #[test]
    fn the_workers_that_run_images_say_what_the_images_are_for() {
        let of =
            |workers: &[v1::WorkerStatus]| of_workers("linux/amd64".parse().unwrap(), workers).to_string();
        assert_eq!(of(&[]), "linux/amd64");
        let (arm, riscv) = (worker("aarch64", 2000, LABEL.1), worker("riscv64", 1000, LABEL.1));
        assert_eq!(of(&[riscv.clone(), arm.clone()]), "linux/arm64");
        assert_eq!(of(&[riscv.clone(), arm.clone(), riscv.clone(), riscv.clone()]), "linux/riscv64");
        assert_eq!(of(&[arm.clone(), worker("x86_64", 1, LABEL.1)]), "linux/amd64");
        assert_eq!(of(&[arm.clone(), worker("x86_64", 1, "none")]), "linux/arm64");
        let going = v1::WorkerStatus { draining: true, ..worker("x86_64", 1, LABEL.1) };
        assert_eq!(of(&[arm, going]), "linux/arm64");
    }

    #[test]
    fn what_runs_here_is_for_this_machine() {
        let plan = |text: &str| cullet_pipeline::load("f", text).unwrap().plan(&[], &[]).unwrap();
        let file = Path::new("cullet.yaml");
        let mine = format!("cullet: 1\nplatform: {}\nsteps:\n  a: {{ run: x }}\n", Platform::host());
        assert_eq!(of_run(&plan(&mine), file, None).unwrap(), Platform::host());
        let other = "cullet: 1\nparams: { on: riscv64 }\nplatform: 'linux/${{ params.on }}'\nsteps:\n  a: { run: x }\n";
        let refused = of_run(&plan(other), file, None).unwrap_err().to_string();
        assert!(
            refused.starts_with("cullet.yaml: the pipeline is for linux/riscv64, and this machine is"),
            "{refused}"
        );
    }
}
