//! Steps that continue the root of another one, and roots as outputs.

use cullet_pipeline::plan::{CONTINUED, Image, ImageFormat, ImageOutput, InputFrom, OutputPattern, Plan};

use crate::support::{check, plan, planned};

const CHAIN: &str = "\
cullet: 1
sources: { src: . }
images: { base: reg.example/base:1 }
steps:
  test: { from: build, run: x, inputs: { t: src } }
  build: { from: install, run: x, outputs: { bin: app, image: rootfs } }
  install: { image: base, run: x, outputs: { zz: z } }
  other: { image: base, run: x }
outputs: { app: build.image, app.tar: { from: build.image, format: docker-archive, name: app } }
";

/// Paths of inputs and what is there, as `STEP.OUTPUT`.
fn inputs(plan: &Plan, step: &str) -> Vec<(String, String)> {
    let found = plan.steps.iter().find(|found| &*found.name == step);
    let step = found.unwrap_or_else(|| panic!("no step {step}"));
    let found = step.inputs.iter().filter_map(|input| match &input.from {
        InputFrom::Output(from) => {
            let producer = &plan.steps[from.step as usize];
            let output = &producer.outputs[from.output as usize];
            assert_eq!(output.pattern, OutputPattern::Root);
            Some((input.path.to_string(), format!("{}.{}", producer.name, output.name)))
        }
        InputFrom::Source { .. } => None,
    });
    found.collect()
}

fn outputs<'p>(plan: &'p Plan, step: &str) -> Vec<&'p str> {
    let found = plan.steps.iter().find(|found| &*found.name == step);
    let step = found.unwrap_or_else(|| panic!("no step {step}"));
    step.outputs.iter().map(|output| output.name.as_str()).collect()
}

#[test]
fn a_step_gets_the_roots_of_all_that_it_continues_and_their_image() {
    let plan = plan(CHAIN, &[], &[]);
    let layer = |path: &str, from: &str| (path.to_owned(), from.to_owned());
    assert_eq!(inputs(&plan, "install"), []);
    assert_eq!(inputs(&plan, "build"), [layer("//root/000", "install.~root")]);
    let both = [layer("//root/000", "install.~root"), layer("//root/001", "build.image")];
    assert_eq!(inputs(&plan, "test"), both);
    for step in &plan.steps {
        assert_eq!(step.settings.image, Image::Reference("reg.example/base:1".to_owned()), "{}", step.name);
    }
    // Only roots that somebody needs are kept.
    assert_eq!(outputs(&plan, "install"), ["zz", CONTINUED]);
    assert_eq!(outputs(&plan, "build"), ["bin", "image"]);
    assert_eq!((outputs(&plan, "test").len(), outputs(&plan, "other").len()), (0, 0));
    let images: Vec<(&str, Option<ImageOutput>)> =
        plan.outputs.iter().map(|output| (output.path.as_str(), output.image.clone())).collect();
    let archive = ImageOutput { format: ImageFormat::DockerArchive, name: Some("app:latest".to_owned()) };
    assert_eq!(images, [("app", Some(ImageOutput::default())), ("app.tar", Some(archive))]);
}

#[test]
fn what_a_step_leaves_does_not_depend_on_what_is_asked_for() {
    let alone = plan(CHAIN, &[], &["install"]);
    assert_eq!(alone.steps.len(), 1);
    assert_eq!(outputs(&alone, "install"), ["zz", CONTINUED]);
}

#[test]
fn long_chains_stay_in_order_and_have_an_end() {
    let chain = |count: usize| {
        let steps: String =
            (1..=count).map(|n| format!("  s{n}: {{ from: s{}, run: x }}\n", n - 1)).collect();
        format!("cullet: 1\nsteps:\n  s0: {{ image: a/b, run: x }}\n{steps}")
    };
    let plan = plan(&chain(100), &[], &[]);
    let paths: Vec<String> = inputs(&plan, "s100").into_iter().map(|(_, from)| from).collect();
    let expected: Vec<String> = (0..100).map(|n| format!("s{n}.~root")).collect();
    assert_eq!(paths, expected);
    let refused =
        "104:17: error: more than 100 steps continue each other in a row; put some of them into one\n";
    check(&chain(101), refused);
}

#[test]
fn instances_continue_the_one_that_they_name() {
    let yaml = "\
cullet: 1
steps:
  install: { matrix: { os: [a, b] }, image: 'reg.example/${{ matrix.os }}:1', run: x }
  test: { matrix: { os: [b, a], n: [1, 2] }, from: 'install[os=${{ matrix.os }}]', run: x }
  one: { from: 'install[os=a]', run: x }
";
    let plan = plan(yaml, &[], &[]);
    assert_eq!(inputs(&plan, "test[os=b,n=2]")[0].1, "install[os=b].~root");
    assert_eq!(inputs(&plan, "one")[0].1, "install[os=a].~root");
    let image = |name: &str| {
        let step = plan.steps.iter().find(|step| &*step.name == name).unwrap();
        step.settings.image.clone()
    };
    assert_eq!(image("test[os=b,n=1]"), Image::Reference("reg.example/b:1".to_owned()));
}

#[test]
fn what_cannot_be_continued_is_refused() {
    check(
        "\
cullet: 1
sources: { s: . }
steps:
  host: { run: x }
  two: { matrix: { os: [a, b] }, image: a/b, run: x }
  a: { from: host, run: x }
  b: { from: two, run: x }
  c: { from: nobody, run: x }
  d: { from: '${{ matrix.x }}', matrix: { x: [two] }, run: x }
  e: { from: two, image: a/b, run: x }
  f: { from: f, run: x }
  g: { run: x, outputs: { r: rootfs } }
  h: { from: [two], run: x }
",
        "\
6:14: error: `host` runs in `host`, whose root is the machine's and cannot be continued; only a step in an image has a root of its own: give it an `image`
7:14: error: `two` means 2 steps, and one root is continued; name one of them, as in `two[os=a]`
8:14: error: there is no step `nobody`
9:14: error: the name of the step has to be written out; only values in brackets can be expressions, as in `install[os=${{ matrix.os }}]`
10:14: error: `two` means 2 steps, and one root is continued; name one of them, as in `two[os=a]`
10:19: error: a step with `from` has the image of the step that it continues; leave one of them out
11:14: error: the step `f` cannot need itself
12:27: error: the step runs in `host`, whose root is the machine's and cannot be handed out; only a step in an image has a root of its own: give it an `image`
13:14: error: expected the name of a step, found a list
",
    );
}

#[test]
fn circles_are_circles() {
    check(
        "cullet: 1\nsteps:\n  a: { from: c, run: x }\n  b: { from: a, run: x }\n  c: { from: b, run: x }\n  d: { from: c, run: x }\n",
        "3:3: error: steps need each other in a circle: a → c → b → a; take one of these inputs or needs away\n",
    );
}

#[test]
fn a_root_is_an_output_of_its_own_and_no_input() {
    check(
        "\
cullet: 1
params: { r: rootfs }
steps:
  a:
    image: a/b
    run: x
    outputs: { one: rootfs, two: [rootfs], three: [rootfs, x], four: '${{ params.r }}', five: ./rootfs, six: .cullet/x }
  b: { image: a/b, run: x, inputs: { r: a.one } }
outputs:
  five: { from: a.five, format: oci-layout }
  image: { from: a.one, format: tar }
",
        "\
7:29: error: the step's root is two outputs
7:52: error: `rootfs` is an output of its own; write `./rootfs` for a file of that name
7:64: error: the step's root is two outputs
7:70: error: `rootfs` cannot come from an expression; write `rootfs`, or `./rootfs` for a file
7:110: error: `.cullet` is no place for outputs; outputs of Cullet's own are there; choose another name
8:41: error: the output `one` of `a` is its root directory, which is no input; continue it: `from: a`
10:25: error: `format` is for images, and `a.five` is none; an image is an output that is `rootfs`
11:33: error: `tar` is no format of images; it is `oci-layout` or `docker-archive`
",
    );
    check(
        "cullet: 1\nsteps:\n  a: { image: a/b, run: x, outputs: { i: rootfs } }\noutputs: { .: a.i }\n",
        "4:12: error: an image cannot be the whole directory of `--output`; give it a name, such as `image`\n",
    );
    check(
        "\
cullet: 1
steps:
  a: { image: a/b, run: x, outputs: { i: rootfs, f: f } }
  m: { matrix: { os: [a, b] }, image: a/b, run: x, outputs: { i: rootfs } }
outputs:
  one: { from: a.i, name: 'app:1' }
  two.tar: { from: a.i, format: docker-archive, name: 'App:1' }
  three: { from: a.f, name: 'app:1' }
  four: { from: m.i, format: docker-archive, name: 'app:1' }
  five.tar: { from: 'm[os=a].i', format: docker-archive, name: 'app:1' }
",
        "\
6:21: error: only an archive has a name in it; add `format: docker-archive`; a layout is called as its directory is
7:55: error: `App:1` is no name for an image; names are in lower case; only a tag may have capital letters
8:23: error: `name` is for images, and `a.f` is none; an image is an output that is `rootfs`
9:46: error: `m.i` means 2 images, and a name is for one; name one of the steps, as in `build[os=a].image`
",
    );
    let file = planned("cullet: 1\nsteps:\n  a: { run: x, outputs: { r: ./rootfs } }\n", &[], &[]).unwrap();
    assert_eq!(file.steps[0].outputs[0].pattern, OutputPattern::Path("rootfs".to_owned()));
}

#[test]
fn graphs_show_who_continues_whom() {
    let plan = plan(CHAIN, &[], &[]);
    let text = cullet_pipeline::graph::text(&plan);
    assert!(text.contains("test <- src\n  build (its root)\n    install (its root)\n"), "{text}");
    let json: serde_json::Value = serde_json::from_str(&cullet_pipeline::graph::json(&plan)).unwrap();
    let step = |name: &str| {
        json["steps"].as_array().unwrap().iter().find(|step| step["name"] == name).unwrap().clone()
    };
    assert_eq!(step("test")["after"], serde_json::json!([{ "step": "build", "root": true }]));
    assert_eq!(step("install")["outputs"], serde_json::json!(["zz"]));
    assert!(cullet_pipeline::graph::mermaid(&plan).contains(" ==> "));
    assert!(cullet_pipeline::graph::dot(&plan).contains("[style=bold]"));
}
