//! What a plan holds.

use std::time::Duration;

use cullet_pipeline::plan::{
    Check, Image, InputFrom, Limits, Network, OutputPattern, OutputRef, Plan, Ready, ReportFormat, Resources,
    Retries, Run, Step,
};

use crate::support::{lines, plan, planned};

const YAML: &str = r#"
cullet: 1
name: app
params: { profile: release, jobs: 4, fast: false }
images: { rust: docker.io/library/rust:1 }
sources:
  unused-here: { path: ./other/, exclude: ["docs/"] }
  src: .
steps:
  test:
    needs: [lint, build]
    inputs: { tests: "src:./tests/", ./bin/app: build.bin }
    matrix: { shard: [1, 2], os: [linux, mac] }
    run: [bin/app, "${{ matrix.shard }}", 5, 1.10, true]
    outputs: { report: "r-${{ matrix.shard }}.xml" }
    reports: { junit: ["r-*.xml", ./x.xml] }
    retries: { failure: 1 }
    allow_failure: true
  lint: { inputs: { .: src }, run: "lint --$${{ x }}" }
  build:
    image: rust
    inputs: { .: src }
    run: make -j${{ params.jobs }} ${{ params.profile }}
    env: { Z: last, A: "${{ params.profile }}-x" }
    caches: { /root/.cargo: cargo, /c: { volume: "c-${{ params.jobs }}", shared: locked }, /b: { volume: b } }
    outputs: { docs: ["doc/**", LICENSE], bin: "target/${{ params.profile }}/app/", all: "*.o" }
    resources: { cpu: 500m, memory: 1.5GiB }
    limits: { memory: 3GiB, processes: 7, disk: 2GiB, output: 5kB, log: 6MB }
    timeout: 1h30m
    network: full
  merge: { inputs: { reports: test.report, one: "test[os=mac,shard=2].report", linux: "test[os=linux].report" }, run: x }
  deploy:
    if: params.profile == 'release' && !params.fast
    effects: true
    needs: ["test[shard=1]"]
    inputs: { o: unused-here }
    run: ship
outputs: { app: build.bin, reports: test.report }
"#;

fn step<'p>(plan: &'p Plan, name: &str) -> &'p Step {
    plan.steps.iter().find(|step| &*step.name == name).unwrap_or_else(|| panic!("no step {name}"))
}

fn names(plan: &Plan) -> Vec<&str> {
    plan.steps.iter().map(|step| &*step.name).collect()
}

/// Each input as `path <- origin`.
fn inputs(plan: &Plan, name: &str) -> Vec<String> {
    let origin = |from: &InputFrom| match from {
        InputFrom::Source { source, subpath } => format!("{}:{subpath}", plan.sources[*source as usize].name),
        InputFrom::Output(OutputRef { step, output }) => {
            let step = &plan.steps[*step as usize];
            format!("{}.{}", step.name, step.outputs[*output as usize].name)
        }
    };
    step(plan, name).inputs.iter().map(|input| format!("{} <- {}", input.path, origin(&input.from))).collect()
}

#[test]
fn every_key_arrives() {
    let plan = plan(YAML, &[], &[]);
    assert_eq!(plan.name, "app");
    let build = step(&plan, "build");
    assert_eq!(build.line, 20);
    assert_eq!(build.settings.image, Image::Reference("docker.io/library/rust:1".to_owned()));
    assert_eq!(build.run.arguments(), ["/bin/sh", "-eu", "-c", "make -j4 release"]);
    assert_eq!(
        build.settings.env,
        [("A", "release-x"), ("Z", "last")].map(|(n, v)| (n.to_owned(), v.to_owned()))
    );
    let outputs: Vec<(&str, &OutputPattern)> =
        build.outputs.iter().map(|output| (output.name.as_str(), &output.pattern)).collect();
    let globs = |globs: &[&str]| OutputPattern::Globs(globs.iter().map(|glob| (*glob).to_owned()).collect());
    assert_eq!(
        outputs,
        [
            ("all", &globs(&["*.o"])),
            ("bin", &OutputPattern::Path("target/release/app".to_owned())),
            ("docs", &globs(&["doc/**", "LICENSE"])),
        ]
    );
    assert_eq!(build.settings.resources, Resources { cpu_millis: 500, memory_bytes: 3 << 29 });
    assert_eq!(
        build.settings.limits,
        Limits {
            memory_bytes: 3 << 30,
            processes: 7,
            disk_bytes: 2 << 30,
            output_bytes: 5_000,
            log_bytes: 6_000_000,
            ..Limits::default()
        }
    );
    assert_eq!(build.settings.timeout, Duration::from_secs(5400));
    assert_eq!(build.settings.network, Network::Full);
    let caches: Vec<(&str, &str, bool)> =
        build.settings.caches.iter().map(|c| (c.path.as_str(), c.volume.as_str(), c.locked)).collect();
    assert_eq!(caches, [("/b", "b", false), ("/c", "c-4", true), ("/root/.cargo", "cargo", false)]);
    assert_eq!(plan.images, ["docker.io/library/rust:1"]);
    let test = step(&plan, "test[shard=2,os=mac]");
    assert_eq!(test.run.arguments(), ["bin/app", "2", "5", "1.10", "true"]);
    assert!(test.settings.allow_failure);
    assert_eq!(test.settings.retries, Retries { failure: 1, infra: 3 });
    let reports: Vec<(ReportFormat, &str)> =
        test.settings.reports.iter().map(|r| (r.format, r.path.as_str())).collect();
    assert_eq!(reports, [(ReportFormat::Junit, "r-*.xml"), (ReportFormat::Junit, "x.xml")]);
}

#[test]
fn defaults_are_those_of_the_documentation() {
    let plan = plan(YAML, &[], &["lint"]);
    let [lint] = plan.steps.as_slice() else { panic!("{:?}", names(&plan)) };
    assert_eq!(lint.run.arguments()[3], "lint --${{ x }}");
    assert_eq!(lint.settings.image, Image::Host);
    assert_eq!(lint.settings.resources, Resources { cpu_millis: 1000, memory_bytes: 0 });
    assert_eq!(lint.settings.limits, Limits::default());
    assert_eq!(lint.settings.timeout, Duration::from_secs(3600));
    assert_eq!(lint.settings.retries, Retries { failure: 0, infra: 3 });
    assert_eq!(lint.settings.network, Network::None);
    assert!(!lint.settings.effects && !lint.settings.allow_failure && lint.skip.is_none());
    assert!(lint.settings.env.is_empty() && lint.outputs.is_empty() && lint.needs.is_empty());
    assert!(plan.outputs.is_empty());
}

#[test]
fn services_arrive_with_their_defaults() {
    let yaml = r#"
cullet: 1
params: { port: 5432 }
images: { db: "a/db:1" }
steps:
  s:
    run: x
    services:
      web: { image: a/web, run: [serve, 80], ready: { http: { port: 80, path: /up, status: 204 }, interval: 1s } }
      db: { image: db, env: { B: "2", A: "1" }, ready: { tcp: "${{ params.port }}", timeout: 30s } }
      cache: { image: a/cache, run: go }
      queue: { image: a/queue, ready: { exec: [ping, q] } }
"#;
    let plan = plan(yaml, &[], &[]);
    let [step] = plan.steps.as_slice() else { panic!("{:?}", names(&plan)) };
    let [cache, db, queue, web] = &step.settings.services[..] else { panic!("{step:?}") };
    let minute = Duration::from_secs(60);
    let ready =
        |check, timeout, interval| Some(Ready { check, timeout, interval: Duration::from_millis(interval) });
    assert_eq!((cache.name.as_str(), cache.image.as_str(), &cache.ready), ("cache", "a/cache", &None));
    assert_eq!(cache.run.as_ref().map(Run::arguments).unwrap()[3], "go");
    assert_eq!((db.image.as_str(), &db.run), ("a/db:1", &None));
    assert_eq!(db.env, [("A", "1"), ("B", "2")].map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(db.ready, ready(Check::Tcp(5432), Duration::from_secs(30), 200));
    let ping = Run::Arguments(["ping", "q"].map(Into::into).into());
    assert_eq!(queue.ready, ready(Check::Exec(ping), minute, 200));
    assert_eq!(web.run.as_ref().map(Run::arguments).unwrap(), ["serve", "80"]);
    let http = Check::Http { port: 80, path: "/up".to_owned(), status: Some(204) };
    assert_eq!(web.ready, ready(http, minute, 1000));
    let images: Vec<&str> = step.settings.images().collect();
    assert_eq!(images, ["a/cache", "a/db:1", "a/queue", "a/web"]);
}

#[test]
fn images_are_listed_once_wherever_they_are_written() {
    let yaml = r#"
cullet: 1
params: { version: 1 }
images: { unused: "a/unused:${{ params.version }}", db: { reference: "a/db:1" } }
steps:
  a: { run: x, image: "a/b:${{ matrix.n }}", matrix: { n: [1, 2] } }
  b: { run: x, image: "a/b:1" }
  c: { run: x, image: db, services: { d: { image: "a/beside" } } }
  d: { run: x }
"#;
    let whole = plan(yaml, &["version=7"], &[]);
    assert_eq!(whole.images, ["a/b:1", "a/b:2", "a/beside", "a/db:1", "a/unused:7"]);
    let of_steps: Vec<(&str, &str)> =
        whole.step_images().into_iter().map(|(image, step)| (image, &*step.name)).collect();
    assert_eq!(of_steps, [("a/b:1", "a[n=1]"), ("a/b:2", "a[n=2]"), ("a/beside", "c"), ("a/db:1", "c")]);
    assert_eq!(plan(yaml, &[], &["d"]).images, ["a/db:1", "a/unused:1"]);
}

#[test]
fn what_is_needed_comes_first() {
    let plan = plan(YAML, &[], &[]);
    for (index, step) in (0_u32..).zip(&plan.steps) {
        let producers = step.inputs.iter().filter_map(|input| match &input.from {
            InputFrom::Output(output) => Some(output.step),
            InputFrom::Source { .. } => None,
        });
        assert!(producers.chain(step.needs.iter().copied()).all(|before| before < index), "{}", step.name);
    }
    assert_eq!(names(&plan)[..3], ["lint", "build", "test[shard=1,os=linux]"]);
    // What is an input is no need any more.
    assert_eq!(step(&plan, "test[shard=1,os=linux]").needs[..], [0]);
    assert_eq!(step(&plan, "deploy").needs.len(), 2);
}

#[test]
fn inputs_are_normalised_and_sorted() {
    let plan = plan(YAML, &[], &[]);
    assert_eq!(inputs(&plan, "build"), [" <- src:"]);
    assert_eq!(inputs(&plan, "test[shard=1,os=mac]"), ["bin/app <- build.bin", "tests <- src:tests"]);
    assert_eq!(
        inputs(&plan, "merge"),
        [
            "linux/shard=1,os=linux <- test[shard=1,os=linux].report",
            "linux/shard=2,os=linux <- test[shard=2,os=linux].report",
            "one <- test[shard=2,os=mac].report",
            "reports/shard=1,os=linux <- test[shard=1,os=linux].report",
            "reports/shard=1,os=mac <- test[shard=1,os=mac].report",
            "reports/shard=2,os=linux <- test[shard=2,os=linux].report",
            "reports/shard=2,os=mac <- test[shard=2,os=mac].report",
        ]
    );
}

#[test]
fn targets_bring_what_they_need_and_no_more() {
    let one = plan(YAML, &[], &["test[shard=2,os=mac]"]);
    assert_eq!(names(&one), ["lint", "build", "test[shard=2,os=mac]"]);
    let sources: Vec<&str> = one.sources.iter().map(|source| source.name.as_str()).collect();
    assert_eq!(sources, ["src"]);
    let outputs: Vec<&str> = one.outputs.iter().map(|output| output.path.as_str()).collect();
    assert_eq!(outputs, ["app", "reports/shard=2,os=mac"]);
    assert_eq!(plan(YAML, &[], &["test[os=mac]", "lint"]).steps.len(), 4);
    assert_eq!(plan(YAML, &[], &["test"]).steps.len(), 6);
    assert_eq!(plan(YAML, &[], &[]).sources[0].path, "other");
}

#[test]
fn conditions_follow_the_parameters() {
    let skip =
        |params: &[&str]| step(&plan(YAML, params, &["deploy"]), "deploy").skip.as_deref().map(str::to_owned);
    assert_eq!(skip(&[]), None);
    let reason = Some("`if` is false: params.profile == 'release' && !params.fast".to_owned());
    assert_eq!(skip(&["profile=debug"]), reason);
    assert_eq!(skip(&["fast=true"]), reason);
    let effects = plan(YAML, &[], &["deploy"]);
    assert_eq!(step(&effects, "deploy").settings.retries, Retries { failure: 0, infra: 0 });
}

#[track_caller]
fn refused(params: &[&str], targets: &[&str], expected: &str) {
    match planned(YAML, params, targets) {
        Ok(_) => panic!("this must be refused: {expected}"),
        Err(problems) => assert_eq!(lines(&problems), expected),
    }
}

#[test]
fn wrong_parameters_and_targets_are_named() {
    refused(&["profil=x"], &[], " error: there is no parameter `profil`; did you mean `profile`?\n");
    refused(&["jobs=many"], &[], " error: the parameter `jobs` is a number; `many` is not\n");
    refused(&["fast=yes"], &[], " error: the parameter `fast` is a boolean; `yes` is not\n");
    refused(
        &["profile=/../x"],
        &["build"],
        "26:48: error: `target//../x/app/` has an empty part in it; write one `/` at a time\n",
    );
    refused(&[], &["biuld"], " error: target: there is no step `biuld`; did you mean `build`?\n");
    refused(
        &[],
        &["nosuch"],
        " error: target: there is no step `nosuch`; the steps are `test`, `lint`, `build`, `merge`, `deploy`\n",
    );
    refused(
        &[],
        &["build.bin"],
        " error: target: `build.bin` is not the name of a step; name the step alone: `build`\n",
    );
    refused(&[], &["lint[a=1]"], " error: target: the step `lint` has no matrix; write `lint`\n");
}

#[test]
fn a_parameter_without_default_must_be_given() {
    let yaml = "cullet: 1\nparams: { p: { values: [a, b] } }\nsteps:\n  s: { run: x, outputs: { o: \"${{ params.p }}\" } }\n";
    assert_eq!(
        lines(&planned(yaml, &[], &[]).unwrap_err()),
        "2:11: error: the parameter `p` has no default and needs a value; pass `--param p=VALUE`\n"
    );
    assert_eq!(
        lines(&planned(yaml, &["p=c"], &[]).unwrap_err()).lines().next().unwrap(),
        " error: the parameter `p` cannot be `c`; its values are `a`, `b`"
    );
    assert_eq!(plan(yaml, &["p=b"], &[]).steps[0].outputs[0].pattern, OutputPattern::Path("b".to_owned()));
}

#[test]
fn values_with_meaning_in_names_are_encoded() {
    let yaml = "cullet: 1\nsteps:\n  s:\n    matrix: { flags: [\"-O2 -g\", \"a/b,c\", \"\"] }\n    run: x\n    outputs: { o: o }\n  \
                t: { inputs: { i: \"s[flags=-O2 -g].o\" }, run: x }\n";
    let plan = plan(yaml, &[], &[]);
    assert_eq!(names(&plan), ["s[flags=-O2%20-g]", "s[flags=a%2Fb%2Cc]", "s[flags=]", "t"]);
    assert_eq!(inputs(&plan, "t"), ["i <- s[flags=-O2%20-g].o"]);
}

#[test]
fn the_same_file_gives_the_same_plan() {
    assert_eq!(plan(YAML, &[], &[]), plan(YAML, &[], &[]));
    let json = r#"{"cullet": 1, "steps": {"a": {"run": ["x", 1]}}}"#;
    assert_eq!(
        plan(json, &[], &[]).steps,
        plan("cullet: 1\n\nsteps: { a: { run: [x, 1] } }", &[], &[])
            .steps
            .into_iter()
            .map(|s| Step { line: 1, ..s })
            .collect::<Vec<_>>()
    );
}

#[test]
fn every_step_has_the_time_that_the_pipeline_says_unless_it_says_another() {
    let plan = plan(
        "cullet: 1\nsource_date_epoch: 1767225600\nsteps:\n  a: { run: x }\n  b: { run: x, env: { Z: z, A: a } }\n  \
         c: { run: x, env: { SOURCE_DATE_EPOCH: \"5\" } }\n",
        &[],
        &[],
    );
    let env = |name: &str| {
        let env = &step(&plan, name).settings.env;
        env.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(env("a"), "SOURCE_DATE_EPOCH=1767225600");
    assert_eq!(env("b"), "A=a SOURCE_DATE_EPOCH=1767225600 Z=z");
    assert_eq!(env("c"), "SOURCE_DATE_EPOCH=5");
}

#[test]
fn a_pipeline_says_its_platform_or_none() {
    let text = "cullet: 1\nparams: { arch: { default: arm64, values: [arm64, x86_64] } }\n\
                platform: linux/${{ params.arch }}\nsteps: { a: { run: x } }\n";
    let of = |params: &[&str]| plan(text, params, &[]).platform.map(|platform| platform.to_string());
    assert_eq!(of(&[]).as_deref(), Some("linux/arm64"));
    assert_eq!(plan("cullet: 1\nsteps: { a: { run: x } }\n", &[], &[]).platform, None);
}
