//! What a step can see and leave behind.

use cullet_tests::{Checkout, Outcome, User};

fn run(steps: &str) -> Outcome {
    let checkout = Checkout::of_pipeline(&format!("cullet: 1\nname: sandbox\nsteps:\n{steps}"));
    checkout.write("secret", "not an input");
    User::new().run_with(&checkout, ["--keep-going"])
}

#[test]
fn a_step_sees_its_inputs_and_nothing_of_the_caller() {
    run(concat!(
        "  workspace: { run: 'test -z \"$(ls -A)\" && test \"$PWD\" = /workspace' }\n",
        "  environment: { run: 'test -z \"$(env | grep -i cullet)\" && test \"$HOME\" = /tmp' }\n",
        "  temporary: { run: 'test -z \"$(ls -A /tmp)\" && touch /tmp/x' }\n",
        "  root: { run: 'if touch /usr/x 2> /dev/null; then exit 1; fi' }\n",
        "  network: { run: 'test \"$(tail -n +3 /proc/net/dev | grep -vc lo:)\" = 0' }\n",
        "  processes: { run: 'test \"$(ls /proc | grep -c \"^[0-9]\")\" -lt 10' }\n",
        "  descriptors: { run: 'test \"$(ls /proc/self/fd | wc -l)\" -le 4' }\n",
    ))
    .assert_success();
}

#[test]
fn inputs_cannot_be_changed_behind_the_caches_back() {
    let text = "cullet: 1\nname: links\nsources: { text: { path: ., include: [/text] } }\nsteps:\n  \
                make: { inputs: { .: text }, run: 'cp text made', outputs: { made: made } }\n  \
                spoil: { inputs: { made: make.made }, run: 'echo broken > made || rm made; true' }\n  \
                use: { inputs: { made: make.made }, needs: [spoil], run: 'grep -qx sand made' }\n";
    let checkout = Checkout::of_pipeline(text);
    checkout.write("text", "sand\n");
    User::new().run(&checkout).assert_success();
}

#[test]
fn nothing_outlives_its_step() {
    // A name that no other process on the machine has.
    let marker = format!("31{:06}", std::process::id());
    let outcome = run(&format!(
        "  daemon: {{ run: '(setsid sleep {marker} > /dev/null 2>&1 &); sleep 0.05' }}\n  \
           stubborn: {{ run: \"trap '' TERM; sleep {marker}\", timeout: 1s }}\n"
    ));
    assert_eq!(outcome.steps["daemon"].status, "succeeded", "{}", outcome.stderr);
    assert_eq!(outcome.steps["stubborn"].status, "timed_out");
    let processes = std::process::Command::new("ps").args(["-eo", "args"]).output().unwrap();
    assert!(!String::from_utf8_lossy(&processes.stdout).contains(&format!("sleep {marker}")));
}
