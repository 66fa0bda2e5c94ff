use std::path::PathBuf;

use clap::CommandFactory as _;

fn page(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn every_command_and_flag_is_documented() {
    // The title stands for the whole.
    let page =
        page("cli.md") + &page("cluster.md") + &page("bundles.md") + &page("break-glass.md") + "`cullet`";
    let mut missing = Vec::new();
    let mut commands = vec![cullet_cli::args::Cli::command()];
    while let Some(command) = commands.pop() {
        if command.is_hide_set() {
            continue;
        }
        let name = command.get_name();
        let forms = [format!("`{name}`"), format!(" {name} "), format!(" {name}`")];
        if !forms.iter().any(|form| page.contains(form)) {
            missing.push(name.to_owned());
        }
        for flag in command.get_arguments().filter_map(clap::Arg::get_long) {
            let builtin = matches!(flag, "help" | "version");
            if !builtin && !page.contains(&format!("--{flag}")) {
                missing.push(format!("{name} --{flag}"));
            }
        }
        commands.extend(command.get_subcommands().cloned());
    }
    assert_eq!(missing, [""; 0]);
}

#[test]
fn every_field_of_every_event_is_documented() {
    use cullet_coordinator::{Event, Note, RunEnd, RunStart, StepEnd, StepLog, StepStart, TestSummary};
    let page = page("events.md");
    let text = String::new;
    let events = [
        Event::RunStarted(RunStart { run: text(), pipeline: text(), steps: Vec::new() }),
        Event::StepQueued { step: text() },
        Event::StepStarted(StepStart { step: text(), attempt: 1, worker: text() }),
        Event::StepLog(StepLog { step: text(), stream: text(), text: text() }),
        Event::StepFinished(StepEnd {
            reason: Some(text()),
            tests: Some(TestSummary::default()),
            ..StepEnd::default()
        }),
        Event::Note(Note { level: text(), kind: Some(text()), step: Some(text()), text: text() }),
        Event::RunFinished(RunEnd::default()),
    ];
    for event in events {
        let object = serde_json::to_value(event).unwrap();
        let name = object["event"].as_str().unwrap();
        let section = page.split("\n## ").find(|part| part.starts_with(&format!("`{name}`")));
        let section = section.unwrap_or_else(|| panic!("no section about {name}"));
        for field in object.as_object().unwrap().keys().filter(|field| *field != "event") {
            assert!(section.contains(&format!("| `{field}` |")), "{name}: {field}");
        }
    }
}
