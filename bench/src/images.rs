//! Steps in images: fetching and unpacking one, and launching a step in it, against programs that others wrote.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cullet_worker::ImageRoot;
use cullet_worker::host::HostTools;
use cullet_worker::sandbox::{LauncherCommand, Sandbox, SandboxConfig};
use serde_json::{Value, json};

use crate::Result;
use crate::check::{Report, Target, seconds};
use crate::cullet::Run;
use crate::launch::launch;
use crate::measure::{Measured, medians, middle};

/// Names the image, in a registry of this machine.
const IMAGE: &str = "CULLET_BENCH_IMAGE";

/// Rounds of fetching and unpacking, launches, and runs of a container engine, which takes longer.
const PULLS: usize = 3;
const LAUNCHES: usize = 200;
const RUNC_RUNS: usize = 30;
const DOCKER_RUNS: usize = 10;

/// What `cullet run` takes of memory at most while it unpacks, in bytes.
const MEMORY: f64 = (200_u32 << 20) as f64;

pub(crate) fn run(report: &mut Report) -> Result<()> {
    let image = std::env::var(IMAGE).map_err(|_| {
        format!("{IMAGE} names no image: sh examples/image.sh docker://127.0.0.1:5000/ci/debian:1 makes one")
    })?;
    let dir = tempfile::tempdir()?;
    report.heading(&format!("an image, {image}"));
    let cache = pulls(&image, dir.path(), report)?;
    let launched = launches(&cache, dir.path(), report)?;
    let runc = runc(&dir.path().join("bundle"))?;
    report.compare("runc run, over a launch in the image", runc, launched, Target::AtLeast(5.0), seconds);
    match docker(&image) {
        Some(docker) => {
            let docker = docker?;
            report.compare(
                "docker run, over a launch in the image",
                docker,
                launched,
                Target::AtLeast(50.0),
                seconds,
            );
        }
        None => report.note("no Docker engine answers: docker run is not compared"),
    }
    Ok(())
}

/// Fetches and unpacks in turns, into fresh directories; the last ones are kept.
fn pulls(image: &str, dir: &Path, report: &mut Report) -> Result<PathBuf> {
    let file = dir.join("cullet.yaml");
    let text =
        format!("cullet: 1\nname: pull\nsteps: {{ pull: {{ image: '{image}', run: [/bin/true] }} }}\n");
    std::fs::write(&file, text)?;
    let (cache, layout, bundle) = (dir.join("cache"), dir.join("layout"), dir.join("bundle"));
    let script = "skopeo --insecure-policy copy --quiet --src-tls-verify=false \"docker://$1\" \"oci:$2:x\" && \
                  umoci unpack --image \"$2:x\" \"$3\" >/dev/null";
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..PULLS {
        for old in [&cache, &layout, &bundle] {
            if old.exists() {
                std::fs::remove_dir_all(old)?;
            }
        }
        Command::new("sync").status()?;
        ours.push(Run::new(&file, &cache).measured()?.once()?);
        let pulled = Measured::new("sh")?.args(["-c", script, "sh", image]).arg(&layout).arg(&bundle);
        Command::new("sync").status()?;
        theirs.push({ pulled }.once()?);
    }
    let (ours, theirs) = (medians(&ours), medians(&theirs));
    report.compare(
        "cullet run that fetches and unpacks it, over skopeo copy and umoci unpack",
        ours.wall,
        theirs.wall,
        Target::AtMost(0.7),
        seconds,
    );
    report.note(&format!("processor time {} and {}", seconds(ours.cpu), seconds(theirs.cpu)));
    let mib = |bytes: f64| format!("{:.0} MiB", bytes / f64::from(1 << 20));
    report.compare("memory meanwhile", ours.peak, MEMORY, Target::AtMost(1.0), mib);
    Ok(cache)
}

/// Launches with and without the image in turns.
fn launches(cache: &Path, dir: &Path, report: &mut Report) -> Result<f64> {
    let sandbox = Sandbox::start(
        LauncherCommand::this_program(),
        SandboxConfig::new(HostTools::default(), Vec::new()),
    )?;
    let owned = sandbox.takes_owned_layers();
    // Below layers/FORM/DIFF_ID; one run unpacks into one form.
    let [form] = &*entries(&cache.join("images/layers"))? else {
        return Err("one form of layers is expected".into());
    };
    let [layer] = &*entries(form)? else { return Err("an image of one layer is expected".into()) };
    let layers = vec![layer.join("tree")];
    let root = ImageRoot { layers, owned, ..ImageRoot::default() };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (mut bare, mut inside) = (Vec::new(), Vec::new());
    for index in 0..LAUNCHES {
        let at = dir.join(format!("launch-{index}"));
        bare.push(runtime.block_on(launch(&sandbox, &at, None))?);
        inside.push(runtime.block_on(launch(&sandbox, &at, Some(root.clone())))?);
    }
    let (bare, inside) = (middle(bare), middle(inside));
    report.compare(
        "a step in an unpacked image, over a bare launch",
        inside,
        bare,
        Target::AtMost(1.3),
        seconds,
    );
    Ok(inside)
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    std::fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect()
}

/// Seconds of `runc run` of the same program in the same image.
fn runc(bundle: &Path) -> Result<f64> {
    let file = bundle.join("config.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&file)?)?;
    config["process"]["args"] = json!(["/bin/true"]);
    config["process"]["terminal"] = json!(false);
    std::fs::write(&file, serde_json::to_vec(&config)?)?;
    let once = |index: usize| -> Result<f64> {
        let id = format!("cullet-bench-{}-{index}", std::process::id());
        let mut runc = Measured::new("runc")?.args(["run", "--bundle"]).arg(bundle).arg(id);
        Ok(runc.once()?.wall)
    };
    Ok(middle((0..RUNC_RUNS).map(once).collect::<Result<_>>()?))
}

/// The same of `docker run`; none where no engine answers.
fn docker(image: &str) -> Option<Result<f64>> {
    let quiet = |arguments: &[&str]| {
        let mut docker = Command::new("docker");
        docker.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
        docker.status().is_ok_and(|status| status.success())
    };
    if !quiet(&["info"]) {
        return None;
    }
    if !quiet(&["pull", "--quiet", image]) {
        return Some(Err(format!("docker pull {image} failed").into()));
    }
    let once = |_| -> Result<f64> {
        let arguments = ["run", "--rm", "--network", "none", image, "/bin/true"];
        Ok(Measured::new("docker")?.args(arguments).once()?.wall)
    };
    let times: Result<Vec<f64>> = (0..DOCKER_RUNS).map(once).collect();
    Some(times.map(middle))
}
