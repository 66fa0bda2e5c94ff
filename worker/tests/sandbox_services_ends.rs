//! Nothing of a service outlives its step, however that ends.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cullet_cache::services::Check;
use cullet_worker::{Exit, ServiceLaunch};
use support::image::Image;
use support::service::{exec, ready, service};
use support::{Step, eventually, processes_with, run_in, runtime, sandbox, step};

/// A number of seconds to sleep that no other process sleeps, so that the sleepers can be found.
fn marker() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("5{:07}.{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Two services, of which one has children that want to stay.
fn sleepers(image: &Image, marker: &str) -> [ServiceLaunch; 2] {
    let stubborn = format!(
        "(setsid sleep {marker} &); (setsid sh -c \"trap '' TERM HUP; sleep {marker}\" &); trap '' TERM; touch /tmp/up; \
         sleep {marker}; sleep {marker}"
    );
    let polite =
        format!("trap 'echo bye; exit 0' TERM; touch /tmp/up; sleep {marker} & while :; do sleep 0.01; done");
    let up = exec("[ -e /tmp/up ]");
    [ready(service("stubborn", image, &stubborn), up.clone()), ready(service("polite", image, &polite), up)]
}

fn beside(script: &str, image: &Image, marker: &str) -> Step {
    step(script).beside(sleepers(image, marker))
}

/// How many networks a launcher has.
fn networks(launcher: u32) -> usize {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let is_one = |pid: &std::path::Path| {
        let stat = std::fs::read_to_string(pid.join("stat")).unwrap_or_default();
        stat.contains("(cullet-network)") && stat.contains(&format!(" {launcher} "))
    };
    entries.filter(|entry| is_one(&entry.path())).count()
}

both_users! {
    fn services_end_with_their_step() {
        let (sandbox, image, marker) = (sandbox(), Image::new(), marker());
        for (script, exit) in [("true", Exit::Code(0)), ("exit 3", Exit::Code(3)), ("kill -9 $$", Exit::Signal(9))] {
            let clock = Instant::now();
            let outcome = run_in(&sandbox, &beside(script, &image, &marker));
            assert_eq!((outcome.exit(), &outcome.execution.services[..]), (exit, &[][..]), "{outcome:?}");
            assert!(clock.elapsed() < Duration::from_secs(20));
            assert_eq!(processes_with(&marker), [""; 0]);
            assert!(outcome.stderr.contains("polite | bye\n"), "asked first: {outcome:?}");
        }
    }

    fn services_end_at_the_timeout_of_their_step_which_begins_with_it() {
        let (image, marker) = (Image::new(), marker());
        let mut step = beside("sleep 100", &image, &marker).timeout(Duration::from_millis(600));
        let late = service("late", &image, "sleep 1; touch /tmp/up; exec sleep 100");
        step.launch.services.push(ready(late, exec("[ -e /tmp/up ]")));
        let outcome = run_in(&sandbox(), &step);
        assert_eq!(outcome.exit(), Exit::TimedOut, "{outcome:?}");
        assert!(outcome.execution.duration >= Duration::from_millis(500));
        assert_eq!(processes_with(&marker), [""; 0]);
    }

    fn a_cancelled_step_takes_its_services_along_ready_or_not() {
        let (sandbox, image) = (sandbox(), Image::new());
        for is_ready in [true, false] {
            let marker = marker();
            let mut step = beside("echo started; sleep 100", &image, &marker);
            if !is_ready {
                step.launch.services.push(ready(service("never", &image, "exec sleep 100"), Check::Tcp { port: 1 }));
            }
            let (cancel, log) = (step.cancel.clone(), step.log.clone());
            let outcome = std::thread::scope(|scope| {
                scope.spawn(|| {
                    eventually("it is on its way", || match is_ready {
                        true => log.stdout().contains("started"),
                        false => !processes_with(&marker).is_empty(),
                    });
                    cancel.cancel();
                });
                run_in(&sandbox, &step)
            });
            assert_eq!(outcome.exit(), Exit::Cancelled);
            assert_eq!(outcome.stdout.contains("started"), is_ready);
            assert_eq!(processes_with(&marker), [""; 0]);
        }
        eventually("nobody holds a network", || networks(sandbox.launcher_pid()) == 0);
    }

    fn services_of_a_step_that_nobody_waits_for_end() {
        let (image, marker) = (Image::new(), marker());
        let step = beside("echo started; sleep 100", &image, &marker);
        let (sandbox, log) = (sandbox(), step.log.clone());
        runtime().block_on(async {
            tokio::select! {
                _ = step.run_on(&sandbox) => panic!("the step ended by itself"),
                () = async {
                    while !log.stdout().contains("started") {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                    assert_eq!(networks(sandbox.launcher_pid()), 1);
                } => {}
            }
            // The runtime's end would wait for the following threads; they have to end by the drop alone.
            while !processes_with(&marker).is_empty() || networks(sandbox.launcher_pid()) > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
    }

    fn a_killed_launcher_takes_services_along() {
        let (image, marker) = (Image::new(), marker());
        let step = beside("echo started; sleep 100", &image, &marker);
        let (sandbox, log) = (sandbox(), step.log.clone());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                eventually("the step starts", || log.stdout().contains("started"));
                let launcher = nix::unistd::Pid::from_raw(sandbox.launcher_pid().cast_signed());
                nix::sys::signal::kill(launcher, nix::sys::signal::Signal::SIGKILL).unwrap();
            });
            let error = runtime().block_on(step.run_on(&sandbox)).unwrap_err();
            assert!(error.to_string().contains("learn how the step ended"), "{error}");
        });
        eventually("all end", || processes_with(&marker).is_empty());
        assert_eq!(run_in(&sandbox, &support::step("echo again").beside(sleepers(&image, &marker))).ok(), "again");
    }

    fn a_killed_cullet_leaves_no_service() {
        let marker = marker();
        let mut parent = Command::new(std::env::current_exe().unwrap())
            .args(["parent", "--exact", "--nocapture"])
            .env(ROLE, &marker)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(parent.stdout.take().unwrap()).lines();
        let found = lines.find(|line| line.as_ref().is_ok_and(|line| line.starts_with("started "))).unwrap().unwrap();
        assert!(processes_with(&marker).len() > 3);
        parent.kill().unwrap();
        parent.wait().unwrap();
        eventually("every process ends", || processes_with(&marker).is_empty());
        for dir in found.split_whitespace().skip(1) {
            // Nobody was left to give the overlay's own directories permissions again.
            Command::new("chmod").args(["-R", "u+rwX", dir]).output().unwrap();
            std::fs::remove_dir_all(dir).unwrap();
        }
    }

    fn twenty_steps_with_services_go_side_by_side() {
        let (image, marker) = (Image::new(), marker());
        let mut config = support::config();
        // Room for three of them at a time.
        config.max_in_flight = 10;
        let sandbox = cullet_worker::sandbox::Sandbox::start(support::launcher(), config).unwrap();
        let steps: Vec<Step> = (0..20).map(|number| beside(&format!("echo {number}"), &image, &marker)).collect();
        let ran = runtime().block_on(futures_util::future::join_all(steps.iter().map(|step| step.run_on(&sandbox))));
        for (number, outcome) in ran.into_iter().enumerate() {
            assert_eq!(outcome.unwrap().ok(), number.to_string());
        }
        assert_eq!(processes_with(&marker), [""; 0]);
    }
}

/// Marks the sleepers of the process that is going to be killed.
const ROLE: &str = "CULLET_TEST_PARENT";

/// Not a test by itself: the process that is started and killed above.
#[test]
fn parent() {
    let Ok(marker) = std::env::var(ROLE) else { return };
    let image = Image::new();
    let step = beside("echo started; sleep 100", &image, &marker);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            eventually("the step starts", || step.log.stdout().contains("started"));
            println!("\nstarted {} {}", step.dir.path().display(), image.path().display());
        });
        let _ = run_in(&sandbox(), &step);
    });
}
