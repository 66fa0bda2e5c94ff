//! Services of runs that are killed or interrupted, and of users without rights.

use cullet_tests::{Checkout, User};

use super::guest::Guest;
use super::made::Image;
use super::support::{alive, expect, nap, shell, skip, start, until};

/// A step with two services that do not want to end.
fn pipeline(step: &str, marker: &str) -> String {
    format!(
        "cullet: 1\nname: beside\nimages: {{ app: 'oci-layout:app' }}\nsteps:\n  s:\n    run: 'sleep {step}'\n    services:\n      \
         a: {{ image: app, run: \"trap '' TERM; sleep {marker} & sleep {marker}\" }}\n      \
         b: {{ image: app, run: 'exec sleep {marker}', ready: {{ exec: [test, -e, /layer] }} }}\n"
    )
}

fn checkout(marker: &str) -> Checkout {
    let checkout = Checkout::of_pipeline(&pipeline(marker, marker));
    Image::default().layout(&checkout.path().join("app"));
    checkout
}

/// Those of the step and of its services.
const ALL: usize = 4;

#[test]
fn a_killed_run_leaves_no_service_and_the_next_one_sweeps() {
    let marker = nap(61);
    let (user, checkout) = (User::new(), checkout(&marker));
    let run = start(&user, &checkout, &["run", "--progress", "json"]);
    until("everything runs", || alive(&marker) >= ALL);
    run.kill();
    until("no process is left", || alive(&marker) == 0);
    checkout.edit("cullet.yaml", &format!("run: 'sleep {marker}'"), "run: 'true'");
    user.run(&checkout).assert_success();
    let left: Vec<_> = std::fs::read_dir(user.cache().join("work")).unwrap().flatten().collect();
    assert!(left.is_empty() && alive(&marker) == 0, "{left:?}");
}

#[test]
fn an_interrupted_run_stops_its_services() {
    let marker = nap(62);
    let (user, checkout) = (User::new(), checkout(&marker));
    let run = start(&user, &checkout, &["run", "--progress", "plain"]);
    until("everything runs", || alive(&marker) >= ALL);
    run.signal("INT");
    let output = run.output();
    assert_eq!((output.status.code(), alive(&marker)), (Some(130), 0), "{output:?}");
}

#[test]
fn a_user_without_rights_has_services() {
    let marker = nap(63);
    let Some(guest) = Guest::arrive(&pipeline("0.5", &marker)) else {
        return skip("only root can become somebody else");
    };
    Image::default().layout(&guest.project().join("app"));
    shell(&guest.project(), "chown -R 65532:65532 .");
    expect(&guest.cullet(&["run", "--progress", "plain"]), 0, &["1 executed"]);
    expect(&guest.cullet(&["run"]), 0, &["1 cached"]);
    assert_eq!(alive(&marker), 0);
    let left: Vec<_> = std::fs::read_dir(guest.path(".cache/cullet/work")).unwrap().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}
