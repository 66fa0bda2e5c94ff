//! What is left in the engine of runs that were killed, and who removes it.

use cullet_tests::User;

use super::engine::{Engine, checkout};
use super::made::Image;
use super::support::{Running, nap, start_command, until};

const RUN: [&str; 5] = ["run", "--progress", "json", "--executor", "docker"];

#[test]
fn containers_of_killed_runs_are_removed_by_the_next_and_those_of_living_ones_are_not() {
    let Some(engine) = Engine::shared() else { return };
    let (killed, living) = (nap(32), nap(33));
    let text = |nap: &str| {
        format!(
            "cullet: 1\nsteps:\n  a: {{ image: 'oci-layout:app', run: 'sleep {nap}' }}\n  quick: {{ image: 'oci-layout:app', run: 'true' }}\n"
        )
    };
    let start = |nap: &str| -> (User, cullet_tests::Checkout, Running) {
        let (user, checkout) = (User::new(), checkout(&text(nap)));
        let run = start_command(&mut engine.command(&user, &checkout, &[&RUN[..], &["a"]].concat()));
        until("the step runs", || engine.containers(nap) == 1);
        (user, checkout, run)
    };
    let (user, project, run) = start(&killed);
    let (_other, _project, other) = start(&living);
    run.kill();
    assert_eq!(
        (engine.containers(&killed), engine.containers(&living)),
        (1, 1),
        "nobody was there to remove it"
    );
    // Somebody else's next run does.
    let another = User::new();
    let next = engine.run(&another, &project, &["quick"]);
    next.assert_success();
    assert_eq!((engine.containers(&killed), engine.containers(&living)), (0, 1));
    let again = engine.run(&user, &project, &["quick"]);
    again.assert_success();
    other.signal("INT");
    assert_eq!(other.output().status.code(), Some(130));
    assert_eq!(engine.containers(&living), 0);
}

#[test]
fn an_image_is_put_there_once_and_removed_when_there_is_no_room() {
    let Some(engine) = Engine::own() else { return };
    let text = "cullet: 1\nsteps:\n  a: { image: 'oci-layout:app', run: 'cat /layer' }\n";
    let (user, project) = (User::new(), checkout(text));
    let pulled = |run: &cullet_tests::Outcome| {
        run.assert_success();
        run.events.iter().filter(|event| event["event"] == "note" && event["kind"] == "image").count()
    };
    assert_eq!(pulled(&engine.run(&user, &project, &[])), 1);
    let first = engine.images();
    assert!(first.len() == 1 && first[0].starts_with("cullet/image:"), "{first:?}");
    assert_eq!(pulled(&engine.run(&user, &project, &["--no-cache"])), 0);

    // Another image; and the first one was last used so long ago that it may go.
    Image { layers: &["two"], ..Image::default() }.layout(&project.path().join("app"));
    for note in std::fs::read_dir(user.cache().join("images/engine")).unwrap() {
        let file = std::fs::File::options().write(true).open(note.unwrap().path()).unwrap();
        file.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(3600)).unwrap();
    }
    pulled(&engine.run(&user, &project, &["--cache-size", "1MiB"]));
    let second = engine.images();
    assert!(second.len() == 1 && second != first, "{second:?}");
}

#[test]
fn an_image_that_is_not_what_it_is_called_is_not_used() {
    let Some(engine) = Engine::own() else { return };
    let text = "cullet: 1\nsteps:\n  a: { image: 'oci-layout:app', run: 'cat /layer' }\n";
    let (user, project) = (User::new(), checkout(text));
    engine.run(&user, &project, &[]).assert_success();
    let one = engine.images().pop().unwrap();
    Image { layers: &["two"], ..Image::default() }.layout(&project.path().join("app"));
    engine.run(&user, &project, &[]).assert_success();
    let two = engine.images().into_iter().find(|name| *name != one).unwrap();
    // The second image under the name of the first.
    let tag =
        format!("http://engine/images/{two}/tag?repo=cullet/image&tag={}", one.rsplit(':').next().unwrap());
    let mut curl = std::process::Command::new("curl");
    curl.args(["--silent", "--fail", "-X", "POST", "--unix-socket"]).arg(engine.socket()).arg(tag);
    assert!(curl.status().unwrap().success());
    Image::default().layout(&project.path().join("app"));
    let run = engine.run(&user, &project, &["--no-cache"]);
    run.assert_success();
    assert_eq!(super::engine::log(&run, "a").trim(), "one");
}
