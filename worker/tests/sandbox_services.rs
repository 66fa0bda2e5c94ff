//! Services beside steps: what they see of each other, and how they become ready.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::time::{Duration, Instant};

use cullet_cache::services::Check;
use cullet_worker::Exit;
use support::image::{Image, file, is_root, link};
use support::service::{exec, ready, service, serving, within};
use support::{Outcome, run, run_in, runtime, sandbox, step};

/// The lines of a service.
fn lines_of<'a>(outcome: &'a Outcome, name: &str) -> Vec<&'a str> {
    let prefix = format!("{name} | ");
    outcome.stderr.lines().filter_map(|line| line.strip_prefix(&*prefix)).collect()
}

/// That the step did not begin because of its services; why.
#[track_caller]
fn unbegun(outcome: &Outcome) -> &str {
    assert_eq!((outcome.exit(), outcome.stdout.as_str()), (Exit::Code(125), ""), "{outcome:?}");
    let [why] = &outcome.execution.services[..] else { panic!("{outcome:?}") };
    why
}

both_users! {
    fn a_step_reaches_its_services_by_their_names() {
        let image = Image::new();
        let echo = ready(service("echo", &image, &serving(7, "cat")), Check::Tcp { port: 7 });
        let other = ready(service("other-one", &image, &serving(7000, "echo other")), Check::Tcp { port: 7000 });
        let script = "set -e; echo hello | busybox nc -w 5 echo 7; busybox nc other-one 7000 < /dev/null; \
                      cat /etc/hosts; grep -c : /proc/net/dev";
        let hosts = "127.0.0.1 localhost cullet\n::1 localhost ip6-localhost ip6-loopback\n127.0.0.1 echo other-one";
        let said = format!("hello\nother\n{hosts}\n1");
        let beside = [echo, other];
        assert_eq!(run(&image.step(script).beside(beside.clone())).ok(), said);
        assert_eq!(run(&step(script).beside(beside)).ok(), said, "on the machine's own root");
    }

    fn services_reach_each_other() {
        let image = Image::new();
        let back = ready(service("back", &image, &serving(81, "echo data")), Check::Tcp { port: 81 });
        let script = "until busybox nc back 81 < /dev/null > /tmp/got; do sleep 0.05; done; cat /etc/hosts >> /tmp/got; \
                      exec busybox nc -ll -p 82 -e cat /tmp/got";
        let front = ready(service("front", &image, script), Check::Tcp { port: 82 });
        let outcome = run(&image.step("busybox nc front 82 < /dev/null").beside([back, front]));
        let said = outcome.ok();
        assert!(said.starts_with("data\n127.0.0.1 localhost") && said.ends_with("\n127.0.0.1 back front"), "{said}");
    }

    fn a_service_is_the_user_of_its_image_and_has_no_rights() {
        let image = Image::new().layer(|tree| file(tree, "srv/app/x", "")).user("app").env("A", "image");
        let script = "id -u; id -g; pwd; hostname; echo $A $B $HOME; ls -A /workspace; \
                      grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/self/status | tr -d '\\t'; touch /tmp/up; exec sleep 100";
        let mut seen = service("seen", &image, script);
        seen.working_directory = "/srv/app".to_owned();
        seen.env = vec![("B".to_owned(), "declared".to_owned())];
        let check = "[ -e /tmp/up ] && echo $A$B-$(id -u)-$(pwd) > /tmp/checked";
        let outcome = run(&step("ls /proc | grep -c '^[0-9]'; ls /tmp").beside([ready(seen, exec(check))]));
        let rights = ["CapEff:0000000000000000", "NoNewPrivs:1", "Seccomp:2"];
        let said = [&["500", "501", "/srv/app", "cullet", "image declared /srv/app"][..], &rights].concat();
        assert_eq!(lines_of(&outcome, "seen"), said);
        let root = Image::new();
        let mut nowhere = service("nowhere", &root, "pwd; stat -c %a .");
        nowhere.working_directory = "/new/dir".to_owned();
        let outcome_of_other = run(&step("sleep 0.5").beside([nowhere]));
        assert_eq!(lines_of(&outcome_of_other, "nowhere")[..2], ["/new/dir", "755"]);
        // Neither the service's processes nor its files: a shell, two of a pipe, and the first.
        assert!(outcome.ok().parse::<u32>().unwrap() <= 5, "{outcome:?}");
    }

    fn a_service_starts_where_its_image_says_whoever_it_is() {
        let users = if is_root() { vec!["app", ""] } else { vec![""] };
        for user in users {
            let image = Image::new().user(user).layer(|tree| {
                file(tree, "srv/app/x", "");
                link(tree, "opt/in", "../srv/app");
                link(tree, "opt/out", "../../../../../../tmp");
                link(tree, "opt/nowhere", "/not/there");
            });
            let said = |directory: &str, script: &str| {
                let mut there = service("there", &image, script);
                directory.clone_into(&mut there.working_directory);
                let outcome = run(&step("true").beside([ready(there, exec("[ -e /tmp/up ]"))]));
                lines_of(&outcome, "there").join(" ")
            };
            let script = "pwd -P; stat -c '%u:%g %a' . ..; touch /tmp/up; exec sleep 100";
            assert_eq!(said("/srv/app/new/dir", script), "/srv/app/new/dir 0:0 755 0:0 755", "{user}");
            assert_eq!(said("/never//seen/", script).split(' ').next(), Some("/never/seen"));
            assert_eq!(said("/opt/in/new", script).split(' ').next(), Some("/srv/app/new"));
            // What is private is the service's own.
            assert_eq!(said("/tmp/new", "pwd; touch here /tmp/up; exec sleep 100"), "/tmp/new");
            assert_eq!(said("/opt/out/new", "pwd -P; touch /tmp/up; exec sleep 100"), "/tmp/new");
            let lost = said("/opt/nowhere/new", script);
            assert!(lost.contains("cannot run '/opt/nowhere/new'"), "{lost}");
        }
        assert!(!std::path::Path::new("/not").exists() && !std::path::Path::new("/never").exists());
    }

    fn a_check_runs_beside_the_service_as_its_user() {
        let image = Image::new().user("app").env("A", "a");
        let checked = service("checked", &image, "sleep 0.2; touch /tmp/up; until [ -e /tmp/checked ]; do sleep 0.05; done; cat /tmp/checked; exec sleep 100");
        let check = exec("[ -e /tmp/up ] || exit 1; [ -e /tmp/checked ] && [ -e /tmp/again ] && exit 0; touch /tmp/again; \
                          echo $A $(id -u) $(pwd) $(cat /proc/1/comm) > /tmp/checked; exit 1");
        let outcome = run(&step("sleep 0.2").beside([ready(checked, check)]));
        assert_eq!(outcome.exit(), Exit::Code(0), "{outcome:?}");
        assert_eq!(lines_of(&outcome, "checked"), ["a 500 / cullet-launcher"]);
    }

    fn a_server_has_to_answer_what_is_expected() {
        let (sandbox, image) = (sandbox(), Image::new());
        let serve = |status: &str| {
            let answer = format!("read line; echo \"HTTP/1.0 {status}\"; echo");
            service("web", &image, &serving(80, &answer))
        };
        let check = |status| Check::Http { port: 80, path: "/up?x=1".to_owned(), status };
        let time = Duration::from_millis(700);
        for (status, wanted) in [("200 OK", None), ("302 Found", None), ("503 No", Some(503)), ("204", Some(204))] {
            let outcome = run_in(&sandbox, &step("echo ran").beside([ready(serve(status), check(wanted))]));
            assert_eq!(outcome.ok(), "ran", "{status}");
        }
        for (status, wanted) in [("404 Not Found", None), ("500 No", None), ("200 OK", Some(204))] {
            let outcome = run_in(&sandbox, &step("echo ran").beside([within(time, serve(status), check(wanted))]));
            let code = &status[..3];
            let said = format!("the service 'web' was not ready within 700ms: port 80 answers {code} to a GET of /up?x=1");
            assert_eq!(unbegun(&outcome), said);
        }
        let silent = within(time, service("web", &image, "exec busybox nc -ll -p 80 -e sleep 100"), check(None));
        let outcome = run_in(&sandbox, &step("echo ran").beside([silent]));
        assert!(unbegun(&outcome).contains("http://web:80/up?x=1 does not answer: timed out"), "{outcome:?}");
    }

    fn one_that_is_never_ready_is_said_with_its_last_words() {
        let (sandbox, image) = (sandbox(), Image::new());
        let script = "for n in 1 2 3 4; do echo line $n; done; echo FATAL >&2; exec sleep 100";
        let clock = Instant::now();
        for (check, trouble) in [
            (Check::Tcp { port: 5432 }, "nothing listens at port 5432"),
            (exec("echo refused; exit 3"), "its check ended with exit code 3; it said: refused"),
            (exec("sleep 100"), "its check takes too long"),
            (Check::Exec { command: vec!["pg_isready".to_owned()] }, "its check ended with exit code 127; it said: cullet: cannot run 'pg_isready': No such file or directory"),
        ] {
            let db = within(Duration::from_millis(400), service("db", &image, script), check);
            let fine = service("fine", &image, "exec sleep 100");
            let outcome = run_in(&sandbox, &step("echo ran").beside([db, fine]));
            let said = unbegun(&outcome);
            assert!(said.starts_with(&format!("the service 'db' was not ready within 400ms: {trouble}; the service said: line ")), "{said}");
            assert!(said.contains(" / ") && !said.contains("line 1"), "{said}");
            assert_eq!(lines_of(&outcome, "db").len(), 5, "{outcome:?}");
        }
        assert!(clock.elapsed() < Duration::from_secs(30));
    }

    fn one_that_ends_before_the_step_begins_is_said() {
        let (sandbox, image) = (sandbox(), Image::new());
        let never = Check::Tcp { port: 1 };
        let ends = |script: &str| {
            let clock = Instant::now();
            let outcome = run_in(&sandbox, &step("echo ran").beside([ready(service("db", &image, script), never.clone())]));
            assert!(clock.elapsed() < Duration::from_secs(5), "it is not waited for any more");
            unbegun(&outcome).to_owned()
        };
        let said = ends("echo no data directory >&2; exit 4");
        assert!(said.starts_with("the service 'db' ended with exit code 4 after 0."), "{said}");
        assert!(said.ends_with(" seconds, before the step began; it said: no data directory"), "{said}");
        assert!(ends("kill -9 $$").starts_with("the service 'db' was killed by signal 9 after"));
        let mut missing = service("db", &image, "");
        missing.arguments = vec!["postgres".to_owned()];
        let outcome = run_in(&sandbox, &step("echo ran").beside([ready(missing, never.clone())]));
        assert!(unbegun(&outcome).ends_with("it said: cullet: cannot run 'postgres': No such file or directory"), "{outcome:?}");
    }

    fn one_that_cannot_be_started_is_not_the_steps_fault() {
        let image = Image::new().user("ghost");
        let step = step("echo ran").beside([service("db", &image, "exec sleep 100")]);
        let error = runtime().block_on(step.run_on(&sandbox())).unwrap_err();
        let said = format!("{error}: {}", std::error::Error::source(&error).unwrap());
        assert!(said.contains("the service 'db'") && said.contains("user 'ghost'"), "{said}");
        assert!(!step.log.stdout().contains("ran"));
    }

    fn one_that_ends_meanwhile_is_said_and_does_not_end_the_step() {
        let (sandbox, image) = (sandbox(), Image::new());
        let short = service("db", &image, "sleep 1; echo PANIC; exit 2");
        for code in [0, 7] {
            let script = format!("sleep 2; echo done; exit {code}");
            let outcome = run_in(&sandbox, &step(&script).beside([short.clone()]));
            assert_eq!((outcome.exit(), outcome.stdout.as_str()), (Exit::Code(code), "done\n"), "{outcome:?}");
            let said = "the service 'db' ended with exit code 2 while the step ran; it said: PANIC";
            assert_eq!(outcome.execution.services, [said], "{outcome:?}");
            assert_eq!(lines_of(&outcome, "db"), ["PANIC", "cullet: the service ended with exit code 2"]);
        }
    }
}

/// What of its limits a step shares with its services: memory, which takes a control group, which takes root here.
#[test]
fn a_step_and_its_services_have_their_memory_together() {
    let sandbox = sandbox();
    let limits = cullet_worker::StepLimits { memory_bytes: 64 << 20, ..Default::default() };
    if !sandbox.missing(&limits).is_empty() {
        return;
    }
    let image = Image::new();
    // It is ready when the kernel has ended what took too much.
    let script =
        "head -c 200000000 /dev/zero | tail -c 190000000 > /dev/null; touch /tmp/over; exec sleep 1000";
    let big = within(Duration::from_secs(300), service("big", &image, script), exec("[ -e /tmp/over ]"));
    let mut step = step("echo done").beside([big]);
    step.launch.limits = limits;
    let outcome = run_in(&sandbox, &step);
    assert!(outcome.execution.out_of_memory > 0, "{outcome:?}");
    assert!(outcome.execution.usage.peak_memory_bytes > 32 << 20, "{outcome:?}");
}
